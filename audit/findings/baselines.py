"""What reading the text, and a linear probe, would have found: their rates beside the NLA's, by the same rule on the same controls.

Each classifier's score is thresholded as the NLA's rate is: at the same false-positive rate on the same half of the controls, and its
own noise floor is measured on the other half.

*The* text baseline is the classifier that agrees best with the NLA's verdicts within scenarios (AUROC, controls left out), if the interval
of that agreement is clear of guessing; the best of several flatters the text, not the NLA. If none is clear, it is the scanner that
decides on explanations, applied to the target's own words: a reader that merely recognises the scenario flags everything in it, which says
nothing of awareness. All of them are listed with their rates, so the choice hides nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from audit.evidence.folds import draw
from audit.evidence.probes import PROBE
from audit.evidence.text_baseline import OWN_WORDS, PREFIX, READER, READER_OF_KIND
from audit.findings.calibration import ORIGINAL, Calibration, calibrate_scores, control_group, is_aware
from audit.findings.shares import clustered_share
from audit.findings.tally import Tally
from audit.records import BaselineScore
from audit.statistics import cluster_bootstrap, stratified_auroc

TEXT = (*(f"{PREFIX}{name}" for name in OWN_WORDS), READER, READER_OF_KIND)
RESAMPLES = 400
MOST_SITES = 50_000
"""Sites that the probe's site-level figure rests on, chosen by a hash of their places."""
NOT_RUN = "it was not run"


@dataclass
class _Scores:
    """The scores of one classifier: of transcripts, ``(score, fold)`` by id, and of sites, ``(score, fold, transcript id)``."""

    transcripts: dict[str, tuple[float, int]] = field(default_factory=dict)
    sites: list[tuple[float, int, str]] = field(default_factory=list)

    def by_transcript(self) -> dict[str, float]:
        """The scores alone."""
        return {key: score for key, (score, _) in self.transcripts.items()}


@dataclass(frozen=True)
class Baselines:
    """What is known of all baselines."""

    section: dict[str, Any]
    """For ``findings.json``."""
    rows: dict[tuple[str, str, str], dict[str, Any]]
    """What they add to the entry of a scenario, by name, kind and variant."""
    chosen: dict[str, dict[str, float]]
    """The scores of *the* text baseline and of the probe, by transcript."""


def measure_baselines(
    scores: Iterable[BaselineScore], counted: Sequence[Tally], calibration: Calibration, about: Mapping[str, Any], seed: int
) -> Baselines:
    """Rates, agreement and AUROC of each baseline. ``about`` holds what their stage left: ``held_out`` and ``missing``, by name."""
    usable = [tally for tally in counted if tally.usable]
    found = _gathered(scores, usable, seed)
    cut = {name: _calibrated(name, found[name], usable, calibration.false_positive_rate, seed) for name in (*TEXT, PROBE)}
    text = [
        _common(name, found[name], usable, cut[name], about, seed) | {"agreement": _agreement(found[name], usable, calibration, seed)}
        for name in TEXT
    ]
    name, why = _choice(text, calibration)
    probe = _common(PROBE, found[PROBE], usable, cut[PROBE], about, seed) | {"site": _site_level(found[PROBE], usable, seed)}
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    for place in {(tally.scenario, tally.kind, tally.variant) for tally in usable}:
        group = [tally for tally in usable if (tally.scenario, tally.kind, tally.variant) == place]
        shares = {one: _flagged(found[one], group, cut[one], seed) for one in cut}
        of_text = shares[name] if name else None
        rows[place] = {
            "text_baseline_rate": of_text["rate"] if of_text else None,
            "text_baseline": of_text,
            "text_baselines": {one: shares[one] for one in TEXT if found[one].transcripts},
            "probe_rate": shares[PROBE]["rate"],
            "probe": shares[PROBE],
        }
    chosen = {label: found[one].by_transcript() for label, one in (("text", name), (PROBE, PROBE)) if one}
    return Baselines({"text": {"chosen": name, "why": why, "classifiers": text}, "probe": probe}, rows, chosen)


def _gathered(scores: Iterable[BaselineScore], usable: Sequence[Tally], seed: int) -> dict[str, _Scores]:
    found: dict[str, _Scores] = defaultdict(_Scores)
    share = MOST_SITES / max(1, sum(tally.explanations for tally in usable))
    for row in scores:
        if row.position == -1:
            found[row.baseline].transcripts[row.transcript_id] = (row.score, row.fold)
        elif draw(f"site/{seed}/{row.transcript_id}/{row.call_index}/{row.position}") < share:
            found[row.baseline].sites.append((row.score, row.fold, row.transcript_id))
    return found


