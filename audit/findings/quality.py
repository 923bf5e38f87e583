"""How good the explanations are as explanations: fidelity with its controls, and how many could not be read."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from audit.findings.rates import share
from audit.records import Explanation, Verdict

CONTROLS = ("shuffled", "mean")


class _Sum:
    """A running mean."""

    def __init__(self) -> None:
        self.total, self.count = 0.0, 0

    def add(self, value: float) -> None:
        self.total += value
        self.count += 1

    @property
    def mean(self) -> float | None:
        return self.total / self.count if self.count else None


def nla_quality(explanations: Iterable[Explanation], baseline_variance: float | None) -> dict[str, Any]:
    """Fidelity of real and control explanations, and rates of unreadable ones, in one pass.

    ``baseline_variance`` is the mean squared distance of the normalised activations from their mean (the paper's baseline).
    What cannot be computed is ``None``.
    """
    cosines = {control: _Sum() for control in ("none", *CONTROLS)}
    statuses = {"ok": 0, "truncated": 0, "unparsed": 0, "failed": 0}
    for row in explanations:
        if row.control == "none":
            statuses[row.status] += 1
        if row.control in cosines and row.cosine is not None and math.isfinite(row.cosine):
            cosines[row.control].add(row.cosine)
    total = sum(statuses.values())

    def fve(control: str) -> float | None:
        mean = cosines[control].mean
        return None if mean is None or not baseline_variance else 1.0 - 2.0 * (1.0 - mean) / baseline_variance

    return {
        "explanations": total,
        "fve": fve("none"),
        "fve_baseline": "variance",
        "cosine_mean": cosines["none"].mean,
        "shuffled_fve": fve("shuffled"),
        "shuffled_cosine_mean": cosines["shuffled"].mean,
        "mean_direction_fve": fve("mean"),
        "mean_direction_cosine_mean": cosines["mean"].mean,
        "unparsed_rate": statuses["unparsed"] / total if total else None,
        "truncated_rate": statuses["truncated"] / total if total else None,
        "failed_rate": statuses["failed"] / total if total else None,
    }


def control_rates(verdicts: Iterable[Verdict], scanner: str) -> dict[str, dict[str, Any]]:
    """Share of explanations that ``scanner`` calls YES, for real activations and for each control."""
    counts: dict[str, list[int]] = {control: [0, 0] for control in ("none", *CONTROLS)}
    for row in verdicts:
        if row.scanner == scanner and row.control in counts:
            counts[row.control][0] += row.label == "YES"
            counts[row.control][1] += 1
    return {control: share(yes, total) for control, (yes, total) in counts.items()}
