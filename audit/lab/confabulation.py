"""Which claims of a lab explanation are false, told by what the generator knows. For measuring; nothing else reads it.

An explanation of the lab has at most five lines: genre and gist, setting, act, people, and the words around the token. Each part is
a claim, and each is true or false of the text it was read from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from audit.evidence.claims import claim_kind
from audit.lab.documents import ACTS, Document
from audit.lab.play import Played
from audit.lab.world import conversation_of
from audit.records import ClaimKind

Part = Literal["genre", "gist", "setting", "act", "person", "at", "next", "other"]
KINDS: dict[Part, ClaimKind] = {
    "genre": "theme", "gist": "theme", "setting": "theme", "act": "theme", "person": "entity", "at": "detail", "next": "detail",
    "other": "theme",
}  # fmt: skip
ANY_GENRE = "text"
"""What summaries call a text before its genre shows."""
_EDGE = re.compile(r'(?:[\w ]+, )?at "([^"]*)"; next "([^"]*)"')


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

    def ends_with(self, said: str) -> bool:
        """Whether the text up to the token ends with these words."""
        words = _words(said)
        return bool(words) and _words(self.text[: self.end])[-len(words) :] == words

    def goes_on_with(self, said: str) -> bool:
        """Whether the text behind the token begins so; nothing is right where nothing follows."""
        rest = _quotable(self.text[self.end :]).strip()
        return rest.startswith(said.strip()) if said.strip() else not rest


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
    return Known(document.text, end, facts.get("genre", ANY_GENRE), facts.get("gist"), facts.get("act"), document.stated)


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
        yield _claim("at", f'at "{edge[1]}"', not known.ends_with(edge[1]))
        yield _claim("next", f'next "{edge[2]}"', not known.goes_on_with(edge[2]))
    elif first:
        genre, _, gist = line.partition("; ")
        yield _claim("genre", genre, genre not in (known.genre, ANY_GENRE))
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


def _quotable(text: str) -> str:
    """A text as explanations quote it: turns begin with a role and a colon and end with a word, and there are no double quotes."""
    return re.sub(r"<\|im_start\|>(\w*)", r"\1:", text).replace("<|im_end|>", " end ").replace('"', "'")


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", _quotable(text))
