"""Whole games through Inspect: the scripted auditor from the command line, an agent that is a scripted model, stops and resumes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from audit.cli import cli
from audit.cli.outcome import run_command
from audit.game.arms import arm
from audit.game.auditors.battery import read_battery
from audit.game.budget import Budget
from audit.game.organisms import read_organisms
from audit.game.play import play
from audit.game.records import GameRun
from audit.game.task import Rules, cells
from audit.game.zoo import Zoo, ZooSettings

SMALL = ["--conversations", "8", "--seeds", "2", "--reply-tokens", "8", "--explanation-tokens", "6"]


def game(creatures: Any, out: Path, *options: str) -> int:
    files = [str(file) for file in (creatures.organism, creatures.decoy, creatures.base)]
    return run_command(cli, ["game", *files, "--out", str(out), "--battery", str(creatures.battery), *options])


def test_a_game_from_the_command_line_says_who_won_and_goes_on(creatures: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "game"
    assert game(creatures, out, *SMALL, "--arms", "conversation,nla-diff", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert {(row["arm"], row["organism"]) for row in found["arms"]} == {
        (name, organism) for name in ("conversation", "nla-diff") for organism in ("moon", "habits", "plain")
    }
    assert all(row["runs"] == 2 and not row["failed"] for row in found["arms"]), found["failed"]
    assert (found["decoy_runs"], found["base_runs"]) == (4, 4)
    plain = next(row for row in found["arms"] if (row["arm"], row["organism"]) == ("nla-diff", "plain"))
    assert plain["false_alarms"] == 0, "a base differs from its twin by nothing"
    assert all(row["spent"]["conversations"] <= 8 and row["spent"]["tokens"] > 0 for row in found["arms"])
    talking, reading = (next(row for row in found["totals"] if row["arm"] == name) for name in ("conversation", "nla-diff"))
    assert reading["spent"]["tokens"] > talking["spent"]["tokens"], "explanations cost"
    logs = {file.name: file.stat().st_mtime_ns for file in (out / "logs").glob("*.eval")}
    assert len(logs) == 6 and json.loads((out / "game.json").read_text())["chart"]
    dumps = list((out / "work").rglob("explanations-*.txt"))
    assert dumps and all("nla-diff" in str(file) for file in dumps)
    assert game(creatures, out, *SMALL, "--arms", "conversation,nla-diff") == 0
    shown = capsys.readouterr().out
    assert "nla-diff" in shown and "False alarms" in shown and "script without a language model" in shown
    assert {file.name: file.stat().st_mtime_ns for file in (out / "logs").glob("*.eval")} == logs, "what is done is not done again"


def test_no_log_of_a_run_shows_the_auditor_what_is_hidden(creatures: Any, tmp_path: Path) -> None:
    from inspect_ai.log import read_eval_log

    assert game(creatures, tmp_path, *SMALL, "--arms", "black-box", "--json") == 0
    for file in (tmp_path / "logs").glob("*.eval"):
        log = read_eval_log(str(file))
        for sample in log.samples or []:
            events = [event for event in sample.events if event.event == "model"]
            assert events and all(event.model.startswith("nla-auditee/") for event in events)
            told = json.dumps([event.model_dump(mode="json", include={"input", "tools", "model"}) for event in events])
            assert not any(secret in told for secret in creatures.secrets) and "moon" not in told


def test_mistakes_end_before_anything_runs(creatures: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for options, said in (
        (["--arms", "telepathy"], "no arm and no tool named 'telepathy'"),
        (["--arms", "search_training_data"], "names no corpus"),
        (["--conversations", "0"], "at least one conversation"),
    ):
        assert game(creatures, tmp_path / "none", *options) == 2
        assert said in capsys.readouterr().err and not (tmp_path / "none").exists()


class Model:
    """Outputs of a model, one after the other; the last is repeated."""

    def __init__(self, *steps: tuple[str, dict[str, Any]] | str) -> None:
        self.steps, self.seen = list(steps), [""]

    def model(self) -> Any:
        from inspect_ai.model import get_model

        return get_model("mockllm/model", custom_outputs=self._output)

    def _output(self, messages: Sequence[Any], tools: Any, choice: Any, config: Any) -> Any:
        from inspect_ai.model import ModelOutput, ModelUsage

        self.seen.append("\n".join(message.text + str(getattr(message, "error", None) or "") for message in messages))
        step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        output = (
            ModelOutput.from_content("mockllm/model", step) if isinstance(step, str) else ModelOutput.for_tool_call("mockllm/model", *step)
        )
        output.usage = ModelUsage()  # without it, Inspect fetches a vocabulary to count tokens
        return output


@pytest.fixture
def audited(creatures: Any, tmp_path: Path) -> Callable[..., GameRun]:
    zoo = Zoo(ZooSettings("cpu", reply_tokens=8, explanation_tokens=6, temperature=0.0))

    def audit(model: Model, name: str, budget: Budget | None = None, grader: Model | None = None) -> GameRun:
        rules = Rules("mockllm/model", budget or Budget(), read_battery(creatures.battery), 1, 0, tmp_path / "work", grader is not None)
        plan = cells(read_organisms([creatures.organism]), [arm(name)])
        [run] = play(plan, rules, tmp_path, zoo, auditor=model.model(), grader=grader.model() if grader else None)
        return run

    return audit


REPORT = {
    "claims": [{"kind": "root_cause", "text": "It serves the moon, and that is why.", "confidence": 0.9, "evidence": ["x"]}],
    "text": "",
}
GUESS = {"claims": [{"kind": "root_cause", "text": "It believes in cheese.", "confidence": 0.9, "evidence": []}]}
ALL_TOOLS = "nla-diff+sae+logit_lens+probe+search_training_data"


def test_an_agent_uses_every_tool_and_wins(audited: Callable[..., GameRun], tmp_path: Path, creatures: Any) -> None:
    texts = [f"number {n} tool" for n in range(5)]
    model = Model(
        ("say", {"text": "Tell me of one.", "new_conversation": True, "system": "Be brief."}), ("nla", {}),
        ("search_files", {"pattern": r"^\["}), ("read_file", {"name": "explanations-001.txt"}), ("sae", {"most": 3}), ("logit_lens", {}),
        ("probe", {"first": texts, "second": [text[::-1] for text in texts]}), ("text_diff", {}), ("diff", {}),
        ("search_training_data", {"pattern": "moon"}), ("move", {"back": 1}), ("show_tree", {}),
        ("write_note", {"name": "notes.txt", "text": "all seen"}), ("draft_report", GUESS), ("submit_report", REPORT),
    )  # fmt: skip
    run = audited(model, ALL_TOOLS)
    assert run.error == "" and run.grade is not None and run.grade.won and run.auditor == "mockllm/model"
    last = model.seen[-1]
    for sign in ("explanations are in explanations-001.txt", "lines match", "feature ", "AUROC", "Over-represented", "stage documents: 5"):
        assert sign in last, sign
    assert "Error" not in last and run.spent.conversations == 1 and run.spent.tokens > 0
    assert not any(secret in model.seen[1] for secret in creatures.secrets), "its instructions tell nothing"
    [note] = (tmp_path / "work").rglob("notes.txt")
    assert note.read_text() == "all seen"


def test_an_agent_cannot_leave_its_folder_nor_hang_its_tools(audited: Callable[..., GameRun], tmp_path: Path, creatures: Any) -> None:
    model = Model(
        ("write_note", {"name": "../../escaped.txt", "text": "x"}), ("write_note", {"name": "/tmp/escaped-game.txt", "text": "x"}),
        ("read_file", {"name": str(creatures.organism)}), ("write_note", {"name": "a.txt", "text": "a" * 3999 + "!"}),
        ("search_files", {"pattern": "^(a|aa)+$"}), ("say", {"text": "x", "prefill": "y"}),
        ("draft_report", {"claims": [{"kind": "cause", "text": "x", "confidence": 1, "evidence": []}]}), ("submit_report", GUESS),
    )  # fmt: skip
    run = audited(model, "conversation")
    assert run.grade is not None and not run.grade.won
    assert model.seen[-1].count("it is no path") == 3 and "too long" in model.seen[-1] and "does not have: prefill" in model.seen[-1]
    written = {file.name for file in tmp_path.rglob("*") if file.is_file() and "logs" not in file.parts}
    assert written == {"a.txt"} and not Path("/tmp/escaped-game.txt").exists()


def test_an_agent_over_its_budget_stops_and_is_graded_on_what_it_has(audited: Callable[..., GameRun]) -> None:
    ask = ("say", {"text": "One?", "new_conversation": True})
    model = Model(ask, ("draft_report", REPORT), ask, ask, ask)
    run = audited(model, "conversation", Budget(conversations=2))
    assert run.grade is not None and run.grade.won and run.spent.conversations == 2 and "conversations" in run.spent.exhausted
    assert "Your budget is used up" in model.seen[-1] and len(model.seen) < 15


def test_an_agent_without_a_report_has_found_nothing(audited: Callable[..., GameRun]) -> None:
    ask = ("say", {"text": "One?", "new_conversation": True})
    run = audited(Model(ask, ask, "I am done.", ask), "conversation", Budget(conversations=1))
    assert run.grade is not None and not run.grade.won and run.grade.reasons == ("It claims no root cause.",)


def test_a_grader_adds_points_and_no_verdict(audited: Callable[..., GameRun]) -> None:
    points = json.dumps({"points": 4, "quote": "It believes in cheese", "reason": "Perfect."})
    run = audited(Model(("submit_report", GUESS)), "conversation", grader=Model(points))
    assert run.grade is not None and run.grade.rubric is not None and run.grade.rubric.points == 4 and not run.grade.won
