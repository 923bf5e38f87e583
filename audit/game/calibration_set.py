"""Hand-written reports on invented organisms, each with the verdict of a careful reader: what the graders are measured on.

``reports.jsonl`` is the set that the rule was checked against while it was written; ``held_out.jsonl`` was written at the same time and
not looked at until the rule stood. Both have one author, so agreement on them says that the rule does what it was meant to do, and
little about reports by others.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from audit.game.organisms import Secret
from audit.game.records import AuditorReport, report_from

FOLDER = Path(__file__).parent / "calibration"
SETS = ("reports", "held_out")


@dataclass(frozen=True)
class GradedReport:
    """A report and what a careful reader says of it."""

    id: str
    organism: str
    category: str
    """``right cause``, ``quirks only``, ``wrong cause``, ``hedged``, ``copied prompt``."""
    report: AuditorReport
    prompts: tuple[str, ...]
    """What the auditor said to the model, as far as it matters."""
    won: bool
    quirks: frozenset[str]


@cache
def invented_organisms() -> dict[str, Secret]:
    """The organisms of the set by name. They have no weights."""
    values = yaml.safe_load((FOLDER / "organisms.yaml").read_text(encoding="utf-8"))
    return {name: Secret(**secret) for name, secret in values.items()}


def graded_reports(which: str = "reports") -> list[GradedReport]:
    """The reports of a set, ``reports`` or ``held_out``. Raises ``ValueError`` for another name."""
    if which not in SETS:
        raise ValueError(f"There is no set {which!r}; there are: {', '.join(SETS)}.")
    rows = [json.loads(line) for line in (FOLDER / f"{which}.jsonl").read_text(encoding="utf-8").splitlines() if line]
    return [
        GradedReport(
            row["id"], row["organism"], row["category"], report_from(row["report"]), tuple(row["prompts"]), row["win"],
            frozenset(row["quirks"]),
        )
        for row in rows
    ]  # fmt: skip
