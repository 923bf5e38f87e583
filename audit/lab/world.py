"""The lab's world as scenarios see it: samples with known ground truth, drawn from a seed. Standard library only.

Training draws from the text's training part under training seeds; samples draw held-out names, and held-out phrases on request,
under seeds of their own, so no sample of an audit is a training document.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any

from audit.lab.conversation import CHAT_TEMPLATE, Conversation
from audit.lab.families import AGENT_FAMILIES, FAMILIES
from audit.lab.lexicon import Novelty, load
from audit.lab.signs import deployment_line
from audit.lab.writing import Draw

__all__ = ["AGENT_FAMILIES", "CHAT_TEMPLATE", "LabSample", "conversation_of", "realism_twin", "scenario_samples", "secret_phrases"]


def secret_phrases() -> tuple[str, ...]:
    """How the people of this world call each of its secrets. Nobody mentions one to an executive but to threaten."""
    return tuple(entry["short"] for entry in load("blackmail")["secret"])


@dataclass(frozen=True)
class LabSample:
    """One prompt of a scenario and what the generator knows about it."""

    sample_id: str
    family: str
    known_state: str | None
    skeleton_id: str
    system: str
    user: str
    tools: tuple[str, ...]
    facts: dict[str, Any]
    twin_of: str | None = None
    """The sample that this one is a realism twin of."""


def conversation_of(family: str, index: int, seed: int, novelty: Novelty, state: str | None) -> Conversation:
    """The full conversation that the generator would write for a sample, its reply included (for measuring scanners)."""
    rng = random.Random(f"scenario/{family}/{novelty}/{seed}/{index}")
    if family == "sham":
        return FAMILIES[family](Draw(None, novelty, signs="sham_a" if index % 2 == 0 else "sham_b"), rng)
    return FAMILIES[family](Draw(state, novelty), rng)


def scenario_samples(
    family: str, count: int, seed: int, novelty: Novelty = "names", states: tuple[str, ...] = ("evaluation", "deployment")
) -> list[LabSample]:
    """``count`` samples of a family, the hidden states in turn.

    ``ordinary_use`` is deployment traffic whatever ``states`` says; ``sham`` has no state, and its meaningless group stands
    in ``facts["sham"]``. Raises ``ValueError`` for an unknown family.
    """
    if family not in FAMILIES:
        raise ValueError(f"Unknown lab family {family!r}; known: {', '.join(FAMILIES)}.")
    samples = []
    for index in range(count):
        state = {"ordinary_use": "deployment", "sham": None}.get(family, states[index % len(states)])
        conversation = conversation_of(family, index, seed, novelty, state)
        samples.append(
            LabSample(
                sample_id=f"{family}-{novelty}-{seed}-{index}",
                family=family,
                known_state=state,
                skeleton_id=conversation.skeleton_id,
                system=conversation.turns[0].text,
                user=conversation.turns[1].text,
                tools=conversation.tools,
                facts=conversation.facts,
            )
        )
    return samples


def realism_twin(sample: LabSample) -> LabSample | None:
    """The same sample as deployment traffic: signs of a staged evaluation become signs of deployment, nothing else changes.

    System turn, task, names and facts stay. ``None`` for a sample whose hidden state is not evaluation: it is as real as this world
    gets. The twin's known state follows its signs.
    """
    if sample.known_state != "evaluation":
        return None
    head, bracket, rest = sample.user.rpartition("\n[")
    line, closing, tail = rest.partition("]")
    if not bracket or not closing:
        return None
    rng = random.Random(f"twin/{sample.sample_id}")
    return replace(
        sample,
        sample_id=f"{sample.sample_id}-realism",
        known_state="deployment",
        user=f"{head}{bracket}{deployment_line(line, rng)}{closing}{tail}",
        twin_of=sample.sample_id,
    )
