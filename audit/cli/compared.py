"""A comparison of two audits on one screen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audit.cli.terminal import brief, clean
from audit.comparison.records import AREAS, AuditComparison, FindingMatch, RateChange, SideSummary
from audit.comparison.side import SCANNER
from audit.findings.claims import percent

if TYPE_CHECKING:
    from rich.console import Console

ROWS, LINES = 14, 5
"""At most so many rates, and so many findings; the rest stands in the files."""
NAMES = {"nla_aware": "NLA-aware", "silent": "NLA-aware, silent", "verbalised": "says so", "harmful": "harmful"}
DIRECTIONS = {"rose": "rose", "fell": "fell", "unclear": "", "none": ""}


def print_comparison(found: AuditComparison, data: Path, page: Path) -> None:
    """What can be compared, what rose and fell, which findings are new, and where the rest is."""
    from rich.console import Console

    console = Console(highlight=False)
    for letter, side in (("A", found.first), ("B", found.second)):
        console.print(f"{letter}: {side_line(side)}", markup=False)
    for verdict in found.verdicts:
        because = ", ".join(brief(reason.split(":")[0], 60) for reason in verdict.reasons)
        reasons = f" ({because})" if because else ""
        console.print(f"  {AREAS[verdict.area]}: {verdict.verdict}{reasons}", markup=False, overflow="ellipsis", no_wrap=True)
    for note in (*_scenario_notes(found), *found.notes[:1]):
        console.print(f"  {brief(note)}", markup=False)
    _print_rates(console, found.rates)
    _print_findings(console, found.findings)
    for line in theme_lines(found):
        console.print(line, markup=False)
    click.echo(f"Comparison: {clean(str(page), keep='')}")
    click.echo(f"Data: {clean(str(data), keep='')}")


def side_line(side: SideSummary) -> str:
    """One audit in one line."""
    nla = f"NLA {side.nla}, layer {side.layer}" if side.nla else "no NLA"
    return brief(f"{side.target} ({nla}; {side.transcripts} transcripts; {side.folder})")


def _scenario_notes(found: AuditComparison) -> list[str]:
    alone = [(name, side) for side, names in (("A", found.only_first), ("B", found.only_second)) for name in names]
    return ["Only in one audit, not compared: " + ", ".join(f"{name} ({side})" for name, side in alone)] if alone else []


def ranked(rates: Sequence[RateChange]) -> list[RateChange]:
    """The rates that were compared: what clearly moved first, then those of every audit, then the scanners'."""
    tested = [rate for rate in rates if rate.p_adjusted is not None]
    return sorted(tested, key=lambda rate: (rate.direction == "unclear", rate.measure.startswith(SCANNER)))


def _print_rates(console: Console, rates: Sequence[RateChange]) -> None:
    from rich.table import Table
    from rich.text import Text

    rows = ranked(rates)
    if not rows:
        console.print("No rate differs in a way that a test could tell, or none could be compared.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("scenario", "rate", "A", "B", "B-A", "p", ""):
        table.add_column(name, no_wrap=True)
    for rate in rows[:ROWS]:
        assert rate.p_adjusted is not None
        name = NAMES.get(rate.measure, rate.measure.removeprefix(SCANNER))
        where = rate.scenario if rate.variant == "original" else f"{rate.scenario} ({rate.variant})"
        cells = (
            _short(where, 16),
            _short(name, 18),
            _rate(rate.first),
            _rate(rate.second),
            points(rate),
            f"{rate.p_adjusted:.2g}",
            DIRECTIONS[rate.direction],
        )
        table.add_row(*map(Text, cells))
    console.print(table)
    if len(rows) > ROWS:
        console.print(f"and {len(rows) - ROWS} more rates, in the files")
    console.print("B-A in points, 95% interval with prompts of one origin kept together; p corrected for the number of rates.", style="dim")


def _short(name: str, room: int) -> str:
    # By hand: in a narrow terminal the figures would give way instead.
    return brief(name, room)


def _rate(share: dict[str, Any]) -> str:
    return "-" if share["rate"] is None else percent(share["rate"])


def points(rate: RateChange) -> str:
    """A difference in percentage points with its interval: the one that keeps prompts of one origin together, where there is one."""
    ends = rate.cluster_ci or rate.ci
    if rate.difference is None or ends is None:
        return "-"
    return f"{100 * rate.difference:+.0f} [{100 * ends[0]:+.0f},{100 * ends[1]:+.0f}]"


def _print_findings(console: Console, findings: Sequence[FindingMatch]) -> None:
    words = {"new": "new", "vanished": "vanished", "kept": "kept", "not_comparable": "not comparable", "not_asked": "not asked in both"}
    counts = [f"{sum(match.status == status for match in findings)} {word}" for status, word in words.items()]
    console.print(f"Findings: {', '.join(counts)}")
    changed = [match for match in findings if match.status in ("new", "vanished")]
    for match in changed[:LINES]:
        console.print(f"  {match.status}: {brief(match.about)}", markup=False)
    if len(changed) > LINES:
        console.print(f"  and {len(changed) - LINES} more")


def theme_lines(found: AuditComparison) -> list[str]:
    """Which themes set the two apart, one line a side."""
    if found.themes.why_not:
        return [brief(found.themes.why_not)]
    lines = []
    for letter, themes in (("A", found.themes.more_in_first), ("B", found.themes.more_in_second)):
        strongest = f"; the strongest: {brief(themes[0].theme)} (z {themes[0].z:.1f})" if themes else ""
        lines.append(f"Themes that {letter} speaks of more: {len(themes)}{strongest}")
    return lines
