"""How much of an explanation is copied from the context, and how much of its fidelity hangs on that (paper, section 5).

An AV that repeats words which stand near its token can score well without saying what the model thinks.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from audit.nla.fidelity import Fve, Reconstruct, Scale, Vectors, mse_nrm, shuffle_between


@dataclass(frozen=True)
class Overlap:
    """Share of the explanations' word n-grams that stand in a context, mean over rows that have any."""

    n: int
    rows: int
    own: float
    """In the text that the activation comes from."""
    other: float
    """In the text of another row, from another cluster where there is one: what common words alone give."""


@dataclass(frozen=True)
class LengthBin:
    """Fidelity of the explanations of some lengths."""

    shortest: int
    longest: int
    """Words, both counted in."""
    rows: int
    fve: Fve
    """Against the variance baseline of all rows, so that bins can be compared."""


def ngram_overlap(
    explanations: Sequence[str], contexts: Sequence[str], clusters: Sequence[Hashable] | None = None, longest: int = 4, seed: int = 0
) -> list[Overlap]:
    """Overlap of each explanation with its own context and with another row's, for n-grams of 1 to ``longest`` words."""
    other = shuffle_between(clusters if clusters is not None else range(len(explanations)), seed)
    said, read = [_words(text) for text in explanations], [_words(text) for text in contexts]
    found = []
    for n in range(1, longest + 1):
        made, known = [_ngrams(words, n) for words in said], [_ngrams(words, n) for words in read]
        rows = [row for row, grams in enumerate(made) if grams]
        if rows:
            own = [len(made[row] & known[row]) / len(made[row]) for row in rows]
            others = [len(made[row] & known[other[row]]) / len(made[row]) for row in rows]
            found.append(Overlap(n, len(rows), float(np.mean(own)), float(np.mean(others))))
    return found


def fve_by_length(
    activations: Vectors,
    explanations: Sequence[str],
    reconstruct: Reconstruct,
    bins: int = 3,
    clusters: Sequence[Hashable] | None = None,
    seed: int = 0,
) -> list[LengthBin]:
    """FVE of about equally many explanations a bin, from the shortest to the longest."""
    scale = Scale(activations, clusters if clusters is not None else range(len(explanations)), seed)
    errors = mse_nrm(activations, reconstruct(explanations))
    lengths = np.array([len(_words(text)) for text in explanations])
    edges = np.unique(np.quantile(lengths, np.linspace(0, 1, bins + 1)[1:], method="higher"))
    found, above = [], -1
    for edge in edges.tolist():
        rows = np.flatnonzero((lengths > above) & (lengths <= edge)).tolist()
        found.append(LengthBin(int(lengths[rows].min()), int(lengths[rows].max()), len(rows), scale.fve(errors, rows=rows)))
        above = edge
    return found


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _ngrams(words: Sequence[str], n: int) -> set[tuple[str, ...]]:
    return {tuple(words[start : start + n]) for start in range(len(words) - n + 1)}
