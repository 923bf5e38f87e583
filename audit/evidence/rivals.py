"""Rivals of an explanation: explanations of other transcripts, without the claim, that it has to beat at its own activation.

This is the shuffled control, one explanation at a time. Rivals are sites that the scanner calls NO, of the same scenario where there
are enough, so that they differ in the claim and not in everything.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.nla.fidelity import cosine
from audit.records import Explanation

Vectors = NDArray[np.float32]
PER_SCENARIO = 24
"""Kept of each scenario, at most one a transcript."""
ENOUGH = 8
"""With fewer of the same scenario, those of all others are taken as well."""


@dataclass(frozen=True)
class Rival:
    """An explanation of another transcript's token."""

    scenario: str
    explanation: Explanation

    @property
    def transcript_id(self) -> str:
        return self.explanation.transcript_id


@dataclass(frozen=True)
class ReadRival:
    """A rival with its activation, and what the AR makes of its explanation; both ``[d]``."""

    rival: Rival
    vector: Vectors
    made: Vectors


def choose_rivals(candidates: Iterable[Rival], seed: int, per_scenario: int = PER_SCENARIO) -> list[Rival]:
    """Some of each scenario, one a transcript, drawn by their names and the seed alone."""
    best: dict[tuple[str, str], tuple[bytes, Rival]] = {}
    for rival in candidates:
        row = rival.explanation
        order = hashlib.sha256(f"rival/{seed}/{row.transcript_id}/{row.call_index}/{row.position}".encode("utf-8", "replace")).digest()
        known = best.get((rival.scenario, rival.transcript_id))
        if known is None or order < known[0]:
            best[rival.scenario, rival.transcript_id] = (order, rival)
    drawn = sorted(best.values(), key=lambda pair: pair[0])
    scenarios = sorted({rival.scenario for _, rival in drawn})
    return [rival for name in scenarios for rival in [rival for _, rival in drawn if rival.scenario == name][:per_scenario]]


def rivals_of(transcript_id: str, scenario: str, read: Sequence[ReadRival]) -> list[ReadRival]:
    """The rivals of one transcript's explanations: those of its scenario, or of all where these are too few."""
    others = [row for row in read if row.rival.transcript_id != transcript_id]
    same = [row for row in others if row.rival.scenario == scenario]
    return same if len(same) >= ENOUGH else others


def fit(vector: Vectors, made: Vectors, rivals: Sequence[ReadRival]) -> float | None:
    """Share of the rivals' explanations that fit an activation worse than its own does, by the AR's cosine; ``None`` without any."""
    own = float(cosine(vector[None], made[None])[0])
    if not rivals or not np.isfinite(own):
        return None
    theirs = cosine(np.broadcast_to(vector, (len(rivals), len(vector))), np.stack([row.made for row in rivals]))
    return float((theirs < own).mean())


def fits_better(vector: Vectors, made: Vectors, other: Vectors | None) -> bool | None:
    """Whether one reconstruction fits an activation better than another (that of the mean activation's explanation)."""
    if other is None:
        return None
    own, theirs = cosine(np.stack([vector, vector]), np.stack([made, other]))
    return bool(own > theirs)
