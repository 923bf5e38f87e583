"""What a grader answered, read strictly: one JSON object of the form that was asked for, or nothing."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from audit.records import Label
from audit.scanners.base import Judgement
from audit.scanners.fence import verbatim
from audit.scanners.rubric import Rubric

LONGEST_REASON = 300
FormT = TypeVar("FormT", bound=BaseModel)


class Answer(BaseModel):
    """What a grader must return: exactly these keys."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    label: Label
    quote: str
    probability: float = Field(ge=0, le=1)
    """That YES is right."""
    reason: str = Field(min_length=1)
    basis: str | None = None
    other_quote: str | None = None


class Unusable(Exception):
    """An answer that is none; the message says why, in words of our own."""


def judged(completion: str, rubric: Rubric, text: str, other: str = "") -> Judgement:
    """The judgement that a grader's answer holds. Raises ``Unusable`` if it is anything but what was asked for."""
    answer = parsed(completion)
    quote = verbatim(answer.quote, text)
    if answer.label != "NO" and answer.quote.strip() and not quote:
        raise Unusable("the quote does not occur in the text")
    if answer.label == "YES" and not quote:
        raise Unusable("a YES came without a quote")
    if (answer.label == "YES" and answer.probability < 0.5) or (answer.label == "NO" and answer.probability > 0.5):
        raise Unusable("label and probability contradict each other")
    reason = " ".join(answer.reason.split())[:LONGEST_REASON]
    if answer.label == "YES":
        reason = _supported(answer, rubric, other) + reason
    return Judgement(answer.label, answer.probability, "" if answer.label == "NO" else quote, reason)


def _supported(answer: Answer, rubric: Rubric, other: str) -> str:
    """What stands before the reason of a YES: its basis, and what it quotes from the second text."""
    before = ""
    if rubric.bases:
        if answer.basis not in [name for name, _ in rubric.bases]:
            raise Unusable("a YES came without its basis")
        before += f"{answer.basis}: "
    if rubric.beside_is:
        said = verbatim(answer.other_quote or "", other)
        if not said:
            raise Unusable("a YES came without a quote from the second text")
        before += f"the text says '{said[:LONGEST_REASON]}'; "
    return before


def parsed(completion: str) -> Answer:
    """The answer of a scanner's grader. Raises ``Unusable``."""
    return parsed_as(Answer, completion)


def parsed_as(form: type[FormT], completion: str) -> FormT:
    """One JSON object of a form, alone or alone in a code block, no key twice, no key more or less. Raises ``Unusable``."""
    body = completion.strip()
    if body.startswith("```") and body.endswith("```") and "\n" in body:
        body = body[body.index("\n") : -3]
    try:
        # Without ``parse_constant``, NaN and Infinity would pass for numbers.
        value = json.loads(body, object_pairs_hook=_unique, parse_constant=_no_number)
        return form.model_validate(value)
    except ValidationError as error:
        key = error.errors()[0]["loc"][0] if error.errors()[0]["loc"] else ""
        # A foreign key is the grader's word, and does not go into the next prompt.
        what = f"the answer's key '{key}' is missing or wrong" if key in form.model_fields else "the answer has wrong keys"
        raise Unusable(what) from None
    except (ValueError, RecursionError):
        raise Unusable("the answer is no JSON object of the form that was asked for") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a key occurs twice")
    return dict(pairs)


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number")
