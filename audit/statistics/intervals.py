"""Intervals of rates and of statistics, also where observations come in clusters."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = Sequence[float] | npt.NDArray[Any]
Interval = tuple[float, float]


def wilson(successes: int, n: int, level: float = 0.95) -> Interval:
    """Wilson's score interval of a rate. With ``n = 0`` nothing is known, and the interval is ``(0, 1)``."""
    from statsmodels.stats.proportion import proportion_confint

    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n}")
    if n == 0:
        return 0.0, 1.0
    low, high = proportion_confint(successes, n, alpha=1.0 - level, method="wilson")
    return max(0.0, float(low)), min(1.0, float(high))


def clopper_pearson(successes: float, n: int, level: float = 0.95) -> Interval:
    """The exact (binomial) interval of a rate: covers it at least at ``level``, whatever the rate. With ``n = 0`` it is ``(0, 1)``.

    ``successes`` need not be whole: a mean of probabilities varies less than yes-or-no values of the same mean, so that its interval
    comes out too wide rather than too narrow.
    """
    tail = (1.0 - level) / 2
    return exact_bound(successes, n, tail, upper=False), exact_bound(successes, n, tail, upper=True)


def exact_bound(successes: float, n: float, tail: float, upper: bool) -> float:
    """One-sided Clopper-Pearson bound: the rate is beyond it with probability at most ``tail``."""
    from scipy.stats import beta

    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n}")
    if upper:
        return 1.0 if successes >= n else float(beta.ppf(1.0 - tail, successes + 1, n - successes))
    return 0.0 if successes <= 0 else float(beta.ppf(tail, successes, n - successes + 1))


def cluster_means(values: npt.ArrayLike, clusters: Sequence[Hashable], level: float = 0.95) -> npt.NDArray[np.float64]:
    """Intervals ``[columns, 2]`` of the mean of each column of ``values`` (``[n]`` or ``[n, columns]``, in 0 to 1), one cluster key a row.

    Wilson's interval with the effective sample size that the variance between clusters leaves, and Student's quantile for the number
    of clusters (Franco et al. 2019, "Comparative Study of Confidence Intervals for Proportions in Complex Sample Surveys"). It does
    not collapse where the rate is 0 or 1, as a bootstrap would. Of a single cluster nothing is known: ``(0, 1)``.
    """
    rows = np.asarray(values, dtype=np.float64)
    rows = rows.reshape(len(rows), -1)
    if len(rows) != len(clusters) or not len(rows) or not ((rows >= 0) & (rows <= 1)).all():
        raise ValueError("values in 0 to 1 and clusters must be of equal, positive length")
    keys = {key: index for index, key in enumerate(dict.fromkeys(clusters))}
    means = rows.mean(axis=0)
    sums = np.zeros((len(keys), rows.shape[1]))
    np.add.at(sums, [keys[key] for key in clusters], (rows - means) / len(rows))
    spread = (sums**2).sum(axis=0) * len(keys) / max(1, len(keys) - 1)
    return np.array([_effective_wilson(float(mean), float(var), len(keys), level) for mean, var in zip(means, spread, strict=True)])


def _effective_wilson(mean: float, variance: float, clusters: int, level: float) -> Interval:
    from scipy.stats import norm, t

    if clusters < 2:
        return 0.0, 1.0
    # Clusters that all agree say nothing of their variance: each then counts as one observation.
    size = mean * (1 - mean) / variance if variance > 1e-12 else float(clusters)
    z = float(norm.ppf((1 + level) / 2))
    size *= (z / float(t.ppf((1 + level) / 2, clusters - 1))) ** 2
    centre, half = (mean + z**2 / (2 * size)), z * np.sqrt(mean * (1 - mean) / size + z**2 / (4 * size**2))
    scale = 1 + z**2 / size
    return max(0.0, float((centre - half) / scale)), min(1.0, float((centre + half) / scale))


def auroc(positives: Floats, negatives: Floats) -> float:
    """Probability that a positive scores above a negative, ties counting one half. ``ValueError`` if a side is empty or not finite."""
    from scipy.stats import mannwhitneyu

    pos, neg = np.asarray(positives, dtype=float), np.asarray(negatives, dtype=float)
    if not len(pos) or not len(neg) or not np.isfinite(pos).all() or not np.isfinite(neg).all():
        raise ValueError("AUROC needs finite scores on both sides")
    return float(mannwhitneyu(pos, neg, method="asymptotic").statistic / (len(pos) * len(neg)))


def stratified_auroc(scores: Floats, positive: npt.ArrayLike, strata: npt.ArrayLike) -> float:
    """Probability that a positive scores above a negative of its own stratum, over all such pairs, ties counting one half.

    Scores need to be comparable within a stratum only: those of one fold's model, or of one scenario. ``ValueError`` if no stratum has
    both sides.
    """
    values, sides, names = np.asarray(scores, dtype=float), np.asarray(positive, dtype=bool), np.asarray(strata)
    if not np.isfinite(values).all():
        raise ValueError("AUROC needs finite scores")
    wins = pairs = 0.0
    for name in np.unique(names):
        above, below = values[(names == name) & sides], np.sort(values[(names == name) & ~sides])
        # Counted by place among the negatives: this runs thousands of times under a bootstrap.
        wins += float(np.searchsorted(below, above, "left").sum() + np.searchsorted(below, above, "right").sum()) / 2
        pairs += len(above) * len(below)
    if not pairs:
        raise ValueError("AUROC needs a stratum with both sides")
    return wins / pairs


def cluster_bootstrap(
    values: npt.ArrayLike,
    clusters: Sequence[Hashable],
    statistic: Callable[[npt.NDArray[Any]], float],
    seed: int,
    samples: int = 2000,
    level: float = 0.95,
) -> Interval:
    """Percentile interval of ``statistic(values)`` when whole clusters are drawn with replacement.

    ``values`` is ``[n]`` or ``[n, columns]`` (score and label, say), ``clusters`` one key for each row. Draws on which the statistic
    raises ``ValueError`` or is not finite (a class is absent) are left out; ``ValueError`` if they are more than a tenth.
    """
    rows = np.asarray(values)
    if len(rows) != len(clusters) or not len(rows):
        raise ValueError("values and clusters must be of equal, positive length")
    members: dict[Hashable, list[int]] = {}
    for index, cluster in enumerate(clusters):
        members.setdefault(cluster, []).append(index)
    blocks = [np.asarray(block) for block in members.values()]
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(samples):
        drawn = generator.integers(len(blocks), size=len(blocks))
        try:
            found.append(float(statistic(rows[np.concatenate([blocks[choice] for choice in drawn])])))
        except ValueError:
            found.append(float("nan"))
    finite = np.asarray(found)[np.isfinite(found)]
    if len(finite) < 0.9 * samples:
        raise ValueError(f"the statistic is undefined on {samples - len(finite)} of {samples} draws")
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
