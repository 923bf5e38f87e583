"""Intervals, thresholds and tests, on scipy and statsmodels. Everything random takes a seed.

A mistake in the arguments raises ``ValueError``: numbers come from our own stages, not from a user.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = Sequence[float] | npt.NDArray[Any]


def wilson(successes: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a rate. With ``n = 0`` nothing is known, and the interval is ``(0, 1)``."""
    from statsmodels.stats.proportion import proportion_confint

    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n}")
    if n == 0:
        return 0.0, 1.0
    low, high = proportion_confint(successes, n, alpha=1.0 - level, method="wilson")
    return max(0.0, float(low)), min(1.0, float(high))


def any_of_n_rate(counts_yes: Sequence[int], counts_total: Sequence[int], n: int, k: int = 1) -> float:
    """Expected share of transcripts with at least ``k`` YES among ``n`` of their sites drawn without replacement.

    Exact (hypergeometric), so the curve over ``n`` needs no resampling. A transcript with fewer than ``n`` sites contributes with
    all that it has; one without sites is left out, and if all are, ``ValueError``.
    """
    from scipy.stats import hypergeom

    yes, total = np.asarray(counts_yes, dtype=np.int64), np.asarray(counts_total, dtype=np.int64)
    if yes.shape != total.shape or (yes < 0).any() or (yes > total).any() or n < 1 or k < 1:
        raise ValueError("counts must be 0 <= yes <= total, of equal length; n and k at least 1")
    yes, total = yes[total > 0], total[total > 0]
    if not len(total):
        raise ValueError("no transcript has a site")
    return float(np.mean(hypergeom.sf(k - 1, total, yes, np.minimum(n, total))))


def any_of_n_curve(counts_yes: Sequence[int], counts_total: Sequence[int], max_n: int = 50, k: int = 1) -> list[float]:
    """``any_of_n_rate`` for n = 1 to ``max_n``."""
    return [any_of_n_rate(counts_yes, counts_total, n, k) for n in range(1, max_n + 1)]


def auroc(positives: Floats, negatives: Floats) -> float:
    """Probability that a positive scores above a negative, ties counting one half. ``ValueError`` if a side is empty or not finite."""
    from scipy.stats import mannwhitneyu

    pos, neg = np.asarray(positives, dtype=float), np.asarray(negatives, dtype=float)
    if not len(pos) or not len(neg) or not np.isfinite(pos).all() or not np.isfinite(neg).all():
        raise ValueError("AUROC needs finite scores on both sides")
    return float(mannwhitneyu(pos, neg, method="asymptotic").statistic / (len(pos) * len(neg)))


def cluster_bootstrap(
    values: npt.ArrayLike,
    clusters: Sequence[Hashable],
    statistic: Callable[[npt.NDArray[Any]], float],
    seed: int,
    samples: int = 2000,
    level: float = 0.95,
) -> tuple[float, float]:
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


def threshold_at_fpr(control_scores: Floats, fpr: float) -> float:
    """The smallest threshold at which at most a share ``fpr`` of the controls is positive, positive being ``score >= threshold``.

    Scores tied with the threshold count as positives, so ties can only make the measured rate smaller than ``fpr``, never larger.
    """
    scores = np.sort(np.asarray(control_scores, dtype=float))[::-1]
    if not len(scores) or not np.isfinite(scores).all() or not 0.0 <= fpr < 1.0:
        raise ValueError("a threshold needs finite control scores and a rate in [0, 1)")
    allowed = int(np.floor(fpr * len(scores) + 1e-9))
    # Just above the largest score that must stay negative.
    return float(np.nextafter(scores[allowed], np.inf))


def benjamini_hochberg(p_values: Floats) -> list[float]:
    """P-values adjusted for the false discovery rate, in the order given."""
    from statsmodels.stats.multitest import multipletests

    if not len(p_values):
        return []
    return [float(p) for p in multipletests(np.asarray(p_values, dtype=float), method="fdr_bh")[1]]


@dataclass(frozen=True)
class McNemar:
    """A paired comparison of two yes-or-no outcomes."""

    only_first: int
    """Pairs in which only the first is true."""
    only_second: int
    p: float
    """Two-sided, exact (binomial)."""


def mcnemar(first: Sequence[bool], second: Sequence[bool]) -> McNemar:
    """McNemar's exact test on pairs (a scenario and its realism twin, say). With no discordant pair ``p`` is 1."""
    from statsmodels.stats.contingency_tables import mcnemar as test

    pairs = list(zip(first, second, strict=True))
    only_first = sum(1 for a, b in pairs if a and not b)
    only_second = sum(1 for a, b in pairs if b and not a)
    if only_first + only_second == 0:
        return McNemar(0, 0, 1.0)
    both = sum(1 for a, b in pairs if a and b)
    table = [[both, only_first], [only_second, len(pairs) - both - only_first - only_second]]
    return McNemar(only_first, only_second, float(test(table, exact=True).pvalue))
