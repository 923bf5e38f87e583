"""Which scanner's verdicts decide whether a transcript is NLA-aware."""

from __future__ import annotations

from collections.abc import Sequence

from audit.config import AuditConfig
from audit.findings.tally import AWARENESS

PREFERRED = ("awareness.classifier", "awareness.lexical")


def deciding_scanner(config: AuditConfig, scanners: Sequence[str]) -> str:
    """The user's choice, else the first of those that ran, the classifier before the rules."""
    ranked = [name for name in PREFERRED if name in scanners] + [name for name in scanners if name.startswith(AWARENESS)]
    return config.awareness_scanner or next(iter(ranked), PREFERRED[0])
