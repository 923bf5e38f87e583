"""Groups of alternative phrases, as organism files write them, found in a text: whole words, any case, ``*`` for any ending."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from audit.scanners.wording import fold

Group = tuple[str, ...]
Groups = tuple[Group, ...]
_BLANK = r"[\s-]+"


@lru_cache(maxsize=4096)
def pattern(group: Group) -> re.Pattern[str]:
    """What finds any phrase of a group in folded text: whole words only, ``*`` stands for any ending, a blank for blanks or hyphens."""
    return re.compile("|".join(rf"(?<!\w){_phrase(phrase)}(?!\w)" for phrase in sorted(group, key=len, reverse=True)))


def _phrase(phrase: str) -> str:
    words = (re.escape(word.rstrip("*")) + (r"[\w']*" if word.endswith("*") else "") for word in re.split(r"[\s-]+", fold(phrase).strip()))
    return _BLANK.join(words)


def found(group: Group, text: str) -> str:
    """The first phrase of the group in a text, as it stands there; empty if there is none."""
    match = pattern(group).search(fold(text))
    return text[match.start() : match.end()] if match else ""


def all_found(groups: Iterable[Group], text: str) -> bool:
    """Whether each group has a phrase in the text."""
    return all(pattern(group).search(fold(text)) for group in groups)


def words_of(text: str) -> list[str]:
    """The words of a text, folded."""
    return re.findall(r"[\w']+", fold(text))


def runs(words: Sequence[str], length: int) -> set[tuple[str, ...]]:
    """Every run of that many neighbouring words."""
    return {tuple(words[at : at + length]) for at in range(len(words) - length + 1)}
