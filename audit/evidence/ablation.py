"""Claim ablation: each claim is taken out of its explanation, and the AR says what that costs (paper, section on reliability).

Deleting a true claim raises the AR's error more than deleting a false one, weakly and noisily for a single claim. A shorter text may
raise it whatever it says, so the same removal is also measured on activations of other transcripts: only what it costs more at the
explanation's own activation speaks for the claim.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.evidence.claims import Claim, without
from audit.nla.fidelity import mse_nrm

Vectors = NDArray[np.float32]
Reconstruct = Callable[[Sequence[str]], Vectors]
"""The AR: texts to vectors ``[n, d]``."""


@dataclass(frozen=True)
class Ablatable:
    """An explanation, its claims, and the activations that it is measured on."""

    text: str
    claims: tuple[Claim, ...]
    bearing: tuple[Claim, ...]
    """The claims that bear a verdict; they are also removed together."""
    vector: Vectors
    """The activation that it explains, ``[d]``."""
    others: Vectors
    """Activations of other transcripts, ``[m, d]``; none: no control."""


@dataclass(frozen=True)
class Change:
    """What a removal changes in the AR's error (``mse_nrm``); positive: the claim carried something."""

    error: float
    control: float | None
    """Mean change on the other activations."""


@dataclass(frozen=True)
class Ablated:
    """The changes of one explanation."""

    made: Vectors
    """What the AR makes of the whole text, ``[d]``."""
    claims: tuple[Change | None, ...]
    """One a claim; ``None`` where the AR gave no finite vector."""
    bearing: Change | None
    """Of all bearing claims together; ``None`` too where there is none."""


def ablate(items: Sequence[Ablatable], reconstruct: Reconstruct) -> list[Ablated]:
    """Removes each claim in turn; every distinct text is read by the AR once."""
    variants = [[item.text, *(without(item.text, [claim]) for claim in item.claims), without(item.text, item.bearing)] for item in items]
    distinct = list(dict.fromkeys(text for texts in variants for text in texts))
    made = dict(zip(distinct, reconstruct(distinct), strict=True)) if distinct else {}
    return [_ablated(item, [made[text] for text in texts]) for item, texts in zip(items, variants, strict=True)]


def _ablated(item: Ablatable, made: list[Vectors]) -> Ablated:
    whole, *parts, together = made
    changes = tuple(_change(item, whole, part) for part in parts)
    return Ablated(whole, changes, _change(item, whole, together) if item.bearing else None)


def _change(item: Ablatable, whole: Vectors, part: Vectors) -> Change | None:
    error = _difference(item.vector[None], whole, part)
    if not np.isfinite(error).all():
        return None
    control = _difference(item.others, whole, part) if len(item.others) else np.full(1, np.nan)
    return Change(float(error[0]), float(control.mean()) if np.isfinite(control).all() else None)


def _difference(vectors: Vectors, whole: Vectors, part: Vectors) -> NDArray[np.float64]:
    """Error of the shortened text minus error of the whole one, for each of the activations ``[n, d]``."""
    shape = np.broadcast_shapes(vectors.shape, whole.shape)
    return mse_nrm(vectors, np.broadcast_to(part, shape)) - mse_nrm(vectors, np.broadcast_to(whole, shape))
