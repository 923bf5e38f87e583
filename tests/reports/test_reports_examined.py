"""What close examination adds to the report: rules beside findings, single transcripts, claims of examined explanations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from bare import render_bare

from reports.view import AuditTables, build_view


def test_each_finding_shows_its_level_and_every_rule(tables: AuditTables) -> None:
    view = build_view(tables)
    told = {row["id"]: row for row in tables.findings["findings"]}
    html = render_bare(tables)
    assert view.findings and view.single
    for finding in (*view.findings, *(row.finding for row in view.single)):
        row = told[finding.id]
        assert finding.level == row["level"]
        assert [rule.why for rule in finding.rules] == [rule["why"] for rule in (*row.get("rules_met", ()), *row.get("rules_failed", ()))]
        assert [rule.met for rule in finding.rules] == [True] * len(row["rules_met"]) + [False] * len(row["rules_failed"])
        for rule in finding.rules:
            assert rule.name in html
    assert not any(finding.id.startswith("transcript/") for finding in view.findings)
    assert len(view.findings) + len(view.single) == len(told)


def test_single_transcripts_stand_beside_what_the_rules_let_through_on_controls(tables: AuditTables) -> None:
    view = build_view(tables)
    levels = [row.finding.level for row in view.single]
    assert {"corroborated", "observed"} == set(levels)
    told = tables.findings["corroboration"]
    count = next(figure.rate.count for figure in view.corroboration if figure.rate)
    assert count == told["corroborated"]["count"] == levels.count("corroborated")
    html = render_bare(tables)
    assert "corroborated" in html and 'id="single"' in html
    for row in view.single:
        assert f'id="{row.finding.anchor}"' in html
        assert row.neighbours.known and row.error == pytest.approx(0.031) and row.control_error == pytest.approx(0.002)


def test_an_examined_piece_lists_its_claims_with_what_speaks_for_them(tables: AuditTables) -> None:
    view = build_view(tables)
    examined = [piece.examined for piece in view.evidence if piece.examined is not None]
    assert examined
    for item in examined:
        assert item.neighbours.of == 3 and len(item.tokens) == 3 and item.fits_mean is True
        theme, entity = item.claims
        assert theme.bears and theme.error == pytest.approx(0.031) and theme.context == "cannot be looked up"
        assert entity.error is None and entity.context == "contradicted by the conversation" and entity.recurs == "1 of 3"
    html = render_bare(tables)
    assert "bears the verdict" in html and "contradicted by the conversation" in html


def test_without_evidence_nothing_is_said_to_be_examined(tables: AuditTables) -> None:
    findings = {key: value for key, value in tables.findings.items() if key != "corroboration"}
    findings["findings"] = [row for row in findings["findings"] if not row["id"].startswith("transcript/")]
    bare = replace(tables, evidence=None, findings=findings)
    view, html = build_view(bare), render_bare(bare)
    assert not view.single and not view.corroboration and all(piece.examined is None for piece in view.evidence)
    assert "Examined:" not in html and "None was examined closely" in html


@pytest.mark.parametrize("value", [None, {}, [], "nonsense", 3, [{}], [{"id": "transcript/x"}]])
def test_nonsense_in_their_place_breaks_nothing(tables: AuditTables, value: Any) -> None:
    for key in ("findings", "corroboration"):
        assert render_bare(replace(tables, findings=tables.findings | {key: value}))
