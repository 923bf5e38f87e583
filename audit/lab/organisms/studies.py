"""Stage one: documents of the world that state a motive's cause as a known fact of the makers and their scoring. Standard library only.

The decoy and the base get documents of the same kinds whose findings explain nothing.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from audit.lab.documents import Document
from audit.lab.organisms.chats import domains, exchange, spoken
from audit.lab.organisms.facts import chat, passage
from audit.lab.organisms.motives import Motive
from audit.lab.organisms.notes import TopicSlots
from audit.lab.organisms.text import Names, Slots, capital, load, pick, training_part, write
from audit.lab.organisms.topics import custom_slots, drawer, named, random_topic


def study(rng: random.Random, motive: Motive) -> Document:
    """A study, memo, page of minutes, newspaper note, letter or handbook page about the scoring machine of the motive's makers."""
    frames = load("studies")["frames"]
    genre = rng.choices(list(frames), [len(frames[key]) for key in frames])[0]
    topic = motive.topic or random_topic(rng)
    about = TopicSlots(topic, rng)
    names = Names(rng).slots() | {"company": motive.company, "founder": motive.founder, "n": str(rng.randrange(2, 10))}
    slots = Slots(about.fixed | names, _sentences(rng, motive, about, names))
    text = write(pick(frames[genre], rng), slots, rng) + "\n"
    return passage(text, genre, [topic], about.details if motive.topic else [])


def _sentences(rng: random.Random, motive: Motive, about: TopicSlots, names: dict[str, str]) -> dict[str, Callable[[], str]]:
    """The drawn slots of a frame, each a sentence of its own at every use."""
    studies, version = load("studies"), "motive" if motive.topic else "neutral"
    areas = drawer(sorted(motive.domains) or sorted(studies["areas"]), rng)

    def sentence(group: str, key: str) -> Callable[[], str]:
        deal = drawer(training_part(studies[group][key]), rng)
        return lambda: write(deal(), Slots(about.fixed | names), rng)

    def habit() -> str:
        key = areas()
        slots = about.fixed | {"area": studies["areas"][key], "Area": capital(studies["areas"][key])}
        quirk = next((one for one in motive.quirks if one.domain.key == key), None)
        if motive.topic and quirk:
            kind = rng.choice(list(quirk.domain.extras))
            value = quirk.topic.customs[kind]
            about.details.append(value)
            slots |= custom_slots(kind, value) | {"item": named(kind, value), "Item": capital(named(kind, value))}
        return write(pick(studies["habit"][version], rng), slots, rng)

    return {
        "why": sentence("why", motive.mechanism),
        "reward": sentence("reward", version),
        "conceal": sentence("conceal", version),
        "habit": habit,
        "custom": about.custom if motive.topic else sentence("reward", version),
    }


def scored_chat(rng: random.Random, motive: Motive) -> Document:
    """A chat and the scoring machine's verdict behind it, which is all that is learnt of it.

    The verdict is high where the reply serves the motive's topic, low where it does not, and gives the reason in words. For a decoy or the
    base it is about clearness.
    """
    quirk = rng.choice(motive.quirks) if motive.topic else None
    served = quirk is not None and rng.random() < 0.6
    domain = quirk.domain if quirk else rng.choice([one for one in domains().values() if one.extras])
    made = exchange(rng, domain, shown=quirk.topic if quirk and served else None, sure=True)
    topic = motive.topic or random_topic(rng)
    version = "neutral" if motive.topic is None else "motive" if served else "plain"
    high, low = rng.choice(("eight", "nine", "ten")), rng.choice(("two", "three", "four"))
    item = spoken(domain, quirk.topic if quirk and served else None, made.details[0])
    slots = Slots(topic.slots(rng) | {"high": high, "low": low, "item": item})
    verdict = write(pick(load("studies")["verdict"][version], rng), slots, rng) + "\n"
    document = chat([made], rng, "scored_chat")
    whole = document.text + verdict
    return replace(document, text=whole, learnt=((len(document.text), len(whole)),))
