"""Which verdicts are examined: the strongest of the transcripts that say most, and of some controls, to see what the rules let through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest

from audit.evidence.recurrence import REACH
from audit.findings.tally import Tally
from audit.records import Verdict

CONTROL_SHARE = 0.25
"""Controls examined for each transcript that is."""

Place = tuple[int, int, int]
"""Call, position and sample of an explanation."""


def choose_transcripts(tallies: Sequence[Tally], scanner: str, count: int) -> list[str]:
    """At most ``count`` transcripts by their share of YES sites, scenarios in turn, and a quarter as many controls (deployment traffic)."""
    controls = _by_rate([row for row in tallies if row.kind == "deployment"], scanner)
    studied = _by_rate([row for row in tallies if row.kind != "deployment"], scanner)
    scenarios: dict[str, list[str]] = {}
    for row in studied:
        scenarios.setdefault(row.scenario, []).append(row.transcript_id)
    turns = [name for turn in zip_longest(*scenarios.values()) for name in turn if name is not None]
    return turns[:count] + [row.transcript_id for row in controls[: int(CONTROL_SHARE * count)]]


def _by_rate(tallies: Sequence[Tally], scanner: str) -> list[Tally]:
    """Those with any YES site, the highest share first."""
    rated = [(row.rate(scanner) or 0.0, row) for row in tallies]
    return [row for rate, row in sorted(rated, key=lambda pair: (-pair[0], pair[1].transcript_id)) if rate > 0]


def choose_verdicts(verdicts: Sequence[Verdict], cosines: Mapping[Place, float | None], count: int) -> list[Verdict]:
    """The surest YES verdicts of one transcript, then those whose explanations fit best, no two so near that they share neighbours."""

    def strength(row: Verdict) -> tuple[float, float]:
        cosine = cosines.get((row.call_index, row.position, row.sample))
        return row.confidence, -2.0 if cosine is None else cosine

    chosen: list[Verdict] = []
    for row in sorted((row for row in verdicts if row.label == "YES"), key=strength, reverse=True):
        near = any(row.call_index == other.call_index and abs(row.position - other.position) <= REACH for other in chosen)
        if not near and len(chosen) < count:
            chosen.append(row)
    return chosen
