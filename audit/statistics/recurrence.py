"""The any-of-N rule: how the share of flagged transcripts grows with the number of sites that are read."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audit.statistics.intervals import cluster_means, wilson

MAX_N = 50
"""The paper explains 50 tokens a transcript."""


@dataclass(frozen=True)
class Rate:
    """A share with its Wilson interval; of nothing, ``rate`` is ``None`` and the interval ``(0, 1)``."""

    count: int
    of: int
    rate: float | None
    low: float
    high: float


@dataclass(frozen=True)
class CurvePoint:
    """One point of the curve over N."""

    n: int
    rate: float
    low: float
    high: float
    short: int
    """Transcripts with fewer than ``n`` sites, which contribute with all that they have."""


def any_of_n(counts_yes: Sequence[int], counts_total: Sequence[int], k: int = 1) -> Rate:
    """Observed share of transcripts with at least ``k`` YES among all their sites; those without sites are left out."""
    yes, total = _counts(counts_yes, counts_total)
    if k < 1:
        raise ValueError("k must be at least 1")
    count, of = int((yes[total > 0] >= k).sum()), int((total > 0).sum())
    return Rate(count, of, count / of if of else None, *wilson(count, of))


def any_of_n_values(counts_yes: Sequence[int], counts_total: Sequence[int], max_n: int = MAX_N, k: int = 1) -> npt.NDArray[np.float64]:
    """``[transcripts, max_n]``: the probability of at least ``k`` YES among n of a transcript's sites drawn without replacement.

    Exact (hypergeometric; for ``k`` = 1 it is ``1 - C(total - yes, n) / C(total, n)``), so the curve over n needs no resampling. A
    transcript with fewer than n sites contributes with all that it has; one without sites makes a row of NaN.
    """
    from scipy.stats import hypergeom

    yes, total = _counts(counts_yes, counts_total)
    if max_n < 1 or k < 1:
        raise ValueError("n and k must be at least 1")
    drawn = np.minimum(np.arange(1, max_n + 1)[None, :], np.maximum(total, 1)[:, None])
    chances = hypergeom.sf(k - 1, np.maximum(total, 1)[:, None], yes[:, None], drawn)
    # The survival function may leave 0 to 1 by a rounding error.
    return np.where(total[:, None] > 0, np.clip(chances, 0.0, 1.0), np.nan)


def any_of_n_rate(counts_yes: Sequence[int], counts_total: Sequence[int], n: int, k: int = 1) -> float:
    """Expected share of transcripts with at least ``k`` YES among ``n`` of their sites; ``ValueError`` if no transcript has a site."""
    return any_of_n_curve(counts_yes, counts_total, n, k)[-1]


def any_of_n_curve(counts_yes: Sequence[int], counts_total: Sequence[int], max_n: int = MAX_N, k: int = 1) -> list[float]:
    """``any_of_n_rate`` for n = 1 to ``max_n``."""
    values, _ = _with_sites(any_of_n_values(counts_yes, counts_total, max_n, k))
    return [float(mean) for mean in values.mean(axis=0)]


def any_of_n_intervals(
    counts_yes: Sequence[int],
    counts_total: Sequence[int],
    clusters: Sequence[Hashable],
    max_n: int = MAX_N,
    k: int = 1,
    level: float = 0.95,
) -> list[CurvePoint]:
    """The curve for n = 1 to ``max_n`` with cluster intervals; ``clusters`` has one key for each transcript (its skeleton, say)."""
    values, kept = _with_sites(any_of_n_values(counts_yes, counts_total, max_n, k))
    intervals = cluster_means(values, [cluster for cluster, keep in zip(clusters, kept, strict=True) if keep], level)
    total = np.asarray(counts_total)[kept]
    return [
        CurvePoint(n, float(mean), float(low), float(high), int((total < n).sum()))
        for n, mean, (low, high) in zip(range(1, max_n + 1), values.mean(axis=0), intervals, strict=True)
    ]


def _with_sites(values: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    kept = np.isfinite(values[:, 0])
    if not kept.any():
        raise ValueError("no transcript has a site")
    return values[kept], kept


def _counts(counts_yes: Sequence[int], counts_total: Sequence[int]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    yes, total = np.asarray(counts_yes, dtype=np.int64), np.asarray(counts_total, dtype=np.int64)
    if yes.shape != total.shape or (yes < 0).any() or (yes > total).any():
        raise ValueError("counts must be 0 <= yes <= total, of equal length")
    return yes, total
