"""How much of an activation its explanation carries: cosine, normalised squared error, fraction of variance explained (paper, sec. 2)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Baseline = Literal["variance", "mean-direction"]
Vectors = NDArray[np.float32]


def unit(vectors: Vectors) -> NDArray[np.float64]:
    """Rows scaled to norm one, in float64; a zero row stays zero."""
    wide = np.asarray(vectors, dtype=np.float64)
    scaled: NDArray[np.float64] = wide / np.maximum(np.linalg.norm(wide, axis=-1, keepdims=True), 1e-12)
    return scaled


def cosine(activations: Vectors, reconstructions: Vectors) -> NDArray[np.float64]:
    """Cosine of each pair of rows; both arrays ``[n, d]``, returns ``[n]``."""
    result: NDArray[np.float64] = (unit(activations) * unit(reconstructions)).sum(axis=-1)
    return result


def mse_nrm(activations: Vectors, reconstructions: Vectors) -> NDArray[np.float64]:
    """Squared distance of the normalised rows, ``2 (1 - cosine)``: 0 is perfect, 2 orthogonal."""
    return 2.0 * (1.0 - cosine(activations, reconstructions))


def baseline_error(activations: Vectors, baseline: Baseline = "variance") -> float:
    """The error of knowing only the mean of the normalised activations.

    ``variance`` is the paper's; ``mean-direction`` scales the mean to norm one first, which gives a larger number and so a more
    flattering FVE.
    """
    normalised = unit(activations)
    mean = normalised.mean(axis=0, keepdims=True)
    if baseline == "mean-direction":
        mean = mean / np.maximum(np.linalg.norm(mean), 1e-12)
    return float(((normalised - mean) ** 2).sum(axis=-1).mean())


def fve(activations: Vectors, reconstructions: Vectors, baseline: Baseline = "variance") -> float:
    """Fraction of variance explained, ``1 - mean mse_nrm / baseline error``; always say which baseline."""
    return 1.0 - float(mse_nrm(activations, reconstructions).mean()) / baseline_error(activations, baseline)


def centred_cosine(activations: Vectors, reconstructions: Vectors, mean: Vectors) -> NDArray[np.float64]:
    """Cosine after the mean activation is taken from both: what is said beyond the generic."""
    return cosine(np.asarray(activations - mean, dtype=np.float32), np.asarray(reconstructions - mean, dtype=np.float32))
