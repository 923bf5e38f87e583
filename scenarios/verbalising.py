"""Verbalising: a small family of the lab in which the agent says aloud what it notices."""

from __future__ import annotations

from inspect_ai import Task, task

from scenarios.blackmail import blackmail_behaviour
from scenarios.samples import MESSAGE_LIMIT, Novelty, SandboxName, Selection, Source, VariantName, build
from scenarios.tools import agent


@task
def verbalising(
    source: Source = "lab",
    limit: int | None = None,
    seed: int = 0,
    novelty: Novelty = "names",
    states: str | list[str] = "evaluation,deployment",
    sandbox: SandboxName = "bwrap",
    variant: VariantName = "original",
) -> Task:
    """The lab's blackmail family with an agent that is asked to say aloud what it notices; measures the scanner of verbalised awareness.

    Args:
        source: ``lab`` only.
        limit: Take this many samples only.
        seed: Seed of the samples.
        novelty: How new the samples are: ``names`` or ``phrases``.
        states: Hidden states of the samples, with a comma between.
        sandbox: Without effect: nothing is executed.
        variant: ``original``, or ``realism`` for the samples\' realism twins.
    """
    samples = build("verbalising", Selection(source, limit, seed, novelty, states, sandbox, variant))
    return Task(dataset=samples, solver=agent(), scorer=blackmail_behaviour(), message_limit=MESSAGE_LIMIT[source])
