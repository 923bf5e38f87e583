"""People's labels: what they are asked, what is saved, what the agreement is; and sign-offs, bound to the findings."""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner

import audit
from audit.cli import cli
from audit.cli.label import QUESTION
from audit.cli.outcome import run_command
from audit.review.agreement import agreement_of
from audit.review.labels import HumanLabel, add_labels, read_labels
from audit.review.sample import allocate, draw
from audit.store import Store, content_hash

SCANNER = "awareness.classifier"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory, make_tables: Any, make_folder: Any) -> Path:
    folder: Path = make_folder(tmp_path_factory.mktemp("audit") / "original", make_tables())
    return folder


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    """An audit of one's own to write into."""
    return Path(shutil.copytree(original, tmp_path / "audit"))


def label(folder: Path, typed: str, *options: str) -> str:
    """What the terminal shows while somebody types."""
    found = CliRunner().invoke(cli, ["label", str(folder), *options], input=typed)
    assert found.exit_code == 0, found.output
    return found.output


def labelled(store: Store, size: int, says: Any, reviewer: str = "ada") -> list[HumanLabel]:
    """Labels for a sample, by a function of the item."""
    items = draw(store, size)
    rows = [HumanLabel(*item.place, says(item), reviewer, item.text_sha256, item.stratum, "2026-01-01T00:00:00Z") for item in items]
    add_labels(store, rows)
    return rows


def test_shares_are_equal_as_far_as_there_are_enough() -> None:
    assert allocate(60, {"YES": 500, "NO": 400, "UNCLEAR": 4}) == {"YES": 28, "NO": 28, "UNCLEAR": 4}
    assert allocate(10, {"YES": 2, "NO": 3}) == {"YES": 2, "NO": 3, "UNCLEAR": 0}
    for size in range(1, 30):
        assert sum(allocate(size, {"YES": 9, "NO": 14, "UNCLEAR": 3}).values()) == min(size, 26)


def test_the_sample_is_seeded_stratified_and_in_no_order(original: Path) -> None:
    store = Store(original, create=False)
    items = draw(store, 40)
    assert draw(store, 40) == items != draw(store, 40, seed=1)
    assert Counter(item.stratum for item in items) == {"YES": 20, "NO": 20}
    assert {item.place for item in items} <= {item.place for item in draw(store, 60)}
    strata = [item.stratum for item in items]
    assert strata != sorted(strata) and strata != sorted(strata, reverse=True)
    places = [item.place for item in items]
    assert places != sorted(places) and len({item.key for item in items}) == 40


def test_nothing_that_could_sway_a_reviewer_is_shown(original: Path, folder: Path) -> None:
    shown = label(folder, "y\nn\nu\n" * 10, "--sample", "30").replace(QUESTION, "")
    tables = audit.load(original)
    assert tables.transcripts is not None
    names = {*tables.transcripts["scenario"], *tables.transcripts["transcript_id"]}
    for hidden in ("YES", "NO", SCANNER, "classifier", "deployment", *names):
        assert hidden not in shown
    assert "30 of 30 labelled" in shown


def test_each_answer_is_saved_and_the_same_command_goes_on(folder: Path) -> None:
    store = Store(folder, create=False)
    first = label(folder, "y\nn\nquit\n", "--sample", "5", "--reviewer", "ada")
    assert [row.label for row in read_labels(store)[0]] == ["YES", "NO"] and "2 of 5 labelled" in first
    second = label(folder, "nonsense\nu\n", "--sample", "5", "--reviewer", "ada")
    assert "--- 3 of 5 ---" in second and "--- 1 of 5 ---" not in second and "Type y, n, u, back or quit." in second
    assert [row.label for row in read_labels(store)[0]] == ["YES", "NO", "UNCLEAR"]
    label(folder, "back\nn\nyes\nno\n", "--sample", "5", "--reviewer", "ada")
    rows, damaged = read_labels(store)
    assert {row.place: row.label for row in rows} == {
        item.place: said for item, said in zip(draw(store, 5), ("YES", "NO", "NO", "YES", "NO"), strict=True)
    }
    assert damaged == 0 and len(rows) == 5
    label(folder, "n\n", "--sample", "5", "--reviewer", "bob")
    assert Counter(row.reviewer for row in read_labels(store)[0]) == {"ada": 5, "bob": 1}


