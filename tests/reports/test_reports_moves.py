"""The section that says what moves the measure, and that manipulated conversations stand in no other part of the report."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

from bare import render_bare

from reports.moves import move_views
from reports.view import AuditTables, build_view

PAIR = {"pairs": 24, "original_rate": 0.6, "rate": 0.1, "difference": -0.5, "difference_ci": [-0.6, -0.4], "p": 0.001}
AWARE = {"nla_aware": {"only_original": 20, "only_variant": 1, "p": 0.001}, "harmful": None}
TWINS = {"scenario": "blackmail", "manipulation": "realism", "directions": None, "expected": "falls", "as_expected": True} | PAIR | AWARE
POINTS = [
    {"strength": strength, "transcripts": 24, "coherent": strength < 0.2, "nats": 0.8, "calls": 24, "parsed_share": 1.0} | PAIR | AWARE
    for strength in (-0.1, 0.1, 0.2)
]
STEERING = {
    "scenario": "blackmail", "manipulation": "steering", "directions": "awareness", "expected": "follows the strength",
    "as_expected": False, "trend": {"rho": 0.2, "p": 0.3}, "judged_at": [0.1, -0.1], "points": POINTS, "p_adjusted": 0.3,
}  # fmt: skip


def with_variants(tables: AuditTables, entries: list[dict[str, Any]]) -> AuditTables:
    findings = copy.deepcopy(tables.findings)
    row = findings["scenarios"][0]
    findings["scenarios"] += [row | {"variant": "realism"}, row | {"variant": "steered:+0.1", "nla_aware_rate": 1.0}]
    return replace(tables, findings=findings | {"manipulations": entries})


def test_every_manipulation_is_a_row_and_only_judged_ones_have_a_verdict(tables: AuditTables) -> None:
    rows = build_view(with_variants(tables, [TWINS, STEERING])).moves
    assert [(row.strength, row.verdict, row.coherent) for row in rows] == [
        ("", "as expected", ""), ("-0.1", "not as expected", "yes"), ("+0.1", "not as expected", "yes"), ("+0.2", "", "no"),
    ]  # fmt: skip
    assert rows[0].aware == "20 lost it, 1 gained it" and rows[0].harmful == "" and rows[0].change.low == -0.6


def test_the_section_shows_them_or_says_that_there_are_none(tables: AuditTables) -> None:
    html = render_bare(with_variants(tables, [TWINS, STEERING]))
    section = html.partition('id="moves"')[2].partition("</section>")[0]
    assert "Realism twins" in section and "20 lost it" in section and "follows the strength</bdi>: not as expected" in section
    assert "no sample ran again" in render_bare(tables).partition('id="moves"')[2].partition("</section>")[0]


def test_manipulated_scenarios_stand_in_no_other_section(tables: AuditTables) -> None:
    plain, having = build_view(tables), build_view(with_variants(tables, [TWINS]))
    assert having.scenarios == plain.scenarios and having.headline == plain.headline and having.found == plain.found


def test_hostile_or_broken_entries_are_shown_inert(tables: AuditTables) -> None:
    payload = "<script>alert(1)</script>"
    broken = {
        "scenario": payload,
        "manipulation": payload,
        "expected": payload,
        "points": [{"strength": payload}, 3],
        "judged_at": [payload],
    }
    assert [row.manipulation for row in move_views({"manipulations": [broken, "no mapping"]})]
    html = render_bare(replace(tables, findings=tables.findings | {"manipulations": [broken, TWINS | {"scenario": payload}]}))
    assert payload not in html
