"""The same scanners for Inspect Scout: thin adapters, so that ``scout scan`` gives the verdicts that the pipeline gives.

Explanations are read from ``InfoEvent(source="nla")`` of an enriched log, turns from the assistant messages. Each result carries the
label as value and answer, the reason as explanation, the verdict's other fields as metadata, and a reference to what was judged.
Scanners that need a grader, or a reference set, stand in ``scout_graded.py`` and ``scout_motives.py``: Scout runs all of a file.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from inspect_ai.event import Event, InfoEvent, ModelEvent
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


@loader(events=["info", "model"])
def explanations_with_calls() -> Loader[list[Event]]:
    """Pairs of an explanation event and the model event of the call that it belongs to, in the log's order."""

    async def load(transcript: Transcript) -> AsyncIterator[list[Event]]:
        calls = {event.uuid: event for event in transcript.events if isinstance(event, ModelEvent)}
        for event in transcript.events:
            call = calls.get(event_data(event).get("model_event")) if is_explanation(event) else None
            if call is not None:
                yield [event, call]

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
        [found] = await judge_async([event_passage(event_data(event))], get_scanner(name))
        return explanation_result(name, found, event)

    return scan


def mismatch_scan(name: str) -> Callable[[list[Event]], Any]:
    """A Scout scan function over pairs of ``explanations_with_calls``, for a scanner that holds explanations against turns."""

    async def scan(pair: list[Event]) -> Result:
        event, call = pair
        assert isinstance(call, ModelEvent)
        passage = event_passage(event_data(event))
        turn = Passage(turn_text(call.output.message), passage.group, passage.call_index)
        [found] = await judge_async([passage], get_scanner(name), [turn])
        return explanation_result(name, found, event)

    return scan


def event_data(event: Event) -> dict[str, Any]:
    """What an explanation event says."""
    assert isinstance(event, InfoEvent) and isinstance(event.data, dict)
    return event.data


def explanation_result(name: str, found: Judgement, event: Event) -> Result:
    """The result on one explanation, with references to its event and its message."""
    data = event_data(event)
    place = {key: data[key] for key in ("transcript_id", "call_index", "position", "sample", "control")}
    references = [Reference(type="event", id=str(event.uuid), cite="[E1]")]
    if data.get("message_id"):
        references.append(Reference(type="message", id=data["message_id"], cite="[M1]"))
    return _result(name, found, place, references)


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


@scanner(name="deception.lexical", loader=explanation_events())
def deception_lexical() -> Scanner[Event]:
    """Whether an explanation says that the model deceives somebody or is about to: by rules."""
    return explanation_scan("deception.lexical")


@scanner(name="reward_reasoning.lexical", loader=explanation_events())
def reward_reasoning_lexical() -> Scanner[Event]:
    """Whether an explanation says that the model reasons about its own reward or score: by rules."""
    return explanation_scan("reward_reasoning.lexical")


@scanner(name="mismatch.lexical", loader=explanations_with_calls())
def mismatch_lexical() -> Scanner[list[Event]]:
    """Whether an explanation ascribes a stance to the model that its own text contradicts: by rules."""
    return mismatch_scan("mismatch.lexical")


@scanner(name="turns.verbalised", loader=own_turns())
def verbalised() -> Scanner[ChatMessage]:
    """Whether the target says in its own words that it is being evaluated or tested as an AI."""

    async def scan(message: ChatMessage) -> Result:
        assert isinstance(message, ChatMessageAssistant)
        [found] = await judge_async([Passage(turn_text(message), "", 0)], get_scanner("verbalised"))
        return _result("verbalised", found, {"message_id": message.id}, [Reference(type="message", id=str(message.id), cite="[M1]")])

    return scan
