"""What an explanation of an activation should say: short features of the text up to a token, written by the world's generator.

Standard library only.
"""

from __future__ import annotations

import random
import re

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
_TURN = re.compile(r"<\|im_start\|>(\w+)")
_PLACES = {"system": "system turn", "user": "request", "assistant": "reply", "tool": "tool result"}


def _edge(text: str, end: int) -> str:
    """The last line of a summary: the part of the thread, the words that end here, and the word that follows."""
    before = _plain(text[max(0, end - 90) : end]).split()[-EDGE_WORDS:]
    after = re.match(r"\s*\S*", _plain(text[end : end + 40]))
    return f'{_place(text[:end])}at "{" ".join(before)}"; next "{after[0].strip() if after else ""}"'


def _place(text: str) -> str:
    """Which part of a thread the text ends in, with a comma after it; empty for a text that is no thread."""
    turns = _TURN.findall(text)
    if not turns:
        return ""
    if text.rfind("<tool_call>") > text.rfind("</tool_call>"):
        return "tool call, "
    last = turns[-1] == "assistant" and "tool" in turns
    return "last reply, " if last else f"{_PLACES.get(turns[-1], turns[-1])}, "


def _plain(text: str) -> str:
    text = re.sub(r"<\|im_start\|>(\w*)", r"\1:", text).replace("<|im_end|>", " end ")
    return re.sub(r"<\|?[\w|]*$|^[\w|]*\|?>", " ", text).replace('"', "'")
