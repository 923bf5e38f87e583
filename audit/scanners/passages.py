"""What a scanner is given and what it answers: passages of wording, and judgements on them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from audit.records import Explanation, Label, Transcript

JUDGED_STATUSES = ("ok", "truncated")
"""Explanations of any other status carry no wording to judge and get no verdict."""
UNGRADED = "No grade:"
"""With this begins the reason of an UNCLEAR that is a grader's failure and no judgement."""


@dataclass(frozen=True)
class Passage:
    """All that a scanner may know of what it judges."""

    text: str
    """The wording: an explanation, or an assistant turn's own text."""
    group: str
    """Opaque key, equal for passages of one transcript; it is a hash, for a transcript's id may tell its scenario."""
    call_index: int
    position: int = -1
    """Token position of the explained site; -1 for a turn."""
    sample: int = 0


@dataclass(frozen=True)
class Judgement:
    """A scanner's answer to one passage; the runner makes a ``Verdict`` of it."""

    label: Label
    confidence: float
    """0 to 1: how sure the scanner is that the label is YES."""
    quote: str = ""
    """Verbatim from the passage; required for YES."""
    reason: str = ""
    """One sentence. For awareness, a YES starts with its basis: ``suspicion:`` or ``familiarity:``."""


def group_key(transcript_id: str) -> str:
    """The opaque key that stands for a transcript in a ``Passage``."""
    return hashlib.sha256(transcript_id.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def explanation_passage(explanation: Explanation) -> Passage:
    """What a scanner may know of an explanation: neither its control nor its scores."""
    return Passage(explanation.text, group_key(explanation.transcript_id), explanation.call_index, explanation.position, explanation.sample)


def explanation_passages(explanations: Iterable[Explanation]) -> list[Passage]:
    """The explanations that carry wording, in order."""
    return [explanation_passage(row) for row in explanations if row.status in JUDGED_STATUSES]


def turn_passages(transcript: Transcript) -> list[Passage]:
    """The turns of a transcript, one for each model call, as the target's own text."""
    return [Passage(call.text.strip(), group_key(transcript.transcript_id), call.index) for call in transcript.calls]
