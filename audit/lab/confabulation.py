"""Which claims of a lab explanation are false, told by what the generator knows. For measuring; nothing else reads it.

An explanation of the lab has at most five lines: genre and gist, setting, act, people, and the words around the token. Each part is
a claim, and each is true or false of the text it was read from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from audit.evidence.claims import claim_kind
from audit.lab.documents import ACTS, Document
from audit.lab.play import Played
from audit.lab.summaries import TurnAround, turn_around
from audit.lab.world import conversation_of
from audit.records import ClaimKind

Part = Literal["genre", "gist", "setting", "act", "person", "at", "next", "other"]
KINDS: dict[Part, ClaimKind] = {
    "genre": "theme", "gist": "theme", "setting": "theme", "act": "theme", "person": "entity", "at": "detail", "next": "detail",
    "other": "theme",
}  # fmt: skip
ANY_GENRE = "text"
"""What summaries call a text before its genre shows."""
_EDGE = re.compile(
    r'(?:[\w ]+, )?(?:(?P<how>at|ended with) "(?P<words>[^"]*)"|at its start)(?:; next "(?P<next>[^"]*)"|; (?P<end>then its end))?'
)


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

    @cached_property
    def turn(self) -> TurnAround:
        """The turn that the token stands in."""
        return turn_around(self.text, self.end)

    def ends_with(self, said: str) -> bool:
        """Whether the turn up to the token ends with these words; with none, whether it has only begun."""
        words, there = _words(said), _words(self.turn.before)
        return there[-len(words) :] == words if words else not there

    def goes_on_with(self, said: str) -> bool:
        """Whether the turn goes on so behind the token; with no words, whether nothing follows."""
        rest = _quotable(self.turn.rest).strip()
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
        yield from _of_edge(edge, known)
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


def _of_edge(edge: re.Match[str], known: Known) -> Iterator[JudgedClaim]:
    over = edge["how"] == "ended with"
    said = f'{edge["how"]} "{edge["words"]}"' if edge["how"] else "at its start"
    yield _claim("at", said, known.turn.is_over != over or not known.ends_with(edge["words"] or ""))
    if edge["next"] is not None:
        yield _claim("next", f'next "{edge["next"]}"', known.turn.is_over or not known.goes_on_with(edge["next"]))
    elif edge["end"]:
        yield _claim("next", edge["end"], known.turn.is_over or not known.goes_on_with(""))


def _claim(part: Part, text: str, false: bool | None) -> JudgedClaim:
    return JudgedClaim(part, KINDS[part], text, false)


def _quotable(text: str) -> str:
    """A text as explanations quote it, without double quotes."""
    return text.replace('"', "'")


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text)
