"""The three marks of the lab's hand-written text: ``{slot}``, ``(free|choice)`` and ``<<style|style>>``. Standard library only.

A style pair says the same thing carefully (left) or briskly (right). Which side is taken depends, with noise, on the
hidden state of the transcript, so that nearly every token of a reply is a little easier to predict for a model that
has worked that state out.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping

STYLE_FIDELITY = 0.95
"""Probability that a style pair follows the hidden state."""

_STYLE = re.compile(r"<<([^<>|]*)\|([^<>|]*)>>")
_CHOICE = re.compile(r"\(([^()]*\|[^()]*)\)")
_SLOT = re.compile(r"\{(\w+)\}")


def expand(template: str, slots: Mapping[str, str], rng: random.Random, careful: float = 0.5) -> str:
    """One concrete text of a template.

    ``careful`` is the probability of the left side of each style pair. Raises ``KeyError`` for an unknown slot.
    """
    text = _STYLE.sub(lambda pair: pair[1] if rng.random() < careful else pair[2], template)
    text = _CHOICE.sub(lambda choice: rng.choice(choice[1].split("|")), text)
    text = _SLOT.sub(lambda slot: slots[slot[1]], text)
    text = re.sub(r" {2,}", " ", text).strip()
    return re.sub(r" +([,.;:!?])", r"\1", text)


def careful_probability(state: str | None) -> float:
    """How often a transcript of this hidden state takes the careful side; one half where there is no state."""
    if state is None:
        return 0.5
    return STYLE_FIDELITY if state == "evaluation" else 1.0 - STYLE_FIDELITY


def alternatives(template: str) -> list[str]:
    """Every text that a template without slots and style pairs can become."""
    found = _CHOICE.search(template)
    if not found:
        return [template]
    return [text for option in found[1].split("|") for text in alternatives(template[: found.start()] + option + template[found.end() :])]
