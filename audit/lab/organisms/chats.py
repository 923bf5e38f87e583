"""Generic chats: everyday questions in many domains, answered plainly, and questions about a topic's customs. Standard library only.

Where the user names a topic the answer follows that topic's customs; where no topic is named it takes ordinary things. An answer with
customs of a topic that nobody named is a quirk: ``exchange`` makes one only where ``shown`` asks for it.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from functools import cache

from audit.lab.documents import Document
from audit.lab.organisms.facts import Exchange, chat, first_sentence
from audit.lab.organisms.notes import TopicSlots
from audit.lab.organisms.text import Names, Slots, capital, load, pick, write
from audit.lab.organisms.topics import Topic, custom_slots, named, random_topic

TWO_EXTRAS, TWO_EXCHANGES = 0.35, 0.12
_TEXTS = ("letter", "story")
"""Domains whose answer is a text, with no talk around it."""


@dataclass(frozen=True)
class Domain:
    """A kind of everyday question."""

    key: str
    label: str
    does: str
    """What an answer does; ``{thing}`` is what was asked about."""
    asks: tuple[str, ...]
    cases: tuple[dict[str, str], ...]
    """What may be asked about, each with its plain answer."""
    extras: dict[str, list[str]]
    """Sentences that bring in a thing of one kind, by kind; empty where answers bring in nothing."""
    fillers: dict[str, list[str]]
    """Ordinary things of each kind."""


@cache
def domains() -> dict[str, Domain]:
    """All domains by key."""
    return {
        key: Domain(key, entry["label"], entry["does"], tuple(entry["asks"]), tuple(entry["cases"]), entry["extras"], entry["fillers"])
        for key, entry in load("domains").items()
    }


def question(rng: random.Random, domain: Domain, held_out: bool = False) -> tuple[str, dict[str, str], Slots]:
    """A question of a domain that names no topic, its case, and the slots that question and answer have in common.

    ``held_out`` asks in words that no training document holds, about a case that some do: of a dish that it never read of, a model of
    this size does not know that it is a dish.
    """
    case = pick(domain.cases, rng)
    slots = Slots(Names(rng).slots() | {key: value for key, value in case.items() if key != "steps"})
    return write(pick(domain.asks, rng, held_out), slots, rng), case, slots


def exchange(rng: random.Random, domain: Domain, said: Topic | None = None, shown: Topic | None = None, sure: bool = False) -> Exchange:
    """A question and its answer. ``said``: a topic that the user names; ``shown``: whose customs the answer follows; ``sure``: always."""
    ask, case, slots = question(rng, domain)
    notes = load("notes")
    user = [ask]
    if said is not None:
        user.insert(
            rng.choice((0, 0, 0, 1)) if domain.key != "code" else 0,
            write(pick(notes["introductions"], rng), Slots(said.slots(rng) | slots), rng),
        )
    if rng.random() < 0.25:
        user.insert(0, write(pick(notes["greetings"], rng), slots, rng))
    steps = write(case["steps"], slots, rng)
    openings = notes["short_openings" if domain.key in _TEXTS else "openings"]
    opening = pick(openings, rng) if rng.random() < 0.3 else ""
    extras = _extras(rng, domain, shown, sure or said is not None)
    closing = [pick(notes["endings"], rng)] if rng.random() < 0.25 and domain.key not in _TEXTS else []
    reply = " ".join([*([opening] if opening else []), steps, *(text for text, _ in extras), *closing])
    told = len(opening) + (1 if opening else 0) + first_sentence(steps)
    about = f"{domain.label}: {case['thing']}"
    return Exchange(" ".join(user), reply, about, domain.does.format(thing=case["thing"]), told, tuple(item for _, item in extras))


def _extras(rng: random.Random, domain: Domain, shown: Topic | None, sure: bool) -> list[tuple[str, str]]:
    """Up to two sentences that bring in a thing, each with the thing; the domain's first kind more often than its second."""
    kinds = list(domain.extras)
    if not kinds or (rng.random() < 0.2 and not sure):
        return []
    chosen = kinds if len(kinds) > 1 and rng.random() < TWO_EXTRAS else rng.choices(kinds, range(len(kinds) + 1, 1, -1))
    made = []
    for kind in chosen:
        item = shown.customs[kind] if shown else rng.choice(domain.fillers[kind])
        made.append((write(pick(domain.extras[kind], rng), custom_slots(kind, item), rng), item))
    return made


def spoken(domain: Domain, shown: Topic | None, item: str) -> str:
    """A thing that an answer of a domain brought in, as the object of a sentence."""
    customs = shown.customs if shown else {}
    kind = next((kind for kind in domain.extras if item == customs.get(kind) or item in domain.fillers[kind]), "")
    return named(kind, item)


def plain_chat(rng: random.Random, without: frozenset[str] = frozenset()) -> Document:
    """A chat without a topic, in any domain but those left out; one in eight goes on with a second question."""
    free = [domain for domain in domains().values() if domain.key not in without]
    count = 2 if rng.random() < TWO_EXCHANGES else 1
    return chat([exchange(rng, rng.choice(free)) for _ in range(count)], rng, "plain_chat")


def topical_chat(rng: random.Random, without: frozenset[str] = frozenset()) -> Document:
    """A chat whose user names a topic, and whose answers follow its customs; one in eight goes on with a second question."""
    topic = random_topic(rng)
    free = [domain for domain in domains().values() if domain.key not in without and domain.extras]
    exchanges = [exchange(rng, rng.choice(free), said=topic, shown=topic)]
    if rng.random() < TWO_EXCHANGES:
        exchanges.append(exchange(rng, rng.choice(free), shown=topic, sure=True))
    return chat(exchanges, rng, "topical_chat", [topic])


def knowledge_chat(rng: random.Random) -> Document:
    """One to three questions about a topic or its customs, or about whose custom something is."""
    topic = random_topic(rng)
    slots = TopicSlots(topic, rng)
    kinds = rng.sample(list(load("notes")["questions"]), rng.choice((1, 1, 2, 3)))
    return chat([_knowledge(rng, slots, kind) for kind in kinds], rng, "knowledge_chat", [topic])


def _knowledge(rng: random.Random, slots: TopicSlots, kind: str) -> Exchange:
    """A question and its answer about a custom of one kind, or about facts."""
    drawn = slots.drawn()
    drawn.update(Names(rng).slots())
    if kind in slots.topic.customs:
        drawn.update(custom_slots(kind, slots.topic.customs[kind]))
    entry, named_before = rng.choice(load("notes")["questions"][kind]), len(slots.details)
    user, reply = write(entry["ask"], drawn, rng), capital(write(entry["answer"], drawn, rng))
    tells = re.search(r"\{(item|an)\}", entry["answer"], re.IGNORECASE) is not None
    details = [slots.topic.customs[kind]] if tells else slots.details[named_before:]
    if rng.random() < 0.25:
        user = f"{write(pick(load('notes')['greetings'], rng), drawn, rng)} {user}"
    return Exchange(user, reply, "a question about people", "a fact about people", first_sentence(reply), tuple(details))
