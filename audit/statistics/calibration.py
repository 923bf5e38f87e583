"""Thresholds calibrated on control transcripts, with what the number of controls allows to promise."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import ceil, floor, log

import numpy as np

from audit.statistics.intervals import Floats, Interval, clopper_pearson, cluster_bootstrap, exact_bound
from audit.statistics.recurrence import any_of_n_values


@dataclass(frozen=True)
class CalibratedThreshold:
    """A threshold on a transcript's score, positive being ``score >= threshold``, and how sure its false-positive rate is."""

    threshold: float
    threshold_interval: Interval | None
    """Bootstrap over clusters of controls; ``None`` with fewer than two clusters."""
    target: float
    """The false-positive rate that was asked for."""
    rate: float
    """Share of these controls at or above the threshold; it was fitted on them, so it flatters."""
    low: float
    high: float
    """Interval of the true rate on new controls, the fitting taken into account; ties make the truth smaller, never larger."""
    upper: float
    """The true rate is at most this, with ``confidence``."""
    confidence: float
    promised: bool
    """Whether ``upper`` is within the target."""
    controls: int
    clusters: int
    needed: int
    """Independent controls below which no threshold at all could be promised."""


@dataclass(frozen=True)
class CalibratedCount:
    """A k of the rule "at least k of N sites", and how sure its false-positive rate is."""

    k: int | None
    """``None`` if even N of N sites are flagged too often on controls."""
    n: int
    target: float
    rate: float
    """Expected share of these controls that the rule flags (0 if ``k`` is ``None``: nothing is flagged then)."""
    low: float
    high: float
    upper: float
    confidence: float
    promised: bool
    controls: int
    clusters: int
    needed: int


def controls_needed(fpr: float, confidence: float = 0.95) -> int:
    """Fewest independent controls with which any threshold can be promised: all of them negative, and still an upper bound of ``fpr``."""
    if not 0.0 < fpr < 1.0 or not 0.0 < confidence < 1.0:
        raise ValueError("rate and confidence must lie between 0 and 1")
    return ceil(log(1.0 - confidence) / log(1.0 - fpr) - 1e-9)


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


def calibrate_threshold(
    control_scores: Floats,
    fpr: float,
    *,
    seed: int,
    clusters: Sequence[Hashable] | None = None,
    confidence: float = 0.95,
    guarantee: bool = False,
    samples: int = 2000,
) -> CalibratedThreshold:
    """The threshold at a stated false-positive rate, with the uncertainty that so many controls leave.

    Without ``guarantee`` it is ``threshold_at_fpr``: at most ``fpr`` of these controls are positive, and new ones are so about as often.
    With it, the threshold is the lowest for which the true rate is within ``fpr`` at ``confidence`` (a distribution-free tolerance
    limit, Wilks 1941); where the controls are too few for any (``promised`` is then false), it lies just above the largest of them.
    The true rate above the (a + 1)-th largest of n scores is distributed as Beta(a + 1, n - a). Controls of one cluster count together
    as one: conservative, right where they resemble each other.
    """
    scores = np.asarray(control_scores, dtype=float)
    names: Sequence[Hashable] = range(len(scores)) if clusters is None else clusters
    if len(names) != len(scores):
        raise ValueError("one cluster for each control")
    needed, independent = controls_needed(fpr, confidence), len(set(names))
    share = independent / len(scores) if len(scores) else 1.0

    def beyond(allowed: int, tail: float) -> float:
        return exact_bound(allowed * share, independent, tail, upper=True)

    allowed = floor(fpr * len(scores) + 1e-9)
    if guarantee:
        allowed = max((a for a in range(allowed + 1) if beyond(a, 1 - confidence) <= fpr), default=0)
    fitted = (allowed + 0.5) / len(scores) if len(scores) else 0.0
    threshold = threshold_at_fpr(scores, fitted)
    upper = beyond(allowed, 1 - confidence)
    return CalibratedThreshold(
        threshold=threshold,
        threshold_interval=(
            cluster_bootstrap(scores, names, lambda drawn: threshold_at_fpr(drawn, fitted), seed, samples, confidence)
            if independent > 1
            else None
        ),
        target=fpr,
        rate=float(np.mean(scores >= threshold)),
        low=beyond(allowed, (1 + confidence) / 2),
        high=beyond(allowed, (1 - confidence) / 2),
        upper=upper,
        confidence=confidence,
        promised=upper <= fpr,
        controls=len(scores),
        clusters=independent,
        needed=needed,
    )


def calibrate_count(
    counts_yes: Sequence[int],
    counts_total: Sequence[int],
    n: int,
    fpr: float,
    *,
    clusters: Sequence[Hashable] | None = None,
    confidence: float = 0.95,
    guarantee: bool = False,
) -> CalibratedCount:
    """The smallest k for which "at least k YES among ``n`` sites" flags at most a share ``fpr`` of the controls.

    Exact over all draws of sites. With ``guarantee`` the upper bound of the rate, not the rate, must be within ``fpr``; k is then tried
    from ``n`` downwards until one fails, an order fixed beforehand, so that choosing k costs no confidence. Without a ``k`` nothing is
    promised. Controls without sites are left out; ``ValueError`` if none has any.
    """
    names: Sequence[Hashable] = range(len(counts_total)) if clusters is None else clusters
    used = {name for name, total in zip(names, counts_total, strict=True) if total > 0}
    needed, chosen = controls_needed(fpr, confidence), None
    rate = upper = 0.0
    for k in range(n, 0, -1):
        chances = any_of_n_values(counts_yes, counts_total, n, k)[:, -1]
        if not np.isfinite(chances).any():
            raise ValueError("no control has a site")
        found = float(np.nanmean(chances))
        bound = exact_bound(found * len(used), len(used), 1 - confidence, upper=True)
        if (bound if guarantee else found) > fpr:
            break
        chosen, rate, upper = k, found, bound
    low, high = clopper_pearson(rate * len(used), len(used), confidence) if chosen else (0.0, 0.0)
    controls = sum(total > 0 for total in counts_total)
    return CalibratedCount(
        chosen, n, fpr, rate, low, high, upper, confidence, chosen is not None and upper <= fpr, controls, len(used), needed
    )
