"""What a baseline may know of a transcript beside its text or its activations, and which transcripts its model must not have seen."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from audit.records import Kind

HeldOut = Literal["scenario", "skeleton"]
Labels = NDArray[np.bool_]
Weights = NDArray[np.float64]
Scorer = Callable[[Any], NDArray[np.float64]]
"""From features ``[n, ...]`` to scores ``[n]``, log-odds of the positive class."""
Fit = Callable[[Any, Labels, Weights], Scorer]
Models = tuple[Scorer | None, ...]
SKELETON_FOLDS = 5
ORIGINAL = "original"


@dataclass(frozen=True)
class Subject:
    """A transcript as baselines know it. Ground truth, scores and metadata are not among its fields, so none can be used."""

    transcript_id: str
    scenario: str
    kind: Kind
    variant: str
    cluster: str
    """What a split must keep together: the skeleton, or else the transcript itself."""
    aware: bool | None
    """The NLA's verdict; ``None`` where there is none."""


@dataclass(frozen=True)
class Folds:
    """A split into parts; whatever judges a part was fitted on the others."""

    held_out: HeldOut
    """``scenario``: a part holds whole scenarios, and controls by skeleton. ``skeleton``: every part holds some of each scenario."""
    count: int
    of: dict[str, int]
    """The part of each transcript."""


def folds_by_scenario(subjects: Sequence[Subject], seed: int) -> Folds:
    """A part for each scenario that is no control; skeletons of the controls are dealt out over the parts.

    With fewer than two evaluations a model would be left without one to learn from; then the split is ``folds_by_skeleton``.
    """
    if len({subject.scenario for subject in subjects if subject.kind == "evaluation"}) < 2:
        return folds_by_skeleton(subjects, seed)
    parts = {name: part for part, name in enumerate(sorted({subject.scenario for subject in subjects if subject.kind != "deployment"}))}
    dealt = _dealt((subject.cluster for subject in subjects if subject.kind == "deployment"), len(parts), seed)
    of = {
        subject.transcript_id: dealt[subject.cluster] if subject.kind == "deployment" else parts[subject.scenario] for subject in subjects
    }
    return Folds("scenario", len(parts), of)


def folds_by_skeleton(subjects: Sequence[Subject], seed: int, count: int = SKELETON_FOLDS) -> Folds:
    """Parts of about equal size, the skeletons of every scenario dealt out over all of them, none of them over two."""
    scenarios: dict[str, list[str]] = defaultdict(list)
    for subject in subjects:
        scenarios[subject.scenario].append(subject.cluster)
    parts: dict[str, int] = {}
    for name in sorted(scenarios):
        parts = _dealt(scenarios[name], count, seed) | parts
    return Folds("skeleton", count, {subject.transcript_id: parts[subject.cluster] for subject in subjects})


def _dealt(clusters: Iterable[str], count: int, seed: int) -> dict[str, int]:
    """Each cluster's part, in an order that its name and the seed decide."""
    ordered = sorted(set(clusters), key=lambda cluster: (draw(f"fold/{seed}/{cluster}"), cluster))
    return {cluster: place % count for place, cluster in enumerate(ordered)}


def draw(key: str) -> float:
    """A number in [0, 1) that only the key decides."""
    return int.from_bytes(hashlib.sha256(key.encode("utf-8", "replace")).digest()[:6], "big") / 2**48


def labels_of_kind(subjects: Iterable[Subject]) -> dict[str, bool]:
    """Whether a transcript comes from an evaluation, rather than from deployment traffic; unedited and unsteered ones only."""
    return {
        subject.transcript_id: subject.kind == "evaluation"
        for subject in subjects
        if subject.kind != "unknown" and subject.variant == ORIGINAL
    }


def fit_parts(fit: Fit, features: Any, labels: Labels, strata: Sequence[Hashable], parts: NDArray[np.int64], count: int) -> Models:
    """One model for each part, fitted on the rows ``[n, ...]`` of all others; ``None`` where those hold one class only.

    Both classes weigh the same within each stratum, so that a model gains nothing by recognising the stratum.
    """
    fitted: list[Scorer | None] = []
    for part in range(count):
        others = np.flatnonzero(parts != part)
        weights = balanced(labels[others], [strata[row] for row in others.tolist()])
        rows = others[weights > 0]
        fitted.append(fit(features[rows], labels[rows], weights[weights > 0]) if len(rows) else None)
    return tuple(fitted)


def logistic(scale: Any, strength: float) -> Fit:
    """Fits ``scale()`` (a scikit-learn transformer) and a logistic regression on what it gives; ``strength`` is its ``C``."""

    def fit(features: Any, labels: Labels, weights: Weights) -> Scorer:
        from scipy.sparse import issparse
        from sklearn.linear_model import LogisticRegression

        scaler = scale().fit(features)
        scaled = scaler.transform(features)
        # A column that is empty here would get the coefficient nought; hashed words leave nearly all of them empty.
        used = np.flatnonzero(scaled.getnnz(axis=0)) if issparse(scaled) else slice(None)
        regression = LogisticRegression(C=strength, solver="newton-cg" if issparse(scaled) else "lbfgs", tol=1e-5, max_iter=500)
        regression.fit(scaled[:, used], labels, sample_weight=weights)
        return lambda rows: np.asarray(regression.decision_function(scaler.transform(rows)[:, used]), dtype=np.float64)

    return fit


def balanced(labels: Labels, strata: Sequence[Hashable]) -> Weights:
    """Weights with which both classes weigh the same within each stratum; a stratum of one class weighs nothing."""
    weights, members = np.zeros(len(labels)), defaultdict(list)
    for row, stratum in enumerate(strata):
        members[stratum].append(row)
    for found in members.values():
        rows = np.array(found)
        for side in (True, False):
            mine = rows[labels[rows] == side]
            if 0 < len(mine) < len(rows):
                weights[mine] = len(rows) / (2 * len(mine))
    return weights
