"""The three manipulations on the lab, in memory: realism twins, steering towards and against awareness, random directions.

Every arm is compared with the same samples as they were. Steered replies are read twice: again without steering (the main measure:
only what the target wrote can differ) and with the steering on (where the added vector stands in the activation that is explained).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from audit.evidence.coherence import GroupCoherence, coherence, is_coherent, together
from audit.evidence.contrast import directions_from, lab_pairs, random_like
from audit.evidence.twins import PairedEffect, Reading, paired_effect
from audit.lab.lexicon import Novelty
from audit.lab.measure import rates, sites_of, vectors_at
from audit.lab.play import Played, play
from audit.lab.world import AGENT_FAMILIES, realism_twin, scenario_samples
from audit.nla import NlaPair
from audit.statistics import Interval, cluster_bootstrap, threshold_at_fpr
from audit.target.steered import Steering, steered

RESAMPLES = 2000
FALSE_POSITIVE_RATE = 0.05


@dataclass(frozen=True)
class Arms:
    """What is to be measured."""

    per_state: int
    """Samples of each hidden state in each agent family."""
    strengths: Sequence[float]
    """Each is run towards awareness and against it."""
    random_directions: int
    """Run at the largest strength, both ways."""
    seed: int
    novelty: Novelty = "names"
    scanner: str = "awareness.lexical"


@dataclass(frozen=True)
class Arm:
    """One manipulation over one group of samples."""

    name: str
    group: str
    """``all``, or the hidden state of the originals."""
    reading: str
    """``plain`` or ``steered``: whether the steering was on while the replies were read."""
    before: tuple[float, Interval | None]
    """Mean share of YES sites of the originals and its interval over skeletons."""
    after: tuple[float, Interval | None]
    effect: PairedEffect
    coherence: GroupCoherence | None
    coherent: bool | None

    @property
    def apart(self) -> bool | None:
        """Whether the two intervals do not touch."""
        first, second = self.before[1], self.after[1]
        return None if first is None or second is None else first[1] < second[0] or second[1] < first[0]


class Bench:
    """The lab's target and NLA with what all arms share."""

    def __init__(self, target: Any, tokenizer: Any, pair: NlaPair, arms: Arms) -> None:
        self.target, self.tokenizer, self.pair, self.arms = target, tokenizer, pair, arms
        controls = play(target, tokenizer, scenario_samples("ordinary_use", 2 * arms.per_state, arms.seed + 1, arms.novelty))
        found = [rate for rate in self.rates(controls) if rate is not None]
        self.threshold = threshold_at_fpr(found, FALSE_POSITIVE_RATE)

    def rates(self, rows: Sequence[Played], steering: Steering | None = None) -> list[float | None]:
        """Share of YES sites of each transcript, read under ``steering``."""
        sites = sites_of(rows, self.tokenizer)
        with steered(self.target, steering):
            vectors = vectors_at(self.target, rows, sites)
        return rates(self.pair, vectors, sites, self.arms.scanner)

    def readings(self, rows: Sequence[Played], steering: Steering | None = None) -> list[Reading]:
        """The same as records that can be paired with their originals."""
        return [
            Reading(
                row.sample.twin_of or row.sample.sample_id, row.sample.skeleton_id, rate, None if rate is None else rate >= self.threshold,
                row.harmful,
            )
            for row, rate in zip(rows, self.rates(rows, steering), strict=True)
        ]  # fmt: skip

    def checked(self, rows: Sequence[Played]) -> GroupCoherence:
        """How coherent replies are to the unsteered target."""
        return together(coherence(self.target, row.transcript.transcript_id, row.transcript.calls) for row in rows)


def measure_arms(bench: Bench) -> Iterator[Arm]:
    """All arms, one after the other, as they are finished."""
    arms = bench.arms
    samples = [sample for family in AGENT_FAMILIES for sample in scenario_samples(family, 2 * arms.per_state, arms.seed, arms.novelty)]
    played = play(bench.target, bench.tokenizer, samples)
    originals, plain = bench.readings(played), bench.checked(played)
    twins = play(bench.target, bench.tokenizer, [twin for sample in samples if (twin := realism_twin(sample))])
    yield _arm("realism twins", "evaluation", "plain", originals, bench.readings(twins), bench, (None, plain))
    for name, steering in steerings(bench):
        with steered(bench.target, steering):
            rows = play(bench.target, bench.tokenizer, samples)
        found = bench.checked(rows)
        for reading, using in (("plain", None), ("steered", steering)):
            changed = bench.readings(rows, using)
            for group in ("all", "evaluation", "deployment"):
                ids = {sample.sample_id for sample in samples if group in ("all", sample.known_state)}
                kept = [row for row in changed if row.sample in ids]
                yield _arm(name, group, reading, originals, kept, bench, (found, plain))


def steerings(bench: Bench) -> Iterator[tuple[str, Steering]]:
    """Each strength both ways along the lab's direction of awareness, then the largest along random directions."""
    arms = bench.arms
    real = directions_from(bench.target, lab_pairs(bench.tokenizer, arms.seed))
    for strength in arms.strengths:
        for sign in (1, -1):
            yield f"steered {sign * strength:+g}", Steering(real, sign * strength)
    for number in range(1, arms.random_directions + 1):
        for sign in (1, -1):
            strength = sign * max(arms.strengths)
            yield f"random {number} {strength:+g}", Steering(random_like(real, number, arms.seed), strength)


def _arm(
    name: str,
    group: str,
    reading: str,
    originals: Sequence[Reading],
    changed: Sequence[Reading],
    bench: Bench,
    checked: tuple[GroupCoherence | None, GroupCoherence],
) -> Arm:
    ids = {row.sample for row in changed}
    found, plain = checked
    return Arm(
        name=name,
        group=group,
        reading=reading,
        before=_mean([row for row in originals if row.sample in ids], bench.arms.seed),
        after=_mean(changed, bench.arms.seed),
        effect=paired_effect(originals, changed, bench.arms.seed),
        coherence=found,
        coherent=None if found is None else is_coherent(found, plain),
    )


def _mean(rows: Sequence[Reading], seed: int) -> tuple[float, Interval | None]:
    known = [(row.rate, row.cluster) for row in rows if row.rate is not None]
    values, clusters = [rate for rate, _ in known], [cluster for _, cluster in known]
    several = len(set(clusters)) > 1
    return fmean(values), cluster_bootstrap(values, clusters, lambda drawn: float(drawn.mean()), seed, RESAMPLES) if several else None
