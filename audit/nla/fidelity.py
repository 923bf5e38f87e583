"""How much of an activation its explanation carries: cosine, normalised squared error, fraction of variance explained (paper, sec. 2).

Every figure of ``measure_fidelity`` stands beside the controls that it has to beat.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Baseline = Literal["variance", "mean-direction"]
Vectors = NDArray[np.float32]
Floats = NDArray[np.float64]
Reconstruct = Callable[[Sequence[str]], Vectors]
"""The AR: texts to vectors ``[n, d]``."""

UNRELATED = "- a recipe for bean soup\n- two onions, salt and a long boil\n- about a kitchen in spring"
"""An explanation that fits no activation in particular."""
BOOTSTRAP = 1000


def unit(vectors: Vectors | Floats) -> Floats:
    """Rows scaled to norm one, in float64; a zero row stays zero."""
    wide = np.asarray(vectors, dtype=np.float64)
    scaled: Floats = wide / np.maximum(np.linalg.norm(wide, axis=-1, keepdims=True), 1e-12)
    return scaled


def cosine(activations: Vectors | Floats, reconstructions: Vectors | Floats) -> Floats:
    """Cosine of each pair of rows; both arrays ``[n, d]``, returns ``[n]``."""
    result: Floats = (unit(activations) * unit(reconstructions)).sum(axis=-1)
    return result


def mse_nrm(activations: Vectors, reconstructions: Vectors) -> Floats:
    """Squared distance of the normalised rows, ``2 (1 - cosine)``: 0 is perfect, 2 orthogonal."""
    return 2.0 * (1.0 - cosine(activations, reconstructions))


def baseline_error(activations: Vectors, baseline: Baseline = "variance") -> float:
    """The error of knowing only the mean of the normalised activations.

    ``variance`` is the paper's; ``mean-direction`` scales the mean to norm one first, which gives a larger number and so a more
    flattering FVE.
    """
    normalised = unit(activations)
    mean = normalised.mean(axis=0, keepdims=True)
    if baseline == "mean-direction":
        mean = mean / np.maximum(np.linalg.norm(mean), 1e-12)
    return float(((normalised - mean) ** 2).sum(axis=-1).mean())


def fve(activations: Vectors, reconstructions: Vectors, baseline: Baseline = "variance") -> float:
    """Fraction of variance explained, ``1 - mean mse_nrm / baseline error``; always say which baseline.

    Activations without variance have none to explain: the result is then NaN.
    """
    of_baseline = baseline_error(activations, baseline)
    return 1.0 - float(mse_nrm(activations, reconstructions).mean()) / of_baseline if of_baseline > 1e-12 else float("nan")


def centred_cosine(activations: Vectors | Floats, reconstructions: Vectors | Floats, mean: Vectors | Floats) -> Floats:
    """Cosine after the mean activation is taken from both: what is said beyond the generic."""
    return cosine(np.asarray(activations - mean, dtype=np.float64), np.asarray(reconstructions - mean, dtype=np.float64))


@dataclass(frozen=True)
class Fve:
    """A fraction of variance explained, with what it was measured against and its 95% interval (whole clusters drawn anew)."""

    baseline: Baseline
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Score:
    """How near some vectors come to the activations, row by row."""

    cosine: float
    """Mean cosine, raw."""
    cosine_centred: float
    """Mean cosine after both sides were normalised and the activations' normalised mean was taken from both."""
    mse_nrm: float
    """``2 (1 - cosine)``, mean."""
    variance: Fve
    """The paper's FVE."""
    mean_direction: Fve
    """The more flattering one."""


@dataclass(frozen=True)
class Fidelity:
    """Fidelity of explanations, and what the same measures say where they should say nothing."""

    rows: int
    left_out: int
    """Rows without a readable explanation or with a vector that is not finite; no figure counts them."""
    round_trip: Score
    """AR of each activation's own explanation."""
    shuffled: Score
    """AR of the explanation of another activation, from another cluster where there is one."""
    mean_direction: Score
    """The mean direction of the activations, the same for all rows and without words: what no explanation should fall below."""
    unrelated: Score
    """AR of one fixed text that has nothing to do with any activation."""
    best_of: dict[int, Score]
    """For N sampled explanations a row, the one that the AR reads back best; 1 is the first sample. Empty without samples."""


