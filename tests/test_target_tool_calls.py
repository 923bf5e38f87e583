"""Tool calls, thinking and the roles of output tokens."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from audit.target.loading import special_ids
from audit.target.tool_calls import opens_thinking, output_spans, own_text, parse_output, token_offsets

CALL = '<tool_call>{"name": "add", "arguments": {"x": 1, "y": 2}}</tool_call>'


def test_text_and_calls_are_taken_apart() -> None:
    parsed = parse_output(f"Let me see.\n{CALL}\n{CALL}", id_seed="seed")
    assert parsed.content == "Let me see."
    assert [(call.function, call.arguments, call.parse_error) for call in parsed.tool_calls] == [("add", {"x": 1, "y": 2}, None)] * 2
    assert len({call.id for call in parsed.tool_calls}) == 2
    assert parsed.tool_calls[0].id == parse_output(CALL, id_seed="seed").tool_calls[0].id
    assert parsed.tool_calls[0].id != parse_output(CALL, id_seed="another").tool_calls[0].id
    assert parsed.raw_calls == ('{"name": "add", "arguments": {"x": 1, "y": 2}}',) * 2


@pytest.mark.parametrize(
    ("body", "function", "arguments"),
    [
        ('{"name": "now"}', "now", {}),
        ('{"name": "now", "arguments": {}}', "now", {}),
        ('{"name": "now", "arguments": null}', "now", {}),
        ('{"name": "run", "parameters": {"command": "ls"}}', "run", {"command": "ls"}),
        ('{"name": "run", "arguments": "{\\"command\\": \\"ls\\"}"}', "run", {"command": "ls"}),
        ('{"name": "run", "arguments": {"command": "a\nb"}}', "run", {"command": "a\nb"}),
    ],
)
def test_the_usual_spellings_parse(body: str, function: str, arguments: dict[str, Any]) -> None:
    call = parse_output(f"<tool_call>\n{body}\n</tool_call>").tool_calls[0]
    assert (call.function, call.arguments, call.parse_error) == (function, arguments, None)


NO_NAME = ['["run"]', '{"arguments": {}}', '{"name": 3}']


@pytest.mark.parametrize("body", [*NO_NAME, "", "ls -la", '{"name": "run", "arguments": ', '{"name": "run", "arguments": [1]}', "[" * 5000])
def test_malformed_calls_are_errors_and_stay_in_the_text(body: str) -> None:
    text = f"First.\n<tool_call>{body}</tool_call>"
    parsed = parse_output(text)
    assert parsed.tool_calls[0].parse_error
    assert parsed.content == text


def test_a_call_that_was_cut_off_is_malformed() -> None:
    parsed = parse_output('Now <tool_call>{"name": "add", "argum')
    assert parsed.tool_calls[0].parse_error and parsed.raw_calls == ('{"name": "add", "argum',)


def test_thinking_is_separate_and_its_calls_are_not_calls() -> None:
    parsed = parse_output(f"<think>Perhaps {CALL}?</think>\n\nNo.")
    assert (parsed.thinking, parsed.content, parsed.tool_calls) == (f"Perhaps {CALL}?", "No.", [])
    opened = parse_output("Hm.</think>Yes.", in_thinking=True)
    assert (opened.thinking, opened.content) == ("Hm.", "Yes.")
    # A model cannot hide its answer by closing a thought that it never began.
    assert parse_output("Yes.</think>").thinking == ""


def test_the_template_may_open_the_thinking(tiny_target: Any) -> None:
    assert opens_thinking(tiny_target.tokenizer, tiny_target.ids("<|im_start|>assistant\n<think>\n"))
    assert not opens_thinking(tiny_target.tokenizer, tiny_target.ids("<think>x</think><|im_start|>assistant\n"))


@pytest.mark.parametrize("text", ["plain words", "  spaces  kept ", "naïve café — 日本語 🙂🙂 end", f"a{CALL}b", "\ufffd\ufffd real", "🙂"])
def test_offsets_cover_the_text_token_by_token(tiny_target: Any, text: str) -> None:
    ids = tiny_target.ids(text)
    decoded, offsets = token_offsets(tiny_target.tokenizer, ids)
    assert decoded == text
    assert len(offsets) == len(ids)
    assert all(start < end for start, end in offsets)
    assert offsets[0][0] == 0 and offsets[-1][1] == len(text)
    for (start, end), (following, last) in pairwise(offsets):
        assert following == end or (start, end) == (following, last)


def test_a_character_that_was_cut_off_does_not_break_offsets(tiny_target: Any) -> None:
    ids = tiny_target.ids("ok 🙂")[:-1]
    decoded, offsets = token_offsets(tiny_target.tokenizer, ids)
    assert decoded.startswith("ok ") and "\ufffd" in decoded
    assert len(offsets) == len(ids)
    noise = [tiny_target.ids("🙂")[0]] * 40
    assert len(token_offsets(tiny_target.tokenizer, noise)[1]) == 40


def test_spans_name_the_role_of_every_token(tiny_target: Any) -> None:
    text = f"<think>日本 hm</think>Here 🙂 it is.\n{CALL}<|im_end|>"
    ids = tiny_target.ids(text)
    spans = output_spans(tiny_target.tokenizer, ids, special_ids(tiny_target.tokenizer))
    assert [span.role for span in spans] == ["thinking", "response", "tool_call", "template"]
    assert [span.start for span in spans] + [len(ids)] == [0] + [span.end for span in spans]
    said = tiny_target.tokenizer.decode(ids[spans[1].start : spans[1].end])
    assert said.strip() == "Here 🙂 it is."
    own, calls = own_text(tiny_target.tokenizer, ids, special_ids(tiny_target.tokenizer))
    assert own == "<think>日本 hm</think>Here 🙂 it is."
    assert calls == ('{"name": "add", "arguments": {"x": 1, "y": 2}}',)
    assert output_spans(tiny_target.tokenizer, [], frozenset()) == ()
