"""The difference of two rates, and how far two judges of the same things agree."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audit.statistics.intervals import Floats, Interval, cluster_means

RESAMPLES = 1000
DEFINED = 0.9
"""A bootstrap counts only if its statistic exists on so large a share of the draws."""


@dataclass(frozen=True)
class RateDifference:
    """The second rate minus the first."""

    difference: float
    interval: Interval
    """Newcombe's (1998, method 10), from the Wilson intervals of both rates; it takes observations for independent."""
    p: float
    """Two-sided, Fisher's exact test."""


def rate_difference(first: int, first_of: int, second: int, second_of: int, level: float = 0.95) -> RateDifference:
    """Compares two independent rates given as counts and totals. ``ValueError`` where a total is zero or smaller than its count."""
    from scipy.stats import fisher_exact
    from statsmodels.stats.proportion import confint_proportions_2indep

    if not 0 <= first <= first_of or not 0 <= second <= second_of or not first_of or not second_of:
        raise ValueError("counts must lie within their totals, and totals above zero")
    low, high = confint_proportions_2indep(second, second_of, first, first_of, method="newcomb", compare="diff", alpha=1.0 - level)
    table = [[second, second_of - second], [first, first_of - first]]
    interval = max(-1.0, float(low)), min(1.0, float(high))
    return RateDifference(second / second_of - first / first_of, interval, float(fisher_exact(table).pvalue))


def cluster_difference(
    first: Sequence[tuple[Hashable, bool]],
    second: Sequence[tuple[Hashable, bool]],
    *,
    seed: int,
    samples: int = RESAMPLES,
    level: float = 0.95,
) -> Interval | None:
    """Interval of the second rate minus the first, of ``(cluster, value)`` each, when whole clusters are drawn with replacement.

    A cluster that both sides have is drawn as one, so that what its samples share cancels out. Where a rate is 0 or 1, all clusters
    agree, or too many draws leave a side empty, a bootstrap has no width or no meaning: then the ends follow from ``cluster_means``
    of both sides by Newcombe's square-and-add, which takes the sides for independent. ``None`` where a side has fewer than two clusters.
    """
    if min(len({cluster for cluster, _ in side}) for side in (first, second)) < 2:
        return None
    rows: dict[Hashable, list[float]] = {}
    for side, observations in enumerate((first, second)):
        for cluster, value in observations:
            row = rows.setdefault(cluster, [0.0] * 4)
            row[2 * side], row[2 * side + 1] = row[2 * side] + value, row[2 * side + 1] + 1
    sums = np.array(list(rows.values()))
    if {float(rate) for rate in sums[:, ::2].sum(axis=0) / sums[:, 1::2].sum(axis=0)} & {0.0, 1.0}:
        return _square_and_add(first, second, level)
    drawn = np.random.default_rng(seed).multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=samples) @ sums
    drawn = drawn[(drawn[:, 1] > 0) & (drawn[:, 3] > 0)]
    if len(drawn) < DEFINED * samples:
        return _square_and_add(first, second, level)
    low, high = np.quantile(drawn[:, 2] / drawn[:, 3] - drawn[:, 0] / drawn[:, 1], [(1 - level) / 2, (1 + level) / 2])
    return (float(low), float(high)) if high - low > 1e-9 else _square_and_add(first, second, level)


def _square_and_add(first: Sequence[tuple[Hashable, bool]], second: Sequence[tuple[Hashable, bool]], level: float) -> Interval:
    """The interval of a difference from those of both rates (Newcombe 1998, method 10, with intervals that keep clusters together)."""
    (rate, low, high), (other, other_low, other_high) = (_rate_with_ends(side, level) for side in (first, second))
    below, above = np.hypot(other - other_low, high - rate), np.hypot(other_high - other, rate - low)
    return max(-1.0, float(other - rate - below)), min(1.0, float(other - rate + above))


def _rate_with_ends(side: Sequence[tuple[Hashable, bool]], level: float) -> tuple[float, float, float]:
    values = [float(value) for _, value in side]
    low, high = cluster_means(values, [cluster for cluster, _ in side], level)[0]
    return sum(values) / len(values), float(low), float(high)


