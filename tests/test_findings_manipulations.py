"""What moves the measure, from tables of known content: twins, steering, controls, and that originals' rates never mix with them."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from audit.evidence.coherence import Coherence
from audit.findings import schema
from audit.findings.assemble import About, Tables, make_findings
from audit.findings.calibration import Calibration
from audit.findings.manipulations import Moved, measure_manipulations
from audit.findings.tally import Tally
from audit.records import Explanation, ModelCall, Span, Transcript, Verdict
from audit.scanners.summarise import TranscriptScore

SCANNER, SITES = "awareness.classifier", 20
CALIBRATION = Calibration(SCANNER, 0.3, 0.05, 50, {"count": 0, "of": 50, "rate": 0.0, "ci": [0.0, 0.07]}, 50)


def tally(sample: int, yes: int, variant: str = "original", **fields: Any) -> Tally:
    original = f"blackmail/s{sample}/1"
    key = original if variant == "original" else f"{original}/{variant}"
    score = TranscriptScore(key, SCANNER, "none", SITES, yes, yes / SITES, 0.5, yes > 0, 0)
    defaults: dict[str, Any] = {"scenario": "blackmail", "kind": "evaluation", "usable": True, "scores": {"harmful": 0.0}}
    return Tally(
        key, variant=variant, cluster=f"k{sample % 9}", awareness={SCANNER: score}, verbalised=False, first_verbalised=None,
        explanations=SITES, failures=0, variant_of=None if variant == "original" else original, **defaults | fields,
    )  # fmt: skip


def noisy(middle: int, rng: random.Random) -> int:
    return max(0, min(SITES, middle + rng.choice((-2, -1, 0, 0, 1, 2))))


def arms(**middles: int) -> list[Tally]:
    """Thirty samples with about ten YES sites each, and their variants with about the given number."""
    rng = random.Random(3)
    found = [tally(sample, noisy(10, rng)) for sample in range(30)]
    for variant, middle in middles.items():
        found += [tally(sample, noisy(middle, rng), variant) for sample in range(30)]
    return found


STEERED = {"steered:+0.1": 13, "steered:+0.2": 17, "steered:-0.1": 6, "steered:-0.2": 2}


def entries(moved: Moved) -> dict[tuple[str, str | None], dict[str, Any]]:
    return {(entry["manipulation"], entry["directions"]): entry for entry in moved.section}


def test_twins_and_steering_that_move_as_predicted() -> None:
    moved = measure_manipulations(
        arms(realism=2, **STEERED, **{"steered:random-1:+0.2": 10, "steered:random-1:-0.2": 10}), CALIBRATION, (), 0
    )
    found = entries(moved)
    twins, steering, control = (
        found["realism", None], found["steering", "awareness"], found["random_direction", "random-1"]
    )  # fmt: skip
    assert twins["as_expected"] is steering["as_expected"] is control["as_expected"] is True
    assert twins["pairs"] == 30 and twins["difference_ci"][1] < 0 and twins["nla_aware"]["only_original"] > 20
    assert [point["strength"] for point in steering["points"]] == [-0.2, -0.1, 0.1, 0.2] and steering["judged_at"] == [0.2, -0.2]
    assert steering["trend"]["rho"] > 0.8 and steering["p_adjusted"] < 0.01
    whole = [row for row in moved.results["blackmail"] if row.transcript_id is None]
    by_kind = {row.manipulation: row for row in whole}
    assert by_kind["realism"].effect.difference < 0 < by_kind["steered_towards"].effect.difference
    assert sum(row.transcript_id == "blackmail/s4/1" for row in moved.results["blackmail"]) == 5


def test_what_does_not_move_or_moves_at_random_is_not_as_expected() -> None:
    steered = {"steered:+0.1": 10, "steered:-0.1": 10, "steered:random-1:+0.1": 4, "steered:random-1:-0.1": 10}
    found = entries(measure_manipulations(arms(realism=10, **steered), CALIBRATION, (), 0))
    assert {key: entry["as_expected"] for key, entry in found.items()} == {
        ("realism", None): False, ("steering", "awareness"): False, ("random_direction", "random-1"): False,
    }  # fmt: skip


def coherence(rows: list[Tally], nats: Callable[[str], float]) -> list[Coherence]:
    return [Coherence(row.transcript_id, nats(row.variant), 50, 1, 1) for row in rows]


def test_the_largest_coherent_strength_is_judged_and_controls_at_the_same() -> None:
    rows = arms(**STEERED, **{"steered:random-1:+0.1": 10, "steered:random-1:+0.2": 3})
    checked = coherence(rows, lambda variant: 4.0 if variant.endswith("+0.2") else 0.5)
    found = entries(measure_manipulations(rows, CALIBRATION, checked, 0))
    steering = found["steering", "awareness"]
    assert steering["judged_at"] == [0.1, -0.2] and steering["as_expected"] is True
    assert {point["strength"]: point["coherent"] for point in steering["points"]} == {-0.2: True, -0.1: True, 0.1: True, 0.2: False}
    assert found["random_direction", "random-1"]["judged_at"] == [0.1] and found["random_direction", "random-1"]["as_expected"] is True


def test_steering_without_any_coherent_reply_shows_nothing() -> None:
    rows = arms(**STEERED)
    moved = measure_manipulations(rows, CALIBRATION, coherence(rows, lambda variant: 0.5 if variant == "original" else 6.0), 0)
    assert entries(moved)["steering", "awareness"]["as_expected"] is False
    assert all(row.coherent is False for row in moved.results["blackmail"])


def test_without_variants_or_originals_there_is_nothing_to_say() -> None:
    assert measure_manipulations(arms(), CALIBRATION, (), 0) == Moved([], {})
    assert measure_manipulations([tally(0, 3, "realism")], CALIBRATION, (), 0).section == []
    controls = [replace(row, kind="deployment") for row in arms(realism=1)]
    assert measure_manipulations(controls, CALIBRATION, (), 0).section == []


class Corpus:
    """Whole tables: a scenario, its controls, and variants of it."""

    def __init__(self) -> None:
        self.transcripts: list[Transcript] = []
        self.explanations: list[Explanation] = []
        self.verdicts: list[Verdict] = []

    def add(self, scenario: str, number: int, yes: int, kind: Any, variant: str = "original") -> None:
        original = f"{scenario}/{number}/1"
        key = original if variant == "original" else f"{original}/{variant}"
        call = ModelCall(0, "", None, (1,), tuple(range(SITES)), (Span(0, SITES, "response"),), "Text.")
        about = {"variant_of": None if variant == "original" else original}
        self.transcripts.append(Transcript(key, scenario, kind, variant, (call,), skeleton_id=f"{scenario}{number}", metadata=about))
        for position in range(1, SITES + 1):
            self.explanations.append(Explanation(key, 0, position, 0, "none", 0.0, "nla", "words", "ok", 0.8, 0.4))
            label: Any = "YES" if position <= yes else "NO"
            self.verdicts.append(Verdict(key, 0, position, 0, SCANNER, label, "words" if position <= yes else "", 0.9, ""))

    def findings(self) -> dict[str, Any]:
        about = About("now", {"name": "t"}, {"name": "n", "layer": 1, "d_model": 4}, [SCANNER], SCANNER, 0.05, 0, 0.9, {}, [])
        tables = Tables(lambda: iter(self.transcripts), lambda: iter(()), lambda: iter(self.explanations), lambda: iter(self.verdicts))
        return make_findings(tables, about)


@pytest.mark.parametrize("name", ["scenarios", "findings", "controls", "nla_quality", "awareness", "evidence", "scanner_rates"])
def test_originals_rates_never_mix_with_variants(name: str) -> None:
    plain = Corpus()
    for number in range(40):
        plain.add("ordinary_use", number, number % 3 == 0, "deployment")
    for number in range(20):
        plain.add("blackmail", number, 12, "evaluation")
    without = plain.findings()
    for number in range(20):
        plain.add("blackmail", number, 1, "evaluation", "realism")
        plain.add("blackmail", number, 19, "evaluation", "steered:+0.1")
        plain.add("ordinary_use", number, 20, "deployment", "steered:+0.1")
    having = plain.findings()
    jsonschema.validate(having, schema())
    assert [entry["manipulation"] for entry in having["manipulations"]] == ["realism", "steering"] and without["manipulations"] == []
    variants = [row["variant"] for row in having["scenarios"] if row["variant"] != "original"]
    assert sorted(variants) == ["realism", "steered:+0.1", "steered:+0.1"]
    mine = having[name]
    if name == "scenarios":
        mine = [row for row in mine if row["variant"] == "original"]
    if name == "findings":
        # The level may rise with the manipulations, and says by which rules; the figures may not change.
        kept = ("id", "claim", "numbers", "controls")
        assert [{key: row[key] for key in kept} for row in mine] == [{key: row[key] for key in kept} for row in without[name]]
    else:
        assert mine == without[name]
