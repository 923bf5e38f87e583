"""The held-out round trip: vector to text to vector, greedily, on documents that no training saw."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from audit.nla.fidelity import cosine, fve
from audit.nla.pair import Decoded, Reconstructor, Verbalizer

if TYPE_CHECKING:
    from audit.training.processes import Processes


@dataclass(frozen=True)
class RoundTrip:
    """What held-out activations say about a pair. FVE is against the variance baseline, the paper's."""

    fve: float
    fve_shuffled: float
    """Explanations of other activations."""
    fve_reordered: float
    """The same explanations, their points in another order."""
    cosine: float
    unparsed: float
    """Share of explanations without both tags."""
    length: float
    """Mean tokens."""


def round_trip(
    verbalizer: Verbalizer, reconstructor: Reconstructor, vectors: NDArray[np.float32], max_tokens: int, group: Processes | None = None
) -> RoundTrip:
    """Measures a pair on vectors ``[n, d]``, n at least 2; processes share the work and all get the result."""
    numbers = range(len(vectors)) if group is None else group.share(range(len(vectors)))
    written = verbalizer.explain(vectors[list(numbers)], max_tokens=max_tokens) if len(numbers) else []
    texts = [row.text for row in written]
    plain, mixed = (reconstructor.reconstruct(some) if some else np.zeros((0, vectors.shape[1])) for some in (texts, reordered(texts)))
    results = list(zip(numbers, written, plain, mixed, strict=True))
    if group is not None:
        results = sorted(group.gather(results), key=lambda result: result[0])
    _, decoded, made, remade = zip(*results, strict=True)
    return _measured(vectors, decoded, np.stack(made), np.stack(remade))


def _measured(vectors: NDArray[np.float32], written: Sequence[Decoded], made: NDArray[np.float32], mixed: NDArray[np.float32]) -> RoundTrip:
    return RoundTrip(
        fve=fve(vectors, made),
        fve_shuffled=fve(vectors, np.roll(made, len(made) // 2, axis=0)),
        fve_reordered=fve(vectors, mixed),
        cosine=float(cosine(vectors, made).mean()),
        unparsed=fmean(row.status != "ok" for row in written),
        length=fmean(row.tokens for row in written),
    )


def reordered(texts: Sequence[str]) -> list[str]:
    """Each text with its lines in another order (the same one each time): a rewrite that keeps the meaning."""
    result = []
    for number, text in enumerate(texts):
        lines = text.split("\n")
        random.Random(f"reorder/{number}").shuffle(lines)
        result.append("\n".join(lines))
    return result
