"""The tool ``sae``: sparse features of the layer that the NLA reads, learnt from generic activations, described by their top contexts.

Dictionary learning with scikit-learn (Mairal et al. 2009, online; coordinate descent for the code, non-negative), on standardised
residual vectors. Departure from the paper, which had a sparse autoencoder trained at scale: it is small, as the data are, and describes
a feature by the contexts in which it is strongest, not by a model's summary of them.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from audit.game.instruments.background import Background
from audit.game.instruments.reading import Array

FEATURES = 256
SPARSITY = 1.0
MOST_VECTORS = 3000
_ONE_AT_A_TIME = threading.Lock()
EPOCHS = 3
"""Passes over the vectors; each is thousands of small regressions."""
CONTEXTS = 5


@dataclass(frozen=True)
class Feature:
    """One direction of the dictionary."""

    number: int
    contexts: tuple[str, ...]
    """Where it is strongest in generic text; the token in double brackets."""
    usual: float
    """Mean activation on generic text."""
    spread: float
    """Standard deviation there."""


@dataclass(frozen=True)
class ActiveFeature:
    """A feature and how active it is somewhere."""

    feature: Feature
    activation: float
    """Mean over the tokens looked at."""
    z: float
    """Against generic text, in its standard deviations."""


class SparseDictionary:
    """A fitted dictionary."""

    def __init__(self, model: Any, centre: Array, scale: Array, features: tuple[Feature, ...]) -> None:
        self._model, self._centre, self._scale, self.features = model, centre, scale, features

    def codes(self, vectors: Array) -> Array:
        """Activations of all features ``[n, features]`` for residual vectors ``[n, d]``; rows that are not finite give zeros."""
        finite = np.isfinite(vectors).all(axis=1)
        found = np.zeros((len(vectors), len(self.features)), dtype=np.float32)
        if finite.any():
            with _quiet():
                found[finite] = self._model.transform(((vectors[finite] - self._centre) / self._scale).astype(np.float64))
        return found

    def strongest(self, vectors: Array, most: int) -> list[ActiveFeature]:
        """The features that stand out most against generic text, for the mean over rows ``[n, d]``."""
        if not len(vectors):
            return []
        means = self.codes(vectors).mean(axis=0)
        rows = [
            ActiveFeature(feature, float(mean), float((mean - feature.usual) / max(feature.spread, 1e-6)))
            for feature, mean in zip(self.features, means, strict=True)
        ]
        return sorted(rows, key=lambda row: (-row.z, row.feature.number))[:most]


def fit(background: Background, seed: int, features: int = FEATURES, sparsity: float = SPARSITY) -> SparseDictionary:
    """Learns the dictionary; deterministic for a seed."""
    from sklearn.decomposition import MiniBatchDictionaryLearning

    vectors = background.vectors.astype(np.float32)
    chosen = np.sort(np.random.default_rng(seed).permutation(len(vectors))[:MOST_VECTORS])
    sample, contexts = vectors[chosen], [background.contexts[row] for row in chosen]
    centre = sample.mean(axis=0)
    # One scale for all directions: what is large in the residual stream stays large.
    scale = np.float32(max(float(sample.std()), 1e-6))
    standard = ((sample - centre) / scale).astype(np.float64)
    model = MiniBatchDictionaryLearning(
        n_components=min(features, 2 * len(standard)), alpha=sparsity, batch_size=256, max_iter=EPOCHS, random_state=seed,
        fit_algorithm="cd", transform_algorithm="lasso_cd", transform_alpha=sparsity, positive_code=True, n_jobs=1,
    )  # fmt: skip
    with _quiet():
        codes = model.fit(standard).transform(standard)
    return SparseDictionary(model, centre, np.asarray(scale), _described(codes, contexts))


@contextmanager
def _quiet() -> Iterator[None]:
    """Codes that are right to three digits instead of four are right enough, and one warning each would be thousands.

    Filters of warnings are the whole process's, so one thread at a time.
    """
    from sklearn.exceptions import ConvergenceWarning

    with _ONE_AT_A_TIME, warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def _described(codes: Array, contexts: Sequence[str]) -> tuple[Feature, ...]:
    found = []
    for number, column in enumerate(codes.T):
        strongest = [int(row) for row in np.argsort(-column, kind="stable")[: 4 * CONTEXTS] if column[row] > 0]
        distinct = tuple(dict.fromkeys(contexts[row] for row in strongest))[:CONTEXTS]
        found.append(Feature(number, distinct, float(column.mean()), float(column.std())))
    return tuple(found)
