"""Which logs an audit reads."""

from __future__ import annotations

from pathlib import Path

from audit.config import AuditConfig
from audit.stages.names import LOGS, VARIANTS_FOLDER
from audit.store import Store


def own_logs(store: Store, config: AuditConfig) -> list[Path]:
    """Those of the scenarios, or those that were given to scan. Raises ``AuditError`` for a path that does not exist."""
    from audit.target.transcripts import find_logs

    if config.logs:
        return find_logs(Path(path).expanduser() for path in config.logs)
    variants = store.path(VARIANTS_FOLDER)
    folders = [store.path(LOGS), *(sorted(variants.iterdir()) if config.manipulates and variants.is_dir() else ())]
    # Inspect's names are TIME_TASK_ID: by task the order is always the same, by time it depends on which task began first.
    return [path for folder in folders for path in sorted(find_logs([folder]), key=lambda path: path.name.partition("_")[2])]


def control_logs(config: AuditConfig) -> list[Path]:
    """The user's own deployment traffic."""
    from audit.target.transcripts import find_logs

    return find_logs(Path(path).expanduser() for path in config.controls)
