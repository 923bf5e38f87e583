"""What steering does to the measure: its trend over strengths, each strength against none, and whether replies stayed coherent.

The main measure is conservative: the steered reply is read again by the target WITHOUT steering, so that what the NLA explains can
only differ through what the target wrote. Read with the steering on, the vector that was added stands in the very activation that is
explained; that measure is reported by ``benchmarks/manipulations.py`` beside this one and decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from audit.evidence.coherence import GroupCoherence, is_coherent
from audit.evidence.twins import PairedEffect, Reading, paired_effect
from audit.statistics import Trend, trend


@dataclass(frozen=True)
class SteeredPoint:
    """One strength."""

    strength: float
    transcripts: int
    effect: PairedEffect
    """Against the same samples without steering."""
    coherence: GroupCoherence | None
    coherent: bool | None
    """``None``: not checked."""


@dataclass(frozen=True)
class SteeringEffect:
    """One set of directions at several strengths, over one scenario."""

    name: str
    """Empty for awareness; ``random-1``, ... for controls."""
    points: tuple[SteeredPoint, ...]
    """In the order of strengths; strength 0 is the originals and has no point."""
    trend: Trend
    """Of the share of YES sites over strengths, 0 included, samples as blocks."""

    def strongest(self, sign: int) -> SteeredPoint | None:
        """The largest strength of this sign whose replies stayed coherent, or the smallest if none did: the one that is judged."""
        points = sorted((point for point in self.points if point.strength * sign > 0), key=lambda point: abs(point.strength))
        sound = [point for point in points if point.coherent is not False and point.effect.difference is not None]
        return sound[-1] if sound else points[0] if points else None

    def at(self, strength: float) -> SteeredPoint | None:
        """The point of one strength."""
        return next((point for point in self.points if point.strength == strength), None)


def steering_effect(
    name: str,
    originals: Sequence[Reading],
    steered: Mapping[float, Sequence[Reading]],
    coherence: Mapping[float, GroupCoherence],
    seed: int,
) -> SteeringEffect:
    """Compares the transcripts of each strength with their originals. ``coherence`` is by strength; 0 is that of the originals."""
    points = []
    for strength in sorted(steered):
        found, plain = coherence.get(strength), coherence.get(0.0)
        sound = is_coherent(found, plain) if found is not None and plain is not None else None
        effect = paired_effect(originals, steered[strength], seed)
        points.append(SteeredPoint(strength, len(steered[strength]), effect, found, sound))
    return SteeringEffect(name, tuple(points), _trend(originals, steered, seed))


def _trend(originals: Sequence[Reading], steered: Mapping[float, Sequence[Reading]], seed: int) -> Trend:
    samples = {row.sample for rows in steered.values() for row in rows}
    levels = {0.0: [row for row in originals if row.sample in samples], **steered}
    seen = [(strength, row.rate, row.sample) for strength, rows in levels.items() for row in rows if row.rate is not None]
    if not seen:
        return Trend(None, 1.0)
    strengths, rates, blocks = (list(column) for column in zip(*seen, strict=True))
    return trend(strengths, rates, seed=seed, blocks=blocks)
