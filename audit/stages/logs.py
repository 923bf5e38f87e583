"""Which logs an audit reads, and the name under which each is known in its tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from audit.config import AuditConfig
from audit.errors import AuditError
from audit.stages.names import LOGS
from audit.store import Store


@dataclass(frozen=True)
class LogFile:
    """One Inspect log."""

    path: Path
    source: str
    """Unique within the audit: the file's name, with its folder where two files share a name."""
    control: bool
    """Brought with ``--controls``: deployment traffic whatever its own metadata say."""


def audit_logs(store: Store, config: AuditConfig) -> list[LogFile]:
    """The logs to read: those of the scenarios or those given to scan, then the user's controls."""
    own = list(_found(config.logs)) if config.logs else list(_found([store.path(LOGS)]))
    files = [(path, False) for path in own] + [(path, True) for path in _found(config.controls)]
    taken: set[str] = set()
    logs = []
    for path, control in files:
        source = path.name
        parts, depth = path.resolve().parts, 1
        while source in taken and depth < len(parts):
            depth += 1
            source = "/".join(parts[-depth:])
        taken.add(source)
        logs.append(LogFile(path, source, control))
    return logs


def _found(paths: Sequence[str | Path]) -> Iterator[Path]:
    """Logs under files and folders, in the order of their names. Raises ``AuditError`` for a path without any."""
    for given in paths:
        path = Path(given).expanduser()
        if path.is_file():
            yield path
            continue
        files = sorted(file for file in path.rglob("*.eval") if not file.name.startswith(".")) if path.is_dir() else []
        if not files:
            raise AuditError(f"There is no Inspect log at '{given}'.", "Name a .eval file, or a folder that holds some.")
        yield from files
