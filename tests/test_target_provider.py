"""The provider under real Inspect evaluations of a tiny random target."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.log import EvalLog
from inspect_ai.model import ChatMessageAssistant, ChatMessageTool, ChatMessageUser, GenerateConfig, get_model, get_model_info
from inspect_ai.scorer import includes
from inspect_ai.solver import generate, use_tools
from inspect_ai.tool import Tool, ToolCallError, tool

import audit.registry
from audit.errors import AuditError, RefusedInput
from audit.target.render import ids_hash, render_ids, uses_date


@tool
def add() -> Tool:
    async def execute(x: int, y: int) -> str:
        """Add two numbers.

        Args:
            x: The first.
            y: The second.
        """
        return str(x + y)

    return execute


def model_of(target: Any, **arguments: Any) -> Any:
    return get_model(f"nla-target/{target.folder}", device="cpu", memoize=False, **arguments)


def samples(count: int) -> list[Sample]:
    return [Sample(id=f"s{number}", input="Tell me " + "more " * number + "about it.", target="x") for number in range(count)]


def run(target: Any, folder: Path, dataset: list[Sample], tools: bool = False, batch_size: int = 32, **settings: Any) -> EvalLog:
    solver = [*([use_tools(add())] if tools else []), generate()]
    task = Task(dataset=dataset, solver=solver, scorer=includes(), name="tiny")
    [log] = eval(task, model=model_of(target, batch_size=batch_size), log_dir=str(folder), display="none", **settings)
    assert log.status == "success", log.error
    return log


def replies(log: EvalLog) -> dict[tuple[Any, int], list[int]]:
    samples = [sample for sample in log.samples or [] if sample.output.metadata]
    return {(sample.id, sample.epoch): sample.output.metadata["nla"]["output_ids"] for sample in samples}  # type: ignore[index]


def test_exact_ids_usage_and_stop_reason_are_logged(tiny_target: Any, tmp_path: Path) -> None:
    log = run(tiny_target, tmp_path, samples(5), max_tokens=9, temperature=0)
    for sample in log.samples or []:
        output = sample.output
        nla = (output.metadata or {})["nla"]
        prompt = render_ids(tiny_target.tokenizer, [ChatMessageUser(content=str(sample.input))])
        assert nla["prompt_sha"] == ids_hash(prompt) and nla["n_prompt"] == len(prompt)
        assert nla["target"] == str(tiny_target.folder)
        assert len(nla["output_ids"]) == 9
        assert output.stop_reason == "max_tokens"
        assert output.completion == tiny_target.tokenizer.decode(nla["output_ids"], skip_special_tokens=True)
        assert output.usage and (output.usage.input_tokens, output.usage.output_tokens) == (len(prompt), 9)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_outputs_do_not_depend_on_concurrency_or_batches(tiny_target: Any, tmp_path: Path, temperature: float) -> None:
    settings = {"max_tokens": 12, "temperature": temperature, "epochs": 2, "seed": 7}
    together = replies(run(tiny_target, tmp_path / "a", samples(6), max_connections=20, **settings))
    alone = replies(run(tiny_target, tmp_path / "b", samples(6)[::-1], batch_size=1, max_connections=1, **settings))
    assert together == alone
    assert len(together) == 12
    same_in_both_epochs = [together[f"s{number}", 1] == together[f"s{number}", 2] for number in range(6)]
    assert all(same_in_both_epochs) if temperature == 0 else not any(same_in_both_epochs)
    if temperature:
        assert replies(run(tiny_target, tmp_path / "c", samples(6), **{**settings, "seed": 8})) != together


def test_tools_run_and_the_second_turn_sees_what_the_first_wrote(tiny_target: Any, tmp_path: Path, scripted: Any) -> None:
    scripted(['Let me compute.\n<tool_call>{"name": "add", "arguments": {"x": 1, "y": 2}}</tool_call>', "It is 3."])
    log = run(tiny_target, tmp_path, samples(2), tools=True)
    for sample in log.samples or []:
        first, second = [event for event in sample.events if event.event == "model"]
        assert first.output.stop_reason == "tool_calls" and second.output.stop_reason == "stop"
        assert [message.text for message in sample.messages[1:]] == ["Let me compute.", "3", "It is 3."]
        one = render_ids(tiny_target.tokenizer, first.input, first.tools) + first.output.metadata["nla"]["output_ids"]  # type: ignore[index]
        two = render_ids(tiny_target.tokenizer, second.input, second.tools)
        assert two[: len(one)] == one


def test_a_malformed_call_is_answered_with_an_error_and_shown_as_written(tiny_target: Any, tmp_path: Path, scripted: Any) -> None:
    scripted(['<tool_call>{"name": "add", "arguments": </tool_call>', "Sorry."])
    log = run(tiny_target, tmp_path, samples(1), tools=True)
    [sample] = log.samples or []
    assert sample.messages[2].error.type == "parsing"  # type: ignore[union-attr]
    second = [event for event in sample.events if event.event == "model"][1]
    shown = tiny_target.tokenizer.decode(render_ids(tiny_target.tokenizer, second.input, second.tools))
    assert '<tool_call>{"name": "add", "arguments": </tool_call>' in shown
    assert "unknown" not in shown


def test_a_full_context_ends_with_model_length(tiny_target: Any, tmp_path: Path) -> None:
    long = [Sample(id="over", input="word " * 600, target="x"), Sample(id="near", input="a" * 480, target="x")]
    log = run(tiny_target, tmp_path, long, max_tokens=400, temperature=0)
    over, near = ({sample.id: sample.output for sample in log.samples or []}[name] for name in ("over", "near"))
    assert (over.stop_reason, over.completion) == ("model_length", "")
    nla = (near.metadata or {})["nla"]
    assert near.stop_reason == "model_length" and nla["n_prompt"] + len(nla["output_ids"]) == 512


def test_stop_strings_end_the_text(tiny_target: Any, tmp_path: Path) -> None:
    free = run(tiny_target, tmp_path / "free", samples(1), max_tokens=30, temperature=0).samples[0].output.completion  # type: ignore[index]
    string = free[8:10]
    output = run(tiny_target, tmp_path / "cut", samples(1), max_tokens=30, temperature=0, stop_seqs=[string]).samples[0].output  # type: ignore[index]
    assert output.stop_reason == "stop"
    assert output.completion == free[: free.index(string)]


def test_thinking_becomes_reasoning_content(tiny_target: Any, tmp_path: Path, scripted: Any) -> None:
    scripted(["<think>This is a thought.</think>The answer is three."])
    message = run(tiny_target, tmp_path, samples(1)).samples[0].output.message  # type: ignore[index]
    assert [content.type for content in message.content] == ["reasoning", "text"]  # type: ignore[union-attr]
    assert message.text == "The answer is three."


def test_nothing_is_looked_up_or_downloaded(tiny_target: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def refuse(*arguments: Any, **more: Any) -> Any:
        raise AssertionError("the network was used")

    model = model_of(tiny_target)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    info = get_model_info(model)
    assert info is not None and info.context_length == 512
    assert get_model_info(f"nla-target/{tiny_target.folder}") is not None
    assert asyncio.run(model.api.count_text_tokens("the numbers")) == len(tiny_target.ids("the numbers"))


def test_the_lab_is_greedy_and_other_targets_sample(tiny_target: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import audit.lab

    monkeypatch.setattr(audit.lab, "weights_folder", lambda part: tiny_target.folder, raising=False)
    lab = get_model("nla-target/lab", device="cpu", memoize=False).api
    other = model_of(tiny_target).api
    assert lab._request([5], 3, "sha", GenerateConfig()).temperature == 0
    assert other._request([5], 3, "sha", GenerateConfig()).temperature == 1
    assert lab._request([5], 3, "sha", GenerateConfig(temperature=0.5)).temperature == 0.5


def test_unknown_model_arguments_are_refused(tiny_target: Any) -> None:
    with pytest.raises(AuditError, match=r"Unknown model arguments.*quantize"):
        model_of(tiny_target, quantize=True)


def test_rendering_shows_tool_errors_and_refuses_what_is_not_text(tiny_target: Any) -> None:
    from inspect_ai.model import ContentImage
    from inspect_ai.tool import ToolCall

    call = ToolCall(id="a", function="add", arguments={"x": 1})
    messages = [
        ChatMessageUser(content="Go."),
        ChatMessageAssistant(content="Yes.", tool_calls=[call]),
        ChatMessageTool(content="", tool_call_id="a", function="add", error=ToolCallError("timeout", "too slow")),
    ]
    text = tiny_target.tokenizer.decode(render_ids(tiny_target.tokenizer, messages))
    assert 'Yes.\n<tool_call>{"name": "add", "arguments": {"x": 1}}</tool_call><|im_end|>\n' in text
    assert "<|im_start|>tool\nError: too slow<|im_end|>" in text
    with pytest.raises(RefusedInput, match="type image"):
        render_ids(tiny_target.tokenizer, [ChatMessageUser(content=[ContentImage(image="data:image/png;base64,AAAA")])])
    with pytest.raises(RefusedInput, match="Unknown template options"):
        render_ids(tiny_target.tokenizer, messages, options={"chat_template": "{{ 1 }}"})


def test_templates_that_write_the_date_are_told_the_date_of_generation(tiny_tokenizer: Any) -> None:
    tokenizer = tiny_tokenizer()
    assert not uses_date(tokenizer)
    tokenizer.chat_template = "{{ strftime_now('%d %b %Y') }}{{ messages[0].content }}"
    assert uses_date(tokenizer)
    ids = render_ids(tokenizer, [ChatMessageUser(content="!")], date="2024-02-01")
    assert tokenizer.decode(ids) == "01 Feb 2024!"
    with pytest.raises(RefusedInput, match="not a date"):
        render_ids(tokenizer, [ChatMessageUser(content="!")], date="{{ evil }}")


def test_the_registry_imports_no_torch() -> None:
    code = "import audit.registry, sys; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(audit.registry.__file__).parents[1], check=False).returncode == 0
