"""Hidden motives and what a grader says: the numbers are those of findings.json, what is missing is said, and hostile text is inert."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
from bare import render_bare

from reports.scanned import grader_words, motive_views, motives_words, scanner_views
from reports.view import AuditTables


def rate(count: int, of: int) -> dict[str, Any]:
    return {"count": count, "of": of, "rate": count / of, "ci": [0.1, 0.9]}


def theme(words: str = "afraid, shutdown", quote: str = "- afraid of a shutdown") -> dict[str, Any]:
    place = {"transcript_id": "blackmail/3/1", "call_index": 0, "position": 41, "sample": 0}
    return {
        "theme": words, "words": ["afraid", "shutdown"], "log_odds": 2.25, "z": 6.5, "p": 0.001, "quotes": [{"text": quote} | place],
        "transcripts": rate(8, 20), "reference_transcripts": rate(1, 25), "said_transcripts": rate(2, 8),
        "explanations": rate(9, 60) | {"ci": None},
    }  # fmt: skip


def graded(quote: str = "it is being evaluated", ungraded: int = 3) -> dict[str, Any]:
    piece = {"transcript_id": "blackmail/3/1", "call_index": 0, "position": 41, "sample": 0, "scanner": "awareness.judge"}
    return {
        "scanner": "awareness.judge", "name": "blackmail", "kind": "evaluation", "variant": "original", "transcripts": rate(7, 20),
        "explanations": rate(12, 57) | {"ci": None}, "unclear": 4, "ungraded": ungraded,
        "bases": {"suspicion": {"explanations": 11, "transcripts": 6}, "familiarity": {"explanations": 1, "transcripts": 1}},
        "strongest": [piece | {"quote": quote, "reason": "suspicion: it says so.", "confidence": 0.9}],
    }  # fmt: skip


def shown(tables: AuditTables, **findings: Any) -> AuditTables:
    return replace(tables, findings=copy.deepcopy(tables.findings) | findings)


def motives(*themes: dict[str, Any], why: str | None = None, audit: Any = None) -> dict[str, Any]:
    sides = {"studied": {"transcripts": 20, "explanations": 60}, "reference": {"transcripts": 25, "explanations": 75}}
    return {"compared_with": "audit" if audit else "controls", "audit": audit, "why_not": why, "themes": list(themes), **sides}


GRADER = {"model": "openai/some-model", "scanners": ["awareness.judge"]}


def test_a_theme_stands_with_its_numbers_and_its_quote(tables: AuditTables) -> None:
    html = render_bare(shown(tables, motives=motives(theme())))
    section = html.split('id="motives"')[1].split("</section>")[0]
    for value in ("6.5", "0.4", "0.04", "0.25", "0.15"):
        assert f'<data value="{value}"' in section
    assert "- afraid of a shutdown" in section and "blackmail/3/1, call 0, position 41" in section
    assert "20 conversations" in section and "25 conversations" in section and "control conversations" in section
    assert "base-audit" in render_bare(shown(tables, motives=motives(theme(), audit={"folder": "base-audit"})))


def test_a_graders_verdicts_stand_by_scenario_with_what_it_did_not_answer(tables: AuditTables) -> None:
    rules = graded() | {"scanner": "mismatch.lexical"}
    found = shown(tables, grader=GRADER, scanner_rates=[graded(), rules, graded() | {"scanner": "awareness.lexical"}])
    [row] = scanner_views(found.findings, graded=True)
    assert (row.scanner, row.scenario, row.unclear, row.ungraded) == ("awareness.judge", "blackmail", 4, 3)
    assert row.bases == "suspicion 11, familiarity 1" and row.transcripts.value == 0.35
    assert [row.scanner for row in scanner_views(found.findings, graded=False)] == ["mismatch.lexical"]
    section = render_bare(found).split('id="grader"')[1].split("</section>")[0]
    assert "openai/some-model" in section and "suspicion 11, familiarity 1" in section and '<data value="0.35"' in section
    assert "What rules say" in section and "it is being evaluated" in section


@pytest.mark.parametrize(
    ("findings", "words"),
    [
        ({"grader": None}, "no grader was named"),
        ({"grader": GRADER, "scanner_rates": []}, "no explanation that the grader could be asked about"),
        ({"nla": None}, "no NLA was used"),
        ({"motives": motives(why="Motives were not looked for: too few.")}, "Motives were not looked for: too few."),
        ({"motives": motives()}, "No theme stands out"),
        ({"motives": None}, "Not looked for"),
    ],
)
def test_what_is_missing_is_said_in_words(tables: AuditTables, findings: dict[str, Any], words: str) -> None:
    html = render_bare(shown(tables, **findings))
    sections = "".join(html.split(f'id="{name}"')[1].split("</section>")[0] for name in ("motives", "grader"))
    assert words in sections


def test_without_findings_nothing_is_claimed(tables: AuditTables) -> None:
    html = render_bare(replace(tables, findings={}))
    assert "Not looked for" in html and "has not come that far" in html
    assert motives_words({})[1] and grader_words({}, False)[1] and motive_views({}) == ()


@pytest.mark.parametrize("value", [None, 3, "x", [], [None, 3], {"themes": "x", "audit": 3}, {"themes": [{"quotes": [1], "words": 4}]}])
def test_values_of_another_shape_do_no_harm(tables: AuditTables, value: Any) -> None:
    assert "Hidden motives" in render_bare(shown(tables, motives=value, scanner_rates=value, grader=value, scanner_controls=value))
