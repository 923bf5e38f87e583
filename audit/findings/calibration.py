"""A threshold calibrated on one half of the controls, what their number allows to promise, and a noise floor from the other half."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from audit.findings.shares import RESAMPLES, clustered_share
from audit.findings.tally import Tally
from audit.statistics import CalibratedThreshold, calibrate_threshold

ORIGINAL = "original"
MINIMUM_CONTROLS = 10
"""Fewer calibration transcripts make no threshold: one of them would be more than a tenth."""


@dataclass(frozen=True)
class Calibration:
    """The threshold on a transcript's score, and what it lets through on controls that had no part in it."""

    scanner: str
    threshold: float | None
    """A transcript is NLA-aware if its rate is at least this; ``None`` without enough controls."""
    false_positive_rate: float
    calibrated_on: int
    noise_floor: dict[str, Any] | None
    """``rate`` and ``ci`` on the held-out half."""
    held_out: int
    uncertainty: dict[str, Any] | None = None
    """What so few controls allow to promise of the threshold; ``None`` without one."""


def in_calibration_half(cluster: str, seed: int) -> bool:
    """Which half of the controls a cluster belongs to: decided by its name and the seed, not by what was measured."""
    return hashlib.sha256(f"controls/{seed}/{cluster}".encode("utf-8", "replace")).digest()[0] % 2 == 0


def control_group(tallies: Iterable[Tally]) -> list[Tally]:
    """The deployment transcripts that can be used, as they came: neither rewritten nor steered."""
    return [tally for tally in tallies if tally.kind == "deployment" and tally.usable and tally.variant == ORIGINAL]


def calibrate(controls: Sequence[Tally], scanner: str, rate: float, seed: int) -> Calibration:
    """The threshold at a false-positive ``rate`` on one half of the controls, and the rate that it gives on the other."""
    return calibrate_scores(
        [(tally.cluster, found) for tally in controls if (found := tally.rate(scanner)) is not None], scanner, rate, seed
    )


def calibrate_scores(scored: Sequence[tuple[str, float]], name: str, rate: float, seed: int) -> Calibration:
    """As ``calibrate``, for any score: ``(cluster, score)`` of each control. The halves depend on cluster and seed only."""
    fitted = [(cluster, score) for cluster, score in scored if in_calibration_half(cluster, seed)]
    held_out = [(cluster, score) for cluster, score in scored if not in_calibration_half(cluster, seed)]
    none = Calibration(name, None, rate, len(fitted), None, len(held_out))
    if len(fitted) < MINIMUM_CONTROLS:
        return none
    clusters = [cluster for cluster, _ in fitted]
    found = calibrate_threshold([score for _, score in fitted], rate, seed=seed, clusters=clusters, samples=RESAMPLES)
    floor = clustered_share([(cluster, score >= found.threshold) for cluster, score in held_out], seed)
    sure = calibrate_threshold([score for _, score in fitted], rate, seed=seed, clusters=clusters, guarantee=True, samples=1)
    return replace(none, threshold=found.threshold, noise_floor=floor, uncertainty=_uncertainty(found, sure))


def _uncertainty(found: CalibratedThreshold, sure: CalibratedThreshold) -> dict[str, Any]:
    interval = found.threshold_interval
    return {
        "threshold_ci": None if interval is None else list(interval),
        "fitted_rate": found.rate,
        "true_rate_ci": [found.low, found.high],
        "true_rate_upper": found.upper,
        "confidence": found.confidence,
        "promised": found.promised,
        "promised_threshold": sure.threshold if sure.promised else None,
        "clusters": found.clusters,
        "controls_needed": found.needed,
    }


def is_aware(tally: Tally, calibration: Calibration) -> bool | None:
    """Whether the transcript's rate reaches the threshold; ``None`` where either is missing."""
    rate = tally.rate(calibration.scanner)
    return None if rate is None or calibration.threshold is None else rate >= calibration.threshold
