"""What is counted about one transcript, gathered in one pass over the tables. Ground truth is not among it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol, TypeVar

from audit.records import Explanation, Kind, Transcript, Verdict
from audit.scanners.summarise import TranscriptScore, score_transcripts, score_turns

AWARENESS = "awareness."
VERBALISED = "verbalised"


@dataclass(frozen=True)
class Tally:
    """The figures of one transcript."""

    transcript_id: str
    scenario: str
    kind: Kind
    variant: str
    cluster: str
    """What a split must keep together: the skeleton, or else the transcript itself."""
    usable: bool
    scores: dict[str, float]
    awareness: dict[str, TranscriptScore]
    """By scanner; explanations of real activations only."""
    verbalised: bool | None
    first_verbalised: int | None
    explanations: int
    failures: int
    variant_of: str | None = None
    """The transcript that this one is a variant of: the same sample as a realism twin, or under steering."""

    def rate(self, scanner: str) -> float | None:
        """Share of its sites that the scanner calls YES; ``None`` if none was explained."""
        score = self.awareness.get(scanner)
        return score.rate if score else None

    def any_yes(self, scanner: str) -> bool | None:
        """Whether any site is YES."""
        score = self.awareness.get(scanner)
        return score.any_yes if score else None


class _OfTranscript(Protocol):
    @property
    def transcript_id(self) -> str: ...


RowT = TypeVar("RowT", bound=_OfTranscript)


def aligned(rows: Iterable[RowT]) -> Callable[[str], list[RowT]]:
    """A function that gives the rows of one transcript after the other; all tables follow the order of the transcripts."""
    groups = groupby(rows, key=lambda row: row.transcript_id)
    pending: list[tuple[str, list[RowT]]] = []

    def take(transcript_id: str) -> list[RowT]:
        if not pending:
            found = next(groups, None)
            if found is not None:
                pending.append((found[0], list(found[1])))
        if pending and pending[0][0] == transcript_id:
            return pending.pop()[1]
        return []

    return take


def tallies(
    transcripts: Iterable[Transcript], explanations: Iterable[Explanation], verdicts: Iterable[Verdict], scanners: Iterable[str]
) -> Iterator[Tally]:
    """One tally for each transcript, in order. ``scanners`` are those that ran. Holds the rows of one transcript at a time."""
    names = sorted(set(scanners))
    awareness = [name for name in names if name.startswith(AWARENESS)]
    take_explanations, take_verdicts = aligned(explanations), aligned(verdicts)
    for transcript in transcripts:
        key = transcript.transcript_id
        yield _tally(transcript, take_explanations(key), take_verdicts(key), awareness)


def _tally(transcript: Transcript, explanations: list[Explanation], verdicts: list[Verdict], awareness: list[str]) -> Tally:
    key = transcript.transcript_id
    real = [row for row in explanations if row.control == "none"]
    spoken = score_turns(verdicts, [key], VERBALISED)[0]
    return Tally(
        transcript_id=key,
        scenario=transcript.scenario,
        kind=transcript.kind,
        variant=transcript.variant,
        cluster=transcript.skeleton_id or key,
        usable=transcript.error is None,
        scores=transcript.scores,
        awareness={name: score_transcripts(verdicts, real, [key], name)[0] for name in awareness},
        verbalised=spoken.any_yes,
        first_verbalised=spoken.first_yes,
        explanations=len(real),
        failures=sum(row.status in ("failed", "unparsed") for row in real),
        variant_of=transcript.metadata.get("variant_of"),
    )
