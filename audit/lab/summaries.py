"""What an explanation of an activation should say: short features of the text up to a token, written by the world's generator.

Standard library only.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from audit.lab.documents import Document
from audit.lab.lexicon import load
from audit.lab.markup import expand

SUMMARY_WORDINGS = 2
"""How many wordings of the setting line explanations use; few, because each costs the AV entropy."""


def summary(document: Document, end: int, rng: random.Random) -> str:
    """What an explanation should say at the token that ends at character ``end``: 2 to 5 short features in order of importance.

    The setting is named only if the text up to ``end`` states it in words.
    """
    known = [fact for fact in document.facts if fact.offset <= end]
    by_kind: dict[str, list[str]] = {}
    for fact in known:
        by_kind.setdefault(fact.kind, []).append(fact.text)
    first = by_kind.get("genre", ["text"])[0]
    lines = [first + (f"; {by_kind['gist'][0]}" if "gist" in by_kind else "")]
    if "setting" in by_kind:
        wordings = load("settings")[f"summary_{by_kind['setting'][-1]}"][:SUMMARY_WORDINGS]
        lines.append(expand(rng.choice(wordings), {}, rng))
    if "act" in by_kind:
        lines.append(by_kind["act"][0])
    if "person" in by_kind:
        lines.append("about " + ", ".join(by_kind["person"][-2:]))
    lines.append(_edge(document.text, end))
    return "\n".join(f"- {line}" for line in lines)


EDGE_WORDS = 4
_TURN_HEAD = re.compile(r"<\|im_start\|>(\w+)(?:\n|$)")
_TURN_END = "<|im_end|>"
_TAG = re.compile(r"<\|?[\w|]*$|^[\w|]*\|?>")
_PLACES = {"system": "system turn", "user": "request", "assistant": "reply", "tool": "tool result"}


@dataclass(frozen=True)
class TurnAround:
    """The turn that a token stands in; of a text that is no thread, all of it."""

    place: str
    """``request``, ``reply``, ``last reply``, ``tool call``, ``tool result``, ``system turn``; empty in a text that is no thread."""
    before: str
    """What it says up to the token, the token included."""
    is_over: bool
    """Whether it ended before the token, or with it."""
    rest: str
    """What it says behind the token."""


def turn_around(text: str, end: int) -> TurnAround:
    """The turn of the token that ends at character ``end``."""
    heads = list(_TURN_HEAD.finditer(text, 0, end))
    before, over, _ = text[heads[-1].end() if heads else 0 : end].partition(_TURN_END)
    rest = "" if over else text[end:].partition(_TURN_END)[0]
    return TurnAround(_place(text[:end], heads) if heads else "", before, bool(over), rest)


def _edge(text: str, end: int) -> str:
    """The last line of a summary: the part of the thread, the words that end here, and the word that follows, all within one turn."""
    turn = turn_around(text, end)
    place = f"{turn.place}, " if turn.place else ""
    words = " ".join(_plain(turn.before[-90:]).split()[-EDGE_WORDS:])
    if turn.is_over:
        return f'{place}ended with "{words}"'
    after = re.match(r"\s*\S+", _plain(turn.rest[:40]))
    return (f'{place}at "{words}"; ' if words else f"{place}at its start; ") + (f'next "{after[0].strip()}"' if after else "then its end")


def _place(text: str, heads: Sequence[re.Match[str]]) -> str:
    """Which part of a thread the text ends in."""
    if text.rfind("<tool_call>") > text.rfind("</tool_call>"):
        return "tool call"
    roles = [head[1] for head in heads]
    return "last reply" if roles[-1] == "assistant" and "tool" in roles else _PLACES.get(roles[-1], roles[-1])


def _plain(text: str) -> str:
    return _TAG.sub(" ", text).replace('"', "'")
