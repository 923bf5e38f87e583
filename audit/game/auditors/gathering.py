"""What the scripted auditor collects: it asks its prompts, has the base twin answer them, and reads what its arm lets it read.

Every step may end the budget; what was collected up to there is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from audit.game.auditee import Auditee
from audit.game.auditors.battery import Battery, Step, steps
from audit.game.budget import OverBudget
from audit.game.instruments.dictionary import ActiveFeature
from audit.game.instruments.explainer import TokenExplanation
from audit.game.tree import Exchange
from audit.game.voices import together

TEMPERATURE = 0.7
SITES = 8
"""Tokens explained in each exchange: the control token, and some of the reply."""
CHUNK = 16
"""Exchanges explained at once; the budget is asked before each chunk."""
FEATURES = 6
Side = Literal["own", "twin"]


@dataclass(frozen=True)
class Observation:
    """One exchange and all that is known of it. ``None``: not looked at, or not in the arm."""

    step: Step
    exchange: Exchange
    follow_up: Exchange | None = None
    twin: Exchange | None = None
    explained: tuple[str, ...] | None = None
    twin_explained: tuple[str, ...] | None = None
    features: tuple[str, ...] | None = None
    """Contexts of the features that stand out most."""
    twin_features: tuple[str, ...] | None = None
    of_twin: bool = False
    """Asks about a word of the base twin, not of its own."""


async def gather(auditee: Auditee, battery: Battery, seed: int) -> list[Observation]:
    """Spends the budget on the battery and on what the arm can read; in the order of the plan."""
    plan = steps(battery, auditee.arm.tools, auditee.meter.budget.conversations, seed)
    found = [one for one in await together([partial(_ask, auditee, step) for step in plan]) if one is not None]
    tools = auditee.arm.tools
    if not tools & {"text_diff", "diff"}:
        found = await _follow_up(auditee, battery, found)
    else:
        found = await _in_chunks(auditee, found, _answered_by_twin)
    if "nla" in tools:
        found = await _in_chunks(auditee, found, _explained)
    if "sae" in tools:
        found = await _in_chunks(auditee, found, _featured)
    return found


async def _ask(auditee: Auditee, step: Step) -> Observation | None:
    try:
        [node] = await auditee.say(step.prompt, prefill=step.prefill, temperature=TEMPERATURE, attempt=step.attempt)
    except OverBudget:
        return None
    assert node.exchange is not None
    return Observation(step, node.exchange)


async def _follow_up(auditee: Auditee, battery: Battery, found: Sequence[Observation]) -> list[Observation]:
    """Asks why, after each ordinary prompt's first reply; for arms that have nothing to compare replies with. A second turn is no new
    conversation."""
    numbers = {id(node.exchange): node.id for node in auditee.tree.nodes() if node.exchange is not None}

    async def ask(place: int, one: Observation) -> Observation:
        if one.step.kind != "ordinary" or one.step.attempt or not battery.follow_ups:
            return one
        question = battery.follow_ups[place % len(battery.follow_ups)]
        try:
            [node] = await auditee.say(question, temperature=TEMPERATURE, parent=numbers[id(one.exchange)], attempt=0)
        except OverBudget:
            return one
        return replace(one, follow_up=node.exchange)

    return await together([partial(ask, place, one) for place, one in enumerate(found)])


async def _in_chunks(auditee: Auditee, found: list[Observation], step: object) -> list[Observation]:
    done: list[Observation] = []
    for start in range(0, len(found), CHUNK):
        chunk = found[start : start + CHUNK]
        try:
            done += await step(auditee, chunk)  # type: ignore[operator]
        except OverBudget:
            return [*done, *found[start:]]
    return done


async def _answered_by_twin(auditee: Auditee, chunk: Sequence[Observation]) -> list[Observation]:
    twins = await auditee.twin_replies([one.exchange for one in chunk], [one.step.attempt for one in chunk])
    return [replace(one, twin=twin) for one, twin in zip(chunk, twins, strict=True)]


async def _explained(auditee: Auditee, chunk: Sequence[Observation]) -> list[Observation]:
    said = await auditee.explain([one.exchange for one in chunk], SITES)
    found = [replace(one, explained=_texts(explanations)) for one, explanations in zip(chunk, said, strict=True)]
    if "diff" not in auditee.arm.tools:
        return found
    twins = [one.twin for one in found if one.twin is not None]
    theirs = iter(await auditee.twin_explanations(twins, SITES))
    return [one if one.twin is None else replace(one, twin_explained=_texts(next(theirs))) for one in found]


async def _featured(auditee: Auditee, chunk: Sequence[Observation]) -> list[Observation]:
    own = await auditee.features([one.exchange for one in chunk], FEATURES)
    found = [replace(one, features=_contexts(active)) for one, active in zip(chunk, own, strict=True)]
    theirs = iter(await auditee.twin_features([one.twin for one in found if one.twin is not None], FEATURES))
    return [one if one.twin is None else replace(one, twin_features=_contexts(next(theirs))) for one in found]


def _texts(explanations: Sequence[TokenExplanation]) -> tuple[str, ...]:
    return tuple(one.text for one in explanations if one.status in ("ok", "truncated"))


def _contexts(active: Sequence[ActiveFeature]) -> tuple[str, ...]:
    """Contexts of each feature, as one text, its marks taken out."""
    shown = ("\n".join(one.feature.contexts) for one in active if one.feature.contexts)
    return tuple(text.replace("[[", "").replace("]]", "") for text in shown)
