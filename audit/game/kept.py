"""A game's results beside an audit, so that its report shows them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from audit.errors import AuditError
from audit.store import Store, content_hash

RESULTS = "game.json"
"""In the game's folder, and under the same name in the audit's."""
LOGS = "logs"
"""The folder of its logs, as ``audit.game.play`` names it."""


def keep_game(store: Store, folder: Path) -> None:
    """Copies a game's results into the audit's folder, with where they come from. Raises ``AuditError`` if ``folder`` holds none."""
    file = folder / RESULTS if folder.is_dir() else folder
    remedy = "Name the folder that nla-audit game wrote (its --out)."
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except OSError:
        raise AuditError(f"'{folder}' holds no results of a game.", remedy) from None
    except ValueError:
        raise AuditError(f"'{file}' is not JSON.", remedy) from None
    if not isinstance(found, dict) or found.get("schema_version") != 1 or not isinstance(found.get("totals"), list):
        raise AuditError(f"'{file}' is not the results of a game.", remedy)
    way = os.path.relpath(file.resolve().parent / LOGS, store.folder.resolve())
    kept = {"folder": file.resolve().parent.name, "sha256": content_hash(file), "logs": Path(way).as_posix(), "results": found}
    store.write_json(RESULTS, kept)


def kept_game(store: Store) -> dict[str, Any] | None:
    """What ``keep_game`` put into the audit's folder; ``None`` if nothing did."""
    if not store.path(RESULTS).is_file():
        return None
    kept: dict[str, Any] = store.read_json(RESULTS)
    return kept
