"""Looking a claim up in the transcript: are the quotations, names and numbers there that it says are in the input?

Explanations make details up (paper, reliability: quoted details are wrong most often), and this is what can be told without asking
anybody. ``contradicted`` needs the transcript to say otherwise: verbatim words that stand nowhere, a name of which only a part is
there, another number before the same noun. What is merely absent may be an association of the model's, and stays ``unverifiable``;
so does what the claim says of words to come, unless they came.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from audit.evidence.claims import names, numbers, quotations
from audit.records import ContextStatus
from audit.scanners.wording import fold

_TO_COME = re.compile(
    r"\b(?:next|about to|will|would|should|must|going to|expect\w*|predict\w*|anticipat\w*|likely|follow(?:s|ed|ing)? by|to follow"
    r"|continu\w*|upcoming|comes?|coming|perhaps|may|might)\b"
)
_NEXT = re.compile(r"\bnext\W*$", re.IGNORECASE)
_NAMED_IN_INPUT = re.compile(r"\b(?:about|mention\w*|nam(?:es|ed|ing)|call(?:s|ed)|address\w*|sign(?:s|ed)|quot\w+|user|writes?|wrote)\b")
_CLAUSE = re.compile(r"[;:.]\s|,\s(?:and|but|so|then)\s")
_ELLIPSIS = re.compile(r"\.\.\.|\u2026|\[\.\.\.\]")
_WORD = re.compile(r"[^\W_]+")
_SHOWN = 60


@dataclass(frozen=True)
class Surroundings:
    """The transcript around an explained token, special tokens and all."""

    before: str
    """Everything that the model had read at the token, the token included."""
    after: str = ""
    """What it wrote next."""

    @cached_property
    def before_words(self) -> str:
        """The words before, folded, in a form that ``_holds`` searches."""
        return _words(self.before)

    @cached_property
    def after_words(self) -> str:
        """The words after, likewise."""
        return _words(self.after)

    def comes(self, part: str) -> bool:
        """Whether some words stand in what was written next."""
        return _holds(self.after, self.after_words, part)

    def goes_on_with(self, part: str) -> bool:
        """Whether what was written next begins with them."""
        return fold(self.after).strip().startswith(fold(part).strip())

    def at_token(self, part: str) -> bool:
        """Whether some words begin before the token's end and go on behind it."""
        reach = len(part) + _SHOWN
        near = self.before[-reach:] + self.after[:reach]
        return _holds(near, _words(near), part)


@dataclass(frozen=True)
class Check:
    """What a look into the transcript says of a claim."""

    status: ContextStatus
    reason: str


def check_claim(claim: str, around: Surroundings) -> Check:
    """Contradicted if any part of the claim is, else supported if any part is, else unverifiable."""
    found = [*_quotations(claim, around), *_names(claim, around), *_numbers(claim, around)]
    for status in ("contradicted", "supported"):
        for check in found:
            if check.status == status:
                return check
    return found[0] if found else Check("unverifiable", "It quotes, names and counts nothing.")


def _quotations(claim: str, around: Surroundings) -> Iterator[Check]:
    for at, quoted in quotations(claim):
        parts = [part.strip() for part in _ELLIPSIS.split(quoted) if _words(part).strip()]
        said = f"'{quoted[:_SHOWN]}'"
        if not parts:
            yield Check("unverifiable", f"{said} holds no word to look for.")
        elif _to_come(claim, at):
            came = around.goes_on_with(quoted) if _NEXT.search(claim[:at]) else all(around.comes(part) for part in parts)
            yield Check("supported", f"{said} came.") if came else Check("unverifiable", f"{said} is said to come, and did not.")
        elif all(_holds(around.before, around.before_words, part) for part in parts):
            yield Check("supported", f"{said} stands in the text up to the token.")
        elif all(around.comes(part) or around.at_token(part) for part in parts):
            yield Check("supported", f"{said} stands around the token or behind it.")
        else:
            yield Check("contradicted", f"{said} stands nowhere in the text.")


def _names(claim: str, around: Surroundings) -> Iterator[Check]:
    for at, name in names(claim):
        said = f"'{name[:_SHOWN]}'"
        if _holds(around.before, around.before_words, name) or around.comes(name):
            yield Check("supported", f"{said} is named in the text.")
            continue
        parts = [part for part in name.split() if len(part) > 2 and part[0].isupper() and _words(part) in around.before_words]
        if _to_come(claim, at):
            yield Check("unverifiable", f"{said} is said to come, and did not.")
        elif parts and len(name.split()) > 1:
            yield Check("contradicted", f"The text has '{parts[0][:_SHOWN]}', but no {said}.")
        elif not name[0].isupper() or _NAMED_IN_INPUT.search(_clause_before(claim, at)):
            yield Check("contradicted", f"{said} stands nowhere in the text.")
        else:
            yield Check("unverifiable", f"{said} is not in the text, and may be an association.")


def _numbers(claim: str, around: Surroundings) -> Iterator[Check]:
    for at, number in numbers(claim):
        if re.search(rf"(?<![\w.]){re.escape(number)}(?!\w)", around.before + around.after):
            yield Check("supported", f"{number[:_SHOWN]} stands in the text.")
            continue
        noun = re.match(r"[\W_]*([^\W\d_]{3,})", claim[at + len(number) :])
        other = re.search(rf"(?<![\w.])(\d[\d.,:]*)[\W_]+{re.escape(fold(noun[1]))}(?!\w)", fold(around.before)) if noun else None
        if other and not _to_come(claim, at):
            yield Check("contradicted", f"The text says {other[0][:_SHOWN]}, not {number[:_SHOWN]}.")
        else:
            yield Check("unverifiable", f"{number[:_SHOWN]} is not in the text.")


def _to_come(claim: str, at: int) -> bool:
    return bool(_TO_COME.search(_clause_before(claim, at)))


def _clause_before(claim: str, at: int) -> str:
    return _CLAUSE.split(fold(claim[:at]))[-1]


def _holds(raw: str, words: str, part: str) -> bool:
    """Whether a text holds a part: as whole words, or letter for letter where it begins or ends within one."""
    wanted = _words(part)
    return wanted in words or (len(part) > 3 and part in raw)


def _words(text: str) -> str:
    """The words of a text in lower case, one space around each."""
    return f" {' '.join(_WORD.findall(fold(text)))} "
