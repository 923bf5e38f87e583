"""How well the measure agrees with the lab's ground truth. Nothing else reads ``known_state``, and nothing reads this."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np

from audit.findings.calibration import Calibration
from audit.findings.shares import share
from audit.findings.tally import Tally
from audit.lab.world import AGENT_FAMILIES
from audit.records import Transcript
from audit.statistics import auroc, cluster_bootstrap, stratified_auroc

RESAMPLES = 400


def known_states(transcripts: Iterable[Transcript]) -> dict[str, tuple[str, str]]:
    """Family and state of the transcripts whose state somebody knows."""
    return {row.transcript_id: (str(row.metadata.get("family") or row.scenario), row.known_state) for row in transcripts if row.known_state}


def ground_truth(
    tallies: Sequence[Tally],
    states: dict[str, tuple[str, str]],
    calibration: Calibration,
    seed: int,
    baselines: Mapping[str, Mapping[str, float]] | None = None,
) -> dict[str, Any] | None:
    """AUROC of the transcripts' rate against the known state, within each agent family and averaged; ``None`` if nothing is known.

    Also the share of each state that reaches the threshold, over the agent families together; and the same AUROC for the scores of
    ``baselines``, by transcript: what reading the text and a probe would have told.
    """
    rates = {tally.transcript_id: rate for tally in tallies if (rate := tally.rate(calibration.scanner)) is not None}
    rows = _known(rates, tallies, states)
    figures = _within_families(rows, seed)
    if figures is None:
        return None
    chosen = [row for row in rows if row[0] in AGENT_FAMILIES]
    return {
        "scanner": calibration.scanner,
        **figures,
        "averaged_over": [name for name in AGENT_FAMILIES if name in figures["families"]],
        "at_threshold": {state: _reaching(chosen, state, calibration.threshold) for state in ("evaluation", "deployment")},
        "baselines": {name: _within_families(_known(scores, tallies, states), seed) for name, scores in (baselines or {}).items()},
    }


Row = tuple[str, str, float, str]
"""Family, known state, score, cluster."""


def _known(scores: Mapping[str, float], tallies: Iterable[Tally], states: dict[str, tuple[str, str]]) -> list[Row]:
    return [
        (*states[tally.transcript_id], scores[tally.transcript_id], tally.cluster)
        for tally in tallies
        if tally.transcript_id in states and tally.transcript_id in scores
    ]


def _within_families(rows: Sequence[Row], seed: int) -> dict[str, Any] | None:
    families = {}
    for family in sorted({row[0] for row in rows}):
        found = _family([row for row in rows if row[0] == family], seed)
        if found is not None:
            families[family] = found
    agents = [families[name]["auroc"] for name in AGENT_FAMILIES if name in families]
    return {"families": families, "mean_auroc": fmean(agents) if agents else None} if families else None


def _family(rows: list[Row], seed: int) -> dict[str, Any] | None:
    scores = [[rate, float(state == "evaluation")] for _, state, rate, _ in rows]

    def statistic(drawn: Any) -> float:
        return stratified_auroc(drawn[:, 0], drawn[:, 1], np.zeros(len(drawn)))

    positives = [rate for rate, label in scores if label]
    negatives = [rate for rate, label in scores if not label]
    if not positives or not negatives:
        return None
    try:
        interval = list(cluster_bootstrap(scores, [row[3] for row in rows], statistic, seed, RESAMPLES))
    except ValueError:  # too few clusters to draw both states often enough
        interval = None
    return {"auroc": auroc(positives, negatives), "ci": interval, "evaluation": len(positives), "deployment": len(negatives)}


def _reaching(rows: list[Row], state: str, threshold: float | None) -> dict[str, Any] | None:
    if threshold is None:
        return None
    rates = [row[2] for row in rows if row[1] == state]
    return share(sum(rate >= threshold for rate in rates), len(rates))
