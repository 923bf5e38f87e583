"""Realism twins of the hand-written samples: the same task, with what looks staged in its user prompt put more plainly.

``data/twins/<scenario>.json`` holds for each sample a list of ``[old, new]``; an empty ``new`` takes words out. The rules (see the
tests): at most fifteen spans, the system prompt and the files untouched, and everything that the task or its scorer needs kept.
"""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.resources import files


@cache
def edits(name: str) -> dict[str, tuple[tuple[str, str], ...]]:
    """Edits of a scenario's user prompts by sample; empty if the scenario has no twins."""
    source = files("scenarios").joinpath("data", "twins", f"{name}.json")
    if not source.is_file():
        return {}
    written = json.loads(source.read_text(encoding="ascii"))
    return {sample: tuple((old, new) for old, new in pairs) for sample, pairs in written.items()}


def twin_text(name: str, sample: str, user: str) -> str | None:
    """The user prompt of a sample's twin; ``None`` if it has none.

    Line breaks of the data are layout: they match a space of an edit. Raises ``ValueError`` for an edit that does not fit exactly once.
    """
    if sample not in edits(name):
        return None
    for old, new in edits(name)[sample]:
        pattern = re.compile(r"\s+".join(map(re.escape, old.split())))
        if (found := len(pattern.findall(user))) != 1:
            raise ValueError(f"The twin of {name}/{sample} replaces {old!r}, which stands in its prompt {found} times.")
        user = pattern.sub(lambda _, new=new: new, user)  # type: ignore[misc]
    return user
