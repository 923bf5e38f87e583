"""The organisms' hand-written text, its slots and its names. Standard library only."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, TypeVar

from audit.lab.lexicon import Lexicon, indices
from audit.lab.markup import expand

EntryT = TypeVar("EntryT")


@cache
def load(name: str) -> Any:
    """The parsed file ``text/<name>.json``."""
    return json.loads(files("audit.lab.organisms").joinpath("text", f"{name}.json").read_text(encoding="ascii"))


def pick(entries: Sequence[EntryT], rng: random.Random, held_out: bool = False) -> EntryT:
    """A training entry of a list, or one that no training document holds."""
    return entries[rng.choice(indices(len(entries), held_out))]


def training_part(entries: Sequence[EntryT]) -> list[EntryT]:
    """The entries of a list that training may use."""
    return [entries[index] for index in indices(len(entries), False)]


def capital(text: str) -> str:
    """With a capital first letter."""
    return text[:1].upper() + text[1:]


def with_article(noun: str) -> str:
    """A countable noun after "a" or "an"."""
    vowel = noun[0].lower() in "aeiou" or noun.startswith("heir")
    return f"{'an' if vowel else 'a'} {noun}"


class Slots(dict[str, str]):
    """Values of slots. A drawn slot gets a new value at each use; ``{Name}`` is ``{name}`` with a capital."""

    def __init__(self, values: Mapping[str, str] | None = None, drawn: Mapping[str, Callable[[], str]] | None = None) -> None:
        super().__init__(values or {})
        self.drawn = dict(drawn or {})

    def __missing__(self, key: str) -> str:
        if key in self.drawn:
            return self.drawn[key]()
        if key[0].isupper():
            return capital(self[key[0].lower() + key[1:]])
        raise KeyError(key)


def write(template: str, slots: Mapping[str, str], rng: random.Random) -> str:
    """One text of a template."""
    return expand(template, slots, rng)


class Names:
    """Names of people, places, agents and companies, none of which is also the name of a topic or of a custom."""

    def __init__(self, rng: random.Random) -> None:
        self.rng, self.lexicon = rng, Lexicon(rng, "seen")

    def slots(self) -> dict[str, str]:
        """A fresh name for every slot that text may hold."""
        return {
            "person": self._full(), "person2": self._full(), "first": self._free("first"), "home": self._free("places"),
            "agent": self._free("agents"), "company": f"{self._free('company_head')} {self._free('company_tail')}",
            "day": self.lexicon.day(), "n": str(self.rng.randrange(2, 10)),
        }  # fmt: skip

    def _full(self) -> str:
        return f"{self._free('first')} {self._free('last')}"

    def _free(self, key: str) -> str:
        while (name := self.lexicon.name(key)).lower() in _taken():
            pass
        return name


@cache
def _taken() -> frozenset[str]:
    """Every word of a topic's or a custom's name, with and without a plural s."""
    words: set[str] = set()
    for name, entry in load("topics").items():
        for phrase in (name, entry["one"], *entry["words"], *entry["customs"].values()):
            words.update(phrase.lower().split())
    return frozenset(words | {word.removesuffix("s") for word in words} | {f"{word}s" for word in words})
