"""Where a call's tokens stand among the characters of its text, so that a reader sees exactly what was read."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from audit.records import ModelCall
from audit.target.loading import special_ids
from audit.target.tool_calls import opens_thinking, text_regions, token_offsets

Places = dict[int, tuple[int, int]]


def token_places(tokenizer: Any, call: ModelCall, template_ids: Collection[int] | None = None) -> Places:
    """``(start, end)`` in ``call.text`` of each output token that stands in it, by its offset in ``call.output_ids``.

    Tokens of tool calls and the template's have no place there. Byte-level tokens that together make one character share it. Empty
    where the text cannot be had from the tokens again (its white space was tidied, say): no place is better than a wrong one.
    """
    special = special_ids(tokenizer) if template_ids is None else template_ids
    kept = [offset for offset, token in enumerate(call.output_ids) if token not in special]
    text, offsets = token_offsets(tokenizer, [call.output_ids[offset] for offset in kept])
    own = [region for region in text_regions(text, opens_thinking(tokenizer, call.prompt_ids)) if region[2] != "tool_call"]
    joined = "".join(text[start:end] for start, end, _ in own)
    if joined.strip() != call.text:
        return {}
    found: Places = {}
    begin, length = len(joined.lstrip()) - len(joined), len(call.text)
    for first, last, _ in own:
        for offset, (start, end) in zip(kept, offsets, strict=True):
            low, high = max(0, begin + start - first), min(length, begin + end - first)
            if first <= start and end <= last and low < high:
                found[offset] = low, high
        begin += last - first
    return found
