"""The lab's explanations in other words, and with their setting reversed: what the tests of its NLA's honesty are made of.

``text/rewordings.json`` holds groups of phrases that mean the same; the wordings of a setting come from ``settings.json``.
"""

from __future__ import annotations

from functools import cache

from audit.lab.lexicon import load
from audit.lab.markup import alternatives
from audit.lab.summaries import SUMMARY_WORDINGS
from audit.nla.rewrites import Rewrite, substitute

STATES = ("evaluation", "deployment")


def synonyms() -> Rewrite:
    """Other words for genres, acts and common words, and another wording of the setting, most of which no training text held."""
    return substitute([*(group for groups in load("rewordings").values() for group in groups), *(_wordings(state) for state in STATES)])


def trained_wordings() -> Rewrite:
    """Another wording of the setting out of those that the NLA was trained on."""
    return substitute(_wordings(state, SUMMARY_WORDINGS) for state in STATES)


def swap_setting(text: str) -> str | None:
    """The explanation with evaluation and deployment swapped, each wording for its counterpart; ``None`` if it states neither."""
    return _replaced_setting(text, _counterparts())


def reword_setting(text: str) -> str | None:
    """The setting stated in the next wording that training knew; ``None`` if it states none. The swap's control: the AR should not care."""
    following: dict[str, str] = {}
    for state in STATES:
        lines = _wordings(state, SUMMARY_WORDINGS)
        following.update(zip(lines, [*lines[1:], lines[0]], strict=True))
    return _replaced_setting(text, following)


def _replaced_setting(text: str, table: dict[str, str]) -> str | None:
    lines = text.split("\n")
    places = [place for place, line in enumerate(lines) if line.removeprefix("- ") in table]
    for place in places:
        statement = lines[place].removeprefix("- ")
        lines[place] = lines[place].removesuffix(statement) + table[statement]
    return "\n".join(lines) if places else None


@cache
def _wordings(state: str, count: int | None = None) -> tuple[str, ...]:
    return tuple(line for wording in load("settings")[f"summary_{state}"][:count] for line in alternatives(wording))


@cache
def _counterparts() -> dict[str, str]:
    """Each wording of one setting with the wording of the other that stands at the same place of its list."""
    table = {}
    for first, second in zip(*(load("settings")[f"summary_{state}"] for state in STATES), strict=True):
        sides = alternatives(first), alternatives(second)
        for here, there in (sides, sides[::-1]):
            table.update({line: there[index % len(there)] for index, line in enumerate(here)})
    return table
