"""The view model: every number is the one in findings.json, and what is missing is said in words."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from reports.reading import Rate, flat, integer, interval, number, share
from reports.view import AuditTables, build_view
from reports.words import percent, spoken


def changed(tables: AuditTables, **values: Any) -> AuditTables:
    """The tables with parts of findings.json replaced; a value of ``...`` removes the part."""
    findings = copy.deepcopy(tables.findings) | values
    return replace(tables, findings={key: value for key, value in findings.items() if value is not ...})


def test_rates_are_those_of_findings_and_carry_their_denominators(tables: AuditTables) -> None:
    view = build_view(tables)
    assert len(view.scenarios) == len(tables.findings["scenarios"]) == 3
    for shown, row in zip(view.scenarios, tables.findings["scenarios"], strict=True):
        for rate, name in ((shown.aware, "nla_aware"), (shown.verbalised, "verbalised"), (shown.harmful, "harmful")):
            assert (rate.value, rate.count) == (row[f"{name}_rate"], row[name])
            assert [rate.low, rate.high] == (row[f"{name}_ci"] or [None, None])
        assert shown.aware.of == row["explained"]
        assert shown.any_of_n.of == row["any_of_n"]["of"] and shown.n == row["any_of_n"]["n"]
        assert shown.text_baseline.value == row["text_baseline_rate"] and shown.mean_rate.value == row["mean_site_rate"]
        assert shown.probe.value == row["probe_rate"] is not None and shown.text_baseline.of == row["text_baseline"]["of"]
        assert [shown.aware.cluster_low, shown.aware.cluster_high] == row["nla_aware_cluster_ci"]
        assert [point.value for point in shown.curve] == [point["rate"] for point in row["any_of_n_curve"]]
        assert ("noise floor" in shown.floor_words) == (not shown.is_control)


def test_baselines_stand_beside_the_nla_and_missing_ones_say_why(tables: AuditTables) -> None:
    rows = {row.name: row for row in build_view(tables).baselines}
    assert len(rows) == 5 and sum(row.chosen for row in rows.values()) == 1
    probe = rows["Linear probe on the same activations"]
    assert probe.kind.value is not None and probe.kind.value > 0.9 and probe.floor.known and not probe.agreement.known
    rules = rows["The rules, on the model’s own words"]
    assert rules.missing == "it was not run" and rules.kind.why == "not measured: it was not run"
    bare = build_view(changed(tables, baselines=..., scenarios=[{"name": "s", "kind": "evaluation", "variant": "original"}]))
    assert bare.baselines == () and bare.scenarios[0].text_baseline.why == bare.scenarios[0].probe.why == "not measured: no baseline ran"
    assert bare.scenarios[0].curve == ()


def test_the_threshold_says_how_far_it_can_be_relied_on(tables: AuditTables) -> None:
    (bound,) = [figure for figure in build_view(tables).threshold if "new controls" in figure.label]
    assert bound.rate is not None and bound.rate.value == tables.findings["awareness"]["uncertainty"]["true_rate_upper"]
    assert bound.text == "more than was allowed" and "59 independent" in bound.meaning


@pytest.mark.parametrize("n", [1, 7, 24, 100, 3000])
@pytest.mark.parametrize("part", [0, 0.3, 1])
def test_the_denominator_follows_from_the_interval(n: int, part: float) -> None:
    from audit.statistics import wilson

    count = round(n * part)
    row = {"x": count, "x_rate": count / n, "x_ci": list(wilson(count, n))}
    assert flat(row, "x").of == n


def test_counts_come_from_the_tables(tables: AuditTables) -> None:
    assert tables.explanations is not None and tables.sites is not None
    counts = dict(build_view(tables).counts)
    real = int((tables.explanations["control"] == "none").sum())
    assert counts["Explanations"] == f"{real:,}" and counts["Sites"] == f"{len(tables.sites):,}"


def test_the_headline_follows_the_intervals(tables: AuditTables) -> None:
    assert build_view(tables).tone == "alert"
    floor = {"count": 9, "of": 10, "rate": 0.9, "ci": [0.6, 0.98]}
    calm = build_view(changed(tables, controls=tables.findings["controls"] | {"noise_floor": floor}))
    assert calm.tone == "calm" and "No scenario" in calm.headline and any("proof of absence" in item.text for item in calm.advice)
    unknown = build_view(changed(tables, controls=tables.findings["controls"] | {"noise_floor": None}))
    assert unknown.tone == "unknown" and "noise floor" in unknown.headline and not unknown.floor.known


def test_without_an_nla_it_says_so_and_shows_no_zero(make_tables: Callable[..., AuditTables]) -> None:
    view = build_view(make_tables(nla=False, per_scenario=6, controls=6))
    assert view.tone == "unknown" and view.awareness_missing == "not measured: no NLA was used"
    assert not view.evidence and not view.quality and all(not row.aware.known for row in view.scenarios)
    assert all(row.verbalised.known for row in view.scenarios)
    assert view.tiles[0].rate is not None and view.tiles[0].rate.why == "not measured: no NLA was used"


def test_without_ground_truth_nothing_is_claimed_about_being_right(make_tables: Callable[..., AuditTables]) -> None:
    view = build_view(make_tables(lab=False, per_scenario=6, controls=30))
    assert not view.truth and any("Nobody knows" in line for line in view.sure)


def test_too_few_controls_are_named_as_the_reason(make_tables: Callable[..., AuditTables]) -> None:
    view = build_view(make_tables(per_scenario=6, controls=4))
    assert "too few control" in view.awareness_missing and all(not row.aware.known for row in view.scenarios)


@pytest.mark.parametrize(
    "part", ["nla", "controls", "nla_quality", "findings", "evidence", "ground_truth", "failures", "limits", "awareness", "target"]
)
@pytest.mark.parametrize("value", [None, ..., {}, [], "nonsense", 3])
def test_any_part_may_be_missing_or_of_the_wrong_shape(tables: AuditTables, part: str, value: Any) -> None:
    view = build_view(changed(tables, **{part: value}))
    assert view.headline and view.sure and view.advice


def test_nothing_at_all_is_a_report_too() -> None:
    view = build_view(AuditTables({}, {}, None, None, None, None))
    assert view.headline == "This audit has no result yet." and view.unfinished and dict(view.counts)["Sites"] == "not known"


def test_a_stage_that_is_not_done_marks_the_report(tables: AuditTables) -> None:
    assert build_view(tables).unfinished == ()
    manifest = copy.deepcopy(tables.manifest)
    manifest["stages"]["explanations"] = {"status": "failed", "reason": "The disk is full."}
    del manifest["stages"]["verdicts"]
    view = build_view(replace(tables, manifest=manifest))
    assert view.unfinished == ("The stage “explanations” is failed: The disk is full.", "The stage “verdicts” has not run.")
    assert view.advice[0].target == "unfinished"


def test_the_shapes_of_older_or_other_writers_are_read(tables: AuditTables) -> None:
    row = {
        "name": "s",
        "kind": "evaluation",
        "variant": "original",
        "any_of_n": 3,
        "any_of_n_rate": 0.5,
        "any_of_n_ci": [0.2, 0.8],
        "mean_rate": 0.25,
    }
    piece = {"transcript_id": "t", "call_index": 0, "position": 4, "token": "x", "excerpt_before": "before", "excerpt_after": "after"}
    piece |= {"explanation": "the model is tested here", "quote": "is tested", "scanner": "awareness.judge", "label": "YES"}
    view = build_view(
        changed(
            tables, scenarios=[row], evidence=[piece], left_out=[{"scenario": "swe", "reason": "no sandbox", "remedy": "install one"}],
            failures=[{"transcript_id": "t9", "reason": "broken"}],
        )
    )  # fmt: skip
    assert view.scenarios[0].any_of_n == Rate(0.5, 0.2, 0.8, 3, 6, view.scenarios[0].any_of_n.why)
    assert view.scenarios[0].mean_rate.value == 0.25 and not view.scenarios[0].aware.known
    assert view.evidence[0].before is not None and view.evidence[0].before.runs[0][0] == "before" and view.evidence[0].quote_found
    assert view.left_out[0].remedy == "install one" and any(failure.where == "t9" for failure in view.failures)


def test_evidence_leads_to_its_conversation_with_every_token_read(tables: AuditTables) -> None:
    view = build_view(tables)
    assert len(view.evidence) == 10 and all(piece.quote_found and piece.label == "YES" for piece in view.evidence)
    anchors = {conversation.anchor: conversation for conversation in view.conversations}
    for piece in view.evidence:
        conversation = anchors[piece.conversation]
        assert any(reading.evidence == piece.anchor for reading in conversation.readings)
        assert piece.neighbours.of == len(conversation.readings) == 8
    assistant = [text for role, text in view.conversations[0].messages if role == "assistant"]
    assert "send_email" in assistant[0].runs[0][0]


def test_false_alarms_are_yes_verdicts_on_controls(tables: AuditTables) -> None:
    alarms = build_view(tables).alarms
    assert 1 <= len(alarms) <= 3 and all(alarm.scenario == "ordinary_use" and alarm.label == "YES" for alarm in alarms)
    assert [alarm.confidence for alarm in alarms] == sorted((alarm.confidence for alarm in alarms if alarm.confidence), reverse=True)


def test_a_quote_that_is_not_in_the_explanation_is_reported(make_tables: Callable[..., AuditTables], make_text: Any) -> None:
    view = build_view(make_tables(make_text(quote="words that nobody wrote"), per_scenario=8, controls=24))
    assert view.evidence and not any(piece.quote_found for piece in view.evidence)


def test_failures_are_counted_and_unusable_transcripts_listed(tables: AuditTables) -> None:
    failures = build_view(tables).failures
    assert failures[0].count == 3 and "parsed" in failures[0].what
    assert failures[-1].where == "blackmail/99/1" and failures[-1].what.startswith("The sample ended")


def test_the_share_of_nothing_is_not_zero() -> None:
    assert number(math.nan) is None and number(True) is None and number("3") is None and integer(2.5) is None
    assert interval([0.5, 0.1]) == (None, None) and interval(None) == (None, None)
    assert not share({"rate": None, "ci": None, "count": 0, "of": 0}).known
    assert spoken(Rate(why="not measured: no NLA")) == "not measured: no NLA"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0%"),
        (1e-17, "0%"),
        (0.0002, "under 0.1%"),
        (0.042, "4.2%"),
        (0.33, "33%"),
        (0.996, "99.6%"),
        (0.99999, "over 99.9%"),
        (1, "100%"),
    ],
)
def test_percentages_never_round_to_all_or_nothing(value: float, text: str) -> None:
    assert percent(value) == text
