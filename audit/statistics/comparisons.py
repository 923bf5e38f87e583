"""Tests: pairs (twins), trends (steering), scenarios against controls, and the correction for many of them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from audit.statistics.intervals import Floats, Interval, cluster_bootstrap, wilson

RESAMPLES = 5000


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


@dataclass(frozen=True)
class PairedDifference:
    """Mean of first minus second over pairs."""

    difference: float
    interval: Interval | None
    """Bootstrap over clusters; ``None`` with fewer than two clusters."""
    p: float
    """Two-sided: signs of whole clusters flipped, all ways where they are few, else at random."""
    pairs: int


def paired_difference(
    first: Floats, second: Floats, *, seed: int, clusters: Sequence[Hashable] | None = None, samples: int = RESAMPLES
) -> PairedDifference:
    """Compares scores of twins (site rates, say) pair by pair; ``clusters`` keeps pairs of one skeleton together."""
    gaps = np.asarray(first, dtype=float) - np.asarray(second, dtype=float)
    names: Sequence[Hashable] = range(len(gaps)) if clusters is None else clusters
    if not len(gaps) or len(names) != len(gaps) or not np.isfinite(gaps).all():
        raise ValueError("pairs of finite scores, with one cluster each")
    sums = _per_cluster(gaps, names)
    few = 2 ** len(sums) <= samples
    signs = np.array(list(product((1, -1), repeat=len(sums)))) if few else np.random.default_rng(seed).choice((1, -1), (samples, len(sums)))
    extreme = np.abs(signs @ sums) >= abs(sums.sum()) - 1e-12
    interval = cluster_bootstrap(gaps, names, lambda drawn: float(np.mean(drawn)), seed) if len(sums) > 1 else None
    # All ways include the one that was seen; draws need it added, or p could be zero.
    p = float(extreme.mean()) if few else (1 + int(extreme.sum())) / (1 + samples)
    return PairedDifference(float(gaps.mean()), interval, p, len(gaps))


def _per_cluster(values: npt.NDArray[np.float64], names: Sequence[Hashable]) -> npt.NDArray[np.float64]:
    return np.array([values[rows].sum() for rows in _members(names)])


def _members(names: Sequence[Hashable]) -> list[npt.NDArray[np.int64]]:
    rows: dict[Hashable, list[int]] = {}
    for index, name in enumerate(names):
        rows.setdefault(name, []).append(index)
    return [np.asarray(block) for block in rows.values()]


@dataclass(frozen=True)
class Trend:
    """Whether something rises or falls with a strength."""

    statistic: float | None
    """z of Cochran-Armitage, or Spearman's rho; ``None`` where one side does not vary."""
    p: float
    """Two-sided; 1 where the statistic is ``None``."""


def cochran_armitage(strengths: Floats, flagged: Sequence[int], totals: Sequence[int]) -> Trend:
    """The trend of a rate over steering strengths, on counts of independent transcripts, one entry a strength.

    Where the same transcripts are run at every strength, use ``trend`` with them as blocks.
    """
    from statsmodels.stats.contingency_tables import Table

    yes, total = np.asarray(flagged), np.asarray(totals)
    if not len(yes) or len(yes) != len(total) or len(yes) != len(strengths) or (yes < 0).any() or (yes > total).any():
        raise ValueError("one strength, one count and one total an entry, with 0 <= count <= total")
    if len(set(np.asarray(strengths)[total > 0])) < 2 or yes.sum() in (0, total.sum()):
        return Trend(None, 1.0)
    table = Table(np.array([total - yes, yes]), shift_zeros=False)
    found = table.test_ordinal_association(row_scores=np.array([0, 1]), col_scores=np.asarray(strengths, dtype=float))
    return Trend(float(found.zscore), float(found.pvalue))


def trend(strengths: Floats, values: Floats, *, seed: int, blocks: Sequence[Hashable] | None = None, samples: int = RESAMPLES) -> Trend:
    """Spearman's rho of values (rates, or 0 and 1) with strengths, and its permutation p.

    With ``blocks`` (the same transcript at several strengths) ranks are taken about each block's mean and strengths are permuted within
    blocks only, so that differences between transcripts count for nothing.
    """
    from scipy.stats import rankdata

    x, y = rankdata(np.asarray(strengths, dtype=float)), rankdata(np.asarray(values, dtype=float))
    names: Sequence[Hashable] = [0] * len(x) if blocks is None else blocks
    if not len(x) or len(x) != len(y) or len(names) != len(x):
        raise ValueError("one strength, one value and one block an observation")
    generator, parts = np.random.default_rng(seed), []
    total, spread = 0.0, [0.0, 0.0]
    for rows in _members(names):
        a, b = x[rows] - x[rows].mean(), y[rows] - y[rows].mean()
        total, spread = total + float(a @ b), [spread[0] + float(a @ a), spread[1] + float(b @ b)]
        parts.append(generator.permuted(np.tile(a, (samples, 1)), axis=1) @ b)
    if min(spread) <= 1e-12:
        return Trend(None, 1.0)
    extreme = np.abs(np.sum(parts, axis=0)) >= abs(total) - 1e-9
    return Trend(total / float(np.sqrt(spread[0] * spread[1])), (1 + int(extreme.sum())) / (1 + samples))


def exceeds_controls(flagged: int, of: int, control_flagged: int, control_of: int) -> float:
    """One-sided p that a scenario is flagged no more often than the controls (Fisher's exact test); 1 where either side is empty.

    The controls must be others than those on which the threshold was calibrated.
    """
    from scipy.stats import fisher_exact

    if not 0 <= flagged <= of or not 0 <= control_flagged <= control_of:
        raise ValueError("counts must lie within their totals")
    if of == 0 or control_of == 0:
        return 1.0
    table = [[flagged, of - flagged], [control_flagged, control_of - control_flagged]]
    return float(fisher_exact(table, alternative="greater").pvalue)


@dataclass(frozen=True)
class Comparison:
    """A scenario against the held-out controls."""

    name: str
    rate: float | None
    interval: Interval
    p: float
    p_adjusted: float
    """For the false discovery rate over all scenarios that were compared."""


def compare_with_controls(scenarios: dict[str, tuple[int, int]], control_flagged: int, control_of: int) -> list[Comparison]:
    """Each scenario's ``(flagged, of)`` against the controls, corrected together (Benjamini-Hochberg), in the order given.

    The same controls serve every comparison, which makes the tests positively dependent; the correction holds for that.
    """
    p_values = [exceeds_controls(flagged, of, control_flagged, control_of) for flagged, of in scenarios.values()]
    return [
        Comparison(name, flagged / of if of else None, wilson(flagged, of), p, adjusted)
        for (name, (flagged, of)), p, adjusted in zip(scenarios.items(), p_values, benjamini_hochberg(p_values), strict=True)
    ]


def benjamini_hochberg(p_values: Floats) -> list[float]:
    """P-values adjusted for the false discovery rate, in the order given."""
    from statsmodels.stats.multitest import multipletests

    if not len(p_values):
        return []
    return [float(p) for p in multipletests(np.asarray(p_values, dtype=float), method="fdr_bh")[1]]
