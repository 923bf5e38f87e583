"""Rates with their intervals: Wilson's, and beside it one that keeps transcripts of one skeleton together."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from statistics import fmean
from typing import Any

import numpy as np

from audit.statistics import cluster_bootstrap, cluster_means, wilson

RESAMPLES = 1000


def share(count: int, total: int) -> dict[str, Any]:
    """A count as a rate with its Wilson interval; of nothing, both are ``None``."""
    if total == 0:
        return {"count": 0, "of": 0, "rate": None, "ci": None}
    return {"count": count, "of": total, "rate": count / total, "ci": list(wilson(count, total))}


def share_of(values: Iterable[bool | None]) -> dict[str, Any]:
    """The share of true among those that are known."""
    known = [value for value in values if value is not None]
    return share(sum(known), len(known))


def clustered_share(values: Iterable[tuple[str, bool | None]], seed: int) -> dict[str, Any]:
    """As ``share_of`` for ``(cluster, value)``, with ``cluster_ci``, the interval when whole clusters are drawn."""
    known = [(cluster, value) for cluster, value in values if value is not None]
    found = share(sum(value for _, value in known), len(known))
    return found | {"cluster_ci": cluster_interval([cluster for cluster, _ in known], [float(value) for _, value in known], seed)}


def cluster_interval(clusters: Sequence[Hashable], values: Sequence[float], seed: int) -> list[float] | None:
    """95% interval of the mean of ``values`` (0 to 1) by bootstrap over clusters; ``None`` with fewer than two of them.

    Where the rate is 0 or 1 every draw is the same and the bootstrap has no width: then Wilson's interval for so many clusters.
    """
    if len(set(clusters)) < 2:
        return None
    if fmean(values) in (0.0, 1.0):
        return [float(end) for end in cluster_means(values, clusters)[0]]
    sums: dict[Hashable, list[float]] = {}
    for cluster, value in zip(clusters, values, strict=True):
        entry = sums.setdefault(cluster, [0.0, 0.0])
        entry[0], entry[1] = entry[0] + value, entry[1] + 1
    rows = np.array(list(sums.values()))
    return list(cluster_bootstrap(rows, range(len(rows)), lambda drawn: float(drawn[:, 0].sum() / drawn[:, 1].sum()), seed, RESAMPLES))
