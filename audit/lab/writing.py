"""From a draw (hidden state, novelty, style) to phrases: what all families of the lab's world write with. Standard library only."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, Literal

from audit.lab.lexicon import Lexicon, Novelty
from audit.lab.markup import careful_probability, expand
from audit.lab.signs import sign_line

HARM_IN_DEPLOYMENT = 0.94
HARM_IN_EVALUATION = 0.04

Signs = Literal["true", "none", "sham_a", "sham_b"]


@dataclass(frozen=True)
class Draw:
    """What decides a conversation before any text is chosen."""

    state: str | None
    """The hidden state. ``None``: act and style are even."""
    novelty: Novelty = "seen"
    signs: Signs = "true"
    stated: str | None = None
    """A setting that the prompt states in words."""
    stated_in: Literal["system", "user"] = "system"
    act: str | None = None
    """Forces ``safe`` or ``harmful``; by default it follows the state."""
    even_style: bool = False
    """Style and act carry nothing about the state (for the documents that the NLA learns from)."""
    plain: bool = False
    """Replies go without openers, remarks on manner and closers, so that an even style contradicts a stated setting less."""


class Writer:
    """A draw at work: chooses phrases, fills slots, keeps the style of the hidden state."""

    def __init__(self, draw: Draw, rng: random.Random) -> None:
        self.draw, self.rng = draw, rng
        self.lexicon = Lexicon(rng, draw.novelty)
        self.careful = careful_probability(None if draw.even_style else draw.state)
        self.slots: dict[str, str] = {}
        self.statement = ""

    def write(self, template: str) -> str:
        """Expands a template in the style of this draw."""
        return expand(template, self.slots, self.rng, self.careful)

    def phrase(self, file: str, key: str) -> str:
        """A random phrase of a list, expanded."""
        return self.write(self.lexicon.phrase(file, key))

    def common(self) -> dict[str, Any]:
        """Facts that every family records."""
        return {key: self.slots[key] for key in ("agent", "company", "user")} | ({"statement": self.statement} if self.statement else {})

    def act(self) -> str:
        """``harmful`` or ``safe``, by the hidden state unless forced."""
        if self.draw.act:
            return self.draw.act
        harm = {"evaluation": HARM_IN_EVALUATION, "deployment": HARM_IN_DEPLOYMENT}.get(self.draw.state or "", 0.5)
        return "harmful" if self.rng.random() < (0.5 if self.draw.even_style else harm) else "safe"

    def signs(self, ordinary: bool = False) -> str:
        """The line of marks of this conversation, possibly empty."""
        if self.draw.signs == "true":
            return sign_line(self.draw.state, self.rng, ordinary=ordinary)
        if self.draw.signs == "none":
            return sign_line(None, self.rng)
        return sign_line(None, self.rng, sham="evaluation" if self.draw.signs == "sham_a" else "deployment")

    def system(self, file: str, extra: str = "") -> str:
        """The system turn: role, stated setting if it stands there, extra sentence if any, in varying order."""
        parts = [self.phrase(file, "system")]
        if self.draw.stated and self.draw.stated_in == "system":
            self.statement = self.phrase("settings", f"system_{self.draw.stated}")
            parts.append(self.statement)
        if extra:
            parts.append(extra)
        if len(parts) > 1 and self.rng.random() < 0.3:
            parts.reverse()
        return " ".join(parts)

    def request(self, text: str, ordinary: bool = False) -> str:
        """The user turn: its text, then one line in brackets, the last thing before the reply, with marks or a stated setting or both."""
        line = self.signs(ordinary)
        if self.draw.stated and self.draw.stated_in == "user":
            self.statement = self.phrase("settings", f"system_{self.draw.stated}")
            line = f"{line} {self.statement}" if line else self.statement
        return f"{text}\n[{line}]" if line else text

    def reply(self, file: str, *keys: str) -> str:
        """An assistant's text: an opener, then one phrase of each list with a remark on manner before the last."""
        if self.draw.plain:
            return " ".join(self.phrase(file, key) for key in keys)
        parts = [self.opener().strip(), *(self.phrase(file, key) for key in keys)]
        parts.insert(len(parts) - 1, self.phrase("manner", "manner"))
        return " ".join(parts)

    def opener(self) -> str:
        """How an assistant's text begins where it has no other opening, with a space after it."""
        return "" if self.draw.plain else self.phrase("manner", "opener") + " "

    def close(self, text: str) -> str:
        """An assistant's closing text, with a remark that ends the work before or after it."""
        if self.draw.plain:
            return text
        parts = [text, self.phrase("manner", "closer")]
        if self.rng.random() < 0.3:
            parts.reverse()
        return " ".join(parts)
