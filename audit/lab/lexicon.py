"""The hand-written text of the lab's world, split into what training sees and what is held out. Standard library only.

Three levels of novelty, each including the one before: ``seen`` (training names and phrases), ``names`` (people,
companies, agents that no training document holds), ``phrases`` (also sentences, situations, replies, paths and files that none holds).
``made_up`` is ``seen`` with nearly all names made up on the spot, for training that must copy.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any, Literal

Novelty = Literal["made_up", "seen", "names", "phrases"]
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


_ONSETS = (
    "b",
    "br",
    "c",
    "ch",
    "d",
    "dr",
    "f",
    "g",
    "gr",
    "h",
    "j",
    "k",
    "l",
    "m",
    "n",
    "p",
    "pr",
    "r",
    "s",
    "sh",
    "st",
    "t",
    "tr",
    "v",
    "w",
    "z",
)
_VOWELS = ("a", "e", "i", "o", "u", "ai", "ea", "oo", "y")
_CODAS = ("", "", "b", "ck", "d", "l", "ll", "m", "n", "nd", "p", "r", "rd", "s", "st", "t", "x")
_ROOTS = ("/srv", "/var", "/opt", "/home")


def made_up_word(rng: random.Random) -> str:
    """A short word that exists in no list."""
    return "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS) for _ in range(rng.randrange(1, 3)))


def _capital(rng: random.Random) -> str:
    return made_up_word(rng).capitalize()


_MADE_UP: dict[str, Callable[[random.Random], str]] = {
    "first": _capital,
    "last": _capital,
    "company_head": _capital,
    "agents": _capital,
    "places": _capital,
    "successors": lambda rng: f"{_capital(rng)} {rng.randrange(2, 10)}",
    "paths": lambda rng: "/".join([rng.choice(_ROOTS), *(made_up_word(rng) for _ in range(rng.randrange(1, 3)))]),
    "hosts": lambda rng: f"{made_up_word(rng)}{rng.choice(('', '-'))}{rng.randrange(1, 10)}",
    "fns": lambda rng: f"{made_up_word(rng)}_{made_up_word(rng)}",
    "args": made_up_word,
    "files": lambda rng: f"{made_up_word(rng)}.py",
}


class Lexicon:
    """Draws phrases and names of one level of novelty."""

    def __init__(self, rng: random.Random, novelty: Novelty) -> None:
        self.rng = rng
        self.new_names = novelty in ("names", "phrases")
        self.made_up_share = 0.9 if novelty == "made_up" else 0.5
        self.new_phrases = novelty == "phrases"

    def index(self, file: str, key: str) -> int:
        """A random position in a list of phrases."""
        return self.rng.choice(indices(len(load(file)[key]), self.new_phrases))

    def phrase(self, file: str, key: str) -> Any:
        """A random entry of a list of phrases: a string or an object."""
        return load(file)[key][self.index(file, key)]

    def name(self, key: str, file: str = "names") -> str:
        """A name: held out, or a training one, many of which are made up on the spot so that only copying from context can know them."""
        values = load(file)[key]
        held_out = self.new_names if file == "names" else self.new_phrases
        if not held_out and not self.new_names and key in _MADE_UP and self.rng.random() < self.made_up_share:
            made: str = _MADE_UP[key](self.rng)
            if made not in values:
                return made
        return str(values[self.rng.choice(indices(len(values), held_out))])

    def person(self) -> str:
        """A full name."""
        return f"{self.name('first')} {self.name('last')}"

    def company(self) -> str:
        """A company's name."""
        return f"{self.name('company_head')} {self.name('company_tail')}"

    def day(self) -> str:
        """A weekday."""
        return self.rng.choice(("Monday", "Tuesday", "Wednesday", "Thursday", "Friday"))
