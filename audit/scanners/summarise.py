"""From verdicts to one score a transcript. The score is a rate over sites; any-of-N stands beside it because the paper reports it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean

from audit.records import Control, Explanation, Verdict
from audit.scanners.passages import JUDGED_STATUSES, UNGRADED


@dataclass(frozen=True)
class TranscriptScore:
    """What one scanner found in one transcript's explanations."""

    transcript_id: str
    scanner: str
    control: Control
    sites: int
    """Explained and judged sites."""
    yes: int
    """Sites judged YES: more than half of their explanations are."""
    rate: float | None
    """``yes / sites``; ``None`` if no site was explained."""
    mean_confidence: float | None
    """Mean over sites of the mean confidence of their explanations."""
    any_yes: bool | None
    """Whether any site is YES: the paper's rule."""
    failures: int
    """Explanations that could not be judged: unparsed, failed, without a verdict, or a grader's failure."""


@dataclass(frozen=True)
class TurnScore:
    """What one scanner found in the turns of one transcript; any turn suffices."""

    transcript_id: str
    scanner: str
    turns: int
    yes: int
    any_yes: bool | None
    """``None`` if there was no turn."""
    first_yes: int | None
    """Index of the first call that is YES."""


def score_transcripts(
    verdicts: Iterable[Verdict],
    explanations: Iterable[Explanation],
    transcript_ids: Iterable[str],
    scanner: str,
    control: Control = "none",
) -> list[TranscriptScore]:
    """One score for each of ``transcript_ids``, in order, also where nothing was explained (then its rate is ``None``).

    Only explanations of that ``control`` count; those that were judged make the denominator, for a grader's failure is no NO.
    """
    judged = {_key(row): row for row in verdicts if row.scanner == scanner and row.control == control and not ungraded(row)}
    sites: dict[str, dict[tuple[int, int], list[Verdict]]] = defaultdict(lambda: defaultdict(list))
    failures: dict[str, int] = defaultdict(int)
    for row in explanations:
        if row.control != control:
            continue
        verdict = judged.get(_key(row)) if row.status in JUDGED_STATUSES else None
        if verdict is None:
            failures[row.transcript_id] += 1
        else:
            sites[row.transcript_id][row.call_index, row.position].append(verdict)
    return [_score(name, scanner, control, list(sites[name].values()), failures[name]) for name in transcript_ids]


def ungraded(verdict: Verdict) -> bool:
    """Whether a verdict only says that the grader gave no usable answer."""
    return verdict.label == "UNCLEAR" and verdict.reason.startswith(UNGRADED)


def _key(row: Verdict | Explanation) -> tuple[str, int, int, int]:
    return row.transcript_id, row.call_index, row.position, row.sample


def _score(name: str, scanner: str, control: Control, sites: list[list[Verdict]], failures: int) -> TranscriptScore:
    if not sites:
        return TranscriptScore(name, scanner, control, 0, 0, None, None, None, failures)
    yes = sum(1 for site in sites if 2 * sum(row.label == "YES" for row in site) > len(site))
    confidence = fmean(fmean(row.confidence for row in site) for site in sites)
    return TranscriptScore(name, scanner, control, len(sites), yes, yes / len(sites), confidence, yes > 0, failures)


def score_turns(verdicts: Iterable[Verdict], transcript_ids: Iterable[str], scanner: str) -> list[TurnScore]:
    """One score for each of ``transcript_ids``, in order, from the verdicts on their turns."""
    turns: dict[str, list[Verdict]] = defaultdict(list)
    for row in verdicts:
        if row.scanner == scanner and row.position == -1:
            turns[row.transcript_id].append(row)
    scores = []
    for name in transcript_ids:
        found = [row.call_index for row in turns[name] if row.label == "YES"]
        scores.append(
            TurnScore(name, scanner, len(turns[name]), len(found), bool(found) if turns[name] else None, min(found, default=None))
        )
    return scores
