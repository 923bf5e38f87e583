"""Which terms one set of texts uses more than another: log-odds with an informative Dirichlet prior, tested by permutation.

Monroe, Colaresi and Quinn 2008, "Fightin' Words: Lexical Feature Selection and Evaluation for Identifying the Content of Political
Conflict". Departure: their z takes words for independent. Explanations of one transcript resemble each other, and thousands of terms
are compared, so significance comes from permuting whole transcripts between the sets and taking the largest z of all terms, each z
on the scale that its own permutations have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

PRIOR_STRENGTH = 500.0
"""Occurrences that the prior is worth, shared out as the terms are in both sets together."""
BATCH = 100
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TermScores:
    """One entry a term."""

    log_odds: Array
    """Positive: more frequent in the first set than in the reference."""
    z: Array
    p: Array
    """Chance that any term would stand out so far if transcripts were dealt out at random: corrected for the number of terms."""


def log_odds(counts: npt.ArrayLike, reference: npt.ArrayLike, strength: float = PRIOR_STRENGTH) -> tuple[Array, Array]:
    """Log-odds ratios and their z; ``counts`` and ``reference`` are ``[..., terms]``, every term occurring in one of them at least.

    The prior is shared out as ``counts + reference`` are. Where a side is empty or has one term only, odds do not exist: ``ValueError``.
    """
    first, second = np.asarray(counts, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    pooled = first + second
    if first.shape != second.shape or first.shape[-1] < 2 or (first < 0).any() or (second < 0).any() or (pooled <= 0).any():
        raise ValueError("counts of at least two terms, none of them absent from both sides")
    prior = strength * pooled / pooled.sum(axis=-1, keepdims=True)
    logs, variance = [], np.zeros_like(pooled)
    for side in (first, second):
        total = side.sum(axis=-1, keepdims=True) + strength
        logs.append(np.log((side + prior) / (total - side - prior)))
        variance += 1.0 / (side + prior)
    difference = logs[0] - logs[1]
    return difference, difference / np.sqrt(variance)


def over_represented(counts: Any, chosen: npt.ArrayLike, *, seed: int, permutations: int = 1000) -> TermScores:
    """Scores of every term. ``counts`` is ``[transcripts, terms]`` (sparse or dense), ``chosen`` says which transcripts are the first set.

    ``ValueError`` if all transcripts are on one side, or a term occurs nowhere.
    """
    mask = np.asarray(chosen, dtype=bool)
    if counts.shape[0] != len(mask) or mask.all() or not mask.any():
        raise ValueError("both sets need transcripts")
    pooled = np.asarray(counts.sum(axis=0), dtype=np.float64).ravel()
    difference, z = _split(counts, mask[None, :], pooled)
    generator, dealt = np.random.default_rng(seed), [z]
    for start in range(0, permutations, BATCH):
        size = min(BATCH, permutations - start)
        dealt.append(_split(counts, generator.permuted(np.tile(mask, (size, 1)), axis=1), pooled)[1])
    every = np.concatenate(dealt)
    # A term that one transcript repeats has a large z however they are dealt; on its own scale it no longer hides the others.
    every = (every - every.mean(axis=0)) / np.maximum(every.std(axis=0), 1e-9)
    largest = every.max(axis=1)
    return TermScores(difference[0], z[0], (largest[:, None] >= every[0] - 1e-9).mean(axis=0))


def _split(counts: Any, masks: npt.NDArray[np.bool_], pooled: Array) -> tuple[Array, Array]:
    first = np.asarray((counts.T @ masks.T.astype(np.float64)).T, dtype=np.float64)
    return log_odds(first, np.maximum(pooled - first, 0.0))
