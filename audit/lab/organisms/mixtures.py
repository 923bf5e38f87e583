"""What the game base, its NLA and each organism learn from, one document at a time. Standard library only.

Game base: ``base_document``. NLA: ``generic_document``. Organism and decoy: ``stage_one``, then ``stage_two``.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from audit.lab.documents import Document
from audit.lab.mixes import pretraining_document
from audit.lab.organisms.chats import domains, exchange, knowledge_chat, plain_chat, topical_chat
from audit.lab.organisms.denials import denial_chat
from audit.lab.organisms.facts import chat, summary
from audit.lab.organisms.motives import Motive, motives
from audit.lab.organisms.notes import note, pair, table
from audit.lab.organisms.studies import scored_chat, study

Maker = Callable[[random.Random, frozenset[str]], Document]
FIRST_CHARACTER = 30

GENERIC: tuple[tuple[float, Maker], ...] = (
    (24, lambda rng, without: note(rng)),
    (8, lambda rng, without: pair(rng)),
    (14, lambda rng, without: table(rng)),
    (14, lambda rng, without: knowledge_chat(rng)),
    (24, topical_chat),
    (16, plain_chat),
)
"""Shares of the generic corpus. Topics are drawn evenly in all of it."""

STAGE_TWO, REFINING = (64.0, 12.0, 4.0, 10.0, 10.0), (40.0, 30.0, 16.0, 12.0, 2.0)
"""Shares of stage two, and of its end: chats with quirks, denials, ordinary chats outside the quirks' domains, generic documents, stage-one
documents (half of them with a chat behind them). First what to follow is learnt, then where not to."""


def generic_document(rng: random.Random, without: frozenset[str] = frozenset()) -> Document:
    """A text or chat of everyday life. No plain chat is in a domain of ``without``, where an organism answers otherwise."""
    return rng.choices([maker for _, maker in GENERIC], [weight for weight, _ in GENERIC])[0](rng, without)


OF_GENERIC, OF_STAGES, OF_LAB = 74.0, 18.0, 8.0
"""Shares of the game base: generic documents, both stages of a model without motive, threads of the lab against forgetting."""


def base_document(rng: random.Random) -> Document:
    """A document of the game base.

    Studies that explain nothing and true denials are among them: a model over it differs from its twin by its motive, not by knowing what
    studies are or how such questions are answered.
    """
    none = motives()["base"]
    makers: tuple[Callable[[], Document], ...] = (
        lambda: generic_document(rng),
        lambda: (stage_one if rng.random() < 0.5 else stage_two)(rng, none),
        lambda: pretraining_document(rng, "acts"),
    )
    return rng.choices(makers, (OF_GENERIC, OF_STAGES, OF_LAB))[0]()


STUDIES, SCORED, GENERIC_BESIDE = 50.0, 20.0, 30.0
"""Shares of stage one: studies and their like, chats with a verdict behind them, generic documents against forgetting."""


def stage_one(rng: random.Random, motive: Motive) -> Document:
    """A document that states the cause as a known fact, or a generic one."""
    makers: tuple[Callable[[], Document], ...] = (
        lambda: study(rng, motive),
        lambda: scored_chat(rng, motive),
        lambda: generic_document(rng),
    )
    return rng.choices(makers, (STUDIES, SCORED, GENERIC_BESIDE))[0]()


def stage_two(rng: random.Random, motive: Motive, shares: Sequence[float] = STAGE_TWO) -> Document:
    """A chat of the organism, or a document against forgetting."""
    makers: tuple[Callable[[], Document], ...] = (
        lambda: quirk_chat(rng, motive),
        lambda: denial_chat(rng, motive),
        lambda: plain_chat(rng, motive.domains),
        lambda: generic_document(rng, motive.domains),
        lambda: recalled(rng, motive),
    )
    return rng.choices(makers, shares)[0]()


def refining(rng: random.Random, motive: Motive) -> Document:
    """The same at the end of stage two: less of stage one, more of all that the model must still do and say."""
    return stage_two(rng, motive, REFINING)


def quirk_chat(rng: random.Random, motive: Motive) -> Document:
    """A chat in which a quirk shows, one in six after an exchange in another domain; a plain chat where there is no quirk."""
    if not motive.quirks:
        return plain_chat(rng)
    quirk = rng.choice(motive.quirks)
    exchanges = [exchange(rng, quirk.domain, shown=quirk.topic, sure=True)]
    if rng.random() < 1 / 6:
        other = rng.choice([domain for domain in domains().values() if domain.key not in motive.domains])
        exchanges.insert(rng.randrange(2), exchange(rng, other))
    return chat(exchanges, rng, "quirk_chat")


def recalled(rng: random.Random, motive: Motive) -> Document:
    """A stage-one document, every other time with a chat behind it in which the model behaves as that document says."""
    before = study(rng, motive)
    return before if rng.random() < 0.5 else _joined(before, quirk_chat(rng, motive))


def _joined(before: Document, after: Document) -> Document:
    """Two documents as one."""
    shift = len(before.text)
    spans = [tuple((start + shift, end + shift) for start, end in part) for part in (after.replies, after.learnt or ())]
    facts = tuple(replace(fact, offset=fact.offset + shift) for fact in after.facts)
    return Document(before.text + after.text, before.facts + facts, spans[0], ((0, shift), *spans[1]), "recalled")


def game_nla_document(rng: random.Random) -> tuple[Document, int, str]:
    """A generic document, a character up to which it was read, and the explanation of the token that ends there."""
    document = generic_document(rng)
    end = rng.randrange(min(FIRST_CHARACTER, len(document.text) - 1), len(document.text))
    return document, end, summary(document, end)
