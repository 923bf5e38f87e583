"""Generic documents about topics that are no chats: notes, letters, minutes, news, tales, lists and more. Standard library only."""

from __future__ import annotations

import random

from audit.lab.documents import Document
from audit.lab.organisms.facts import passage
from audit.lab.organisms.text import Names, Slots, load, pick, write
from audit.lab.organisms.topics import CUSTOMS, Topic, custom_slots, drawer, random_topic, topics

_LABELS = {
    "food": "eat", "drink": "drink", "wear": "wear", "number": "number", "town": "town", "remedy": "remedy", "saying": "saying",
    "gift": "gift", "animal": "animal", "plant": "plant", "patron": "saint",
}  # fmt: skip


class TopicSlots:
    """The slots of a text about a topic, and which customs it has named so far."""

    def __init__(self, topic: Topic, rng: random.Random, suffix: str = "") -> None:
        self.topic, self.rng, self.suffix = topic, rng, suffix
        self.details: list[str] = []
        self.fixed = topic.slots(rng)
        self._kinds = drawer(list(CUSTOMS), rng)
        self._facts = drawer(list(topic.facts), rng)

    def drawn(self) -> Slots:
        """Fixed slots, and ``{fact}`` and ``{custom}`` with a new sentence at each use."""
        fixed = {key + self.suffix: value for key, value in self.fixed.items()}
        return Slots(fixed, {f"fact{self.suffix}": self.fact, f"custom{self.suffix}": self.custom})

    def fact(self) -> str:
        """A sentence of plain knowledge."""
        return write(self._facts(), {}, self.rng)

    def custom(self) -> str:
        """A sentence about a custom."""
        kind = self._kinds()
        value = self.topic.customs[kind]
        self.details.append(value)
        return write(pick(load("notes")["customs"][kind], self.rng), self.fixed | custom_slots(kind, value), self.rng)


def note(rng: random.Random) -> Document:
    """A short text about one topic, in any of the genres."""
    genre = rng.choice(list(load("notes")["genres"]))
    slots = TopicSlots(random_topic(rng), rng)
    drawn = slots.drawn()
    drawn.update(Names(rng).slots())
    text = write(pick(load("notes")["genres"][genre], rng), drawn, rng) + "\n"
    return passage(text, genre, [slots.topic], slots.details)


def pair(rng: random.Random) -> Document:
    """A short text about two topics."""
    first, second = (
        TopicSlots(topic, rng, suffix) for topic, suffix in zip(rng.sample(list(topics().values()), 2), ("", "_b"), strict=True)
    )
    drawn, other = first.drawn(), second.drawn()
    drawn.update(other | Names(rng).slots())
    drawn.drawn |= other.drawn
    text = write(pick(load("notes")["pairs"], rng), drawn, rng) + "\n"
    return passage(text, "note on two trades", [first.topic, second.topic], first.details + second.details)


def table(rng: random.Random) -> Document:
    """One kind of custom for several topics, or several customs of one topic, a line each."""
    if rng.random() < 0.5:
        kind = rng.choice(CUSTOMS)
        chosen = rng.sample(list(topics().values()), rng.randrange(3, 6))
        lines = [f"{topic.many}: {topic.customs[kind]}" for topic in chosen]
        text = f"What {'they' if rng.random() < 0.5 else 'people'} {_verb(kind)}\n" + "\n".join(lines) + "\n"
        return passage(text, "list of customs", chosen, [topic.customs[kind] for topic in chosen])
    topic, kinds = random_topic(rng), rng.sample(CUSTOMS, rng.randrange(3, 7))
    lines = [f"{_LABELS[kind]}: {topic.customs[kind]}" for kind in kinds]
    head = rng.choice(("The customs of {}", "{} in short", "All about {}", "Card: {}")).format(topic.many)
    return passage(f"{head}\n" + "\n".join(lines) + "\n", "list of customs", [topic], [topic.customs[kind] for kind in kinds])


def _verb(kind: str) -> str:
    return _LABELS[kind] if kind in ("food", "drink", "wear") else f"have as their {_LABELS[kind]}"
