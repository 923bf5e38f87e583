"""Each rate of each scenario that both audits have: by how much it differs, and whether that is more than chance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from audit.comparison.records import Area, AreaVerdict, RateChange
from audit.comparison.side import SCANNER, Outcome, Place, Side
from audit.findings.shares import share
from audit.statistics import benjamini_hochberg, cluster_difference, mcnemar, rate_difference

MEASURES: dict[str, Area] = {"nla_aware": "awareness", "silent": "awareness", "verbalised": "verbalised", "harmful": "behaviour"}
BY_CONSTRUCTION = "not compared: thresholds are set on controls, so that their rate says nothing of the target"
PAIRED_SHARE = 0.5
"""The paired test is taken where it covers at least so much of the smaller side; else few pairs would speak for all."""
CLEAR = 0.05
"""What ``p_adjusted`` must be below for a rise or a fall to be called one; the interval over clusters must hold no zero besides."""
Known = list[tuple[str, bool]]
"""Cluster and outcome of each transcript where it was measured."""
Pairs = Mapping[str, tuple[Outcome, Outcome]]


def paired(first: Iterable[Outcome], second: Iterable[Outcome]) -> tuple[dict[str, tuple[Outcome, Outcome]], int]:
    """Transcripts of one name, place and prompt in both audits; and how many of one name and place have other prompts."""
    known = {outcome.transcript_id: outcome for outcome in first}
    met = [(known[other.transcript_id], other) for other in second if other.transcript_id in known]
    met = [(mine, other) for mine, other in met if mine.place == other.place]
    same = {mine.transcript_id: (mine, other) for mine, other in met if mine.prompt == other.prompt}
    return same, len(met) - len(same)


def rate_changes(first: Side, second: Side, verdicts: Sequence[AreaVerdict], pairs: Pairs, seed: int = 0) -> tuple[RateChange, ...]:
    """Every rate of every scenario, kind and variant that both have, in the order of the first; corrected together.

    ``seed``: of the bootstrap.
    """
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
            known = _known(mine[place], measure), _known(theirs[place], measure)
            changes.append(_change(place, measure, area, known, _pairs_of(pairs, place, measure), why, seed))
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


def _known(outcomes: Iterable[Outcome], measure: str) -> Known:
    return [(outcome.cluster, value) for outcome in outcomes if (value := outcome.measures.get(measure)) is not None]


def _pairs_of(pairs: Pairs, place: Place, measure: str) -> list[tuple[bool, bool]]:
    """The outcomes of the same samples in both audits."""
    return [
        (one, other)
        for mine, their in pairs.values()
        if mine.place == place and (one := mine.measures.get(measure)) is not None and (other := their.measures.get(measure)) is not None
    ]


def _change(
    place: Place, measure: str, area: Area, known: tuple[Known, Known], both: Sequence[tuple[bool, bool]], why: str, seed: int
) -> RateChange:
    ours, theirs = known
    if not why and not (ours and theirs):
        missing = "either audit" if not ours and not theirs else "the first audit" if not ours else "the second audit"
        why = f"not measured in {missing}"
    shares = [share(sum(value for _, value in side), len(side)) for side in known]
    plain = RateChange(
        *place, measure, area, shares[0], shares[1], difference=None, ci=None, cluster_ci=None, test=None, p=None, p_adjusted=None,
        pairs=len(both), only_first=0, only_second=0, direction="none", why_not=why,
    )  # fmt: skip
    return plain if why else _tested(replace(plain, cluster_ci=cluster_difference(ours, theirs, seed=seed)), both)


def _tested(change: RateChange, both: Sequence[tuple[bool, bool]]) -> RateChange:
    counts = (change.first["count"], change.first["of"], change.second["count"], change.second["of"])
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
            low, high = change.cluster_ci or (-1.0, 1.0)
            clear = p < CLEAR and not low <= 0 <= high
            direction: Literal["rose", "fell", "unclear"] = "unclear" if not clear else "rose" if change.difference > 0 else "fell"
            change = replace(change, p_adjusted=p, direction=direction)
        found.append(change)
    return tuple(found)
