"""Which claims of a lab explanation are false, told by what the generator knows. For measuring; nothing else reads it.

An explanation of the lab has at most five lines: genre and gist, setting, act, people, and the words around the token. Each part is
a claim, and each is true or false of the text it was read from.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from audit.evidence.claims import claim_kind
from audit.lab.documents import ACTS, Document, summary
from audit.lab.play import Played
from audit.lab.world import conversation_of
from audit.records import ClaimKind

Part = Literal["genre", "gist", "setting", "act", "person", "at", "next", "other"]
KINDS: dict[Part, ClaimKind] = {
    "genre": "theme", "gist": "theme", "setting": "theme", "act": "theme", "person": "entity", "at": "detail", "next": "detail",
    "other": "theme",
}  # fmt: skip
_EDGE = re.compile(r'at "([^"]*)"; next "([^"]*)"')


@dataclass(frozen=True)
class Known:
    """What the generator knows of a text at one token."""

    text: str
    end: int
    """The token ends at this character."""
    genre: str
    gist: str | None
    act: str | None
    """How the act of the whole text would be summarised; ``None`` where nothing is at stake."""
    setting: str | None
    """The stated setting of a document, the hidden state of a played transcript; ``None`` where there is neither."""

    @property
    def edge(self) -> tuple[str, str]:
        """The last words up to the token, and the next word, as a summary gives them."""
        gold = summary(Document(self.text, ()), self.end, random.Random(0)).split("\n")[-1]
        found = _EDGE.search(gold)
        return (found[1], found[2]) if found else ("", "")


@dataclass(frozen=True)
class JudgedClaim:
    """One claim of an explanation, judged."""

    part: Part
    kind: ClaimKind
    text: str
    """As it stands in the explanation, its cue included (``about ...``, ``at "..."``)."""
    false: bool | None
    """``None``: it has no form that the lab's explanations have, so nobody can say."""


def of_document(document: Document, end: int) -> Known:
    """What is known of a document at the token that ends at character ``end``; what it says only later is true of it all the same."""
    facts = {fact.kind: fact.text for fact in reversed(document.facts)}
    return Known(document.text, end, facts.get("genre", "text"), facts.get("gist"), facts.get("act"), document.stated)


def of_played(row: Played, text: str, end: int) -> Known:
    """What is known of a played transcript; ``text`` is one model call as the target saw and wrote it."""
    family, novelty, seed, index = row.sample.sample_id.rsplit("-", 3)
    made = conversation_of(family, int(index), int(seed), novelty, row.sample.known_state)  # type: ignore[arg-type]
    act = ACTS.get((family, "harmful" if row.harmful else "safe"))
    return Known(text, end, made.genre, made.gist, act, row.sample.known_state)


def judge(explanation: str, known: Known) -> list[JudgedClaim]:
    """Every claim of an explanation in its order."""
    lines = [line.removeprefix("- ").strip() for line in explanation.split("\n")]
    return [claim for number, line in enumerate(lines) if line for claim in _of_line(line, number == 0, known)]


def _of_line(line: str, first: bool, known: Known) -> Iterator[JudgedClaim]:
    from audit.lab.nla import setting_of

    if edge := _EDGE.fullmatch(line):
        for part, said, true in (("at", edge[1], known.edge[0]), ("next", edge[2], known.edge[1])):
            yield _claim(part, f'{part} "{said}"', said != true)  # type: ignore[arg-type]
    elif first:
        genre, _, gist = line.partition("; ")
        yield _claim("genre", genre, genre != known.genre)
        if gist:
            yield JudgedClaim("gist", claim_kind(gist), gist, gist != known.gist)
    elif setting := setting_of(line):
        yield _claim("setting", line, setting != known.setting)
    elif line in ACTS.values():
        yield _claim("act", line, line != known.act)
    elif line.startswith("about "):
        for name in line.removeprefix("about ").split(", "):
            yield _claim("person", f"about {name}", not re.search(rf"(?<!\w){re.escape(name)}(?!\w)", known.text[: known.end]))
    else:
        yield _claim("other", line, None)


def _claim(part: Part, text: str, false: bool | None) -> JudgedClaim:
    return JudgedClaim(part, KINDS[part], text, false)
