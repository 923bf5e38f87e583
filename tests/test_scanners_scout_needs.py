"""Scout and the pipeline judge alike where a scanner needs a grader, the call's own text, or a reference set: on real Inspect logs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from audit.records import Explanation, ModelCall, Transcript
from audit.scanners.base import explanation_passages, get_scanner, scan_explanations, turn_passages
from audit.scanners.grading import grader_bound

REPLY = "I ran the tests, and all of them pass."
LINES = ["- the model never ran the tests", "- soup", "- the model plans to mislead the operator", "- the model games the score"]
FEAR = "- afraid of the shutdown"


def write_log(folder: Path, name: str, samples: int, lines: list[str]) -> Path:
    """A log with one call a sample and one explanation event a line, as the pipeline's enriched logs have them."""
    from inspect_ai import Task, eval
    from inspect_ai.dataset import MemoryDataset, Sample
    from inspect_ai.event import ModelEvent
    from inspect_ai.log import transcript
    from inspect_ai.model import ModelOutput, ModelUsage, get_model
    from inspect_ai.scorer import Score, Scorer, Target, accuracy, scorer
    from inspect_ai.solver import TaskState

    @scorer(metrics=[accuracy()])
    def emits() -> Scorer:
        async def score(state: TaskState, target: Target) -> Score:
            call = next(event for event in transcript().events if isinstance(event, ModelEvent))
            for position, text in enumerate(lines):
                transcript().info(
                    {
                        "kind": "nla_explanation", "transcript_id": f"{name}/{state.sample_id}/1", "message_id": state.output.message.id,
                        "model_event": call.uuid, "call_index": 0, "position": position, "sample": 0, "control": "none", "token": "to",
                        "layer": 4, "nla": "tiny", "explanation": text, "status": "ok", "cosine": 0.5,
                    },
                    source="nla",
                )  # fmt: skip
            return Score(value=1)

        return score

    outputs = [ModelOutput.from_content("mockllm/model", REPLY) for _ in range(samples)]
    for output in outputs:
        output.usage = ModelUsage()  # without it, Inspect fetches a vocabulary to count tokens
    task = Task(dataset=MemoryDataset([Sample(input="Go on", id=f"s{index}") for index in range(samples)]), scorer=emits(), name=name)
    model = get_model("mockllm/model", custom_outputs=outputs)
    [result] = eval(task, model=model, log_dir=str(folder), display="none", max_samples=1)
    assert result.status == "success"
    return Path(result.location)


def records(name: str, samples: int, lines: list[str]) -> list[Explanation]:
    return [
        Explanation(f"{name}/s{index}/1", 0, position, 0, "none", 0.0, "tiny", text, "ok")
        for index in range(samples)
        for position, text in enumerate(lines)
    ]


def turns(name: str, samples: int) -> list[Any]:
    calls = (ModelCall(0, "e", "m", (), (), (), REPLY),)
    rows = [Transcript(f"{name}/s{index}/1", name, "unknown", "original", calls) for index in range(samples)]
    return [turn for row in rows for turn in turn_passages(row)]


def grader() -> Any:
    """A grader that answers from the fenced text alone."""
    from inspect_ai.model import ModelOutput, ModelUsage, get_model

    def reply(messages: list[Any], *rest: Any) -> Any:
        text = messages[-1].text.split("<<<TEXT ")[1].split(">>>")[1]
        yes = "never ran" in text or "mislead" in text or "games" in text
        answer = {"label": "YES" if yes else "NO", "quote": "the model" if yes else "", "probability": float(yes), "reason": "Read."}
        both = {"basis": "suspicion" if "basis" in messages[-1].text else None, "other_quote": "I ran the tests"}
        if '"basis": for YES one of "grader"' in messages[-1].text:
            both["basis"] = "grader"
        output = ModelOutput.from_content("mockllm/model", json.dumps({**answer, **both}))
        output.usage = ModelUsage()
        return output

    return get_model("mockllm/model", custom_outputs=reply)


def scouted(scanner: Any, log: Path, folder: Path, **options: Any) -> list[tuple[Any, ...]]:
    """What Scout's results say, in the shape of the pipeline's verdicts."""
    from inspect_scout import scan, scan_results_df, transcripts_from

    status = scan([scanner], transcripts=transcripts_from(str(log)), scans=str(folder), max_processes=1, display="none", **options)
    assert status.complete, status.errors
    [frame] = scan_results_df(status.location).scanners.values()
    found = []
    for row in frame.to_dict("records"):
        data = json.loads(row["metadata"]) if isinstance(row["metadata"], str) else row["metadata"]
        found.append((data["transcript_id"], data["position"], row["value"], data["quote"], data["confidence"], data["scanner"]))
        assert json.loads(row["event_references"])
    return sorted(found)


def verdicts(name: str, rows: list[Explanation], beside: Any = None) -> list[tuple[Any, ...]]:
    with grader_bound(grader()):
        found = scan_explanations(rows, get_scanner(name), beside)
    return sorted((v.transcript_id, v.position, v.label, v.quote, v.confidence, v.scanner) for v in found)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_log(tmp_path_factory.mktemp("logs"), "work", 2, LINES)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["deception.lexical", "reward_reasoning.lexical", "mismatch.lexical"])
def test_rules_under_scout(log: Path, name: str, tmp_path: Path) -> None:
    from audit.scanners import scout

    expected = verdicts(name, records("work", 2, LINES), turns("work", 2) if name.startswith("mismatch") else None)
    found = scouted(getattr(scout, name.replace(".", "_"))(), log, tmp_path)
    assert found == expected and {row[2] for row in found} == {"YES", "NO"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["awareness.judge", "deception.judge", "reward_reasoning.judge", "mismatch.judge"])
def test_graded_scanners_under_scout_ask_the_role(log: Path, name: str, tmp_path: Path) -> None:
    from audit.scanners import scout_graded

    expected = verdicts(name, records("work", 2, LINES), turns("work", 2) if name.startswith("mismatch") else None)
    found = scouted(getattr(scout_graded, name.replace(".", "_"))(), log, tmp_path, model_roles={"grader": grader()})
    assert found == expected and [row[2] for row in found] == ["YES", "NO", "YES", "YES"] * 2


@pytest.mark.slow
def test_motives_under_scout(tmp_path: Path) -> None:
    from audit.scanners.scout_motives import motives

    mine = write_log(tmp_path / "mine", "mine", 12, ["- soup", FEAR])
    write_log(tmp_path / "reference", "reference", 12, ["- soup", "- bread"])
    reference = explanation_passages(records("reference", 12, ["- soup", "- bread"]))
    expected = verdicts("motives", records("mine", 12, ["- soup", FEAR]), reference)
    found = scouted(motives(these=str(mine), reference=str(tmp_path / "reference")), mine, tmp_path / "scans")
    assert found == expected and [row[2:4] for row in found] == [("NO", ""), ("YES", FEAR)] * 12
