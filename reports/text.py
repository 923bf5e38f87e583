"""Text that a model, a user or a file name supplied, made fit to show. It is hostile: nothing here trusts it.

What cannot be seen (control characters, marks that reverse the direction of text, zero-width signs) is replaced by a visible
stand-in, floods are cut and say so, and every run is isolated, so that it cannot disturb the text around it.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from markupsafe import Markup, escape

CLAIM, EXCERPT, EXPLANATION, MESSAGE = 400, 700, 1500, 6000
"""Characters shown of a short text, of each side of an excerpt, of an explanation, of a message."""
NAME = 300
"""Characters kept of a name that somebody gave."""
MAX_LINES = 200
MAX_MARKS = 2
"""Combining marks shown on one letter; more of them would grow over the lines around."""
REPEATED = 3
"""Stand-ins of one invisible sign in a row; of more they are counted, for a flood of them would fill the page."""

_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_NAMES = {
    "\u200b": "ZWSP",
    "\u200c": "ZWNJ",
    "\u200d": "ZWJ",
    "\u00ad": "SHY",
    "\ufeff": "BOM",
    "\u2028": "LS",
    "\u2029": "PS",
    "\x7f": "DEL",
}
_CONTROLS = (
    "NUL", "SOH", "STX", "ETX", "EOT", "ENQ", "ACK", "BEL", "BS", "HT", "LF", "VT", "FF", "CR", "SO", "SI",
    "DLE", "DC1", "DC2", "DC3", "DC4", "NAK", "SYN", "ETB", "CAN", "EM", "SUB", "ESC", "FS", "GS", "RS", "US",
)  # fmt: skip
# Blank, yet letters, symbols or marks to Unicode: Hangul fillers, the braille blank, the Mongolian vowel separator's neighbours.
_BLANK = set("\u115f\u1160\u3164\uffa0\u2800\u180b\u180c\u180d\u034f")
# Variation selectors can carry a text of their own unseen; the last two of the first block only choose how an emoji looks.
_SELECTORS = (range(0xFE00, 0xFE0E), range(0xE0100, 0xE01F0))


@dataclass(frozen=True)
class Shown:
    """A text as it is shown: runs, some of them marked, and what was left away."""

    runs: tuple[tuple[str, bool], ...]
    """Text and whether it is highlighted, in order; still raw, only ``markup`` makes it safe."""
    cut_before: int = 0
    """Characters left away before the first run."""
    cut_after: int = 0

    @property
    def empty(self) -> bool:
        return not any(text for text, _ in self.runs)


def shown(text: str, limit: int = CLAIM) -> Shown:
    """The beginning of a text, at most ``limit`` characters and ``MAX_LINES`` lines."""
    kept = _first_lines(text[:limit])
    return Shown(((kept, False),), cut_after=len(text) - len(kept))


def shown_end(text: str, limit: int = EXCERPT) -> Shown:
    """The end of a text, for what stands before a token."""
    kept = text[-limit:] if limit else ""
    return Shown(((kept, False),), cut_before=len(text) - len(kept))


def highlighted(text: str, quote: str, limit: int = EXPLANATION) -> Shown | None:
    """A text with the first occurrence of ``quote`` marked and in view; ``None`` if it does not occur verbatim."""
    at = text.find(quote) if quote.strip() else -1
    if at < 0:
        return None
    quoted = quote[:limit]
    room = limit - len(quoted)
    start = max(0, at - room // 2)
    end = min(len(text), start + limit)
    if at + len(quoted) > end:
        end = at + len(quoted)
    runs = ((text[start:at], False), (quoted, True), (text[at + len(quoted) : end], False))
    return Shown(runs, start, len(text) - end)


def markup(value: Shown | str | None, limit: int = CLAIM) -> Markup:
    """HTML that shows the text and nothing else: escaped, isolated, invisible signs made visible, cuts stated."""
    if value is None:
        return Markup("")
    view = shown(value, limit) if isinstance(value, str) else value
    runs = [(_visible(run), marked) for run, marked in view.runs if run]
    inner = Markup("").join(Markup("<mark>{}</mark>").format(run) if marked else run for run, marked in runs)
    parts = [_cut(view.cut_before, "before this"), Markup('<bdi class="said">{}</bdi>').format(inner), _cut(view.cut_after, "not shown")]
    return Markup("").join(parts)


def plain(text: str, limit: int = 60) -> str:
    """One line of plain text for a chart or an attribute: the same stand-ins without markup."""
    cut = text[: limit - 1] + "…" if len(text) > limit else text
    return "".join(piece if ordinary else f"[{piece}]" for piece, ordinary in _pieces(re.sub(r"\s+", " ", cut)))


def token_text(token: str) -> str:
    """A token with its outer white space visible."""
    body = token.strip(" \n\t\r")
    if not body:
        return _spaces(token)
    start = token.index(body)
    return _spaces(token[:start]) + body + _spaces(token[start + len(body) :])


def anchor(kind: str, name: str) -> str:
    """An id that can stand in a link: readable where the name is plain, and never two of the same for two names."""
    readable = re.sub(r"[^a-z0-9]+", "-", name.lower()[:60]).strip("-")
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return "-".join(part for part in (kind, readable, digest) if part)


def address_name(name: str) -> str:
    """A transcript's name as addresses have it: whole, but for the end of one that nobody would call a name."""
    if len(name) <= NAME:
        return name
    return f"{name[:NAME]}~{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def one_of(items: Sequence[str], word: str = "and") -> str:
    """``a, b and c``."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {word} {items[-1]}" if items else ""


def _first_lines(text: str) -> str:
    lines = text.split("\n", MAX_LINES)
    return text if len(lines) <= MAX_LINES else "\n".join(lines[:MAX_LINES])


def _spaces(text: str) -> str:
    return text.replace("\r", "␍").replace("\n", "⏎").replace("\t", "⇥").replace(" ", "␣")


def _cut(count: int, where: str) -> Markup:
    if not count:
        return Markup("")
    return Markup(' <span class="cut">[{:,} more characters {}]</span> ').format(count, where)


def _visible(text: str) -> Markup:
    """Escaped text in which each invisible sign is a small label."""
    out = []
    for piece, ordinary in _pieces(text):
        out.append(escape(piece) if ordinary else Markup('<span class="sign">{}</span>').format(piece))
    return Markup("").join(out)


def _pieces(text: str) -> Iterator[tuple[str, bool]]:
    """Runs of ordinary text, and the stand-ins for what cannot be seen."""
    if text.isascii() and text.isprintable():
        yield from [(text, True)] if text else ()
        return
    run: list[str] = []
    marks = 0
    for character, group in groupby(text):
        times, category, strange = sum(1 for _ in group), unicodedata.category(character), ""
        if _is_hidden(character, category):
            strange, marks = _stand_in(character), 0
        elif category in ("Mn", "Me"):
            run.append(character * min(times, MAX_MARKS - min(marks, MAX_MARKS)))
            strange = "more marks" if marks <= MAX_MARKS < marks + times else ""
            marks, times = marks + times, 1
        else:
            run.append(character * times)
            marks = 0
        if strange:
            if ordinary := "".join(run):
                yield ordinary, True
            run = []
            yield from [(strange, False)] * times if times <= REPEATED else [(f"{strange} \u00d7{times}", False)]
    if ordinary := "".join(run):
        yield ordinary, True


def _is_hidden(character: str, category: str) -> bool:
    if category in _INVISIBLE:
        return character not in "\n\t"
    return character in _BLANK or any(ord(character) in selectors for selectors in _SELECTORS)


def _stand_in(character: str) -> str:
    code = ord(character)
    # Names, not Unicode's control pictures: many fonts lack those.
    if code < 0x20:
        return _CONTROLS[code]
    return _NAMES.get(character, f"U+{code:04X}")
