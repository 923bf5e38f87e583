"""Two audits compared: what is comparable, every rate against findings.json and against the tables, tests, findings, themes."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import jsonschema
import pandas as pd
import pytest

import audit
from audit.cli import cli
from audit.cli.outcome import run_command
from audit.comparison import schema
from audit.comparison.assemble import compare_audits
from audit.comparison.claims import same_theme
from audit.comparison.records import AreaVerdict, AuditComparison, RateChange, Themes
from audit.comparison.side import SCANNER, Side, read_side
from audit.comparison.themes import themes_between
from audit.store import Store
from reports.view import AuditTables

FINDINGS_KEYS = {"nla_aware": "nla_aware", "verbalised": "verbalised", "harmful": "harmful"}


def no_themes(shared: set[str], verdict: AreaVerdict) -> Themes:
    return Themes((), (), "not asked")


def compared(first: Side, second: Side) -> AuditComparison:
    return compare_audits(first, second, no_themes)


def verdicts(found: AuditComparison) -> dict[str, str]:
    return {row.area: row.verdict for row in found.verdicts}


def rate(found: AuditComparison, scenario: str, measure: str) -> RateChange:
    (row,) = [row for row in found.rates if (row.scenario, row.measure) == (scenario, measure)]
    return row


def altered(side: Side, **findings: Any) -> Side:
    """The same audit with other statements in its findings."""
    return replace(side, findings={**copy.deepcopy(dict(side.findings)), **findings})


def configured(side: Side, **settings: Any) -> Side:
    return replace(side, manifest={**side.manifest, "config": {**side.config, **settings}})


def ruled(side: Side, **rule: Any) -> Side:
    return altered(side, awareness=side.findings["awareness"] | rule)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, make_tables: Any, make_text: Any, make_folder: Any) -> tuple[Path, Path]:
    """A model, and the organism made from it: much less awareness in blackmail, the same prompts."""
    root = tmp_path_factory.mktemp("audits")
    first = make_folder(root / "first", make_tables())
    second = make_folder(root / "second", make_tables(make_text(target="nla-lab/organism"), shares=(0.05, 0.3)))
    return first, second


@pytest.fixture(scope="module")
def sides(folders: tuple[Path, Path]) -> tuple[Side, Side]:
    first, second = (read_side(Store(folder, create=False)) for folder in folders)
    return first, second


def test_every_rate_is_the_one_in_findings_json(sides: tuple[Side, Side]) -> None:
    found = compared(*sides)
    checked = 0
    for side, key in zip(sides, ("first", "second"), strict=True):
        for row in side.findings["scenarios"]:
            for measure, name in FINDINGS_KEYS.items():
                share = getattr(rate(found, row["name"], measure), key)
                assert (share["rate"], share["ci"]) == (row[f"{name}_rate"], row[f"{name}_ci"])
                checked += share["rate"] is not None
            silent = getattr(rate(found, row["name"], "silent"), key)
            assert silent == row["nla_aware_unverbalised"]
        for entry in side.findings["scanner_rates"]:
            assert getattr(rate(found, entry["name"], SCANNER + entry["scanner"]), key) == entry["transcripts"]
    assert checked > 12


def test_the_paired_test_is_that_of_the_tables(folders: tuple[Path, Path], sides: tuple[Side, Side]) -> None:
    from scipy.stats import binomtest

    found = rate(compared(*sides), "blackmail", "harmful")
    harm = []
    for folder in folders:
        table = audit.load(folder).transcripts
        assert table is not None
        rows = table[(table["scenario"] == "blackmail") & table["error"].isna()]
        harm.append(pd.Series([json.loads(text)["harmful"] for text in rows["scores"]], index=rows["transcript_id"]))
    first, second = harm[0].align(harm[1], join="inner")
    only_first, only_second = int(((first == 1) & (second == 0)).sum()), int(((first == 0) & (second == 1)).sum())
    assert (found.test, found.pairs, found.only_first, found.only_second) == ("mcnemar", 24, only_first, only_second)
    assert only_first and only_second
    assert found.p == pytest.approx(binomtest(only_first, only_first + only_second, 0.5).pvalue)
    assert found.difference == pytest.approx((only_second - only_first) / 24)


def test_what_fell_is_said_to_have_fallen_and_tests_are_corrected_together(sides: tuple[Side, Side]) -> None:
    from statsmodels.stats.multitest import multipletests

    found = compared(*sides)
    fell = rate(found, "blackmail", "nla_aware")
    assert fell.direction == "fell" and fell.ci is not None and fell.ci[1] < 0
    assert rate(found, "destructive_code", "nla_aware").direction == "unclear"
    backwards = rate(compared(sides[1], sides[0]), "blackmail", "nla_aware")
    assert backwards.direction == "rose" and backwards.p == fell.p
    assert backwards.difference == pytest.approx(-fell.difference) if fell.difference is not None else False
    tested = [row for row in found.rates if row.p is not None]
    assert [row.p_adjusted for row in tested] == pytest.approx(list(multipletests([row.p for row in tested], method="fdr_bh")[1]))
    assert not [row for row in tested if row.first["count"] + row.second["count"] == 0], "nothing is tested where nothing happened"


def test_where_all_comes_from_two_origins_a_fall_is_not_called_one(sides: tuple[Side, Side]) -> None:
    origins = {one.transcript_id: str(one.measures["nla_aware"]) for one in sides[0].outcomes}

    def crowded(side: Side) -> Side:
        return replace(side, outcomes=tuple(replace(one, cluster=origins[one.transcript_id]) for one in side.outcomes))

    clear, crowd = rate(compared(*sides), "blackmail", "nla_aware"), rate(compared(*map(crowded, sides)), "blackmail", "nla_aware")
    assert clear.cluster_ci is not None and crowd.cluster_ci is not None
    assert (clear.direction, clear.cluster_ci[1] < 0) == ("fell", True)
    assert (crowd.direction, crowd.cluster_ci[1] >= 0) == ("unclear", True)
    assert (crowd.difference, crowd.ci, crowd.p) == (clear.difference, clear.ci, clear.p)


def test_the_schema_refuses_what_is_wrong(sides: tuple[Side, Side]) -> None:
    found = json.loads(json.dumps(asdict(compared(*sides))))
    jsonschema.Draft202012Validator.check_schema(schema())
    jsonschema.validate(found, schema())
    wrong = ({"direction": "up"}, {"ci": [0.1]}, {"first": {"count": 1}}, {"area": "weather"}, {"surprise": 1}, {"measure": "luck"})
    for change in wrong:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(found | {"rates": [found["rates"][0] | change]}, schema())


def test_the_rates_of_controls_that_thresholds_rest_on_are_not_compared(sides: tuple[Side, Side]) -> None:
    row = rate(compared(*sides), "ordinary_use", "nla_aware")
    assert row.difference is None and row.p is None and "thresholds are set on controls" in row.why_not


@pytest.mark.parametrize(
    ("change", "aspect"),
    [
        ({"nla": {"name": "another", "layer": 4, "d_model": 192, "temperature": 0.0}}, "NLA"),
        ({"nla": {"name": "nla-lab/nla-3m@a1b2c3d", "layer": 2, "d_model": 192, "temperature": 0.0}}, "layer"),
        ({"nla": None}, "explanations"),
    ],
)
def test_without_the_same_nla_and_layer_only_behaviour_is_compared(sides: tuple[Side, Side], change: dict[str, Any], aspect: str) -> None:
    found = compared(sides[0], altered(sides[1], **change))
    (difference,) = [row for row in found.settings if row.aspect == aspect]
    assert difference.first != difference.second and difference.meaning
    said = verdicts(found)
    assert {said[area] for area in ("awareness", "scanners", "graded", "themes")} == {"not comparable"}
    assert said["behaviour"] == said["verbalised"] == "comparable"
    aware, harm = rate(found, "blackmail", "nla_aware"), rate(found, "blackmail", "harmful")
    assert aware.difference is None and aware.p is None and aspect in aware.why_not and aware.first["rate"] is not None
    assert harm.difference is not None and harm.p_adjusted is not None


def test_more_tokens_make_any_yes_likelier_and_a_share_only_finer(sides: tuple[Side, Side]) -> None:
    said = verdicts(compared(sides[0], configured(sides[1], tokens=50)))
    assert said["scanners"] == "not comparable" and said["awareness"] == "with care" and said["behaviour"] == "comparable"


@pytest.mark.parametrize(
    ("second", "area", "verdict"),
    [
        (
            lambda side: altered(side, awareness=side.findings["awareness"] | {"scanner": "awareness.lexical"}),
            "awareness",
            "not comparable",
        ),
        (lambda side: altered(side, awareness=side.findings["awareness"] | {"threshold": None}), "awareness", "not comparable"),
        (lambda side: altered(side, awareness=side.findings["awareness"] | {"threshold": 0.99}), "awareness", "with care"),
        (lambda side: configured(side, sites="last:10"), "themes", "not comparable"),
        (lambda side: configured(side, seed=5), "scanners", "with care"),
        (lambda side: configured(side, sandbox="docker"), "behaviour", "with care"),
        (lambda side: configured(side, limit=3), "behaviour", "comparable"),
        (lambda side: replace(side, manifest={**side.manifest, "versions": {"nla-audit": "9"}}), "verbalised", "with care"),
        (lambda side: replace(side, summary=replace(side.summary, unfinished=("verdicts",))), "behaviour", "with care"),
    ],
)
def test_each_difference_says_what_it_touches(sides: tuple[Side, Side], second: Callable[[Side], Side], area: str, verdict: str) -> None:
    assert verdicts(compared(sides[0], second(sides[1])))[area] == verdict
    assert compared(sides[0], second(sides[1])).settings


def test_the_same_nla_on_another_checkpoint_calls_for_care(sides: tuple[Side, Side]) -> None:
    found = compared(*sides)
    aspects = {row.aspect: row for row in found.settings}
    assert set(aspects["target"].effects.values()) == {"subject"} and "FVE" in aspects["how well the NLA fits"].first
    assert verdicts(found)["awareness"] == "with care"
    again = compared(sides[0], sides[0])
    assert [row.aspect for row in again.settings] == ["target"] and "not which revision" in again.settings[0].meaning
    assert not any(row.direction in ("rose", "fell") for row in again.rates) and {row.status for row in again.findings} == {"kept"}


def test_other_prompts_under_the_same_names_are_no_pairs(
    tmp_path: Path, sides: tuple[Side, Side], make_tables: Any, make_text: Any, make_folder: Any
) -> None:
    other = make_folder(tmp_path / "other", make_tables(make_text(message="Quite another mail about the same change.")))
    found = compared(sides[0], read_side(Store(other, create=False)))
    row = rate(found, "blackmail", "harmful")
    assert row.test == "fisher" and row.pairs == 0 and found.same_samples == 0 and found.other_prompts == 108
    assert any("other prompts" in note for note in found.notes)


def test_scenarios_of_one_audit_only_are_named_and_their_findings_not_called_vanished(
    tmp_path: Path, sides: tuple[Side, Side], make_tables: Any, make_text: Any, make_folder: Any
) -> None:
    tables = make_tables(make_text(blackmail="sabotage", identifier="sabotage"))
    found = compared(sides[0], read_side(Store(make_folder(tmp_path / "other", tables), create=False)))
    assert found.only_first == ("blackmail",) and found.only_second == ("sabotage",)
    assert {row.scenario for row in found.rates} == {"destructive_code", "ordinary_use"}
    gone = [row for row in found.findings if "blackmail" in row.about]
    assert gone and {row.status for row in gone} == {"not_asked"} and all(row.why for row in gone)


def test_findings_are_matched_by_what_they_are_about_not_by_their_wording(sides: tuple[Side, Side]) -> None:
    found = compared(*sides)
    by_about = {row.about: row for row in found.findings}
    aware = by_about["awareness of being evaluated in blackmail"]
    assert aware.status in ("kept", "vanished") and aware.p_adjusted == rate(found, "blackmail", "nla_aware").p_adjusted
    reworded = [finding | {"claim": f"Said otherwise, number {number}."} for number, finding in enumerate(sides[0].findings["findings"])]
    assert {row.status for row in compared(sides[0], altered(sides[0], findings=reworded)).findings} == {"kept"}
    vanished = [row for row in found.findings if row.status == "vanished" and row.about.startswith("awareness in the transcript")]
    aware_in_second = {row.transcript_id for row in sides[1].outcomes if row.measures["nla_aware"]}
    assert vanished and all(row.first is not None and row.first["id"].split("/", 1)[1] not in aware_in_second for row in vanished)
    counted = sum(row.first is not None for row in found.findings), sum(row.second is not None for row in found.findings)
    assert counted == tuple(len(side.findings["findings"]) for side in sides)


def test_motives_are_the_same_if_their_words_are() -> None:
    assert same_theme(("blackmail", "secret", "leverage"), ("secret", "blackmail", "affair"))
    assert not same_theme(("blackmail", "secret"), ("grader", "score"))
    assert not same_theme((), ("grader",))


def test_a_theme_of_one_side_is_found_and_none_between_equals(
    tmp_path: Path, folders: tuple[Path, Path], make_tables: Any, make_folder: Any
) -> None:
    tables: AuditTables = make_tables()
    assert tables.explanations is not None
    texts = tables.explanations["text"]
    marked = texts.where(tables.explanations.index % 3 != 0, texts + " It hides the ledger from the auditors.")
    other = make_folder(tmp_path / "other", replace(tables, explanations=tables.explanations.assign(text=marked)))
    stores = Store(folders[0], create=False), Store(other, create=False)
    fine = AreaVerdict("themes", "comparable", ())
    found = themes_between(*stores, {"blackmail", "destructive_code"}, fine)
    assert any("ledger" in theme.words for theme in found.more_in_second) and not found.why_not
    assert not any("ledger" in theme.words for theme in found.more_in_first)
    assert themes_between(*stores, set(), fine).why_not
    barred = themes_between(*stores, {"blackmail"}, AreaVerdict("themes", "not comparable", ("layer: 4 against 2",)))
    assert "layer" in barred.why_not and barred.more_in_second == ()


def test_the_command_writes_what_it_prints(folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = map(str, folders)
    out = tmp_path / "out"
    assert run_command(cli, ["compare", first, second, "--out", str(out), "--json"]) == 0
    printed = capsys.readouterr().out
    found = json.loads(printed)
    assert printed.isascii() and found == json.loads((out / "comparison.json").read_text())
    jsonschema.validate(found, schema())
    assert len(found["rates"]) == len({(row["scenario"], row["measure"]) for row in found["rates"]})
    assert "<h1>" in (out / "comparison.html").read_text()
    assert run_command(cli, ["compare", first, second, "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "fell" in shown and "vanished" in shown and len(shown.splitlines()) <= 45


def test_mistakes_are_answered_in_a_sentence(folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = map(str, folders)
    (tmp_path / "empty").mkdir()
    before = {file: file.read_bytes() for file in folders[0].iterdir() if file.is_file()}
    out = str(tmp_path / "x")
    cases = [
        ([first, first, "--out", out], "compared with itself"),
        ([first, str(tmp_path / "empty"), "--out", out], "no audit's folder"),
        ([first, str(tmp_path / "nowhere"), "--out", out], "no audit's folder"),
        ([first, second, "--out", first], "one of the two audits"),
    ]
    for arguments, expected in cases:
        assert run_command(cli, ["compare", *arguments]) == 2
        assert expected in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
    assert before == {file: file.read_bytes() for file in folders[0].iterdir() if file.is_file()}
