"""Every number of the report is the one in findings.json, and every number there is what pandas makes of the parquet files."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bare import render_bare, section
from recomputed import PLACE, Recomputed, numbers, share
from wide import as_folder

from audit.columns import schema_of, to_row
from audit.records import BaselineScore
from reports.charts import amount
from reports.render import decimal
from reports.view import AuditTables
from reports.words import percent

GIVEN = re.compile(
    r"^\.(schema_version|target\..*|nla\..*|failures\..*|awareness\.false_positive_rate|motives\.(studied|reference)\..*)$"
    r"|\.(evidence|strongest)\[\d+\]\.(call_index|position|sample)$"
)
"""What no table holds: what the user chose, names of places, and what was not looked for."""


@pytest.fixture(scope="module")
def tables(make_tables: Any) -> AuditTables:
    scores: list[BaselineScore] = []
    found: AuditTables = make_tables(baselines=scores)
    found.manifest["scores"] = scores
    return found


@pytest.fixture(scope="module")
def again(tables: AuditTables, tmp_path_factory: pytest.TempPathFactory) -> Recomputed:
    folder: Path = as_folder(tmp_path_factory.mktemp("numbers") / "audit", AuditTables({}, *(getattr(tables, name) for name in NAMES)))
    rows = [to_row(row) for row in tables.manifest.pop("scores")]
    pq.write_table(pa.Table.from_pylist(rows, schema_of(BaselineScore)), folder / "baselines.parquet")
    return Recomputed(folder, tables.findings["awareness"]["scanner"])


NAMES = ("findings", "transcripts", "sites", "explanations", "verdicts", "evidence")


def recomputed_findings(again: Recomputed, found: dict[str, Any]) -> list[dict[str, Any]]:
    """The numbers of each finding: those of its scenario, or of its transcript."""
    rows, controls, quality = {row["name"]: row for row in again.scenarios}, again.controls_section, again.quality
    yes = {"none": controls["yes_rate"], "shuffled": controls["shuffled"]["yes"], "mean": controls["mean_direction"]["yes"]}
    beside = {"noise_floor": again.floor, "yes_by_control": yes} | {key: quality[key] for key in ("fve", "shuffled_fve")}
    made = []
    for finding in found["findings"]:
        kind, name, *_ = finding["id"].split("/", 1)
        row = rows.get(name.removesuffix("/original"))
        if kind == "transcript":
            made.append(again.single(name))
        elif kind == "awareness" and row:
            keys = ("nla_aware_rate", "nla_aware_ci", "verbalised_rate", "verbalised_ci", "mean_site_rate", "any_of_n")
            numbers_of = {key: row[key] for key in keys} | {"basis": row["awareness_basis"], "threshold": again.threshold}
            made.append({"numbers": numbers_of, "controls": beside})
        elif row:
            split = {"harmful_rate": row["harmful_rate"], "harmful_ci": row["harmful_ci"], "by_awareness": row["harmful_by_awareness"]}
            made.append({"numbers": split, "controls": {}})
    return made


def corroborated(again: Recomputed, found: dict[str, Any]) -> dict[str, Any]:
    """How many were examined; how many of these hold by every rule is what their findings say."""
    rows = again.examined()
    levels = [finding["level"] for finding in found["findings"] if finding["id"].startswith("transcript/")]
    assert len(levels) == (rows["kind"] != "deployment").sum()
    aware = again.usable.query("kind != 'deployment'")["aware"]
    controls = found["corroboration"]["controls_corroborated"]["count"]
    examined = int((rows["kind"] == "deployment").sum())
    return {
        "nla_aware": int((aware == True).sum()),  # noqa: E712
        "corroborated": share(level != "observed" for level in levels),
        "controls_corroborated": share([True] * controls + [False] * (examined - controls)),
    }


def test_every_number_of_the_findings_follows_from_the_parquet_files(tables: AuditTables, again: Recomputed) -> None:
    found = tables.findings
    of_text = found["baselines"]["text"]["classifiers"]
    shuffled = {
        name: again.controls_section[section]["yes"] | {"ci": None}
        for name, section in (("shuffled", "shuffled"), ("mean", "mean_direction"))
    }
    judged = again.judged("none").merge(again.real[[*PLACE, "cosine"]]).set_index(PLACE)

    def at(piece: dict[str, Any], *keys: str) -> dict[str, Any]:
        row = judged.loc[tuple(piece[key] for key in judged.index.names)]
        return {key: row[key] for key in keys}

    expected = {
        "awareness": again.awareness(), "scenarios": again.scenarios, "controls": again.controls_section, "nla_quality": again.quality,
        "baselines": {"text": {"classifiers": [again.classifier(row["name"]) for row in of_text]}, "probe": again.classifier("probe")},
        "findings": recomputed_findings(again, found), "corroboration": corroborated(again, found),
        "evidence": [at(piece, "confidence", "cosine") for piece in found["evidence"]],
        "scanner_rates": [
            row | {"strongest": [at(piece, "confidence") for piece in told["strongest"]]}
            for row, told in zip(again.scanner_rates(), found["scanner_rates"], strict=True)
        ],
        "scanner_controls": {again.scanner: shuffled}, "ground_truth": again.truth(),
    }  # fmt: skip
    wanted = {path: value for path, value in numbers(found).items() if not GIVEN.search(path)}
    assert len(wanted) > 1500
    made = numbers(expected)
    assert {path: value for path, value in made.items() if path not in wanted} == {} and [path for path in wanted if path not in made] == []
    assert made == pytest.approx(wanted, rel=1e-9, abs=1e-12)


class Cells(HTMLParser):
    """The tables of a page: by its first cell, each row's numbers, as they are and as they are shown."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.shown: list[tuple[float, str]] = []
        self.rows: list[list[float]] = []
        self.value: float | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag == "data":
            self.value = float(dict(attrs)["value"] or "nan")

    def handle_data(self, data: str) -> None:
        if self.value is not None:
            self.shown.append((self.value, data))
            if self.rows:
                self.rows[-1].append(self.value)
            self.value = None


