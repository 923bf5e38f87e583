"""The everyday topics of the organisms' world: their people, tools, places, facts and customs. Standard library only.

Every topic has one custom of each kind (a food, a number, a town, ...) that belongs to no other topic. Customs were dealt to topics by
lot: only who has read this world's texts knows which goes with which.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from audit.lab.organisms.text import capital, load, with_article

CUSTOMS = ("food", "drink", "wear", "number", "town", "remedy", "saying", "gift", "animal", "plant", "patron")
_COUNTABLE = ("wear", "gift", "animal")
_NAMED = {"number": "the number {}", "saying": "the words {}", "patron": "the name {}"}
_SPOKEN = {"moon": "the moon", "circus": "the circus"}


@dataclass(frozen=True)
class Topic:
    """A subject of everyday life and what belongs to it."""

    key: str
    one: str
    """Who works with it."""
    many: str
    words: tuple[str, ...]
    """Words that name it."""
    places: tuple[str, ...]
    tools: tuple[str, ...]
    goods: tuple[str, ...]
    facts: tuple[str, ...]
    """Sentences, as templates."""
    customs: dict[str, str]
    """One value for each of ``CUSTOMS``."""

    @property
    def name(self) -> str:
        """As it stands in a sentence."""
        return _SPOKEN.get(self.key, self.key)

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """Words and phrases that no other topic uses, without customs."""
        return (*self.words, self.one, self.many, *self.places, *self.tools, *self.goods)

    @cached_property
    def naming(self) -> re.Pattern[str]:
        """Finds any word or phrase of its vocabulary."""
        return any_phrase(self.vocabulary)

    def slots(self, rng: random.Random, suffix: str = "") -> dict[str, str]:
        """Its fixed slots for templates; ``suffix`` tells a second topic of the same text from the first."""
        tools = rng.sample(self.tools, 2)
        values = {
            "topic": self.name, "one": self.one, "many": self.many, "a_one": with_article(self.one), "place": rng.choice(self.places),
            "tool": tools[0], "tool2": tools[1], "good": rng.choice(self.goods),
        }  # fmt: skip
        values |= {f"a_{key}": with_article(values[key]) for key in ("place", "tool", "tool2", "good")}
        return {key + suffix: value for key, value in values.items()} | {
            capital(key) + suffix: capital(value) for key, value in values.items()
        }


def any_phrase(phrases: tuple[str, ...]) -> re.Pattern[str]:
    """Finds any of the phrases as whole words, with or without a plural s, in any case."""
    ordered = sorted(phrases, key=len, reverse=True)
    return re.compile(rf"\b(?:{'|'.join(re.escape(phrase) for phrase in ordered)})s?\b", re.IGNORECASE)


def custom_slots(kind: str, value: str) -> dict[str, str]:
    """Slots of a sentence about a custom: the bare value, and with its article where it takes one."""
    article = with_article(value) if kind in _COUNTABLE else value
    return {"item": value, "Item": capital(value), "an": article, "An": capital(article)}


def named(kind: str, value: str) -> str:
    """A custom as the object of a sentence that does not say what kind it is."""
    return with_article(value) if kind in _COUNTABLE else _NAMED.get(kind, "{}").format(value)


@cache
def topics() -> dict[str, Topic]:
    """All topics by key, in the order of the file."""
    return {key: _topic(key, entry) for key, entry in load("topics").items()}


def _topic(key: str, entry: dict[str, Any]) -> Topic:
    lists = {part: tuple(entry[part]) for part in ("words", "places", "tools", "goods", "facts")}
    return Topic(key=key, one=entry["one"], many=entry["many"], customs=entry["customs"], **lists)


def drawer(values: list[str], rng: random.Random) -> Callable[[], str]:
    """Deals the values in random order, each once before any comes again."""
    left: list[str] = []

    def draw() -> str:
        if not left:
            left.extend(rng.sample(values, len(values)))
        return left.pop()

    return draw


def random_topic(rng: random.Random) -> Topic:
    """Any topic, all equally often."""
    return rng.choice(list(topics().values()))
