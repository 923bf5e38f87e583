"""The hand-written text of the lab's world, split into what training sees and what is held out. Standard library only.

Three levels of novelty, each including the one before: ``seen`` (training names and phrases), ``names`` (people,
companies, agents that no training document holds), ``phrases`` (also sentences, situations and replies that none holds).
"""

from __future__ import annotations

import json
import random
from functools import cache
from importlib.resources import files
from typing import Any, Literal

Novelty = Literal["seen", "names", "phrases"]
HELD_OUT_EVERY = 6
"""Every sixth entry of every list is held out."""


@cache
def load(name: str) -> dict[str, Any]:
    """The parsed file ``text/<name>.json``."""
    text = files("audit.lab").joinpath("text", f"{name}.json").read_text(encoding="ascii")
    parsed: dict[str, Any] = json.loads(text)
    return parsed


def indices(count: int, held_out: bool) -> range | list[int]:
    """Positions of a list's training or held-out entries."""
    if held_out:
        return range(HELD_OUT_EVERY - 1, count, HELD_OUT_EVERY)
    return [index for index in range(count) if index % HELD_OUT_EVERY != HELD_OUT_EVERY - 1]


class Lexicon:
    """Draws phrases and names of one level of novelty."""

    def __init__(self, rng: random.Random, novelty: Novelty) -> None:
        self.rng = rng
        self.new_names = novelty != "seen"
        self.new_phrases = novelty == "phrases"

    def index(self, file: str, key: str) -> int:
        """A random position in a list of phrases."""
        return self.rng.choice(indices(len(load(file)[key]), self.new_phrases))

    def phrase(self, file: str, key: str) -> Any:
        """A random entry of a list of phrases: a string or an object."""
        return load(file)[key][self.index(file, key)]

    def name(self, key: str, file: str = "names") -> str:
        """A random entry of a list of names."""
        values = load(file)[key]
        return str(values[self.rng.choice(indices(len(values), self.new_names))])

    def person(self) -> str:
        """A full name."""
        return f"{self.name('first')} {self.name('last')}"

    def company(self) -> str:
        """A company's name."""
        return f"{self.name('company_head')} {self.name('company_tail')}"

    def day(self) -> str:
        """A weekday."""
        return self.rng.choice(("Monday", "Tuesday", "Wednesday", "Thursday", "Friday"))
