"""What is missing is said in words in its place, and never shown as zero; what is half finished is marked on every page."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from bare import render_bare, section

from reports.markdown import render_markdown
from reports.view import AuditTables, build_view


def without(tables: AuditTables, *keys: str, **values: Any) -> AuditTables:
    """The same audit with parts of findings.json absent or replaced."""
    findings = {key: value for key, value in copy.deepcopy(tables.findings).items() if key not in keys} | values
    return replace(tables, findings=findings)


def unread(tables: AuditTables) -> AuditTables:
    """No scanner judged the model's own words."""
    rows = [row | {"verbalised": None, "verbalised_rate": None, "verbalised_ci": None} for row in tables.findings["scenarios"]]
    return without(tables, scenarios=rows)


def without_controls(tables: AuditTables) -> AuditTables:
    rows = [row for row in tables.findings["scenarios"] if row["kind"] != "deployment"]
    controls: dict[str, Any] = {"noise_floor": None, "yes_rate": None, "shuffled": None, "mean_direction": None}
    return without(tables, scenarios=rows, controls=controls)


def only_controls(tables: AuditTables) -> AuditTables:
    return without(tables, scenarios=[row for row in tables.findings["scenarios"] if row["kind"] == "deployment"], evidence=[], findings=[])


def unexamined(tables: AuditTables) -> AuditTables:
    rows = [row for row in tables.findings["findings"] if not row["id"].startswith("transcript/")]
    return replace(without(tables, "corroboration", findings=rows), evidence=None)


def unfaithful(tables: AuditTables) -> AuditTables:
    """No AR told how much the explanations carry."""
    return without(tables, nla_quality=dict.fromkeys(tables.findings["nla_quality"]))


def failed(tables: AuditTables) -> AuditTables:
    stages = tables.manifest["stages"] | {"explanations": {"status": "failed", "reason": "The disk is full."}}
    return replace(tables, manifest=tables.manifest | {"stages": stages})


MISSING: list[tuple[Callable[[AuditTables], AuditTables], str, str]] = [
    (unread, "awareness", "not measured: no verdict on the model&#39;s own text"),
    (lambda tables: without(tables, grader=None), "grader", "no grader was named"),
    (lambda tables: without(tables, "baselines"), "awareness", "Not measured: no baseline ran."),
    (without_controls, "controls", "not measured: too few control transcripts"),
    (without_controls, "controls", "not measured: this control was not run"),
    (without_controls, "verdict", "without a noise floor nobody can say what the rates mean"),
    (only_controls, "verdict", "Only ordinary use was audited, no evaluation"),
    (only_controls, "awareness", "No evaluation was audited"),
    (only_controls, "findings", "None: no scenario gave a claim to make."),
    (only_controls, "evidence", "None: no explanation was judged YES, or none was judged."),
    (unexamined, "findings", "None was examined closely"),
    (unexamined, "evidence", "Not examined: the tokens around it were not read"),
    (unfaithful, "quality", "not measured"),
    (unfaithful, "verdict", "was not measured, so their worth is unknown"),
    (failed, "unfinished", "The stage “explanations” is failed: The disk is full."),
    (lambda tables: without(tables, "ground_truth"), "truth", "nobody knows this model’s true state"),
    (lambda tables: without(tables, "manipulations"), "moves", "no sample ran again"),
    (lambda tables: without(tables, motives=None), "motives", "Not looked for"),
    (lambda tables: tables, "people", "nobody has labelled explanations yet"),
    (lambda tables: without(tables, nla=None), "quality", "no NLA was used"),
    (lambda tables: replace(tables, transcripts=None, sites=None), "conversations", "None to show"),
    (lambda tables: replace(tables, manifest={}), "repeat", "Not known: the manifest holds no configuration."),
]


@pytest.mark.parametrize(("change", "place", "words"), MISSING, ids=[f"{place}-{words[:30]}" for _, place, words in MISSING])
def test_it_is_said_in_its_place(tables: AuditTables, change: Callable[[AuditTables], AuditTables], place: str, words: str) -> None:
    html = render_bare(change(tables))
    assert words in (html.split('id="verdict"')[1].split("<nav")[0] if place == "verdict" else section(html, place))


def test_what_was_not_measured_is_no_zero(tables: AuditTables) -> None:
    """Of the fidelity that nobody measured, and of what needs a threshold where there was none, no number stands on the page."""
    quality = section(render_bare(unfaithful(tables)), "quality")
    assert "<data" not in quality and quality.count("not measured") == len(build_view(tables).quality)
    rows = [
        row | dict.fromkeys(("nla_aware", "nla_aware_rate", "nla_aware_ci", "nla_aware_cluster_ci")) for row in tables.findings["scenarios"]
    ]
    html = section(render_bare(without(tables, scenarios=rows)), "awareness")
    cells = re.findall(r'<td data-label="NLA-aware"><span>(.*?)</td>', html, re.DOTALL)
    assert len(cells) == 3 and not any("<data" in cell for cell in cells)


def test_a_half_finished_audit_is_marked_on_every_page(tables: AuditTables) -> None:
    html, whole = render_bare(failed(tables)), render_bare(tables)
    body = html[html.index("<body>") :]
    # On screen a mark that stays while one scrolls, in print one that every page repeats, and a line in the margin of each.
    assert body.index("This audit is not finished") < body.index('class="unfinished-mark"') < body.index("<h1>")
    assert '@top-center { content: "UNFINISHED AUDIT"' in html and "<title>Unfinished:" in html
    assert "a sign-off with them" in render_bare(replace(failed(tables), findings_sha256="a" * 64))
    assert "This audit is not finished" in render_markdown(failed(tables))
    assert 'class="unfinished-mark"' not in whole and "UNFINISHED AUDIT" not in whole and "not finished" not in render_markdown(tables)
