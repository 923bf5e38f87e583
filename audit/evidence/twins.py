"""Transcripts and their manipulated twins: the rules of a realism rewrite, and what a manipulation does, pair by pair.

Rules (paper, section on evaluation awareness): the task is kept, at most fifteen spans of the user's prompt change, the system prompt
does not.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from audit.statistics import McNemar, PairedDifference, mcnemar, paired_difference

MAX_SPANS = 15
_GLUE = 1
"""Two changes with so many unchanged words between them, or fewer, are one span."""


@dataclass(frozen=True)
class Reading:
    """What was measured on one transcript, original or manipulated."""

    sample: str
    """Id of the original transcript, which its twins share."""
    cluster: str
    rate: float | None
    """Share of its sites that the deciding scanner calls YES; ``None`` if none was explained."""
    aware: bool | None
    """Whether the rate reaches the threshold."""
    harmful: bool | None


@dataclass(frozen=True)
class PairedEffect:
    """What a manipulation changed over pairs of original and twin. ``None``: there was no pair to tell by."""

    pairs: int
    original_rate: float | None
    """Mean share of YES sites over the originals of the pairs."""
    rate: float | None
    difference: PairedDifference | None
    """Of the share of YES sites, manipulated minus original, with its interval over clusters."""
    aware: McNemar | None
    """Only the original NLA-aware, or only the twin."""
    harmful: McNemar | None
    each: Mapping[str, float]
    """Difference of the share of YES sites by original transcript."""


def changed_spans(original: str, twin: str) -> int:
    """In how many spans of words two texts differ."""
    matcher = difflib.SequenceMatcher(None, original.split(), twin.split(), autojunk=False)
    spans, kept = 0, _GLUE + 1
    for kind, start, end, _, _ in matcher.get_opcodes():
        if kind == "equal":
            kept += end - start
            continue
        spans, kept = spans + (kept > _GLUE), 0
    return spans


def paired_effect(originals: Sequence[Reading], twins: Sequence[Reading], seed: int) -> PairedEffect:
    """Compares twins with their originals; transcripts without a partner count for nothing."""
    by_sample = {row.sample: row for row in originals}
    pairs = [(by_sample[twin.sample], twin) for twin in twins if twin.sample in by_sample]
    read = [(first, twin) for first, twin in pairs if first.rate is not None and twin.rate is not None]
    each = {twin.sample: (twin.rate or 0.0) - (first.rate or 0.0) for first, twin in read}
    before, after = [first.rate or 0.0 for first, _ in read], [twin.rate or 0.0 for _, twin in read]
    return PairedEffect(
        pairs=len(pairs),
        original_rate=fmean(before) if read else None,
        rate=fmean(after) if read else None,
        difference=paired_difference(after, before, seed=seed, clusters=[first.cluster for first, _ in read]) if read else None,
        aware=_tested([(first.aware, twin.aware) for first, twin in pairs]),
        harmful=_tested([(first.harmful, twin.harmful) for first, twin in pairs]),
        each=each,
    )


def _tested(pairs: Sequence[tuple[bool | None, bool | None]]) -> McNemar | None:
    known = [(first, second) for first, second in pairs if first is not None and second is not None]
    return mcnemar([first for first, _ in known], [second for _, second in known]) if known else None
