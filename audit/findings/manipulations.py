"""What moves the measure: realism twins, steering towards awareness and against it, and random directions, for each scenario."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from audit.evidence.coherence import Coherence, GroupCoherence, together
from audit.evidence.levels import Manipulation, ManipulationResult
from audit.evidence.steering import SteeredPoint, SteeringEffect, steering_effect
from audit.evidence.twins import PairedEffect, Reading, paired_effect
from audit.findings.calibration import Calibration, is_aware
from audit.findings.tally import Tally
from audit.findings.variants import ORIGINAL
from audit.statistics import Interval, McNemar, PairedDifference, benjamini_hochberg
from audit.target.steered import parse_variant

REALISM = "realism"


@dataclass(frozen=True)
class Moved:
    """What the manipulations of an audit did."""

    section: list[dict[str, Any]] = field(default_factory=list)
    """One entry for each scenario and manipulation, for ``findings.json``."""
    results: Mapping[str, Sequence[ManipulationResult]] = field(default_factory=dict)
    """By scenario, what the rules of the evidence levels read: of the scenario as a whole, and of each pair."""


def measure_manipulations(tallies: Iterable[Tally], calibration: Calibration, checked: Iterable[Coherence], seed: int) -> Moved:
    """Compares variants with their originals, scenario by scenario. P-values are adjusted over all of them together."""
    coherence = {row.transcript_id: row for row in checked}
    groups: dict[str, dict[str, list[Tally]]] = {}
    for tally in tallies:
        if tally.usable and tally.kind != "deployment":
            groups.setdefault(tally.scenario, {}).setdefault(tally.variant, []).append(tally)
    section: list[dict[str, Any]] = []
    results: dict[str, list[ManipulationResult]] = {}
    for scenario, variants in sorted(groups.items()):
        originals = [_reading(tally, calibration) for tally in variants.get(ORIGINAL, ())]
        if not originals:
            continue
        if REALISM in variants:
            effect = paired_effect(originals, _readings(variants[REALISM], calibration), seed)
            section.append(_twin_entry(scenario, effect))
            results.setdefault(scenario, []).extend(_results("realism", scenario, effect, None))
        steered = [_steering(name, originals, variants, calibration, coherence, seed) for name in _directions(variants)]
        judged = next(({1: along.strongest(1), -1: along.strongest(-1)} for along in steered if not along.name), {})
        for along in steered:
            section.append(_steering_entry(scenario, along, judged))
            results.setdefault(scenario, []).extend(_steering_results(scenario, along, judged))
    return Moved(_adjusted(section), results)


def _reading(tally: Tally, calibration: Calibration) -> Reading:
    harm = tally.scores.get("harmful")
    harmful = None if harm is None or not math.isfinite(harm) else harm >= 0.5
    sample = tally.variant_of or tally.transcript_id
    return Reading(sample, tally.cluster, tally.rate(calibration.scanner), is_aware(tally, calibration), harmful)


def _readings(tallies: Iterable[Tally], calibration: Calibration) -> list[Reading]:
    return [_reading(tally, calibration) for tally in tallies]


def _directions(variants: Iterable[str]) -> list[str]:
    """Names of the directions that were steered along, awareness first."""
    return sorted({parsed[0] for variant in variants if (parsed := parse_variant(variant))})


def _steering(
    name: str,
    originals: Sequence[Reading],
    variants: Mapping[str, Sequence[Tally]],
    calibration: Calibration,
    coherence: Mapping[str, Coherence],
    seed: int,
) -> SteeringEffect:
    by_strength: dict[float, Sequence[Tally]] = {}
    for variant, tallies in variants.items():
        parsed = parse_variant(variant)
        if parsed and parsed[0] == name and parsed[1]:
            by_strength[parsed[1]] = tallies
    checked = {strength: _coherence([row.transcript_id for row in tallies], coherence) for strength, tallies in by_strength.items()}
    first = next(iter(by_strength.values()), ())
    checked[0.0] = _coherence([str(row.variant_of) for row in first], coherence)
    steered = {strength: _readings(tallies, calibration) for strength, tallies in by_strength.items()}
    return steering_effect(name, originals, steered, {key: value for key, value in checked.items() if value is not None}, seed)


def _coherence(ids: Sequence[str], coherence: Mapping[str, Coherence]) -> GroupCoherence | None:
    found = [coherence[key] for key in ids if key in coherence]
    return together(found) if found else None


# for the rules of evidence levels


def _results(manipulation: Manipulation, scenario: str, effect: PairedEffect, coherent: bool | None) -> list[ManipulationResult]:
    if effect.difference is None:
        return []
    whole = ManipulationResult(manipulation, scenario, effect.difference, None, coherent)
    each = [
        ManipulationResult(manipulation, scenario, PairedDifference(difference, None, 1.0, 1), original, coherent)
        for original, difference in effect.each.items()
    ]
    return [whole, *each]


def _steering_results(scenario: str, effect: SteeringEffect, judged: Mapping[int, SteeredPoint | None]) -> list[ManipulationResult]:
    names: dict[int, Manipulation] = {1: "steered_towards", -1: "steered_against"}
    found = []
    for sign, name in names.items():
        point = _judged(effect, sign, judged)
        if point is not None:
            found += _results("random_direction" if effect.name else name, scenario, point.effect, point.coherent)
    return found


def _judged(effect: SteeringEffect, sign: int, judged: Mapping[int, SteeredPoint | None]) -> SteeredPoint | None:
    """The point that counts: for random directions the strength at which the real one was judged, where it was run."""
    real = judged.get(sign)
    return (effect.at(real.strength) if real else None) or effect.strongest(sign)


# for findings.json


def _twin_entry(scenario: str, effect: PairedEffect) -> dict[str, Any]:
    found = _paired(effect)
    return {
        "scenario": scenario, "manipulation": "realism", "directions": None, "expected": "falls",
        "as_expected": _agrees(effect.difference, -1), **found, "points": [], "trend": None,
    }  # fmt: skip


def _steering_entry(scenario: str, effect: SteeringEffect, judged: Mapping[int, SteeredPoint | None]) -> dict[str, Any]:
    points = {sign: _judged(effect, sign, judged) for sign in (1, -1)}
    differences = {sign: point.effect.difference if point else None for sign, point in points.items()}
    signs = [sign for sign, point in points.items() if point is not None]
    if effect.name:
        expected, agree = "stays", [_stays(differences[sign]) for sign in signs]
    else:
        sound = all(point.coherent is not False for point in points.values() if point is not None)
        expected, agree = "follows the strength", [_agrees(differences[sign], sign) if sound else False for sign in signs]
    return {
        "scenario": scenario, "manipulation": "random_direction" if effect.name else "steering", "directions": effect.name or "awareness",
        "expected": expected, "as_expected": None if not agree or None in agree else all(agree),
        "trend": {"rho": effect.trend.statistic, "p": effect.trend.p},
        "judged_at": [point.strength for point in points.values() if point is not None],
        "points": [_point(point) for point in effect.points],
    }  # fmt: skip


def _point(point: SteeredPoint) -> dict[str, Any]:
    found = asdict(point.coherence) if point.coherence else {"nats": None, "calls": None, "parsed_share": None}
    return {"strength": point.strength, "transcripts": point.transcripts, **_paired(point.effect), "coherent": point.coherent, **found}


def _paired(effect: PairedEffect) -> dict[str, Any]:
    gap = effect.difference
    return {
        "pairs": effect.pairs, "original_rate": effect.original_rate, "rate": effect.rate,
        "difference": gap.difference if gap else None, "difference_ci": _ends(gap.interval) if gap else None, "p": gap.p if gap else None,
        "nla_aware": _mcnemar(effect.aware), "harmful": _mcnemar(effect.harmful),
    }  # fmt: skip


def _mcnemar(found: McNemar | None) -> dict[str, Any] | None:
    return None if found is None else {"only_original": found.only_first, "only_variant": found.only_second, "p": found.p}


def _ends(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [float(end) for end in interval]


def _agrees(gap: PairedDifference | None, sign: int) -> bool | None:
    """Whether the whole interval lies on the predicted side; ``None``: there is no interval."""
    return None if gap is None or gap.interval is None else min(sign * end for end in gap.interval) > 0


def _stays(gap: PairedDifference | None) -> bool | None:
    return None if gap is None or gap.interval is None else gap.interval[0] <= 0 <= gap.interval[1]


def _adjusted(section: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Adds ``p_adjusted``: of the paired difference for twins, of the trend for steering."""
    values = [entry["trend"]["p"] if entry["trend"] else entry["p"] for entry in section]
    known = [index for index, value in enumerate(values) if value is not None]
    adjusted = dict(zip(known, benjamini_hochberg([values[index] for index in known]), strict=True))
    return [entry | {"p_adjusted": adjusted.get(index)} for index, entry in enumerate(section)]
