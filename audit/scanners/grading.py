"""Scanners that ask a model: any that Inspect can reach, in the role ``grader``.

A rubric becomes a prompt in which the text to judge is fenced off, the answer must be one JSON object and nothing else, and whatever is
not a usable answer (no connection, a rate limit, prose, a quote that is not in the text) is asked for again and then UNCLEAR with the
reason. A failure is never NO. The grader sees wording only: neither scenario nor ground truth nor a control's name.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit.scanners.answers import Unusable, judged
from audit.scanners.base import Judgement, Passage, ScannerError
from audit.scanners.passages import UNGRADED
from audit.scanners.rubric import Rubric, prompt

if TYPE_CHECKING:
    from inspect_ai.model import ChatMessage, Model, ModelOutput

ROLE = "grader"
AT_ONCE = 64
"""Requests under way; the provider's own limit on connections holds beside it."""
ATTEMPTS = 3
WAIT_SECONDS = 1.0
"""Before the second attempt where the grader could not be reached, doubled before the next; Inspect itself waits for rate limits."""
CUT_OFF = ("max_tokens", "model_length", "content_filter")
GIVE_UP = 20
"""Requests that failed in a row: a grader that is down would otherwise hold up a large audit for days."""


@dataclass
class _Reach:
    """Whether the grader answers at all."""

    lost: int = 0
    """Requests that failed since the last answer."""

    @property
    def given_up(self) -> bool:
        return self.lost >= GIVE_UP


@dataclass(frozen=True)
class _Bound:
    """The grader of a run, and what is known of it from one scan to the next."""

    model: str | Model
    reach: _Reach


_BOUND: ContextVar[_Bound | None] = ContextVar("grader", default=None)


@contextmanager
def grader_bound(model: str | Model) -> Iterator[None]:
    """Inside, graded scanners ask this model, whatever model Inspect has in the role. A name is connected anew for each scan.

    Roles of an earlier evaluation outlive it in a process, so a role may be nobody's choice; a grader that is named here is the user's.

    Once ``GIVE_UP`` requests in a row have failed, no more are made inside: the rest is UNCLEAR with that reason.
    """
    token = _BOUND.set(_Bound(model, _Reach()))
    try:
        yield
    finally:
        _BOUND.reset(token)


async def grade(passages: Sequence[Passage], rubric: Rubric, beside: Sequence[str] | None = None) -> list[Judgement]:
    """One judgement for each passage, in order; equal wording is asked once.

    ``beside``: the second text of each passage. Raises ``ScannerError`` if there is no grader at all.
    """
    import anyio

    if not passages:
        return []
    others = beside if beside is not None else [""] * len(passages)
    questions = [(passage.text, other) for passage, other in zip(passages, others, strict=True)]
    found: dict[tuple[str, str], Judgement] = {}
    limiter = anyio.CapacityLimiter(AT_ONCE)
    bound = _BOUND.get()
    reach = bound.reach if bound is not None else _Reach()

    async def ask(question: tuple[str, str], model: Model) -> None:
        async with limiter:
            found[question] = await _judgement(model, reach, rubric, *question)

    async with _grader() as model, anyio.create_task_group() as tasks:
        for question in dict.fromkeys(questions):
            tasks.start_soon(ask, question, model)
    return [found[question] for question in questions]


@asynccontextmanager
async def _grader() -> AsyncIterator[Model]:
    from inspect_ai.model import Model, get_model, model_roles

    bound = _BOUND.get()
    named = bound.model if bound is not None else None
    if isinstance(named, Model):
        yield named
    elif named is not None:
        # Its connections must not outlive this event loop, and every scan of the pipeline runs in one of its own.
        async with _connected(named) as model:
            yield model
    elif ROLE in model_roles():
        yield get_model(role=ROLE)
    else:
        raise ScannerError(
            "This scanner asks a grader, and no model has that role.",
            "Name one, for instance with: scout scan ... --model-role grader=PROVIDER/MODEL",
        )


def _connected(name: str) -> Model:
    from inspect_ai._util.error import PrerequisiteError
    from inspect_ai.model import get_model

    try:
        return get_model(name, memoize=False)
    except (PrerequisiteError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ScannerError(f"The grader '{name}' cannot be used: {reason}", "Name it as Inspect does, PROVIDER/MODEL.") from None


async def _judgement(model: Model, reach: _Reach, rubric: Rubric, text: str, other: str) -> Judgement:
    import anyio

    problem = complaint = ""
    for attempt in range(ATTEMPTS):
        if reach.given_up:
            return _failed(f"the grader failed {reach.lost} times in a row and was not asked any more")
        try:
            output = await _generate(model, prompt(rubric, text, other, complaint))
        except Exception as error:  # whatever a provider's library raises: it is the grader that failed, not the text
            reach.lost += 1
            problem = f"the grader could not be reached ({type(error).__name__})"
            if attempt + 1 < ATTEMPTS:
                await anyio.sleep(WAIT_SECONDS * 2**attempt)
            continue
        reach.lost = 0
        try:
            if output.stop_reason in CUT_OFF:
                raise Unusable(f"the answer was cut off ({output.stop_reason})")
            return judged(output.completion, rubric, text, other)
        except Unusable as unusable:
            problem = complaint = str(unusable)
    return _failed(f"{problem}, {ATTEMPTS} times asked")


def _failed(why: str) -> Judgement:
    return Judgement("UNCLEAR", 0.5, reason=f"{UNGRADED} {why}.")


async def _generate(model: Model, messages: list[ChatMessage]) -> ModelOutput:
    from inspect_ai.model import GenerateConfig

    # What the user set for the model wins over these.
    config = GenerateConfig(temperature=0.0, max_retries=5, timeout=300).merge(model.config)
    return await model.generate(messages, config=config)
