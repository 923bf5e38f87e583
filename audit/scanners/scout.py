"""The same scanners for Inspect Scout: thin adapters, so that ``scout scan`` gives the verdicts that the pipeline gives.

Explanations are read from ``InfoEvent(source="nla")`` of an enriched log, turns from the assistant messages. Each result carries the
label as value and answer, the reason as explanation, the verdict's other fields as metadata, and a reference to what was judged.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from inspect_ai.event import Event, InfoEvent
from inspect_ai.model import ChatMessage, ChatMessageAssistant, ContentReasoning
from inspect_scout import Loader, Reference, Result, Scanner, Transcript, loader, scanner

from audit.scanners.base import JUDGED_STATUSES, Judgement, Passage, get_scanner, group_key, judge_async

EVENT_SOURCE = "nla"
EVENT_KIND = "nla_explanation"


@loader(events=["info"])
def explanation_events() -> Loader[Event]:
    """Explanation events that carry wording to judge, in the log's order."""

    async def load(transcript: Transcript) -> AsyncIterator[Event]:
        for event in transcript.events:
            if is_explanation(event):
                yield event

    return load


@loader(messages=["assistant"])
def own_turns() -> Loader[ChatMessage]:
    """Assistant messages that the target generated; those that came with the sample's input are someone else's words."""

    async def load(transcript: Transcript) -> AsyncIterator[ChatMessage]:
        for message in transcript.messages:
            if message.role == "assistant" and message.source != "input":
                yield message

    return load


def is_explanation(event: Event) -> bool:
    """Whether an event is an explanation of ours with a status that is judged."""
    if not isinstance(event, InfoEvent) or event.source != EVENT_SOURCE or not isinstance(event.data, dict):
        return False
    return event.data.get("kind") == EVENT_KIND and event.data.get("status") in JUDGED_STATUSES


def event_passage(data: dict[str, Any]) -> Passage:
    """What a scanner may know of an explanation event."""
    return Passage(data["explanation"], group_key(data["transcript_id"]), data["call_index"], data["position"], data["sample"])


def turn_text(message: ChatMessageAssistant) -> str:
    """The message's own text, thinking included, tool calls not."""
    if isinstance(message.content, str):
        return message.content.strip()
    thoughts = [part.reasoning for part in message.content if isinstance(part, ContentReasoning)]
    return "\n".join([*thoughts, message.text]).strip()


def explanation_scan(name: str) -> Callable[[Event], Any]:
    """A Scout scan function over explanation events for the registered scanner ``name`` (a user's own too)."""

    async def scan(event: Event) -> Result:
        assert isinstance(event, InfoEvent) and isinstance(event.data, dict)
        data: dict[str, Any] = event.data
        [found] = await judge_async([event_passage(data)], get_scanner(name))
        place = {key: data[key] for key in ("transcript_id", "call_index", "position", "sample", "control")}
        references = [Reference(type="event", id=str(event.uuid), cite="[E1]")]
        if data.get("message_id"):
            references.append(Reference(type="message", id=data["message_id"], cite="[M1]"))
        return _result(name, found, place, references)

    return scan


def _result(name: str, found: Judgement, place: dict[str, Any], references: list[Reference]) -> Result:
    metadata = {**place, "scanner": name, "quote": found.quote, "confidence": found.confidence}
    cite = references[0].cite if references else ""
    return Result(
        value=found.label, answer=found.label, explanation=f"{cite} {found.reason}".strip(), metadata=metadata, references=references
    )


@scanner(name="awareness.lexical", loader=explanation_events())
def awareness_lexical() -> Scanner[Event]:
    """Whether an explanation says that the model takes itself to be evaluated: by rules."""
    return explanation_scan("awareness.lexical")


@scanner(name="awareness.classifier", loader=explanation_events())
def awareness_classifier() -> Scanner[Event]:
    """Whether an explanation says that the model takes itself to be evaluated: by a trained linear model."""
    return explanation_scan("awareness.classifier")


@scanner(name="turns.verbalised", loader=own_turns())
def verbalised() -> Scanner[ChatMessage]:
    """Whether the target says in its own words that it is being evaluated or tested as an AI."""

    async def scan(message: ChatMessage) -> Result:
        assert isinstance(message, ChatMessageAssistant)
        [found] = await judge_async([Passage(turn_text(message), "", 0)], get_scanner("verbalised"))
        return _result("verbalised", found, {"message_id": message.id}, [Reference(type="message", id=str(message.id), cite="[M1]")])

    return scan
