"""Tool calls and thinking in what a target wrote: parsed for Inspect, and as spans of output tokens for site selection."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from audit.records import Role, Span

if TYPE_CHECKING:
    from inspect_ai.tool import ToolCall, ToolInfo

_CALL = re.compile(r"<tool_call>(.*?)(?:</tool_call>|\Z)", re.DOTALL)
_THINKING = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)
_THINKING_OPENED = re.compile(r"\A.*?(?:</think>|\Z)", re.DOTALL)
_LONGEST_CHARACTER = 8


@dataclass(frozen=True)
class ParsedOutput:
    """What a target wrote, taken apart."""

    content: str
    """Text without thinking and without well-formed tool calls; malformed ones stay, as written."""
    thinking: str
    tool_calls: list[ToolCall]
    raw_calls: tuple[str, ...]
    """Each call's JSON text as written."""


def opens_thinking(tokenizer: Any, prompt_ids: Sequence[int]) -> bool:
    """Whether the chat template itself opened the thinking, so that the output holds only its end."""
    tail: str = tokenizer.decode(list(prompt_ids[-8:]), skip_special_tokens=False)
    return tail.rstrip().endswith("<think>")


def parse_output(text: str, tools: Sequence[ToolInfo] = (), id_seed: str = "", in_thinking: bool = False) -> ParsedOutput:
    """Splits a reply (special tokens already removed) into thinking, text and tool calls.

    Ids of calls are derived from ``id_seed``, so that equal runs log equal ids. A malformed call becomes a ``ToolCall``
    with a ``parse_error``; nothing raises. ``in_thinking``: see ``opens_thinking``.
    """
    regions = text_regions(text, in_thinking)
    thinking = "".join(text[start:end] for start, end, role in regions if role == "thinking")
    calls: list[ToolCall] = []
    raw: list[str] = []
    kept: list[str] = []
    for start, end, role in regions:
        if role == "tool_call":
            body = _body(text[start:end])
            raw.append(body)
            calls.append(_tool_call(body, list(tools), _call_id(id_seed, len(calls))))
        if role == "response" or (role == "tool_call" and calls[-1].parse_error is not None):
            kept.append(text[start:end])
    content = "".join(kept)
    if calls or thinking:
        content = content.strip()
    return ParsedOutput(content, re.sub(r"</?think>", "", thinking).strip(), calls, tuple(raw))


def output_spans(tokenizer: Any, output_ids: Sequence[int], template_ids: Collection[int], in_thinking: bool = False) -> tuple[Span, ...]:
    """Roles of the output tokens, in order and without gaps; ``template_ids`` are special and stop tokens.

    A token belongs to a tool call or to thinking if any of its characters does.
    """
    text, offsets = token_offsets(tokenizer, output_ids)
    marked = [region for region in text_regions(text, in_thinking) if region[2] != "response"]
    roles: list[Role] = []
    for token, (start, end) in zip(output_ids, offsets, strict=True):
        if token in template_ids:
            roles.append("template")
        else:
            roles.append(next((role for first, last, role in marked if start < last and end > first), "response"))
    return _runs(roles)


def own_text(
    tokenizer: Any, output_ids: Sequence[int], template_ids: Collection[int], in_thinking: bool = False
) -> tuple[str, tuple[str, ...]]:
    """The model's own text (thinking included, tool calls and special tokens removed) and the tool calls' JSON texts."""
    text = plain_text(tokenizer, output_ids, template_ids)
    regions = text_regions(text, in_thinking)
    own = "".join(text[start:end] for start, end, role in regions if role != "tool_call").strip()
    return own, tuple(_body(text[start:end]) for start, end, role in regions if role == "tool_call")


def plain_text(tokenizer: Any, ids: Sequence[int], template_ids: Collection[int]) -> str:
    """Decoded text without special and stop tokens."""
    text: str = tokenizer.decode([token for token in ids if token not in template_ids], clean_up_tokenization_spaces=False)
    return text


def token_offsets(tokenizer: Any, ids: Sequence[int]) -> tuple[str, list[tuple[int, int]]]:
    """The decoded text and each token's ``(start, end)`` characters in it.

    Byte-level tokens that together make one character all get that character's range. Decodes a short window at a time,
    because decoding prefixes costs quadratic time and single tokens lose spaces.
    """

    def decode(tokens: Sequence[int]) -> str:
        piece: str = tokenizer.decode(list(tokens), skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return piece

    text, offsets = "", []  # type: str, list[tuple[int, int]]
    context = done = 0
    for index in range(len(ids)):
        known, now = decode(ids[context:done]), decode(ids[context : index + 1])
        pending = index + 1 - done
        if now.endswith("\ufffd") and pending < _LONGEST_CHARACTER and index + 1 < len(ids):
            continue
        start = len(text)
        text += now[len(known) :]
        offsets += [(start, len(text))] * pending
        context, done = done, index + 1
    return text, offsets


def text_regions(text: str, in_thinking: bool) -> list[tuple[int, int, Role]]:
    """The text cut into ``(start, end, role)`` without gaps. A tool call inside thinking is thinking."""
    opened = _THINKING_OPENED.match(text) if in_thinking else None
    thinking = [opened.span()] if opened else []
    first = opened.end() if opened else 0
    thinking += [match.span() for match in _THINKING.finditer(text, first)]
    calls = [match.span() for match in _CALL.finditer(text)]
    calls = [(start, end) for start, end in calls if not any(start < last and end > begin for begin, last in thinking)]
    marked: list[tuple[int, int, Role]] = [(start, end, "thinking") for start, end in thinking]
    marked += [(start, end, "tool_call") for start, end in calls]
    regions: list[tuple[int, int, Role]] = []
    at = 0
    for start, end, role in sorted(marked):
        if start > at:
            regions.append((at, start, "response"))
        regions.append((start, end, role))
        at = end
    if at < len(text):
        regions.append((at, len(text), "response"))
    return regions


def _runs(roles: Sequence[Role]) -> tuple[Span, ...]:
    spans: list[Span] = []
    for index, role in enumerate(roles):
        if spans and spans[-1].role == role:
            spans[-1] = Span(spans[-1].start, index + 1, role)
        else:
            spans.append(Span(index, index + 1, role))
    return tuple(spans)


def _body(call: str) -> str:
    return call.removeprefix("<tool_call>").removesuffix("</tool_call>").strip()


def _call_id(seed: str, index: int) -> str:
    # Nine letters and digits: what the strictest chat template (Mistral's) accepts.
    return hashlib.sha256(f"{seed}/{index}".encode()).hexdigest()[:9]


def _tool_call(body: str, tools: list[ToolInfo], call_id: str) -> ToolCall:
    from inspect_ai.model._call_tools import parse_tool_call
    from inspect_ai.tool import ToolCall

    try:
        # Models write raw line breaks into JSON strings; only strict parsers mind.
        call = json.loads(body, strict=False)
        name, arguments = call["name"], call.get("arguments", call.get("parameters")) or {}
        if not isinstance(name, str) or not isinstance(arguments, (dict, str)):
            raise TypeError("name must be a string and arguments an object")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = f"This tool call is not valid JSON with a name and arguments: {error}"
        return ToolCall(id=call_id, function="unknown", arguments={}, parse_error=reason)
    return parse_tool_call(call_id, name, arguments if isinstance(arguments, str) else json.dumps(arguments), tools)
