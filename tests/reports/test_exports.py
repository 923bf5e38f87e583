"""Exports: CSV that says what the tables say and starts no formula, Markdown in which nothing that others wrote does anything, PDF."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import audit
from audit.cli import cli
from audit.cli.outcome import run_command
from audit.exports import as_csv
from audit.spreadsheet import cell
from reports.markdown import code, render_markdown, said


def rendered(markdown: str) -> Any:
    """The tokens that a renderer makes of it, those inside lines too."""
    from markdown_it import MarkdownIt

    for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(markdown):
        yield token
        yield from token.children or ()


def test_what_is_harmless_reads_as_it_is() -> None:
    assert said("In 10 of 20 transcripts (50%), that is much.") == "In 10 of 20 transcripts (50%), that is much."
    assert said("destructive_code [a]") == "destructive\\_code \\[a\\]"
    assert said("12. not a list") == "12\\. not a list" and code("a`b") == "``a`b``" and code("`") == "`` ` ``"


def test_the_summary_holds_the_figures_of_findings_json(make_tables: Callable[..., Any], make_text: Any) -> None:
    tables = make_tables(make_text(blackmail="evil | @admin <b>", target="[x](http://127.0.0.1:9)"), lab=False, per_scenario=6, controls=24)
    markdown = render_markdown(tables)
    assert "`evil ¦ @admin <b>`" in markdown and "`[x](http://127.0.0.1:9)`" in markdown
    cells = [[part.strip() for part in line.strip("| ").split(" | ")] for line in markdown.splitlines() if line.startswith("| ")]
    rows = {row["name"]: row for row in tables.findings["scenarios"]}
    assert {len(line) for line in cells} == {5} and len(cells) == 2 + len(rows)
    (line,) = [line for line in cells if line[0] == "destructive\\_code"]
    assert line[4].startswith(f"{100 * rows['destructive_code']['harmful_rate']:.0f}% ({rows['destructive_code']['harmful']} of ")
    tokens = {token.type for token in rendered(markdown)}
    assert not tokens & {"link_open", "image", "html_inline", "html_block", "fence"}


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d"])
def test_no_cell_starts_a_formula(start: str) -> None:
    assert cell(f"{start}cmd|' /C calc'!A0").startswith("'") and cell(f"a{start}b") == f"a{start}b"
    (header,), (shown,) = csv.reader(io.StringIO(as_csv([[f"{start}x"], [f"{start}1+1"]]), newline=""))
    assert header.startswith("'") and shown.startswith("'")


def test_numbers_stay_numbers_and_the_rest_is_json() -> None:
    assert (
        as_csv([[-0.5, None, float("nan"), True, [1, "=x"], {"a": 1}, "a\0b"]]).strip() == '-0.5,,,True,"[1, ""=x""]","{""a"": 1}",a\\x00b'
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, make_tables: Any, make_text: Any, make_folder: Any) -> Path:
    text = make_text(reply='=HYPERLINK("http://127.0.0.1:9") is what I say, and I have read the message', explanation=" @now", token="-1+1")
    found: Path = make_folder(tmp_path_factory.mktemp("audit") / "audit", make_tables(text, lab=False, per_scenario=6, controls=24))
    return found


def test_the_csv_files_are_the_tables(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert run_command(cli, ["export", str(folder), "--to", str(out), "--csv"]) == 0
    assert capsys.readouterr().out.split() == [str(out / name) for name in sorted_by_table(out)]
    tables = audit.load(folder)
    for name in ("transcripts", "sites", "explanations", "verdicts", "evidence"):
        table, exported = getattr(tables, name), pd.read_csv(out / f"{name}.csv")
        assert list(exported.columns) == list(table.columns) and len(exported) == len(table)
    assert tables.explanations is not None
    exported = pd.read_csv(out / "explanations.csv")
    assert exported["cosine"].tolist() == pytest.approx(tables.explanations["cosine"].tolist())
    assert exported["text"].tolist() == tables.explanations["text"].tolist()
    assert set(pd.read_csv(out / "sites.csv")["token"]) == {"'-1+1"}
    scenarios = pd.read_csv(out / "findings-scenarios.csv")
    assert scenarios["nla_aware_rate"].tolist() == pytest.approx(
        [row["nla_aware_rate"] for row in (tables.findings or {})["scenarios"]], nan_ok=True
    )
    for file in out.glob("*.csv"):
        with file.open(newline="", encoding="utf-8") as stream:
            for row in csv.reader(stream):
                for value in row:
                    assert not value.startswith(("=", "+", "@", "\t", "\r")) and (not value.startswith("-") or float(value) < 0)


def sorted_by_table(out: Path) -> list[str]:
    order = ("transcripts", "sites", "explanations", "verdicts", "evidence")
    tables = [f"{name}.csv" for name in order]
    return tables + [f"{name}.csv" for name in ("findings-scenarios", "findings", "findings-scanner_rates", "findings-manipulations")]


def test_without_a_choice_it_is_csv_and_markdown(folder: Path, tmp_path: Path) -> None:
    assert run_command(cli, ["export", str(folder), "--to", str(tmp_path / "out")]) == 0
    names = {file.name for file in (tmp_path / "out").iterdir()}
    assert {"summary.md", "verdicts.csv"} <= names and "report.pdf" not in names
    assert json.loads((folder / "findings.json").read_text())["schema_version"] == 1


def test_without_a_browser_a_pdf_is_one_sentence_and_nothing_is_written(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run_command(cli, ["export", str(folder), "--to", str(tmp_path / "out"), "--pdf", "--csv"]) == 2
    shown = capsys.readouterr().err
    assert "A PDF needs Chromium" in shown and "print it to a file" in shown and not (tmp_path / "out").exists()
    assert run_command(cli, ["export", str(folder), "--to", str(folder)]) == 2 and "own folder" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("chromium") or shutil.which("google-chrome")), reason="no Chromium on this machine")
def test_the_browser_prints_the_report(folder: Path, tmp_path: Path) -> None:
    assert run_command(cli, ["export", str(folder), "--to", str(tmp_path / "out"), "--pdf"]) == 0
    printed = (tmp_path / "out" / "report.pdf").read_bytes()
    assert printed.startswith(b"%PDF-") and len(printed) > 50_000 and {file.name for file in (tmp_path / "out").iterdir()} == {"report.pdf"}