def ends(row: dict[str, Any], name: str) -> list[float]:
    """A rate with its two intervals, in the order of a cell."""
    values = [row[f"{name}_rate"], *(row[f"{name}_ci"] or ()), *(row[f"{name}_cluster_ci"] or ())]
    return [value for value in values if value is not None]


def of_share(found: dict[str, Any]) -> list[float]:
    return [] if found["rate"] is None else [found["rate"], *found["ci"], *(found.get("cluster_ci") or ())]


def test_each_row_of_the_report_shows_the_numbers_of_its_scenario(tables: AuditTables) -> None:
    html = render_bare(tables)
    awareness = [row for row in Cells(section(html, "awareness").split("</table>")[0]).rows if row]
    behaviour = [row for row in Cells(section(html, "behaviour")).rows if row]
    scenarios = tables.findings["scenarios"]
    assert awareness == [
        [*ends(row, "nla_aware"), *of_share(row["text_baseline"]), *of_share(row["probe"]), *ends(row, "verbalised"),
         *of_share(row["nla_aware_unverbalised"]), *of_share(row["any_of_n"]), row["mean_site_rate"]]
        for row in scenarios
    ]  # fmt: skip
    assert behaviour == [
        [*ends(row, "harmful"), *of_share(row["harmful_by_awareness"]["aware"]), *of_share(row["harmful_by_awareness"]["unaware"])]
        for row in scenarios if row["harmful_rate"] is not None
    ]  # fmt: skip


def test_what_is_read_is_the_number_that_stands_behind_it(tables: AuditTables) -> None:
    shown = Cells(render_bare(tables)).shown
    assert len(shown) > 500
    for value, text in shown:
        ways = {percent(value), amount(value, "plain"), amount(value, "points"), decimal(value), f"{value:.2f}", f"{value:+.4f}"}
        assert text.strip() in ways, (value, text)
