"""What a linear probe would have found on the same activations: the cheap baseline that every NLA has to beat.

A logistic regression on standardised residual vectors tells evaluations from deployment traffic, each transcript judged by a probe
that has not seen its scenario (of controls: its skeleton). A transcript's score is the mean over its sites. The probe is told the
kind of a scenario, which everybody knows who runs it, never the known state: a ``Subject`` has no such field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.evidence.folds import Fit, Folds, Models, Subject, draw, fit_parts, folds_by_scenario, labels_of_kind, logistic
from audit.records import BaselineScore

PROBE = "probe"
MOST_TRAINING = 8192
"""Sites that a probe learns from, chosen by a hash of their places; all are judged."""
STRENGTH = 0.1


@dataclass(frozen=True)
class Captured:
    """The activations of one transcript."""

    transcript_id: str
    places: tuple[tuple[int, int], ...]
    """Call index and position of each."""
    vectors: NDArray[np.float32]
    """Raw residuals ``[n, d]``, finite."""


@dataclass(frozen=True)
class Probe:
    """A fitted probe: a model for each part, and who belongs to which."""

    folds: Folds
    models: Models

    def scores(self, captured: Captured) -> Iterator[BaselineScore]:
        """Log-odds of an evaluation: of the transcript, then of each of its sites; nothing where no model is free to judge it."""
        part = self.folds.of.get(captured.transcript_id)
        model = self.models[part] if part is not None else None
        if part is None or model is None or not captured.places:
            return
        values = model(captured.vectors)
        yield BaselineScore(captured.transcript_id, -1, -1, PROBE, float(values.mean()), part)
        for (call, position), value in zip(captured.places, values, strict=True):
            yield BaselineScore(captured.transcript_id, call, position, PROBE, float(value), part)


def fit_probe(
    activations: Callable[[], Iterable[Captured]], sites: int, subjects: Sequence[Subject], seed: int, most: int = MOST_TRAINING
) -> Probe | str:
    """Fits the probe, or says why there is none. Goes through the activations once and keeps about ``most`` of the ``sites`` there are."""
    labels = labels_of_kind(subjects)
    if len(set(labels.values())) < 2:
        return "no evaluation, or no deployment traffic, to tell apart"
    if not sites:
        return "no activation was read"
    folds, share = folds_by_scenario(subjects, seed), most / sites
    vectors, owners = [], []
    for captured in activations():
        if captured.transcript_id not in labels:
            continue
        chosen = [row for row, place in enumerate(captured.places) if draw(f"probe/{seed}/{captured.transcript_id}/{place}") < share]
        vectors.append(captured.vectors[chosen])
        owners += [captured.transcript_id] * len(chosen)
    truth = np.array([labels[owner] for owner in owners], dtype=bool)
    if len(set(truth.tolist())) < 2:
        return "no activation of an evaluation, or of deployment traffic"
    parts = np.array([folds.of[owner] for owner in owners])
    models = fit_parts(_fit(), np.concatenate(vectors), truth, ["all"] * len(truth), parts, folds.count)
    return Probe(folds, models) if any(models) else "too few transcripts of one side to hold any out"


def _fit() -> Fit:
    from sklearn.preprocessing import StandardScaler

    return logistic(StandardScaler, STRENGTH)
