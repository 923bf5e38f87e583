"""The written rules: what makes a claim observed, corroborated or causal, and that every rule counts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from audit.evidence.levels import (
    SCENARIO_RULES,
    TRANSCRIPT_RULES,
    Graded,
    Manipulation,
    ManipulationResult,
    ScenarioCase,
    TranscriptCase,
    grade,
)
from audit.evidence.recurrence import recurrence
from audit.evidence.rivals import Rival, choose_rivals
from audit.evidence.selection import choose_transcripts, choose_verdicts
from audit.findings.tally import Tally
from audit.records import Evidence, Explanation, Label, Neighbour, Verdict
from audit.scanners.summarise import TranscriptScore
from audit.statistics import PairedDifference, paired_difference, wilson

SCANNER = "awareness.classifier"


def neighbour(label: Label | None, position: int = 1) -> Neighbour:
    return Neighbour(0, position, "a", "text", "ok" if label else "failed", label, 0.9 if label else None)


def piece(labels: str = "YYN", **fields: Any) -> Evidence:
    meaning: dict[str, Label | None] = {"Y": "YES", "N": "NO", "U": "UNCLEAR", "-": None}
    near = tuple(neighbour(meaning[letter], place) for place, letter in enumerate(labels))
    plain: dict[str, Any] = {"error_change": 0.02, "control_change": 0.005, "fit": 0.95, "fits_mean": True}
    return Evidence("t", 0, 20, 0, SCANNER, "quote", near, (), **plain | fields)


def case(**fields: Any) -> TranscriptCase:
    plain: dict[str, Any] = {
        "yes": 10, "sites": 12, "threshold": 0.3, "shuffled": {"count": 12, "of": 50, "rate": 0.24, "ci": [0.14, 0.37]},
        "evidence": [piece(), piece()], "transcript_id": "t",
    }  # fmt: skip
    return TranscriptCase(**plain | fields)


def failed(graded: Graded) -> set[str]:
    return {entry["rule"] for entry in graded.failed}


def moved(kind: Manipulation, low: float, high: float, transcript: str | None = None, coherent: bool | None = None) -> ManipulationResult:
    return ManipulationResult(kind, "s", PairedDifference((low + high) / 2, (low, high), 0.01, 20), transcript, coherent)


def test_a_transcript_is_corroborated_when_every_rule_holds() -> None:
    graded = grade(case(), TRANSCRIPT_RULES)
    assert graded.level == "corroborated" and failed(graded) == {"moves_when_moved"}
    assert {entry["rule"] for entry in graded.met} | failed(graded) == {rule.name for rule in TRANSCRIPT_RULES}
    assert all(entry["why"] and entry["level"] for entry in (*graded.met, *graded.failed))


@pytest.mark.parametrize(
    ("rule", "fields"),
    [
        ("clear_of_threshold", {"threshold": None}),
        ("clear_of_threshold", {"yes": 5}),  # 42% is above the threshold of 30%, but its interval is not
        ("recurs_nearby", {"evidence": [piece("YNN"), piece("YYN")]}),  # three of six are not more than half
        ("recurs_nearby", {"evidence": [piece("---")]}),
        ("recurs_nearby", {"evidence": [piece("UUY")]}),
        ("beats_shuffled", {"shuffled": {"count": 0, "of": 0, "rate": None, "ci": None}}),
        ("beats_shuffled", {"shuffled": {"count": 45, "of": 50, "rate": 0.9, "ci": [0.79, 0.96]}}),
        ("fits_activation", {"evidence": [piece(fit=0.7)]}),
        ("fits_activation", {"evidence": [piece(fit=None)]}),
        ("fits_activation", {"evidence": [piece(), piece(fits_mean=False)]}),
        ("claim_carries", {"evidence": [piece(error_change=-0.001)]}),
        ("claim_carries", {"evidence": [piece(error_change=0.02, control_change=0.03)]}),
        ("claim_carries", {"evidence": [piece(error_change=None)]}),
    ],
)
def test_one_rule_that_fails_leaves_it_observed(rule: str, fields: dict[str, Any]) -> None:
    graded = grade(case(**fields), TRANSCRIPT_RULES)
    assert graded.level == "observed" and rule in failed(graded)


def test_the_interval_must_clear_the_threshold_not_the_rate_alone() -> None:
    low, _ = wilson(10, 12)
    assert "clear_of_threshold" not in failed(grade(case(threshold=low), TRANSCRIPT_RULES))
    assert "clear_of_threshold" in failed(grade(case(threshold=low + 1e-6), TRANSCRIPT_RULES))


def test_a_transcript_is_causal_when_its_scenario_and_itself_moved() -> None:
    twin, own = moved("realism", -0.5, -0.2), moved("realism", -0.4, -0.4, "t")
    assert grade(case(manipulations=[twin, own]), TRANSCRIPT_RULES).level == "causal"
    for results in ([twin], [own], [twin, moved("realism", 0.3, 0.3, "t")], [moved("realism", -0.5, 0.1), own]):
        assert grade(case(manipulations=results), TRANSCRIPT_RULES).level == "corroborated"
    # Moving is not enough where a lower level is not reached.
    assert grade(case(manipulations=[twin, own], threshold=None), TRANSCRIPT_RULES).level == "observed"


def scenario(**fields: Any) -> ScenarioCase:
    plain: dict[str, Any] = {
        "aware": {"count": 15, "of": 20, "rate": 0.75, "ci": [0.53, 0.89], "cluster_ci": None}, "floor": {"rate": 0.05, "ci": [0.01, 0.2]},
        "p_adjusted": 1e-6, "fve": 0.3, "shuffled_fve": -0.5, "examined": 8, "corroborated": 6,
    }  # fmt: skip
    return ScenarioCase(**plain | fields)


@pytest.mark.parametrize(
    ("rule", "fields"),
    [
        ("clear_of_noise_floor", {"floor": {}}),
        ("clear_of_noise_floor", {"floor": {"rate": 0.4, "ci": [0.2, 0.6]}}),
        ("clear_of_noise_floor", {"aware": {"count": 15, "of": 20, "rate": 0.75, "ci": [0.53, 0.89], "cluster_ci": [0.1, 1.0]}}),
        ("exceeds_controls", {"p_adjusted": None}),
        ("exceeds_controls", {"p_adjusted": 0.06}),
        ("explanations_carry", {"fve": -0.1}),
        ("explanations_carry", {"shuffled_fve": None}),
        ("borne_out", {"corroborated": 4}),
        ("borne_out", {"examined": 0, "corroborated": 0}),
    ],
)
def test_a_scenario_needs_every_rule_too(rule: str, fields: dict[str, Any]) -> None:
    assert grade(scenario(), SCENARIO_RULES).level == "corroborated"
    graded = grade(scenario(**fields), SCENARIO_RULES)
    assert graded.level == "observed" and rule in failed(graded)


@pytest.mark.parametrize(
    ("results", "causal"),
    [
        ([], False),
        ([moved("realism", -0.5, -0.2)], True),
        ([moved("realism", -0.5, 0.1)], False),
        ([moved("realism", 0.2, 0.5)], False),
        ([moved("realism", -0.5, -0.2, "t")], False),  # one pair is no scenario
        ([moved("steered_towards", 0.2, 0.5)], False),  # no random direction beside it
        ([moved("steered_towards", 0.2, 0.5), moved("random_direction", -0.1, 0.1)], True),
        ([moved("steered_towards", 0.2, 0.5), moved("random_direction", 0.1, 0.3)], False),
        ([moved("steered_towards", 0.2, 0.5, coherent=False), moved("random_direction", -0.1, 0.1)], False),
        ([moved("steered_against", -0.5, -0.2), moved("steered_towards", 0.2, 0.5), moved("random_direction", -0.1, 0.1)], True),
        ([moved("realism", -0.5, -0.2), moved("steered_against", 0.2, 0.5), moved("random_direction", -0.1, 0.1)], False),
    ],
)
def test_causal_takes_predicted_moves_and_still_random_directions(results: list[ManipulationResult], causal: bool) -> None:
    assert (grade(scenario(manipulations=results), SCENARIO_RULES).level == "causal") is causal


def test_a_manipulation_is_what_the_statistics_give() -> None:
    effect = paired_difference([0.1, 0.2, 0.0, 0.1, 0.2, 0.1], [0.9, 0.8, 0.7, 0.9, 0.8, 0.9], seed=0)
    assert grade(scenario(manipulations=[ManipulationResult("realism", "s", effect)]), SCENARIO_RULES).level == "causal"


# selection and recurrence


def tally(name: str, scenario: str, yes: int, kind: Any = "evaluation") -> Tally:
    score = TranscriptScore(name, SCANNER, "none", 10, yes, yes / 10, 0.5, yes > 0, 0)
    fields: dict[str, Any] = {"scores": {}, "verbalised": None, "first_verbalised": None, "explanations": 10, "failures": 0}
    return Tally(transcript_id=name, scenario=scenario, kind=kind, variant="original", cluster=name, usable=True,
                 awareness={SCANNER: score}, **fields)  # fmt: skip


def test_scenarios_take_turns_and_controls_are_a_quarter() -> None:
    rows = [tally(f"a{n}", "a", n) for n in range(10)] + [tally("b1", "b", 1), tally("b2", "b", 2)]
    rows += [tally(f"c{n}", "ordinary", n, "deployment") for n in range(4)]
    chosen = choose_transcripts(rows, SCANNER, 8)
    assert chosen == ["a9", "b2", "a8", "b1", "a7", "a6", "a5", "a4", "c3", "c2"]
    assert choose_transcripts(rows, SCANNER, 100) == [*chosen[:8], "a3", "a2", "a1", "c3", "c2", "c1"]  # nobody without a YES
    assert choose_transcripts(rows, SCANNER, 0) == []


def test_the_surest_verdicts_are_chosen_and_not_two_of_one_place() -> None:
    def verdict(position: int, confidence: float, label: Label = "YES", call: int = 0) -> Verdict:
        return Verdict("t", call, position, 0, SCANNER, label, "q", confidence, "")

    rows = [verdict(50, 0.9), verdict(55, 0.95), verdict(80, 0.7), verdict(81, 0.7), verdict(56, 0.99, "NO"), verdict(55, 0.6, call=1)]
    cosines = {(0, 81, 0): 0.9, (0, 80, 0): 0.1}
    assert [(row.call_index, row.position) for row in choose_verdicts(rows, cosines, 3)] == [(0, 55), (0, 81), (1, 55)]
    assert [row.position for row in choose_verdicts(rows, {}, 1)] == [55]


def test_recurrence_counts_judged_neighbours_only() -> None:
    found = recurrence([piece("YYN-"), piece("YU")])
    assert (found.count, found.of) == (3, 5) and (found.low, found.high) == wilson(3, 5)
    assert recurrence([piece("--")]).rate is None


def test_rivals_depend_on_names_and_seed_alone() -> None:
    rows = [Rival(f"s{n % 2}", Explanation(f"t{n // 4}-{n % 2}", 0, n, 0, "none", 0.0, "nla", "text", "ok")) for n in range(80)]
    chosen = choose_rivals(rows, 0, per_scenario=5)
    assert choose_rivals(list(reversed(rows)), 0, per_scenario=5) == chosen and choose_rivals(rows, 1, per_scenario=5) != chosen
    assert [row.scenario for row in chosen] == ["s0"] * 5 + ["s1"] * 5
    assert len({row.transcript_id for row in chosen}) == 10
    assert choose_rivals([replace(rows[0], scenario="x")], 0) == [replace(rows[0], scenario="x")]
