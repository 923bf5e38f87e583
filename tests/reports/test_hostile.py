"""The hostile texts outside a browser: in Markdown, in CSV files and in a terminal nothing of them acts."""

from __future__ import annotations

import copy
import csv
import io
import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import pytest
from browsing import is_hidden
from click.testing import CliRunner
from forged import HARMLESS, Speaker, room, single_of, tables_of
from hostile import HOSTILE, MEGABYTE
from wide import as_folder

from audit.cli.compared import print_comparison
from audit.cli.explained import Explained, show
from audit.cli.label import ask, give
from audit.cli.outcome import run_command
from audit.cli.summary import agreement_lines, print_summary
from audit.cli.terminal import Terminal, clean
from audit.cli.texts import _print
from audit.comparison.records import AreaVerdict, AuditComparison, FindingMatch, RateChange, SideSummary, Themes
from audit.errors import AuditError
from audit.exports import export_csv
from audit.records import Explanation, Motive, Verdict
from audit.review.sample import Item
from audit.spreadsheet import cell
from audit.store import Store
from reports.markdown import render_markdown, said
from reports.text import markup
from reports.view import AuditTables

HARMLESS_TOKENS = {
    "paragraph", "heading", "table", "thead", "tbody", "tr", "th", "td", "bullet_list", "list_item", "text", "code_inline", "inline",
    "softbreak",
}  # fmt: skip
FRAMES = ("- {}", "| a | {} |", "## {}", "{}")


def rendered(markdown: str) -> Iterator[Any]:
    """The tokens that a renderer makes of it, those inside lines too."""
    from markdown_it import MarkdownIt

    for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(markdown):
        yield token
        yield from token.children or ()


def kinds(tokens: list[Any]) -> set[str]:
    return {token.type.removesuffix("_open").removesuffix("_close") for token in tokens}


@pytest.mark.parametrize("frame", FRAMES)
def test_each_does_nothing_in_markdown(frame: str) -> None:
    table = frame.startswith("|")
    for text in HOSTILE:
        head = "| a | b |\n| --- | --- |\n" if table else ""
        markdown = f"{head}{frame.format(said(text))}\n"
        tokens = list(rendered(markdown))
        assert kinds(tokens) <= HARMLESS_TOKENS, text
        assert sum(token.type == "heading_open" for token in tokens) == frame.startswith("#"), text
        assert sum(token.type == "bullet_list_open" for token in tokens) == frame.startswith("-"), text
        assert sum(token.type in ("td_open", "th_open") for token in tokens) == (4 if table else 0), text
        loose = "".join(token.content for token in tokens if token.type == "text")
        assert not set("@#<>$`|~*") & set(loose) and "://" not in loose and "www." not in loose, text
        assert not [sign for sign in markdown if sign != "\n" and is_hidden(sign)], text


def test_in_every_place_of_the_summary_of_an_audit() -> None:
    strong = HARMLESS_TOKENS | {"strong", "blockquote"}
    with room():
        pages = [render_markdown(tables_of(Speaker(texts))) for texts in (HARMLESS, HOSTILE)]
        pages += [render_markdown(single_of(Speaker(), number)) for number in range(len(HOSTILE))]
    shapes = []
    for page in pages:
        tokens = list(rendered(page))
        assert kinds(tokens) <= strong and not [sign for sign in set(page) if sign != "\n" and is_hidden(sign)]
        shapes.append([token.type for token in tokens if token.type.endswith("_open") and token.type != "strong_open"])
    assert shapes[0] == shapes[1] and len(shapes[0]) > 3 * len(HOSTILE)


def test_in_every_cell_of_the_csv_files(tmp_path: Path) -> None:
    store = Store(as_folder(tmp_path / "audit", tables_of(Speaker())), create=False)
    written = export_csv(store, Store(tmp_path / "out"))
    csv.field_size_limit(10**9)
    seen = set()
    for name in written:
        with (tmp_path / "out" / name).open(newline="", encoding="utf-8") as stream:
            rows = list(csv.reader(stream))
        assert len({len(row) for row in rows}) <= 1
        values = {value for row in rows for value in row}
        assert not [
            value for value in values if value.startswith(tuple("=+@\t\r\n\uff1d")) or (value.startswith("-") and not is_number(value))
        ]
        seen |= values
    lost = [text for text in HOSTILE if cell(text.encode("utf-8", "replace").decode()) not in seen]
    assert lost == []


def is_number(value: str) -> bool:
    try:
        return float(value) is not None
    except ValueError:
        return False


def assert_inert(shown: str, shows: str = "") -> None:
    """Nothing in it commands a terminal, turns its text around or grows over the lines above."""
    assert not [sign for sign in set(shown) if sign not in "\n\t" and is_hidden(sign)]
    marks = {sign for sign in set(shown) if unicodedata.category(sign) in ("Mn", "Me")}
    assert not marks or not re.search(f"[{''.join(marks)}]{{3}}", shown)
    assert clean(shows, keep="") in shown


