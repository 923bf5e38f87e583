"""Regular expressions that an auditor wrote, run so that none can hang the audit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from time import monotonic
from typing import Any

LONGEST_PATTERN = 300
SECONDS = 2.0
"""For a whole search."""
LONGEST_LINE = 4000
"""Of a longer line only the beginning is searched."""
MOST_REPEATS = 1000
"""Larger counts in braces are refused: they blow up when a pattern is compiled."""


class BadPattern(Exception):
    """A pattern that cannot be used, or took too long; the message is for the auditor."""


@dataclass(frozen=True)
class Hit:
    """A line that matches."""

    line: int
    """From 1."""
    text: str


def search(pattern: str, lines: Iterable[str], most: int, seconds: float = SECONDS) -> tuple[list[Hit], int]:
    """The first ``most`` lines in which the pattern occurs (any case), and how many there are in all.

    Raises ``BadPattern`` if the pattern is none, is too long, or needs more than ``seconds`` for all lines together.
    """
    compiled = _compiled(pattern)
    hits: list[Hit] = []
    count = 0
    for number, line in _matching(compiled, lines, monotonic() + seconds):
        count += 1
        if len(hits) < most:
            hits.append(Hit(number, line))
    return hits, count


def _compiled(pattern: str) -> Any:
    import regex  # type: ignore[import-untyped]

    if not pattern or len(pattern) > LONGEST_PATTERN:
        raise BadPattern(f"A pattern must have 1 to {LONGEST_PATTERN} characters.")
    if any(int(number) > MOST_REPEATS for number in regex.findall(r"\d{1,9}", pattern)):
        raise BadPattern(f"A pattern must not repeat anything more than {MOST_REPEATS} times.")
    try:
        return regex.compile(pattern, regex.IGNORECASE)
    except (regex.error, RecursionError, OverflowError, ValueError) as error:
        raise BadPattern(f"This is no regular expression: {error}.") from None


def _matching(compiled: Any, lines: Iterable[str], until: float) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(lines, 1):
        left = until - monotonic()
        try:
            if left <= 0:
                raise TimeoutError
            if compiled.search(line[:LONGEST_LINE], timeout=left):
                yield number, line
        except TimeoutError:
            raise BadPattern("The search took too long and was stopped: simplify the pattern.") from None
