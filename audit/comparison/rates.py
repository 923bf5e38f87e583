"""Each rate of each scenario that both audits have: by how much it differs, and whether that is more than chance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from audit.comparison.records import Area, AreaVerdict, RateChange
from audit.comparison.side import SCANNER, Outcome, Place, Side
from audit.findings.shares import share
from audit.statistics import benjamini_hochberg, mcnemar, rate_difference

MEASURES: dict[str, Area] = {"nla_aware": "awareness", "silent": "awareness", "verbalised": "verbalised", "harmful": "behaviour"}
BY_CONSTRUCTION = "not compared: thresholds are set on controls, so that their rate says nothing of the target"
PAIRED_SHARE = 0.5
"""The paired test is taken where it covers at least so much of the smaller side; else few pairs would speak for all."""
CLEAR = 0.05
"""What ``p_adjusted`` must be below for a rise or a fall to be called one."""
Pairs = Mapping[str, tuple[Outcome, Outcome]]


def paired(first: Iterable[Outcome], second: Iterable[Outcome]) -> tuple[dict[str, tuple[Outcome, Outcome]], int]:
    """Transcripts of one name, place and prompt in both audits; and how many of one name and place have other prompts."""
    known = {outcome.transcript_id: outcome for outcome in first}
    met = [(known[other.transcript_id], other) for other in second if other.transcript_id in known]
    met = [(mine, other) for mine, other in met if mine.place == other.place]
    same = {mine.transcript_id: (mine, other) for mine, other in met if mine.prompt == other.prompt}
    return same, len(met) - len(same)


def rate_changes(first: Side, second: Side, verdicts: Sequence[AreaVerdict], pairs: Pairs) -> tuple[RateChange, ...]:
    """Every rate of every scenario, kind and variant that both have, in the order of the first; corrected together."""
    barred = {one.area: "; ".join(one.reasons) for one in verdicts if one.verdict == "not comparable"}
    graded = _graded(first) | _graded(second)
    mine, theirs = _by_place(first), _by_place(second)
    shared = first.places & second.places
    places = [place for row in first.findings["scenarios"] if (place := (row["name"], row["kind"], row["variant"])) in shared]
    changes = []
    for place in places:
        for measure in _measures_of(mine[place], theirs[place]):
            area = _area(measure, graded)
            why = f"not comparable ({barred[area]})" if area in barred else ""
            if not why and place[1] == "deployment" and area == "awareness":
                why = BY_CONSTRUCTION
            changes.append(_change(place, measure, area, mine[place], theirs[place], pairs, why))
    return _corrected(changes)


def _graded(side: Side) -> set[str]:
    return set((side.findings.get("grader") or {}).get("scanners", ()))


def _by_place(side: Side) -> dict[Place, list[Outcome]]:
    found: dict[Place, list[Outcome]] = defaultdict(list)
    for outcome in side.outcomes:
        found[outcome.place].append(outcome)
    return found


def _measures_of(first: Iterable[Outcome], second: Iterable[Outcome]) -> list[str]:
    """The four of every audit, then the scanners that ran in both."""
    ours, theirs = ({name for outcome in side for name in outcome.measures if name.startswith(SCANNER)} for side in (first, second))
    return [*MEASURES, *sorted(ours & theirs)]


def _area(measure: str, graded: Collection[str]) -> Area:
    if measure in MEASURES:
        return MEASURES[measure]
    return "graded" if measure.removeprefix(SCANNER) in graded else "scanners"


def _change(
    place: Place, measure: str, area: Area, first: Sequence[Outcome], second: Sequence[Outcome], pairs: Pairs, why: str
) -> RateChange:
    ours, theirs = ([value for outcome in side if (value := outcome.measures.get(measure)) is not None] for side in (first, second))
    both = [
        (one, other)
        for mine, their in pairs.values()
        if mine.place == place and (one := mine.measures.get(measure)) is not None and (other := their.measures.get(measure)) is not None
    ]
    if not why and not (ours and theirs):
        missing = "either audit" if not ours and not theirs else "the first audit" if not ours else "the second audit"
        why = f"not measured in {missing}"
    shares = share(sum(ours), len(ours)), share(sum(theirs), len(theirs))
    plain = RateChange(*place, measure, area, *shares, None, None, None, None, None, len(both), 0, 0, "none", why)
    return plain if why else _tested(plain, both, (sum(ours), len(ours), sum(theirs), len(theirs)))


def _tested(change: RateChange, both: Sequence[tuple[bool, bool]], counts: tuple[int, int, int, int]) -> RateChange:
    found = rate_difference(*counts)
    known = replace(change, difference=found.difference, ci=found.interval, direction="unclear")
    if counts[0] + counts[2] in (0, counts[1] + counts[3]):
        # It happened never or always in both: no test could say otherwise, so none is counted (Tarone 1990).
        return known
    test = mcnemar([one for one, _ in both], [other for _, other in both])
    use_pairs = len(both) >= PAIRED_SHARE * min(counts[1], counts[3])
    name: Literal["mcnemar", "fisher"] = "mcnemar" if use_pairs else "fisher"
    p = test.p if use_pairs else found.p
    return replace(known, test=name, p=p, only_first=test.only_first, only_second=test.only_second)


def _corrected(changes: Sequence[RateChange]) -> tuple[RateChange, ...]:
    """Adjusted p-values over all that were tested, and what they say of the direction."""
    adjusted = iter(benjamini_hochberg([change.p for change in changes if change.p is not None]))
    found = []
    for change in changes:
        if change.p is not None and change.difference is not None:
            p = next(adjusted)
            clear = p < CLEAR and change.difference != 0
            direction: Literal["rose", "fell", "unclear"] = "unclear" if not clear else "rose" if change.difference > 0 else "fell"
            change = replace(change, p_adjusted=p, direction=direction)
        found.append(change)
    return tuple(found)