def test_a_sheet_goes_out_blind_and_comes_back(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sheet, filled = tmp_path / "sheet.csv", tmp_path / "filled.csv"
    label(folder, "", "--sample", "12", "--sheet", str(sheet))
    with sheet.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 12 and set(rows[0]) == {"item", "text", "label", "reviewer"} and "blackmail" not in sheet.read_text()
    assert run_command(cli, ["label", str(folder), "--sheet", str(sheet)]) == 2 and "there already" in capsys.readouterr().err
    for row, said in zip(rows, ["YES", "no", "u", "perhaps", "", *["n"] * 7], strict=True):
        row["label"] = said
    rows[5]["item"] = "unknown"
    with filled.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    assert run_command(cli, ["label", str(folder), "--labels", str(filled)]) == 2
    assert "names no reviewer" in capsys.readouterr().err and not (folder / "labels.jsonl").exists()
    assert run_command(cli, ["label", str(folder), "--labels", str(filled), "--reviewer", "cyd"]) == 0
    out, err = capsys.readouterr()
    assert "9 labels taken, 2 rows refused, 1 without a label" in out and "'perhaps' is no label" in err and "Row 6" in err
    texts = {item.key: item.place for item in draw(Store(folder, create=False), 12)}
    saved = {row.place: row.label for row in read_labels(Store(folder, create=False))[0]}
    assert saved[texts[rows[0]["item"]]] == "YES" and saved[texts[rows[2]["item"]]] == "UNCLEAR"


def test_json_lines_name_explanations_by_their_place(folder: Path, tmp_path: Path) -> None:
    item = draw(Store(folder, create=False), 1)[0]
    place = dict(zip(("transcript_id", "call_index", "position", "sample"), item.place, strict=True))
    file = tmp_path / "labels.jsonl"
    file.write_text(json.dumps(place | {"label": "yes", "reviewer": "dee"}) + "\nno json\n")
    label(folder, "", "--labels", str(file))
    (row,) = read_labels(Store(folder, create=False))[0]
    assert (row.place, row.label, row.reviewer, row.stratum) == (item.place, "YES", "dee", item.stratum)


def test_agreement_is_that_of_the_tables_weighed_back(folder: Path) -> None:
    """People agree with the scanner on every NO and on three of four YES: kappa, precision and recall recomputed by hand."""
    from sklearn.metrics import cohen_kappa_score, precision_score, recall_score

    store = Store(folder, create=False)
    says = iter("YNYY" * 100)
    rows = labelled(store, 80, lambda item: "NO" if item.stratum == "NO" or next(says) == "N" else "YES")
    found = agreement_of(store)
    assert found is not None
    verdicts = audit.load(folder).verdicts
    assert verdicts is not None
    own = verdicts[(verdicts["scanner"] == SCANNER) & (verdicts["control"] == "none")]
    assert found["population"] == {"YES": 0, "NO": 0, "UNCLEAR": 0} | own["label"].value_counts().to_dict()
    weight = {stratum: found["population"][stratum] / count for stratum, count in Counter(row.stratum for row in rows).items()}
    people, scanner, weights = zip(*((row.label, row.stratum, weight[row.stratum]) for row in rows), strict=True)
    (entry,) = found["scanners"]
    assert entry["kappa"] == pytest.approx(cohen_kappa_score(people, scanner, sample_weight=weights))
    assert entry["kappa_ci"][0] < entry["kappa"] < entry["kappa_ci"][1]
    truth, said = ([value == "YES" for value in values] for values in (people, scanner))
    assert entry["precision"]["rate"] == pytest.approx(precision_score(truth, said, sample_weight=weights)) == 0.75
    assert entry["recall"]["rate"] == pytest.approx(recall_score(truth, said, sample_weight=weights)) == 1.0
    assert entry["recall"]["ci"][0] < 1 and entry["confusion"]["NO"]["YES"] == 10
    assert found["people_yes"]["rate"] == pytest.approx(0.75 * found["population"]["YES"] / sum(found["population"].values()))


def test_weights_matter_where_the_scanner_misses_much(folder: Path) -> None:
    """One of eight NO is a YES to people: in the sample that is little, in the audit, most of which is NO, it is more."""
    store = Store(folder, create=False)
    count = iter(range(1000))
    labelled(store, 80, lambda item: "YES" if item.stratum == "YES" or next(count) % 8 == 0 else "NO")
    found = agreement_of(store)
    assert found is not None
    (entry,) = found["scanners"]
    yes, no = found["population"]["YES"], found["population"]["NO"]
    assert no > 2 * yes and entry["recall"]["rate"] == pytest.approx(yes / (yes + no / 8)) and entry["recall"]["rate"] < 40 / 45 - 0.1


def test_reviewers_are_held_against_each_other_and_a_tie_is_unclear(folder: Path) -> None:
    store = Store(folder, create=False)
    labelled(store, 40, lambda item: item.stratum, "ada")
    labelled(store, 20, lambda item: "NO", "bob")
    found = agreement_of(store)
    assert found is not None
    (pair,) = found["between_reviewers"]
    assert (pair["first"], pair["second"], pair["rows"]) == ("ada", "bob", 20) and pair["kappa"] == pytest.approx(0)
    assert found["scanners"][0]["confusion"]["UNCLEAR"]["YES"] == pair["rows"] - sum(item.stratum == "NO" for item in draw(store, 20))


def test_labels_of_wording_that_changed_and_damaged_lines_are_counted_and_left_out(folder: Path) -> None:
    store = Store(folder, create=False)
    rows = labelled(store, 10, lambda item: item.stratum)
    add_labels(store, [replace(rows[0], text_sha256="0" * 64)])
    file = folder / "labels.jsonl"
    file.write_text(file.read_text() + "no json\n" + json.dumps(asdict(rows[1]) | {"label": "MAYBE"}) + "\n")
    found = agreement_of(store)
    assert found is not None and (found["rows"], found["stale"], found["damaged_lines"]) == (9, 1, 2)
    shown = CliRunner().invoke(cli, ["label", str(folder), "--sample", "30", "--reviewer", "eve"], input="y\n")
    assert shown.exit_code != 0, "a file with somebody's work in it is not written over"
    assert len(file.read_text().splitlines()) == 12


def test_nobody_labelled_and_nothing_to_label_are_said_in_words(
    folder: Path, tmp_path: Path, make_tables: Any, make_folder: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert agreement_of(Store(folder, create=False)) is None
    assert run_command(cli, ["report", str(folder)]) == 0
    assert "nobody has labelled" in (folder / "report.html").read_text() and not (folder / "agreement.json").exists()
    bare = make_folder(tmp_path / "bare", make_tables(nla=False, per_scenario=4, controls=4))
    assert run_command(cli, ["label", str(bare)]) == 2
    assert "no explanations to label" in capsys.readouterr().err


def test_the_report_states_the_agreement_that_is_kept_beside_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(folder, create=False)
    labelled(store, 40, lambda item: item.stratum, "</p><script>boo</script>")
    assert run_command(cli, ["report", str(folder)]) == 0
    assert f"People and {SCANNER} on 40 explanations: kappa 1.00" in capsys.readouterr().out
    found, html = json.loads((folder / "agreement.json").read_text()), (folder / "report.html").read_text()
    (entry,) = found["scanners"]
    assert f'<data value="{entry["kappa"]}">' in html and f'<data value="{entry["recall"]["ci"][0]}">' in html
    assert "<script>boo" not in html and content_hash(folder / "findings.json") == content_hash(folder / "findings.json")
    (folder / "labels.jsonl").unlink()
    assert run_command(cli, ["report", str(folder)]) == 0 and not (folder / "agreement.json").exists()


def signed(folder: Path, **changes: Any) -> dict[str, Any]:
    fields = {
        "schema_version": 1, "findings_sha256": content_hash(folder / "findings.json"), "name": "Ada", "role": "Lead",
        "decision": "approve", "conditions": "", "notes": "", "signed": "2026-11-21",
    }  # fmt: skip
    return fields | changes


def sign(folder: Path, tmp_path: Path, content: Any) -> int:
    file = tmp_path / "sign-off.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return run_command(cli, ["report", str(folder), "--sign-off", str(file)])


BAD = [
    ({"name": ""}, "'name'"),
    ({"name": "   "}, "'name'"),
    ({"decision": "maybe"}, "'decision'"),
    ({"decision": "approve_with_conditions", "conditions": " "}, "must name them"),
    ({"findings_sha256": "abc"}, "'findings_sha256'"),
    ({"signed": "yesterday"}, "'signed'"),
    ({"schema_version": 2}, "'schema_version'"),
    ({"extra": 1}, "'extra'"),
    ({"notes": 7}, "'notes'"),
    ({"findings_sha256": "0" * 64}, "sign-off of other findings"),
]


@pytest.mark.parametrize(("changes", "expected"), BAD, ids=lambda value: str(value)[:40])
def test_a_sign_off_that_is_none_is_refused_and_nothing_kept(
    folder: Path, tmp_path: Path, changes: dict[str, Any], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sign(folder, tmp_path, signed(folder, **changes)) == 2
    shown = capsys.readouterr().err
    assert expected in shown and len(shown.splitlines()) == 2
    assert not (folder / "sign-offs.json").exists() and not (folder / "report.html").exists()


@pytest.mark.parametrize("content", ["no json", "[1]", "null", '{"name": "\\ud800"}', "[" * 100_000])
def test_files_that_hold_anything_else_are_refused(folder: Path, tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert sign(folder, tmp_path, content) == 2 and "Traceback" not in capsys.readouterr().err


def test_a_sign_off_stands_on_top_until_the_findings_change(folder: Path, tmp_path: Path) -> None:
    first = signed(folder, decision="approve_with_conditions", conditions="Repeat it <b>soon</b>.", name="<script>boo</script>")
    assert sign(folder, tmp_path, first) == sign(folder, tmp_path, first) == 0
    assert sign(folder, tmp_path, signed(folder, name="Bob", decision="reject")) == 0
    kept, html = json.loads((folder / "sign-offs.json").read_text()), (folder / "report.html").read_text()
    assert [row["name"] for row in kept] == ["<script>boo</script>", "Bob"]
    top = html[html.index("<body>") : html.index("<h1>")]
    assert top.index("Rejected") < top.index("Approved with conditions") and "Repeat it &lt;b&gt;soon&lt;/b&gt;." in top
    assert first["findings_sha256"] in top and "No longer valid" not in html and "<script>boo" not in html
    findings = json.loads((folder / "findings.json").read_text())
    Store(folder).write_json("findings.json", findings | {"created": "2027-01-01T00:00:00Z"})
    assert run_command(cli, ["report", str(folder)]) == 0
    html = (folder / "report.html").read_text()
    top = html[html.index("<body>") : html.index("<h1>")]
    assert top.count("No longer valid: the findings are not those that were signed.") == 2
    assert content_hash(folder / "findings.json") in top


def test_labels_and_sign_offs_change_no_finding(folder: Path, tmp_path: Path) -> None:
    before = content_hash(folder / "findings.json")
    labelled(Store(folder, create=False), 10, lambda item: item.stratum)
    assert sign(folder, tmp_path, signed(folder)) == 0
    assert content_hash(folder / "findings.json") == before and isinstance(audit.load(folder).verdicts, pd.DataFrame)
