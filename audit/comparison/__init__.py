"""Two audits beside each other: what can be compared, what rose and fell, which findings are new, and which themes set them apart.

What ``compare`` writes is a public contract; its JSON schema lies beside this file.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any


def schema() -> dict[str, Any]:
    """The JSON schema of ``comparison.json``."""
    loaded: dict[str, Any] = json.loads(files("audit.comparison").joinpath("comparison.schema.json").read_text(encoding="utf-8"))
    return loaded