def test_in_what_the_terminal_says_of_an_audit(tables: AuditTables, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(tmp_path / "a\x1b[2J\u202e")
    found = copy.deepcopy(tables.findings) | {"findings": [], "evidence": [], "scanner_rates": []}
    found["scenarios"] = [row | {"any_of_n_curve": []} for row in found["scenarios"]]
    found["manipulations"] = [{"scenario": "", "manipulation": "", "as_expected": None}]
    found["motives"] |= {"why_not": None, "themes": [{"theme": "", "z": 2.0}]}
    rate = {"count": 1, "of": 2, "rate": 0.5, "ci": [0.1, 0.9]}
    for text in (*HOSTILE, *MEGABYTE):
        found["scenarios"] = [row | {"name": text, "kind": text} for row in found["scenarios"][:1]]
        found["manipulations"][0] |= {"scenario": text, "manipulation": text}
        found["grader"], found["motives"]["themes"][0]["theme"] = {"model": text, "scanners": []}, text
        found["limits"], found["ground_truth"]["averaged_over"] = [text], [text]
        (tmp_path / store.folder / "findings.json").write_text(json.dumps(found), encoding="utf-8")
        row = {"scanner": text, "rows": 1, "kappa": 0.5, "kappa_ci": None, "precision": rate, "recall": rate}
        (store.folder / "agreement.json").write_text(json.dumps({"scanners": [row]}), encoding="utf-8")
        print_summary(store)
        shown = capsys.readouterr().out + "\n".join(agreement_lines(store))
        assert_inert(shown, text if len(text) < 20 else "")
        assert len(shown) < 10_000


def test_in_what_the_terminal_says_of_a_comparison(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def filled(record: Any, text: str, **known: Any) -> Any:
        """A record with the text in each of its fields that is one."""
        return record(**{field.name: known.get(field.name, text) for field in fields(record)})

    share = {"count": 1, "of": 2, "rate": 0.5, "ci": [0.1, 0.9]}
    for text in (*HOSTILE, *MEGABYTE):
        side = filled(SideSummary, text, layer=1, transcripts=1, findings=1, unfinished=(text,))
        ends = {"first": share, "second": share, "difference": 0.1, "ci": (0.0, 0.2), "cluster_ci": None, "p": 0.1, "p_adjusted": 0.1}
        change = filled(RateChange, text, **ends, area="behaviour", direction="rose", pairs=0, only_first=0, only_second=0)
        match = filled(FindingMatch, text, status="new", first=None, second=None, p_adjusted=None)
        theme = Motive(text, (text,), 1.0, 2.0, 0.1, 1, 2, 1, 2, (0.1, 0.9), 1, 2, None, ())
        found = filled(
            AuditComparison, text, schema_version=1, first=side, second=side, verdicts=(AreaVerdict("behaviour", "with care", (text,)),),
            settings=(), shared_scenarios=(), only_first=(text,), only_second=(text,), same_samples=0, other_prompts=0, rates=(change,),
            findings=(match,), themes=Themes((theme,), (), ""), notes=(text,),
        )  # fmt: skip
        print_comparison(found, tmp_path, tmp_path)
        assert_inert(capsys.readouterr().out)


def test_in_explanations_notes_and_mistakes(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    plain = Console(highlight=False, width=100, file=io.StringIO())
    rows = [Explained(at, text, text, "ok", 0.5, 1.0, 1.0, "ok", 3) for at, text in enumerate(HOSTILE)]
    assert len(show(rows, plain, None)) == len(HOSTILE)
    for text in HOSTILE:
        Terminal(plain).note(text)
    shown = plain.file.getvalue()  # type: ignore[attr-defined]
    assert_inert(shown, "[bold red]rich[/]")
    said_of = [Explanation("t", 0, at, 0, "none", 0.0, "", text, "ok") for at, text in enumerate((*HOSTILE, *MEGABYTE))]
    _print(said_of, [Verdict("t", 0, row.position, 0, "scanner", "YES", "", 0.5, "") for row in said_of])
    assert_inert(capsys.readouterr().out)

    @click.command()
    @click.argument("text")
    def refuse(text: str) -> None:
        raise AuditError(text, text)

    for text in HOSTILE:
        run_command(refuse, ["--", text])
        assert_inert(capsys.readouterr().err, text if len(text) < 20 and text.isprintable() else "")
        run_command(refuse, ["--", "", text])
        assert_inert(capsys.readouterr().err)


def test_in_what_a_reviewer_labels(tmp_path: Path) -> None:
    items = [Item(("t", 0, at, 0), text.encode("utf-8", "replace").decode(), "NO") for at, text in enumerate((*HOSTILE, *MEGABYTE))]

    store = Store(tmp_path / "audit")
    store.write_manifest({"manifest_version": 1, "stages": {}})

    @click.command()
    def label() -> None:
        ask(store, items, "\x1b[31mreviewer")

    shown = CliRunner().invoke(label, input="n\n" * len(items), catch_exceptions=False).output
    assert_inert(shown, "[bold red]rich[/]")
    assert f"{len(items)} of {len(items)} labelled" in shown and len(shown) < 200_000 and "more characters not shown]" in shown
    give(items, tmp_path / "sheet.csv")
    csv.field_size_limit(10**9)
    with (tmp_path / "sheet.csv").open(newline="", encoding="utf-8") as stream:
        assert [row["text"] for row in csv.DictReader(stream)] == [cell(item.text) for item in items]


@pytest.mark.parametrize("text", MEGABYTE, ids=lambda text: repr(text[:8]))
def test_a_flood_is_cut_or_counted(text: str) -> None:
    assert len(markup(text)) < 1500 and "more characters not shown]" in markup(text)
