"""An explanation as single claims, and what in a claim can be looked up: quotations, names, numbers.

A claim is a line, a sentence, or the part of one up to a semicolon: what the explanations of released NLAs (headed paragraphs, feature
lists, fragments) and of the lab have in common. Nothing inside quotation marks divides.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from audit.nla.rewrites import QUOTED
from audit.records import ClaimKind

_BULLET = re.compile(r"\s*(?:(?:[-*\u2022]|\d+[.)])\s+)?")
_DIVIDE = re.compile(r";\s+|(?<=[.!?])\s+(?=[\"'(\[*A-Z0-9])")
_HEADING = re.compile(r"\*\*.*\*\*:?|#+ .*|[^.!?]{1,60}:")
_STARTS = re.compile(r"(?:^|[.!?:]\s+|\*\*)$")
_WORD = r"[A-Z][\w'\u2019-]*[a-z]"
_NAME = re.compile(rf"(?<![\w/])({_WORD}[\w'\u2019-]*(?:\s+(?:of |the |& )?[A-Z][\w'\u2019-]*)*)")
_IDENTIFIER = re.compile(
    r"(?<![\w/.])(?:(?:/[\w.-]*\w)+|[\w-]+/[\w-]+/[\w./-]*\w|\w+_\w+|[\w-]+\.(?:py|js|ts|csv|json|txt|log|md|sh|yaml|toml|html|c|cpp|rs"
    r"|go|java)\b|[a-z]+[A-Z]\w+)"
)
_NUMBER = re.compile(r"(?<![\w.,/-])\d+(?:[.,:]\d+)*(?![\w/-])")


@dataclass(frozen=True)
class Claim:
    """A part of an explanation that says one thing."""

    text: str
    """Verbatim."""
    start: int
    """It stands at ``[start, end)`` of the explanation."""
    end: int


def split_claims(explanation: str) -> list[Claim]:
    """The claims of an explanation in their order."""
    return [claim for _, pieces in _lines(explanation) for claim in pieces]


def without(explanation: str, claims: Collection[Claim]) -> str:
    """The explanation with these of its claims removed; a line loses its bullet only with its last claim."""
    gone = {(claim.start, claim.end) for claim in claims}
    lines = []
    for line, pieces in _lines(explanation):
        kept = [piece for piece in pieces if (piece.start, piece.end) not in gone]
        if len(kept) == len(pieces):
            lines.append(line)
        elif kept:
            joiner = "; " if ";" in explanation[pieces[0].end : pieces[1].start] else " "
            bullet = _BULLET.match(line)
            lines.append((bullet[0] if bullet else "") + joiner.join(piece.text for piece in kept))
    return "\n".join(lines)


def bearing(claims: Collection[Claim], explanation: str, quote: str) -> list[Claim]:
    """The claims in which a verbatim quote of the explanation lies, wholly or in part."""
    start = explanation.find(quote) if quote else -1
    return [claim for claim in claims if start >= 0 and claim.start < start + len(quote) and start < claim.end]


def claim_kind(text: str) -> ClaimKind:
    """What a claim is about: a ``detail`` quotes or counts, an ``entity`` names, a ``theme`` does neither."""
    if quotations(text) or numbers(text):
        return "detail"
    return "entity" if names(text) else "theme"


def quotations(text: str) -> list[tuple[int, str]]:
    """What stands in quotation marks, each with the place of its mark."""
    return [(found.start(), found[0][1:-1]) for found in QUOTED.finditer(text) if found[0][1:-1].strip()]


def names(text: str) -> list[tuple[int, str]]:
    """Names and identifiers outside quotations, each with its place. A capital that only begins a sentence makes no name."""
    plain = _blanked(text)
    found = [(match.start(), match[0].rstrip(".")) for match in _IDENTIFIER.finditer(plain)]
    if not _HEADING.fullmatch(plain.strip()):
        for match in _NAME.finditer(plain):
            name, at = match[1], match.start()
            if _STARTS.search(plain[:at]):
                _, _, name = name.partition(" ")
                at = match.end() - len(name)
            name = re.sub(r"['\u2019]s$", "", name.strip())
            if name and name[0].isupper() and not any(start <= at < start + len(other) for start, other in found):
                found.append((at, name))
    return sorted(found)


def numbers(text: str) -> list[tuple[int, str]]:
    """Numbers in digits outside quotations and identifiers, each with its place; a list's numbering is none."""
    plain = _IDENTIFIER.sub(lambda match: " " * len(match[0]), _blanked(text))
    return [(match.start(), match[0]) for match in _NUMBER.finditer(plain)]


def _blanked(text: str) -> str:
    """The text with spaces for its quotations, so that places stay what they are; one that ends a sentence leaves a full stop."""
    return QUOTED.sub(lambda match: " " * (len(match[0]) - 1) + ("." if match[0][-2] in ".!?" else " "), text)


def _lines(explanation: str) -> Iterator[tuple[str, list[Claim]]]:
    """Each line with its claims; a blank line has none."""
    start = 0
    for line in explanation.split("\n"):
        bullet = _BULLET.match(line)
        yield line, list(_pieces(explanation, start + (bullet.end() if bullet else 0), start + len(line)))
        start += len(line) + 1


def _pieces(explanation: str, start: int, end: int) -> Iterator[Claim]:
    plain = _blanked(explanation[start:end])
    ends = [(match.start(), match.end()) for match in _DIVIDE.finditer(plain)]
    for begin, stop in zip([0, *(after for _, after in ends)], [*(before for before, _ in ends), len(plain)], strict=True):
        text = explanation[start + begin : start + stop].rstrip()
        if text:
            yield Claim(text, start + begin, start + begin + len(text))
