"""From an audit's tables to ``findings.json``, the public contract (its JSON schema lies beside this file)."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

SCHEMA_VERSION = 1


def schema() -> dict[str, Any]:
    """The JSON schema of ``findings.json``."""
    loaded: dict[str, Any] = json.loads(files("audit.findings").joinpath("findings.schema.json").read_text(encoding="utf-8"))
    return loaded
