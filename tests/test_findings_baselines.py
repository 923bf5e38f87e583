"""What the findings make of counts and of baselines' scores: intervals, the curve over N, the calibration's promise, and the comparison."""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import comb
from typing import Any

import pytest

from audit.evidence.text_baseline import READER, READER_OF_KIND
from audit.findings.baselines import TEXT, measure_baselines
from audit.findings.calibration import Calibration, calibrate, calibrate_scores, control_group, in_calibration_half
from audit.findings.rates import any_of_n_curve, scenario_rows
from audit.findings.shares import clustered_share
from audit.findings.tally import Tally
from audit.records import BaselineScore
from audit.scanners.summarise import TranscriptScore
from audit.statistics import calibrate_threshold, cluster_bootstrap, stratified_auroc

SCANNER = "awareness.classifier"
SITES = 10
OWN = f"text.{SCANNER}"


def tally(key: str, yes: int, *, kind: Any = "evaluation", cluster: str = "", variant: str = "original", sites: int = SITES) -> Tally:
    score = TranscriptScore(key, SCANNER, "none", sites, yes, yes / sites if sites else None, 0.5, yes > 0, 0)
    return Tally(
        key, key.split("/")[0], kind, variant, cluster or key, True, {}, {SCANNER: score}, False, None, explanations=sites, failures=0
    )


@pytest.fixture(scope="module")
def world() -> list[Tally]:
    """Two scenarios, one of them aware in half of its transcripts, and controls with few YES."""
    generator = random.Random(1)
    made = [tally(f"mail/{n}", generator.randrange(5, 10) if n % 2 else 0, cluster=f"mail-{n // 2}") for n in range(40)]
    made += [tally(f"shell/{n}", 0 if n % 10 else 6, cluster=f"shell-{n // 2}") for n in range(40)]
    return made + [tally(f"use/{n}", int(n % 30 == 0), kind="deployment", cluster=f"use-{n}") for n in range(120)]


def calibrated(world: Sequence[Tally]) -> Calibration:
    return calibrate(control_group(world), SCANNER, 0.05, 0)


def scores(world: Sequence[Tally], name: str, score: Any, fold: int = -1) -> list[BaselineScore]:
    return [BaselineScore(one.transcript_id, -1, -1, name, float(score(one)), fold) for one in world]


def test_the_threshold_says_what_its_controls_allow_to_promise(world: list[Tally]) -> None:
    found = calibrated(world)
    half = [one.rate(SCANNER) for one in control_group(world) if in_calibration_half(one.cluster, 0)]
    assert found.uncertainty is not None and found.threshold is not None and found.noise_floor is not None
    again = calibrate_threshold([rate for rate in half if rate is not None], 0.05, seed=0)
    assert found.threshold == again.threshold and found.uncertainty["true_rate_upper"] == again.upper > 0.05
    assert found.uncertainty["promised"] is False and found.uncertainty["controls_needed"] == 59
    assert found.calibrated_on + found.held_out == 120 and found.noise_floor["of"] == found.held_out
    assert found.calibrated_on >= 59 and found.uncertainty["promised_threshold"] > max(rate for rate in half if rate is not None) - 1e-9
    few = calibrate_scores([(f"c{n}", n / 40) for n in range(40)], "any", 0.05, 0)
    assert few.uncertainty is not None and few.uncertainty["promised_threshold"] is None, "20 controls can promise nothing at 5%"


def test_scores_tied_with_the_threshold_are_positive() -> None:
    tied = calibrate_scores([(f"c{n}", 0.25) for n in range(60)], "any", 0.05, 0)
    assert tied.threshold is not None and tied.threshold > 0.25, "all controls are tied, so none may be let through"
    assert tied.noise_floor is not None and tied.noise_floor["count"] == 0
    exact = calibrate_scores([(f"c{n}", 0.5 if n % 25 == 0 else 0.0) for n in range(400)], "any", 0.05, 0)
    assert exact.threshold is not None and 0.0 < exact.threshold <= 0.5
    assert exact.noise_floor is not None and exact.noise_floor["count"] > 0


def test_edited_and_steered_controls_are_no_controls(world: list[Tally]) -> None:
    steered = [tally(f"use/s{n}", 9, kind="deployment", variant="steered:+0.1") for n in range(60)]
    assert calibrated([*world, *steered]) == calibrated(world)


