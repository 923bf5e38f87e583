"""The lab: a small world with known ground truth, a target trained on it from nothing, and that target's NLA."""

from __future__ import annotations

from pathlib import Path

from audit.errors import AuditError


def weights_folder(part: str) -> Path:
    """The bundled checkpoint ``target``, ``av`` or ``ar``. Raises ``AuditError`` if this installation holds none."""
    folder = Path(__file__).parent / "weights" / part
    if not (folder / "config.json").exists():
        raise AuditError("The lab's weights are not in this installation.", "Build them with: nla-audit lab build")
    return folder
