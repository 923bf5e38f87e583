"""The report without its charts, which take longer to draw than everything else."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

from reports.explorer import Explorer
from reports.explorer_pack import packed
from reports.render import SCRIPTS, TEMPLATE, render_page
from reports.view import AuditTables, build_view


def render_bare(tables: AuditTables, explorer: bool = False) -> str:
    """The page with no chart in it, and with nothing to explore unless ``explorer``."""
    empty = AuditTables({}, {}, None, None, None, None)
    charts: dict[str, Any] = defaultdict(lambda: None)
    return render_page(TEMPLATE, SCRIPTS, view=build_view(tables), charts=charts, explorer=packed(Explorer(tables if explorer else empty)))


def section(html: str, name: str) -> str:
    """A part of the page by its id, to where the next main section begins."""
    return re.split(r'<section id="|</main>|</aside>', html.split(f' id="{name}"')[1])[0]
