"""The scripts that a page carries, and the policy that lets these run and no other: each is named by its hash.

The page holds no script but these, no inline handler and no address to load one from, so what a model wrote cannot run.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from markupsafe import Markup

POLICY = "default-src 'none'; {scripts}style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


@dataclass(frozen=True)
class Script:
    """A script of ours, ready to stand between ``<script>`` and ``</script>``."""

    body: Markup
    digest: str
    """As a policy names it: ``sha256-`` and the hash of the body in base 64."""


def load_script(*names: str) -> Script:
    """Files of ``reports/templates`` as one script: they see each other's names, and the page sees none of them."""
    folder = files("reports").joinpath("templates")
    parts = (folder.joinpath(name).read_text(encoding="utf-8") for name in names)
    text = "(async () => {\n'use strict';\n" + "\n".join(parts) + "})();\n"
    assert "</script" not in text.lower() and "<!--" not in text
    return Script(Markup(text), "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii"))


def policy(scripts: Sequence[Script], connects: bool = False) -> Markup:
    """The content security policy of a page with these scripts: nothing may be loaded, nothing else may run.

    ``connects``: they may ask the server that the page came from, and no other.
    """
    allowed = "".join(f" '{script.digest}'" for script in scripts)
    found = f"script-src{allowed}; " if scripts else ""
    return Markup(POLICY.format(scripts=found + ("connect-src 'self'; " if connects else "")))
