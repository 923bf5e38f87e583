"""Words that one side uses more than the other: log-odds with an informative prior, over a handful of conversations.

For an auditor who looks, not for a verdict: with few conversations nothing is tested, and z is only an order. The scripted auditor's
report rests on the permutation test of ``audit/scanners/motives.py`` instead.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from audit.scanners.motives import terms_of

MOST = 25
LEAST_TEXTS = 2
"""Of a side; a term in one text is nobody's habit."""


@dataclass(frozen=True)
class RankedTerm:
    """A word or pair of words."""

    term: str
    log_odds: float
    z: float
    mine: int
    theirs: int
    """Texts that hold it, on each side."""


def ranked_terms(mine: Sequence[Sequence[str]], theirs: Sequence[Sequence[str]], most: int = MOST) -> list[RankedTerm]:
    """The terms most over-represented in ``mine``, strongest first; each side is a list of conversations, each a list of texts."""
    from audit.statistics import log_odds

    own, other = _counts(mine), _counts(theirs)
    vocabulary = sorted(term for term in own.keys() | other.keys() if own[term] + other[term] >= LEAST_TEXTS)
    if len(vocabulary) < 2 or not own or not other:
        return []
    difference, z = log_odds([own[term] for term in vocabulary], [other[term] for term in vocabulary])
    rows = [
        RankedTerm(term.replace("not_", "not ").replace("maybe_", "maybe "), float(odds), float(score), own[term], other[term])
        for term, odds, score in zip(vocabulary, difference, z, strict=True)
        if score > 0
    ]
    return sorted(rows, key=lambda row: (-row.z, row.term))[:most]


def _counts(side: Sequence[Sequence[str]]) -> Counter[str]:
    return Counter(term for texts in side for text in texts for term in terms_of(text))