def measure_fidelity(
    activations: Vectors,
    explanations: Sequence[str | None],
    reconstruct: Reconstruct,
    clusters: Sequence[Hashable] | None = None,
    samples: Sequence[Sequence[str]] = (),
    unrelated: str = UNRELATED,
    seed: int = 0,
) -> Fidelity:
    """Measures explanations of ``activations`` ``[n, d]`` (raw) through the AR, with controls.

    ``clusters`` are what rows have in common (their documents), for shuffling and intervals; by default each row stands alone.
    ``samples`` are N sampled explanations of each row, for best-of-N. An explanation that is ``None`` or blank is left out and
    counted. Raises ``ValueError`` if fewer than two rows are left.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        finite = np.isfinite(np.linalg.norm(activations, axis=1))
    kept = [row for row, text in enumerate(explanations) if text and text.strip() and finite[row]]
    if len(kept) < 2:
        raise ValueError("fidelity needs at least two activations with explanations")
    scale = Scale(activations[kept], [clusters[row] if clusters is not None else row for row in kept], seed)
    texts = [explanations[row] or "" for row in kept]
    made = reconstruct(texts)
    elsewhere = shuffle_between(scale.clusters, seed)
    return Fidelity(
        rows=len(kept),
        left_out=len(explanations) - len(kept),
        round_trip=scale.score(made),
        shuffled=scale.score(made[elsewhere]),
        mean_direction=scale.score(np.broadcast_to(scale.mean, made.shape)),
        unrelated=scale.score(np.broadcast_to(reconstruct([unrelated]), made.shape)),
        best_of=_best_of(scale, [samples[row] for row in kept], reconstruct) if len(samples) else {},
    )


class Scale:
    """What activations are measured against: their normalised mean, their baselines' errors, and clusters for the intervals."""

    def __init__(self, activations: Vectors, clusters: Sequence[Hashable], seed: int = 0) -> None:
        self.activations, self.clusters, self.seed = activations, clusters, seed
        normalised = unit(activations)
        self.mean: Floats = normalised.mean(axis=0)
        self.length = float(np.linalg.norm(self.mean))
        self.along: Floats = normalised @ self.mean
        self.squares: Floats = (normalised**2).sum(axis=-1)
        numbers = {key: number for number, key in enumerate(dict.fromkeys(clusters))}
        self.codes = np.array([numbers[key] for key in clusters])

    def score(self, reconstructions: Vectors | Floats) -> Score:
        """All measures of reconstructions ``[n, d]``, one a row."""
        cosines = cosine(self.activations, reconstructions)
        centred = centred_cosine(unit(self.activations), unit(reconstructions), self.mean)
        errors = 2.0 * (1.0 - cosines)
        return Score(
            float(cosines.mean()), float(centred.mean()), float(errors.mean()),
            self.fve(errors, "variance"), self.fve(errors, "mean-direction"),
        )  # fmt: skip

    def fve(self, errors: Floats, baseline: Baseline = "variance", rows: Sequence[int] | None = None) -> Fve:
        """FVE of ``mse_nrm`` ``[n]`` (or of some ``rows`` only, against the baseline of all) with its interval."""
        counted = np.ones(len(errors)) if rows is None else np.bincount(rows, minlength=len(errors)).astype(np.float64)
        columns = (errors * counted, counted, self.along, self.squares, np.ones(len(errors)))
        value = float(self._fve_of_sums(baseline, *(column.sum() for column in columns)))
        low, high = self._interval([np.bincount(self.codes, column).astype(np.float64) for column in columns], baseline)
        return Fve(baseline, value, low, high)

    def _interval(self, sums: Sequence[Floats], baseline: Baseline) -> tuple[float, float]:
        """Percentiles over draws of whole clusters, of which ``sums`` hold the totals; NaN where nothing can be drawn."""
        from scipy.stats import bootstrap

        if len(sums[0]) < 2:
            return float("nan"), float("nan")

        def statistic(*drawn: Floats, axis: int = -1) -> Floats:
            return self._fve_of_sums(baseline, *(column.sum(axis=axis) for column in drawn))

        with warnings.catch_warnings():
            # Draws without any variance, or without any of the rows, are left out below.
            warnings.simplefilter("ignore")
            drawn = bootstrap(
                tuple(sums), statistic, paired=True, vectorized=True, n_resamples=BOOTSTRAP, batch=100, method="percentile",
                rng=np.random.default_rng(self.seed),
            ).bootstrap_distribution  # fmt: skip
        low, high = np.nanpercentile(drawn, [2.5, 97.5]) if np.isfinite(drawn).any() else (np.nan, np.nan)
        return float(low), float(high)

    def _fve_of_sums(self, baseline: Baseline, errors: Floats, counted: Floats, along: Floats, squares: Floats, rows: Floats) -> Floats:
        # A draw's own mean moves the baseline by a term of first order, for which each row's share along the mean is enough.
        if baseline == "variance":
            of_baseline = squares / rows + self.length**2 - 2.0 * along / rows
        else:
            of_baseline = squares / rows + 1.0 - 2.0 * along / rows / max(self.length, 1e-12)
        with np.errstate(divide="ignore", invalid="ignore"):
            result: Floats = 1.0 - errors / counted / np.where(of_baseline > 1e-12, of_baseline, np.nan)
        return result


def shuffle_between(clusters: Sequence[Hashable], seed: int = 0) -> NDArray[np.int64]:
    """For each row another row, each row once, of another cluster wherever that is possible."""
    order = np.random.default_rng(seed).permutation(len(clusters))
    keys = {key: number for number, key in enumerate(dict.fromkeys(clusters))}
    order = order[np.argsort([keys[clusters[row]] for row in order], kind="stable")]
    largest = int(np.bincount([keys[key] for key in clusters]).max())
    partner = np.empty(len(clusters), dtype=np.int64)
    # Sorted by cluster, a step as long as the largest cluster leaves every cluster behind, unless that one has over half the rows.
    partner[order] = np.roll(order, largest if 2 * largest <= len(clusters) else max(1, len(clusters) // 2))
    return partner


def _best_of(scale: Scale, samples: Sequence[Sequence[str]], reconstruct: Reconstruct) -> dict[int, Score]:
    """Scores of the best of the first 1, 2, 4, ... samples, all of them at last."""
    most = min(len(texts) for texts in samples)
    if most == 0:
        return {}
    made = reconstruct([text for texts in samples for text in texts[:most]]).reshape(len(samples), most, -1)
    cosines = cosine(scale.activations[:, None, :], made)
    sizes = sorted({most, *(2**power for power in range(most.bit_length()))})
    return {size: scale.score(made[np.arange(len(made)), cosines[:, :size].argmax(axis=1)]) for size in sizes if size <= most}