@dataclass(frozen=True)
class Kappa:
    """Cohen's kappa: agreement beyond what the two would reach by chance; 1 is perfect, 0 is chance."""

    value: float | None
    """``None`` where both always say the same single thing: chance agreement is then perfect, too, and kappa is undefined."""
    interval: Interval | None
    """Bootstrap within the strata; ``None`` where too many draws leave kappa undefined."""
    agreement: float
    """Share on which they agree (weighted)."""
    n: int


def cohens_kappa(
    first: Sequence[str],
    second: Sequence[str],
    *,
    seed: int,
    weights: Floats | None = None,
    strata: Sequence[Hashable] | None = None,
    samples: int = RESAMPLES,
    level: float = 0.95,
) -> Kappa:
    """Kappa of two judges over the same items, each counting with its weight; ``ValueError`` without any item.

    With ``strata`` (how the items were drawn) the bootstrap draws within each, as the sample was. Items count as independent.
    """
    codes = {label: code for code, label in enumerate(sorted({*first, *second}))}
    pairs = np.array([[codes[mine], codes[theirs]] for mine, theirs in zip(first, second, strict=True)], dtype=np.int64).reshape(-1, 2)
    share = np.ones(len(pairs)) if weights is None else np.asarray(weights, dtype=float)
    names: Sequence[Hashable] = [0] * len(pairs) if strata is None else strata
    if not len(pairs) or not len(pairs) == len(share) == len(names):
        raise ValueError("two labels, one weight and one stratum an item, and at least one item")
    groups = [np.array([index for index, name in enumerate(names) if name == one]) for one in dict.fromkeys(names)]
    generator, known = np.random.default_rng(seed), []
    for _ in range(samples):
        drawn = np.concatenate([generator.choice(group, len(group)) for group in groups])
        value = _kappa(pairs[drawn], share[drawn], len(codes))
        known += [] if value is None else [value]
    ends = np.quantile(known, [(1 - level) / 2, (1 + level) / 2]) if len(known) >= DEFINED * samples else None
    interval = None if ends is None else (float(ends[0]), float(ends[1]))
    agreement = float(share[pairs[:, 0] == pairs[:, 1]].sum() / share.sum())
    return Kappa(_kappa(pairs, share, len(codes)), interval, agreement, len(pairs))


def _kappa(pairs: npt.NDArray[np.int64], weights: npt.NDArray[np.float64], labels: int) -> float | None:
    from statsmodels.stats.inter_rater import cohens_kappa as kappa_of

    table = np.zeros((labels, labels))
    np.add.at(table, (pairs[:, 0], pairs[:, 1]), weights)
    if np.count_nonzero(table.sum(axis=0) + table.sum(axis=1)) < 2:
        return None
    return float(kappa_of(table, return_results=False))


@dataclass(frozen=True)
class WeightedShare:
    """A share of items that count differently much."""

    rate: float
    interval: Interval
    """Wilson's, with the effective number of items that unequal weights leave (Kish 1965): it does not collapse at 0 or 1."""
    count: int
    of: int
    """Items, unweighted."""


def weighted_share(values: Sequence[bool], weights: Floats, level: float = 0.95) -> WeightedShare | None:
    """The share of true by weight; ``None`` of nothing."""
    from scipy.stats import norm

    true, share = np.asarray(values, dtype=bool), np.asarray(weights, dtype=float)
    if len(true) != len(share) or (share <= 0).any():
        raise ValueError("one positive weight a value")
    if not len(true):
        return None
    rate, size, z = float(share[true].sum() / share.sum()), float(share.sum() ** 2 / (share**2).sum()), float(norm.ppf((1 + level) / 2))
    centre, half = rate + z**2 / (2 * size), z * np.sqrt(rate * (1 - rate) / size + z**2 / (4 * size**2))
    scale = 1 + z**2 / size
    interval = max(0.0, float((centre - half) / scale)), min(1.0, float((centre + half) / scale))
    return WeightedShare(rate, interval, int(true.sum()), len(true))
