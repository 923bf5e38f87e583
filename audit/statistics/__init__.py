"""Intervals, thresholds and tests, on scipy and statsmodels. Everything random takes a seed.

A mistake in the arguments raises ``ValueError``: numbers come from our own stages, not from a user.
"""

from __future__ import annotations

from audit.statistics.calibration import (
    CalibratedCount,
    CalibratedThreshold,
    calibrate_count,
    calibrate_threshold,
    controls_needed,
    threshold_at_fpr,
)
from audit.statistics.comparisons import (
    Comparison,
    McNemar,
    PairedDifference,
    Trend,
    benjamini_hochberg,
    cochran_armitage,
    compare_with_controls,
    exceeds_controls,
    mcnemar,
    paired_difference,
    trend,
)
from audit.statistics.differences import (
    Kappa,
    RateDifference,
    WeightedShare,
    cluster_difference,
    cohens_kappa,
    rate_difference,
    weighted_share,
)
from audit.statistics.intervals import (
    Interval,
    auroc,
    clopper_pearson,
    cluster_bootstrap,
    cluster_means,
    stratified_auroc,
    wilson,
)
from audit.statistics.recurrence import (
    CurvePoint,
    Rate,
    any_of_n,
    any_of_n_curve,
    any_of_n_intervals,
    any_of_n_rate,
    any_of_n_values,
)
from audit.statistics.terms import TermScores, log_odds, over_represented

__all__ = [
    "CalibratedCount",
    "CalibratedThreshold",
    "Comparison",
    "CurvePoint",
    "Interval",
    "Kappa",
    "McNemar",
    "PairedDifference",
    "Rate",
    "RateDifference",
    "TermScores",
    "Trend",
    "WeightedShare",
    "any_of_n",
    "any_of_n_curve",
    "any_of_n_intervals",
    "any_of_n_rate",
    "any_of_n_values",
    "auroc",
    "benjamini_hochberg",
    "calibrate_count",
    "calibrate_threshold",
    "clopper_pearson",
    "cluster_bootstrap",
    "cluster_difference",
    "cluster_means",
    "cochran_armitage",
    "cohens_kappa",
    "compare_with_controls",
    "controls_needed",
    "exceeds_controls",
    "log_odds",
    "mcnemar",
    "over_represented",
    "paired_difference",
    "rate_difference",
    "stratified_auroc",
    "threshold_at_fpr",
    "trend",
    "weighted_share",
    "wilson",
]
