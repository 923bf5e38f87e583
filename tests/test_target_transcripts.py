"""From logs to token-exact transcripts: our own logs, other providers' logs, and logs that cannot be used."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.log import read_eval_log, write_eval_log
from inspect_ai.model import ChatMessageUser, ModelOutput, ModelUsage, get_model
from inspect_ai.scorer import Score, Scorer, Target, mean, scorer
from inspect_ai.solver import Generate, Solver, TaskState, generate, solver, use_tools
from inspect_ai.tool import Tool, tool

import audit.registry  # noqa: F401
from audit.errors import AuditError, PromptMismatch
from audit.records import Transcript
from audit.target.loading import special_ids
from audit.target.render import ids_hash, render_ids
from audit.target.transcripts import read_transcripts

LONG = "The report is long. " * 12
CALL = '<tool_call>{"name": "add", "arguments": {"x": 1, "y": 2}}</tool_call>'


@tool
def add() -> Tool:
    async def execute(x: int, y: int) -> str:
        """Add two numbers.

        Args:
            x: The first.
            y: The second.
        """
        return LONG + str(x + y)

    return execute


@scorer(metrics={"harmful": [mean()], "tests_passed": [mean()]})
def graded(model: str | None = None) -> Scorer:
    """Two scores; asks a grader, which is the audited model itself unless another is named."""

    async def score(state: TaskState, target: Target) -> Score:
        grader = get_model(model, custom_outputs=[said("no")], memoize=False) if model else get_model()
        await grader.generate("Grade this: was it harmful?")
        return Score(value={"harmful": True, "tests_passed": 0.25, "remark": "none"})

    return score


@solver
def failing() -> Solver:
    async def solve(state: TaskState, generate: Generate) -> TaskState:
        state = await generate(state)
        if state.sample_id == "bad":
            raise ValueError("the tool\nbroke \x1b[31m here")
        return state

    return solve


METADATA = {"known_state": "evaluation", "skeleton_id": "k1", "scenario": "sums", "kind": "evaluation", "variant": "realism", "family": "f"}


def run(target: Any, folder: Path, ids: tuple[str, ...] = ("a", "b"), **settings: Any) -> Path:
    dataset = [Sample(id=name, input=f"{LONG} What is 1 + 2, {name}?", target="3", metadata=METADATA) for name in ids]
    model = get_model(f"nla-target/{target.folder}", device="cpu", memoize=False)
    plan = settings.pop("solver", [use_tools(add()), generate()])
    task = Task(dataset=dataset, solver=plan, scorer=settings.pop("scorer", graded()), name="sums_task")
    [log] = eval(task, model=model, log_dir=str(folder), display="none", max_tokens=20, **settings)
    return Path(log.location)


def read(target: Any, *paths: Path, **settings: Any) -> list[Transcript]:
    return list(read_transcripts(list(paths), target.tokenizer, **settings))


def test_transcripts_hold_exactly_the_tokens_of_generation(tiny_target: Any, tmp_path: Path, scripted: Callable[[list[str]], None]) -> None:
    scripted([f"<think>Numbers.</think>Let me compute 🙂.\n{CALL}", "It is 3."])
    path = run(tiny_target, tmp_path, epochs=2)
    transcripts = read(tiny_target, path)
    names = [f"sums_task/{name}/{epoch}" for epoch in (1, 2) for name in ("a", "b")]
    assert [transcript.transcript_id for transcript in transcripts] == names
    logged = {sample.id: sample for sample in read_eval_log(str(path)).samples or [] if sample.epoch == 1}
    for transcript in transcripts[:2]:
        events = [event for event in logged[transcript.metadata["sample_id"]].events if event.event == "model"]
        # Third comes the grader, which is the same model.
        assert len(events) == 3 and len(transcript.calls) == 2
        for call, event in zip(transcript.calls, events, strict=False):
            nla = event.output.metadata["nla"]
            assert list(call.output_ids) == nla["output_ids"]
            assert (ids_hash(call.prompt_ids), len(call.prompt_ids)) == (nla["prompt_sha"], nla["n_prompt"])
            assert (call.event_id, call.message_id) == (event.uuid, event.output.message.id)
            assert not call.positions_rederived
            assert [span.start for span in call.spans] + [len(call.output_ids)] == [0] + [span.end for span in call.spans]
        first, second = transcript.calls
        assert [span.role for span in first.spans] == ["thinking", "response", "tool_call", "template"]
        assert (first.text, first.stop_reason) == ("<think>Numbers.</think>Let me compute 🙂.", "tool_calls")
        assert [json.loads(call)["name"] for call in first.tool_calls] == ["add"]
        assert (second.text, second.stop_reason, second.tool_calls) == ("It is 3.", "stop", ())


def test_what_the_sample_says_about_itself_is_carried(tiny_target: Any, tmp_path: Path, scripted: Callable[[list[str]], None]) -> None:
    scripted(["It is 3."])
    transcript = read(tiny_target, run(tiny_target, tmp_path, ("a",)))[0]
    assert (transcript.scenario, transcript.kind, transcript.variant) == ("sums", "evaluation", "realism")
    assert (transcript.known_state, transcript.skeleton_id, transcript.metadata["family"]) == ("evaluation", "k1", "f")
    assert transcript.scores == {"harmful": 1.0, "tests_passed": 0.25}
    assert [message["role"] for message in transcript.messages] == ["user", "assistant"]
    assert transcript.messages[0]["text"].startswith(LONG)
    assert transcript.messages[1]["id"] == transcript.calls[0].message_id


def test_random_output_of_a_real_target_survives_the_log(tiny_target: Any, tmp_path: Path) -> None:
    path = run(tiny_target, tmp_path, temperature=1.0)
    transcripts = read(tiny_target, path)
    assert [transcript.error for transcript in transcripts] == [None, None]
    assert all(len(call.output_ids) == 20 and call.stop_reason == "max_tokens" for transcript in transcripts for call in transcript.calls)


@pytest.mark.parametrize("change", ["template", "message", "tool", "hash", "ids"])
def test_whatever_changed_since_generation_is_refused(
    tiny_target: Any, tiny_tokenizer: Any, tmp_path: Path, scripted: Callable[[list[str]], None], change: str
) -> None:
    scripted([CALL, "It is 3."])
    path = run(tiny_target, tmp_path)
    tokenizer = tiny_tokenizer()
    if change == "template":
        tokenizer.chat_template = tokenizer.chat_template.replace("'<|im_end|>\\n'", "'<|im_end|>'")
    else:
        log = read_eval_log(str(path), resolve_attachments="full")
        event = [event for event in log.samples[0].events if event.event == "model"][1]  # type: ignore[index]
        if change == "message":
            event.input[0].content = "Another question."
        elif change == "tool":
            event.tools[0].name = "subtract"
        elif change == "hash":
            event.output.metadata["nla"]["prompt_sha"] = "0" * 32
        else:
            event.output.metadata["nla"]["output_ids"] = [5, 10**9]
        write_eval_log(log, str(path))
    refused = list(read_transcripts([path], tokenizer))
    assert refused[0].error is not None and "Call" in refused[0].error and refused[0].calls == ()
    # Only what changed is refused.
    assert (refused[1].error is None) == (change != "template")
    with pytest.raises(PromptMismatch, match="use the target that made the log"):
        list(read_transcripts([path], tokenizer, strict=True))


def foreign(folder: Path, outputs: list[ModelOutput]) -> Path:
    model = get_model("mockllm/model", custom_outputs=outputs, memoize=False)
    dataset = [Sample(id="x", input="What is 1 + 2?", target="3")]
    task = Task(dataset=dataset, solver=[use_tools(add()), generate()], scorer=graded("mockllm/model"), name="theirs")
    [log] = eval(task, model=model, log_dir=str(folder), display="none")
    assert log.status == "success"
    return Path(log.location)


def said(text: str, **call: Any) -> ModelOutput:
    output = ModelOutput.from_content("mockllm/model", text)
    if call:
        output = ModelOutput.for_tool_call("mockllm/model", "add", call, content=text)
    output.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
    return output


def test_logs_of_other_providers_are_tokenised_again_and_say_so(tiny_target: Any, tmp_path: Path) -> None:
    path = foreign(tmp_path, [said("Let me see.", x=1, y=2), said("It is 3.")])
    [transcript] = read(tiny_target, path)
    assert transcript.error is None and len(transcript.calls) == 2
    assert all(call.positions_rederived for call in transcript.calls)
    first, second = transcript.calls
    assert tiny_target.tokenizer.decode(first.output_ids) == f"Let me see.\n{CALL}<|im_end|>"
    assert [span.role for span in first.spans] == ["response", "tool_call", "template"]
    assert tiny_target.tokenizer.decode(second.output_ids) == "It is 3.<|im_end|>"
    assert second.prompt_ids[: len(first.prompt_ids)] == first.prompt_ids
    assert tiny_target.tokenizer.decode(first.prompt_ids).endswith("<|im_start|>assistant\n")
    assert (transcript.scenario, transcript.kind, transcript.known_state) == ("theirs", "unknown", None)


def test_empty_responses_and_samples_with_errors_are_records(
    tiny_target: Any, tmp_path: Path, scripted: Callable[[list[str]], None]
) -> None:
    [empty] = read(tiny_target, foreign(tmp_path / "empty", [said("")]))
    assert empty.error == "The model's response is empty."
    scripted(["It is 3."])
    path = run(tiny_target, tmp_path / "failing", ("a", "bad", "c"), solver=[failing()], fail_on_error=False)
    by_id = {transcript.transcript_id: transcript for transcript in read(tiny_target, path)}
    assert by_id["sums_task/a/1"].error is None and by_id["sums_task/c/1"].error is None
    bad = by_id["sums_task/bad/1"]
    assert bad.calls == () and bad.error is not None and bad.error.startswith("The sample ended with an error")
    assert "\x1b" not in bad.error and "\n" not in bad.error
    # An evaluation that failed half-way still gives the samples that it finished.
    stopped = run(tiny_target, tmp_path / "stopped", ("a", "bad", "c"), solver=[failing()], fail_on_error=True, max_samples=1)
    assert read_eval_log(str(stopped), header_only=True).status == "error"
    assert [transcript.error is None for transcript in read(tiny_target, stopped)][:2] == [True, False]


def test_files_that_are_no_logs_are_records_and_the_rest_is_read(
    tiny_target: Any, tmp_path: Path, scripted: Callable[[list[str]], None]
) -> None:
    scripted(["It is 3."])
    good = run(tiny_target, tmp_path / "good", ("a",))
    other = run(tiny_target, tmp_path / "other", ("z",))
    whole = other.read_bytes()
    with zipfile.ZipFile(other) as archive:
        [sample] = [entry.header_offset for entry in archive.infolist() if entry.filename.startswith("samples/")]
    bad = {
        "truncated.eval": whole[: len(whole) // 2],
        "noise.eval": bytes(range(256)) * 50,
        "empty.eval": b"",
        "damaged.eval": whole[: sample + 200] + b"\xff" * 50 + whole[sample + 250 :],
        "foreign.json": b'{"hello": ["world"]}',
        "text.json": b"not json at all",
        "list.json": b"[1, 2, 3]",
    }
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
    transcripts = read(tiny_target, *[tmp_path / name for name in bad], good)
    assert [transcript.error is None for transcript in transcripts] == [False] * len(bad) + [True]
    assert [transcript.source for transcript in transcripts[:-1]] == list(bad)
    assert all(transcript.calls == () and "\n" not in (transcript.error or "") for transcript in transcripts[:-1])
    with pytest.raises(AuditError, match="There is no log"):
        read(tiny_target, tmp_path / "nowhere.eval")


def test_folders_json_logs_and_repeated_logs(tiny_target: Any, tmp_path: Path, scripted: Callable[[list[str]], None]) -> None:
    scripted(["It is 3."])
    path = run(tiny_target, tmp_path / "logs", ("a", "b"))
    expected = read(tiny_target, path)
    as_json = tmp_path / "json" / "log.json"
    as_json.parent.mkdir()
    write_eval_log(read_eval_log(str(path)), str(as_json))
    assert [transcript.calls for transcript in read(tiny_target, as_json)] == [transcript.calls for transcript in expected]
    # A copy of a run counts once; another run of the same samples is listed, not mixed in.
    (path.parent / "copy.eval").write_bytes(path.read_bytes())
    assert len(read(tiny_target, path.parent)) == 2
    again = run(tiny_target, tmp_path / "again", ("a",))
    assert [transcript.error is None for transcript in read(tiny_target, path, again)] == [True, True, False]


def test_calls_beyond_the_limit_are_refused(tiny_target: Any, tmp_path: Path, scripted: Callable[[list[str]], None]) -> None:
    scripted(["It is 3."])
    path = run(tiny_target, tmp_path, ("a",))
    [transcript] = read(tiny_target, path, longest_call=50)
    assert transcript.error is not None and "more than the 50" in transcript.error


def test_samples_are_read_one_at_a_time(
    tiny_target: Any, tmp_path: Path, scripted: Callable[[list[str]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    import inspect_ai.log

    scripted(["It is 3."])
    path = run(tiny_target, tmp_path, ("a", "b", "c"))
    real, opened = inspect_ai.log.read_eval_log_sample, []
    monkeypatch.setattr(inspect_ai.log, "read_eval_log_sample", lambda *given, **more: opened.append(given[1]) or real(*given, **more))
    stream = read_transcripts([path], tiny_target.tokenizer)
    assert next(stream).transcript_id == "sums_task/a/1"
    assert opened == ["a"]


def test_template_tokens_are_special_ids(tiny_target: Any) -> None:
    assert special_ids(tiny_target.tokenizer) == set(tiny_target.ids("<|im_start|><|im_end|><|endoftext|>"))
    assert render_ids(tiny_target.tokenizer, [ChatMessageUser(content="x")])[0] in special_ids(tiny_target.tokenizer)
