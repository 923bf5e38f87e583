"""What an audit leaves behind: its report so far and what it has spent, kept in the sample's store, so that a stop loses nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from audit.game.records import EMPTY_REPORT, AuditorReport, Spent, report_from

if TYPE_CHECKING:
    from audit.game.auditee import Auditee

REPORT, SPENT, PROMPTS = "report", "spent", "prompts"


@dataclass(frozen=True)
class Left:
    """What the scorer finds."""

    report: AuditorReport
    spent: Spent
    prompts: tuple[str, ...]


def keep(auditee: Auditee, report: AuditorReport | None = None) -> None:
    """Writes the state of an audit into the running sample's store; ``None``: the report stays as it is."""
    from inspect_ai.util import store

    kept = store()
    kept.set(SPENT, asdict(auditee.meter.spent()))
    kept.set(PROMPTS, list(dict.fromkeys(auditee.tree.prompts())))
    if report is not None:
        kept.set(REPORT, report.as_dict())


def left(values: dict[str, Any]) -> Left:
    """Reads it back from a store's values; an audit that left no report left an empty one."""
    report = report_from(values[REPORT]) if REPORT in values else EMPTY_REPORT
    return Left(report, Spent(**values.get(SPENT, {})), tuple(values.get(PROMPTS, ())))