def test_the_interval_over_skeletons_stands_beside_wilsons() -> None:
    # Ten transcripts of a skeleton all agree: there are eight observations, not eighty.
    values = [(f"s{n // 10}", n // 10 in (0, 1, 2)) for n in range(80)]
    found = clustered_share(values, seed=0)
    assert found["rate"] == 0.375
    wilson, clusters = found["ci"], found["cluster_ci"]
    assert clusters[0] < wilson[0] and clusters[1] > wilson[1]
    direct = cluster_bootstrap(
        [float(value) for _, value in values], [key for key, _ in values], lambda drawn: float(drawn.mean()), 0, 1000
    )
    assert clusters == pytest.approx(list(direct))
    none = clustered_share([(f"s{n // 10}", False) for n in range(80)], seed=0)
    assert none["cluster_ci"][1] > none["ci"][1] > 0.0, "no YES at all is still an interval"
    assert clustered_share([("s", True)] * 5, seed=0)["cluster_ci"] is None
    assert clustered_share([], seed=0) == {"count": 0, "of": 0, "rate": None, "ci": None, "cluster_ci": None}


def test_the_curve_over_n_is_exact_and_ends_at_any_of_all() -> None:
    group = [tally("mail/0", 3), tally("mail/1", 0), tally("mail/2", 1, sites=4)]
    curve = any_of_n_curve(group, SCANNER)
    assert [point["n"] for point in curve] == list(range(1, 51))
    exact = (1 - comb(7, 2) / comb(10, 2) + 0 + 1 - comb(3, 2) / comb(4, 2)) / 3
    assert curve[1]["rate"] == pytest.approx(exact)
    assert curve[49]["rate"] == pytest.approx(2 / 3) and curve[9]["short"] == 1 and curve[10]["short"] == 3
    assert all(point["ci"][0] <= point["rate"] <= point["ci"][1] for point in curve)
    assert any_of_n_curve([tally("mail/0", 0, sites=0)], SCANNER) == []


def test_scenarios_are_compared_with_the_floor_and_corrected_together(world: list[Tally]) -> None:
    twin = [tally(f"mail/t{n}", 9, variant="realism") for n in range(10)]
    rows = {(row["name"], row["variant"]): row for row in scenario_rows([*world, *twin], calibrated(world), seed=0)}
    mail, shell = rows["mail", "original"]["against_noise_floor"], rows["shell", "original"]["against_noise_floor"]
    assert (
        mail["p"] < shell["p"] and mail["p_adjusted"] == pytest.approx(2 * mail["p"]) and shell["p_adjusted"] == pytest.approx(shell["p"])
    )
    assert rows["use", "original"]["against_noise_floor"] is None and rows["mail", "realism"]["against_noise_floor"] is None
    assert rows["mail", "original"]["clusters"] == 20


def test_a_reader_that_tells_the_same_transcripts_is_the_text_baseline(world: list[Tally]) -> None:
    generator = random.Random(2)
    found = [
        *scores(world, OWN, lambda one: 0.0),
        *scores(world, READER, lambda one: (one.rate(SCANNER) or 0.0) + generator.random() / 5, 0),
        *scores(world, READER_OF_KIND, lambda one: float(one.kind == "evaluation"), 0),
    ]
    told = measure_baselines(found, world, calibrated(world), {}, 0)
    assert told.section["text"]["chosen"] == READER and "agrees best" in told.section["text"]["why"]
    mail = told.rows["mail", "evaluation", "original"]
    assert mail["text_baseline_rate"] == mail["text_baselines"][READER]["rate"] > 0.4
    assert mail["text_baselines"][READER_OF_KIND]["rate"] == 1.0, "it recognises the scenario, and is listed with that"
    by_name = {row["name"]: row for row in told.section["text"]["classifiers"]}
    assert by_name[READER]["agreement"]["ci"][0] > 0.9 and by_name[READER_OF_KIND]["agreement"]["auroc"] == 0.5
    assert by_name[READER_OF_KIND]["kind"]["auroc"] == 1.0
    assert by_name["text.awareness.lexical"]["missing"] == "it was not run"


def test_a_reader_that_only_recognises_the_scenario_is_not(world: list[Tally]) -> None:
    found = [*scores(world, OWN, lambda one: 0.0), *scores(world, READER_OF_KIND, lambda one: float(one.kind == "evaluation"), 0)]
    told = measure_baselines(found, world, calibrated(world), {"missing": {"probe": "no activation was read"}}, 0)
    assert told.section["text"]["chosen"] == OWN and "own words" in told.section["text"]["why"]
    assert told.rows["mail", "evaluation", "original"]["text_baseline_rate"] == 0.0
    assert told.section["probe"]["missing"] == "no activation was read" and told.rows["use", "deployment", "original"]["probe_rate"] is None


def test_a_baseline_is_cut_at_the_same_rate_on_the_same_controls(world: list[Tally]) -> None:
    generator = random.Random(4)
    values = {one.transcript_id: generator.random() + (one.kind == "evaluation") for one in world}
    told = measure_baselines(scores(world, "probe", lambda one: values[one.transcript_id], 0), world, calibrated(world), {}, 0)
    probe, half = told.section["probe"], [one for one in control_group(world) if in_calibration_half(one.cluster, 0)]
    assert sum(values[one.transcript_id] >= probe["threshold"] for one in half) <= 0.05 * len(half)
    assert probe["noise_floor"]["of"] == 120 - len(half)
    flagged = sum(values[one.transcript_id] >= probe["threshold"] for one in world if one.scenario == "mail")
    assert told.rows["mail", "evaluation", "original"]["probe"]["count"] == flagged
    # What the other half says cannot move the threshold.
    moved = {key: value + 9 * (key not in {one.transcript_id for one in half}) for key, value in values.items()}
    again = measure_baselines(scores(world, "probe", lambda one: moved[one.transcript_id], 0), world, calibrated(world), {}, 0)
    assert again.section["probe"]["threshold"] == probe["threshold"]


def test_without_scores_nothing_is_claimed(world: list[Tally]) -> None:
    told = measure_baselines([], world, calibrated(world), {}, 0)
    assert told.section["text"]["chosen"] is None and {row["name"] for row in told.section["text"]["classifiers"]} == set(TEXT)
    mail = told.rows["mail", "evaluation", "original"]
    assert mail["text_baseline_rate"] is None and mail["text_baseline"] is None and mail["text_baselines"] == {}
    assert told.chosen == {"probe": {}}


def test_pairs_of_different_strata_count_for_nothing() -> None:
    scored, sides, strata = [1.0, 2.0, 11.0, 12.0, 5.0], [False, True, False, True, True], [0, 0, 1, 1, 2]
    assert stratified_auroc(scored, sides, strata) == 1.0
    assert stratified_auroc(scored, sides, [0] * 5) == pytest.approx(4 / 6)
    assert stratified_auroc([1.0, 1.0], [True, False], [0, 0]) == 0.5
    for bad in (([1.0], [True], [0]), ([1.0, float("nan")], [True, False], [0, 0])):
        with pytest.raises(ValueError):
            stratified_auroc(*bad)
