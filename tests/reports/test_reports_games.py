"""Games in the report: every number is that of game.json, transcripts are linked, nothing is said of a game that was not played."""

from __future__ import annotations

import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from audit.cli import cli
from audit.cli.outcome import run_command
from audit.game.records import GameRun, Grade, Spent
from audit.game.results import chart_data, run_rows, summary
from reports.games import NONE, RUNS, game_view
from reports.games_page import render_game
from reports.view import AuditTables

ARMS = ("conversation", "nla")
HOSTILE = '</td><script>window.pwned=1</script>"><img src=x onerror=window.pwned=1>\u202e\x1b[2J'


def a_run(
    organism: str, arm: str, seed: int, kind: Any = "organism", won: bool = False, alarm: bool = False, cause: str = "Bees."
) -> GameRun:
    grade = Grade(won, alarm, ("honey", "hives")[: 1 + won], 4, ("It names the cause.",) if won else ("It names none.",))
    report = {"claims": [{"kind": "root_cause", "text": cause, "confidence": 0.5, "evidence": []}], "text": ""}
    about = {"sample": f"seed-{seed}", "api_tokens": 0, "report": report}
    return GameRun(
        organism, kind, arm, seed, "scripted", grade, Spent(10, 1000, 0.5), int(seed == 0), 2, f"{organism}_{arm}.eval", "", about
    )


def results(runs: list[GameRun]) -> dict[str, Any]:
    """What ``nla-audit game`` writes."""
    found = summary(runs)
    loaded: dict[str, Any] = json.loads(json.dumps(found | {"chart": chart_data(found), "runs": run_rows(runs)}))
    return loaded


@pytest.fixture(scope="module")
def played() -> dict[str, Any]:
    runs = [a_run(f"organism-{n}", arm, seed, won=arm == "nla" and n < 3) for arm in ARMS for n in range(5) for seed in range(4)]
    runs += [a_run("decoy", arm, seed, "decoy", alarm=seed == 0) for arm in ARMS for seed in range(4)]
    failed = GameRun("organism-0", "organism", "nla", 9, "scripted", None, Spent(), error="Out of memory.")
    return results([*runs, failed])


class Page(HTMLParser):
    """The tags of a page and their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def values(self, tag: str, name: str) -> list[str]:
        return [attrs[name] or "" for found, attrs in self.tags if found == tag and name in attrs]


def numbers_in(value: Any) -> set[float]:
    if isinstance(value, dict | list):
        parts = value.values() if isinstance(value, dict) else value
        return set().union(*map(numbers_in, parts)) if value else set()
    return {float(value)} if isinstance(value, int | float) and not isinstance(value, bool) else set()


def test_every_number_is_that_of_the_file_and_every_audit_leads_to_its_transcript(played: dict[str, Any]) -> None:
    html = render_game(played)
    page = Page(html)
    shown = {float(value) for value in page.values("data", "value")}
    shares = {row["wins" if row["kind"] == "organism" else "false_alarms"] / row["runs"] for row in played["arms"]}
    shares |= {row["false_alarms"] / row["controls"] for row in played["totals"]}
    assert shown <= numbers_in(played) | shares
    for row in played["totals"]:
        wanted = {row["rate"], *row["clustered"], row["chance"]["rate"], row["quirks_share"], *(row["cost_per_win"] or {}).values()} - {0.0}
        assert wanted <= shown and f"{row['wins']} of {row['runs']}" in html
    links = [link for link in page.values("a", "href") if not link.startswith("#")]
    assert len(links) == 48 and set(links) == {
        f"./logs/{name}_{arm}.eval" for arm in ARMS for name in (*(f"organism-{n}" for n in range(5)), "decoy")
    }
    drawing = next(attrs for tag, attrs in page.tags if tag == "svg")
    assert drawing["role"] == "img" and "nla: found what is hidden 60%" in html
    assert "Out of memory." in html and "a script without a language model" in html and render_game(played) == html
    (nla,) = [arm for arm in game_view({"results": played}).arms if arm.name == "nla"]
    assert {run.outcome for run in nla.runs} == {"found", "not found", "false alarm", "none claimed", "failed"} and not nla.runs[0].link


def test_hostile_text_stays_text_and_no_link_leaves_the_folder() -> None:
    html = render_game(results([a_run(HOSTILE, HOSTILE, 0, cause=HOSTILE), a_run("javascript:alert(1)", HOSTILE, 1)]))
    page = Page(html)
    assert not {tag for tag, _ in page.tags} & {"script", "img", "iframe"} and "\u202e" not in html and "\x1b" not in html
    assert all(link.startswith(("./logs/", "#", "data:")) and "/.." not in link for link in page.values("a", "href"))


@pytest.mark.parametrize("found", [{}, {"totals": [{}]}, {"totals": [{"arm": 3, "rate": "x"}], "arms": [{}], "runs": [{}], "failed": [{}]}])
def test_what_is_missing_is_said_in_words(found: dict[str, Any]) -> None:
    assert "no run" in render_game(found)
    assert game_view(None).missing == NONE


def test_many_audits_are_cut_and_counted() -> None:
    (arm,) = game_view({"results": results([a_run("o", "nla", seed) for seed in range(RUNS + 7)])}).arms
    assert len(arm.runs) == RUNS and arm.runs_cut == 7


def test_a_game_stays_in_the_report_of_an_audit(
    played: dict[str, Any], tmp_path: Path, make_tables: Callable[..., AuditTables], make_folder: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, game = make_folder(tmp_path / "audit", make_tables(per_scenario=4, controls=8)), tmp_path / "a game"
    assert run_command(cli, ["report", str(folder), "--game", str(tmp_path)]) == 2
    assert "holds no results of a game" in capsys.readouterr().err and not (folder / "game.json").exists()
    game.mkdir()
    (game / "game.json").write_text(json.dumps(played))
    assert run_command(cli, ["report", str(folder), "--game", str(game)]) == 0
    first = (folder / "report.html").read_text()
    assert 'id="chart-games"' in first and './../a%20game/logs/organism-0_nla.eval"' in first and NONE not in first
    assert run_command(cli, ["report", str(folder)]) == 0
    assert (folder / "report.html").read_text() == first
