"""Recurrence: whether the tokens around an examined one say the same. Claims that recur nearby are more often true (paper, reliability).

Where sites were drawn at random, the neighbours have to be read in addition. What they say stands in the evidence and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from audit.records import Evidence, Role, Site, Transcript
from audit.scanners.wording import fold

if TYPE_CHECKING:
    from audit.statistics import Rate

REACH = 10
"""How many tokens away a neighbour may be: the paper looks at the last ten."""
NEIGHBOUR = "neighbour"
"""How such a site was chosen."""
ALIKE = 0.6
"""Share of a claim's content words that a text must hold to say the same."""
_ENDINGS = re.compile(r"(?:ations?|ings?|ed|es|s|ly)$")


def neighbours(transcript: Transcript, call_index: int, position: int, tokenizer: Any, count: int, reach: int = REACH) -> list[Site]:
    """At most ``count`` tokens of the same call and role, spread over the ``reach`` tokens before a site, in reading order.

    Where too few stand before it, those after it fill up: a reply's beginning has neighbours too.
    """
    from audit.target.sites import choose_sites

    call = next((call for call in transcript.calls if call.index == call_index), None)
    if call is None or count < 1:
        return []
    offset = position - len(call.prompt_ids)
    role: Role = next((span.role for span in call.spans if span.start <= offset < span.end), "response")
    near = replace(transcript, calls=(replace(call, spans=tuple(span for span in call.spans if _touches(span, offset, reach))),))
    every = choose_sites(near, tokenizer, "all", roles=(role,))
    before = [site for site in every if position - reach <= site.position < position]
    after = [site for site in every if position < site.position <= position + reach]
    chosen = _spread(before, count) + _spread(after, count - len(before))
    return [replace(site, chosen_by=NEIGHBOUR) for site in chosen]


def _touches(span: Any, offset: int, reach: int) -> bool:
    return bool(span.start <= offset + reach and span.end > offset - reach)


def _spread(sites: Sequence[Site], count: int) -> list[Site]:
    """``count`` of the sites, the first and the last among them."""
    if count <= 0:
        return []
    if len(sites) <= count:
        return list(sites)
    if count == 1:
        return [sites[-1]]
    return [sites[round(index * (len(sites) - 1) / (count - 1))] for index in range(count)]


def recurrence(evidence: Iterable[Evidence]) -> Rate:
    """Share of the neighbours, over all examined sites of a transcript, that the scanner calls YES; unjudged ones do not count."""
    from audit.statistics import any_of_n

    labels = [neighbour.label for row in evidence for neighbour in row.neighbours if neighbour.label is not None]
    return any_of_n([int(label == "YES") for label in labels], [1] * len(labels))


def says_the_same(claim: str, text: str) -> bool:
    """Whether a text holds most content words of a claim, in whatever form and order."""
    words = _content(claim)
    return bool(words) and len(words & _content(text)) >= ALIKE * len(words)


@lru_cache(maxsize=4096)
def _content(text: str) -> frozenset[str]:
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    words = re.findall(r"[^\W\d_]{3,}", fold(text))
    return frozenset(_ENDINGS.sub("", word) or word for word in words if word not in ENGLISH_STOP_WORDS)