def _calibrated(name: str, found: _Scores, usable: Sequence[Tally], rate: float, seed: int) -> Calibration:
    controls = [
        (tally.cluster, found.transcripts[tally.transcript_id][0])
        for tally in control_group(usable)
        if tally.transcript_id in found.transcripts
    ]
    return calibrate_scores(controls, name, rate, seed)


def _flagged(found: _Scores, group: Sequence[Tally], cut: Calibration, seed: int) -> dict[str, Any]:
    threshold = cut.threshold
    known = [(tally.cluster, found.transcripts[tally.transcript_id][0]) for tally in group if tally.transcript_id in found.transcripts]
    return clustered_share([(cluster, score >= threshold) for cluster, score in known] if threshold is not None else [], seed)


def _common(name: str, found: _Scores, usable: Sequence[Tally], cut: Calibration, about: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """What every classifier is described by."""
    missing = None if found.transcripts else about.get("missing", {}).get(name, NOT_RUN)
    rows = [
        (*found.transcripts[tally.transcript_id], tally.kind == "evaluation", tally.cluster)
        for tally in usable
        if tally.transcript_id in found.transcripts and tally.kind != "unknown" and tally.variant == ORIGINAL
    ]
    return {
        "name": name,
        "missing": missing,
        "held_out": about.get("held_out", {}).get(name),
        "threshold": cut.threshold,
        "noise_floor": cut.noise_floor,
        "kind": _area([(score, side, fold, cluster) for score, fold, side, cluster in rows], seed),
    }


def _agreement(found: _Scores, usable: Sequence[Tally], calibration: Calibration, seed: int) -> dict[str, Any] | None:
    """How well the score tells the transcripts that the NLA calls aware from others of the same scenario."""
    rows = []
    for tally in usable:
        aware = is_aware(tally, calibration)
        if tally.kind != "deployment" and aware is not None and tally.transcript_id in found.transcripts:
            score, fold = found.transcripts[tally.transcript_id]
            # Scores of two models are not compared: that would make a good reader look worse than it is.
            rows.append((score, aware, (tally.scenario, tally.variant, fold), tally.cluster))
    return _area(rows, seed)


def _site_level(found: _Scores, usable: Sequence[Tally], seed: int) -> dict[str, Any] | None:
    known = {tally.transcript_id: tally for tally in usable if tally.kind != "unknown" and tally.variant == ORIGINAL}
    rows = [(score, known[key].kind == "evaluation", fold, known[key].cluster) for score, fold, key in found.sites if key in known]
    return _area(rows, seed)


def _area(rows: Sequence[tuple[float, bool, Hashable, str]], seed: int) -> dict[str, Any] | None:
    """AUROC of ``(score, side, stratum, cluster)`` over pairs of one stratum, with its interval over clusters; ``None`` without pairs."""
    strata = {name: float(number) for number, name in enumerate(dict.fromkeys(row[2] for row in rows))}
    values = np.array([[score, float(side), strata[stratum]] for score, side, stratum, _ in rows]).reshape(-1, 3)

    def statistic(drawn: Any) -> float:
        return stratified_auroc(drawn[:, 0], drawn[:, 1], drawn[:, 2])

    try:
        area = statistic(values)
    except ValueError:
        return None
    try:
        interval = list(cluster_bootstrap(values, [row[3] for row in rows], statistic, seed, RESAMPLES))
    except ValueError:  # too few clusters to draw both sides often enough
        interval = None
    return {"auroc": area, "ci": interval, "positive": int(values[:, 1].sum()), "negative": int((1 - values[:, 1]).sum())}


def _choice(text: Sequence[dict[str, Any]], calibration: Calibration) -> tuple[str | None, str]:
    """Which classifier is the text baseline, and why, in a sentence."""
    there = [row for row in text if row["missing"] is None]
    if not there:
        return None, "No text baseline was run."
    clear = [row for row in there if row["agreement"] and row["agreement"]["ci"] and row["agreement"]["ci"][0] > 0.5]
    if clear:
        best = max(clear, key=lambda row: row["agreement"]["auroc"])
        return best["name"], (
            f"Of {len(there)} classifiers of text it agrees best with the NLA's verdicts within scenarios (AUROC "
            f"{best['agreement']['auroc']:.2f}, clear of guessing)."
        )
    names = [row["name"] for row in there]
    own = f"{PREFIX}{calibration.scanner}"
    why = "No classifier of text tells the transcripts that the NLA calls aware from others of the same scenario"
    return own if own in names else names[0], f"{why}, so the awareness scanner on the target's own words stands."
