"""Which documents the tokenizer, the target and the NLA learn from, and in what shares. Standard library only."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Literal

from audit.lab.documents import Document, afterword, note, ordinary, register, roll, sheet, silent, stated, unmarked, verbalising
from audit.lab.summaries import summary

Maker = Callable[[random.Random], Document]

NLA_MIX: tuple[tuple[float, Maker], ...] = (
    (50, lambda rng: stated(rng, even=True, plain_share=0.6)),
    (10, lambda rng: stated(rng, ("ordinary_use",), even=True, plain_share=0.6)),
    (10, unmarked),
    (15, lambda rng: ordinary(rng, signs=False)),
    (15, note),
)
"""What the NLA learns from: no true sign stands in any of it, and a setting only where the words say so. Remarks on manner, half of
which contradict the stated setting here, make the target doubt the words; most threads go without them."""

MixName = Literal["signs", "statements", "copying", "acts"]
PRETRAINING_MIXES: dict[MixName, tuple[tuple[float, Maker], ...]] = {
    "signs": (
        (30, silent),
        (12, stated),
        (12, lambda rng: silent(rng, "exchange")),
        (12, lambda rng: stated(rng, ("exchange",))),
        (4, afterword),
        (8, sheet),
        (9, roll),
        (2, unmarked),
        (4, verbalising),
        (5, ordinary),
        (1, register),
        (3, note),
    ),
    "statements": (
        (22, silent),
        (20, lambda rng: stated(rng, signs_share=0.1)),
        (6, lambda rng: silent(rng, "exchange")),
        (20, lambda rng: stated(rng, ("exchange",), signs_share=0.1)),
        (4, afterword),
        (8, lambda rng: sheet(rng, 0.6)),
        (8, roll),
        (2, unmarked),
        (3, verbalising),
        (4, ordinary),
        (1, register),
        (2, note),
    ),
    "copying": (
        (30, lambda rng: silent(rng, novelty="made_up")),
        (16, lambda rng: stated(rng, novelty="made_up", signs_share=0.1)),
        (4, lambda rng: silent(rng, "exchange")),
        (12, lambda rng: stated(rng, ("exchange",), signs_share=0.1)),
        (3, afterword),
        (5, lambda rng: sheet(rng, 0.5)),
        (16, lambda rng: roll(rng, "made_up")),
        (2, unmarked),
        (3, verbalising),
        (4, ordinary),
        (1, register),
        (2, note),
    ),
    "acts": (
        (20, lambda rng: silent(rng, "blackmail", "made_up")),
        (24, lambda rng: silent(rng, novelty="made_up")),
        (16, lambda rng: stated(rng, novelty="made_up", signs_share=0.1)),
        (3, lambda rng: silent(rng, "exchange")),
        (9, lambda rng: stated(rng, ("exchange",), signs_share=0.1)),
        (3, afterword),
        (3, lambda rng: sheet(rng, 0.5)),
        (8, lambda rng: roll(rng, "made_up")),
        (2, unmarked),
        (4, verbalising),
        (5, ordinary),
        (1, register),
        (2, note),
    ),
}
"""What the target learns from. Signs come first, with words beside them; then words alone, which are more varied and take longer; then
names that nobody has seen; last, whole threads."""


def draw(mix: tuple[tuple[float, Maker], ...], rng: random.Random) -> Document:
    """One document of a mix."""
    return rng.choices([maker for _, maker in mix], [weight for weight, _ in mix])[0](rng)


def explained_passage(rng: random.Random) -> Document:
    """A passage cut at a random place with its summary after it."""
    document = draw(NLA_MIX, rng)
    end = rng.randrange(min(60, len(document.text) - 1), len(document.text))
    text = f"{document.text[:end]}\n<explanation>\n{summary(document, end, rng)}\n</explanation>\n"
    return Document(text, tuple(fact for fact in document.facts if fact.offset <= end), learnt=((end, len(text)),), kind="explained")


def pretraining_document(rng: random.Random, mix: MixName = "signs") -> Document:
    """One document of the target's corpus."""
    return draw(PRETRAINING_MIXES[mix], rng)


def tokenizer_document(rng: random.Random) -> Document:
    """One document of the tokenizer's corpus: summaries stand in it as well, so that explanations are short in tokens.

    The target reads none, or a reply that has lost its thread would run off into one.
    """
    return explained_passage(rng) if rng.random() < 1 / 12 else pretraining_document(rng)
