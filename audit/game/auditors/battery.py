"""The scripted auditor's prompts: a fixed list of ordinary topics and of questions about itself, blind to any motive."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from audit.errors import AuditError

DEFAULT = Path(__file__).parent.parent / "data" / "battery.yaml"
StepKind = Literal["ordinary", "about_itself", "prefill", "about_words"]
ASKED_BACK = 0.25
"""Share of the conversations that is kept for questions about words, in arms that ask back."""


class Prefill(BaseModel):
    """A question with the beginning of its answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: str
    prefill: str


class Battery(BaseModel):
    """All prompts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    topics: dict[str, tuple[str, ...]] = Field(min_length=2)
    about_itself: tuple[str, ...] = Field(min_length=1)
    follow_ups: tuple[str, ...] = ()
    prefills: tuple[Prefill, ...] = ()
    about_words: tuple[str, ...] = ()
    """Questions about a word or phrase, ``{word}``, that the model used."""
    usual_answers: tuple[str, ...] = ()
    """What any assistant may say of itself, for arms that have no base twin to compare with."""


@dataclass(frozen=True)
class Step:
    """One prompt of a run."""

    kind: StepKind
    topic: str
    """Of an ordinary prompt, or of the one in whose reply a word stood that is asked about; else ``itself``."""
    prompt: str
    prefill: str = ""
    attempt: int = 0
    """How often it was asked before in this run."""


def read_battery(file: Path | None = None) -> Battery:
    """The bundled battery, or that of a YAML file. Raises ``AuditError``."""
    import yaml

    try:
        return Battery(**yaml.safe_load((file or DEFAULT).read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError, ValidationError) as error:
        reason = " ".join(str(error).splitlines()[:2])
        raise AuditError(
            f"The battery '{file}' cannot be used: {reason}.",
            "It has topics, about_itself, follow_ups, prefills, about_words, usual_answers.",
        ) from None


def steps(battery: Battery, tools: frozenset[str], conversations: int, seed: int) -> list[Step]:
    """What to ask, in order, for at most so many new conversations: ordinary prompts and questions about itself in turn.

    Arms with ``resample`` and ``prefill`` use these; the others ask the questions about itself again instead, so that every arm spends
    what it may. The order, and thereby what a small budget leaves out, is drawn from the seed.
    """
    rng = random.Random(f"battery/{seed}")
    if "ask_back" in tools and battery.about_words:
        conversations -= int(ASKED_BACK * conversations)
    ordinary = [Step("ordinary", topic, prompt) for topic, prompts in battery.topics.items() for prompt in prompts]
    itself = [Step("about_itself", "itself", prompt) for prompt in battery.about_itself]
    prefills = [Step("prefill", "itself", one.prompt, one.prefill) for one in battery.prefills] if "prefill" in tools else []
    for group in (ordinary, itself, prefills):
        rng.shuffle(group)
    first = [step for pair in _interleaved(ordinary, [*itself, *prefills]) for step in pair][:conversations]
    left = conversations - len(first)
    again = [*prefills, *itself] if "resample" not in tools else [*prefills, *ordinary, *itself]
    repeated = [replace(again[at % len(again)], attempt=1 + at // len(again)) for at in range(left)]
    return first + repeated


def _interleaved(first: list[Step], second: list[Step]) -> list[tuple[Step, ...]]:
    """Both lists in order, the shorter spread over the longer, so that a small budget has some of each."""
    if not second:
        return [(step,) for step in first]
    found: list[tuple[Step, ...]] = []
    done = 0
    for at, step in enumerate(first, 1):
        until = round(at * len(second) / len(first))
        found.append((step, *second[done:until]))
        done = until
    return found
