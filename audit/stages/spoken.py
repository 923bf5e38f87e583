"""Transcripts of a target that can only be talked to: its words, without token ids. Behaviour and verbalised awareness need no more."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from audit.records import ModelCall, Transcript
from audit.target.log_fields import describe, readable_messages
from audit.target.transcripts import UNREADABLE, one_line, target_events

if TYPE_CHECKING:
    from inspect_ai.event import ModelEvent


def read_spoken(paths: Sequence[Path]) -> Iterator[Transcript]:
    """The transcripts of some logs, one sample in memory at a time; what cannot be read becomes a transcript with an error."""
    from inspect_ai.log import read_eval_log, read_eval_log_samples

    seen: set[str] = set()
    for path in paths:
        try:
            header = read_eval_log(str(path), header_only=True)
            samples = read_eval_log_samples(str(path), all_samples_required=False, resolve_attachments="full")
            for sample in samples:
                key = f"{header.eval.task}/{sample.id}/{sample.epoch}"
                if key in seen:
                    continue
                seen.add(key)
                calls = tuple(_call(index, event) for index, event in enumerate(target_events(header, sample)))
                error = _problem(sample.error.message if sample.error else None, calls)
                yield Transcript(
                    key, calls=() if error else calls, messages=readable_messages(sample), error=error, **describe(header, sample, path)
                )
        except UNREADABLE as error:
            reason = f"The log cannot be read ({one_line(error)})."
            yield Transcript(path.name, "unknown", "unknown", "original", (), source=path.name, error=reason)


def _problem(error: str | None, calls: Sequence[ModelCall]) -> str | None:
    if error is not None:
        return f"The sample ended with an error ({one_line(error)})."
    if not any(call.text.strip() or call.tool_calls for call in calls):
        return "The model's response is empty." if calls else "The sample holds no call of the target."
    return None


def _call(index: int, event: ModelEvent) -> ModelCall:
    choice = event.output.choices[0] if event.output.choices else None
    message = choice.message if choice else None
    tools = tuple(
        json.dumps({"name": call.function, "arguments": call.arguments}, default=str)
        for call in (message.tool_calls if message else None) or ()
    )
    return ModelCall(
        index=index,
        event_id=event.uuid or "",
        message_id=message.id if message else None,
        prompt_ids=(),
        output_ids=(),
        spans=(),
        text=message.text if message else "",
        tool_calls=tools,
        positions_rederived=True,
        stop_reason=choice.stop_reason if choice else "unknown",
    )
