"""One pass over an audit's tables gathers what is to be examined; only the chosen transcripts and the rivals stay in memory."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from audit.evidence.recurrence import REACH, neighbours
from audit.evidence.rivals import Rival, choose_rivals
from audit.evidence.selection import choose_verdicts
from audit.records import Explanation, Neighbour, Site, Transcript, Verdict

Place = tuple[str, int, int]
"""Transcript, call and position of a token."""
READABLE = ("ok", "truncated")


@dataclass(frozen=True)
class Subject:
    """A YES verdict to examine."""

    verdict: Verdict
    transcript: Transcript
    explanation: str

    @property
    def place(self) -> Place:
        return self.verdict.transcript_id, self.verdict.call_index, self.verdict.position


@dataclass(frozen=True)
class Gathered:
    """What there is to examine, and what to compare it with."""

    subjects: tuple[Subject, ...]
    """In the order of the transcripts."""
    rivals: tuple[Rival, ...]
    mean: str | None
    """The explanation of the mean activation; ``None`` if that control was not run."""

    @property
    def places(self) -> set[Place]:
        """The tokens whose activations are needed."""
        rows = [rival.explanation for rival in self.rivals]
        return {subject.place for subject in self.subjects} | {(row.transcript_id, row.call_index, row.position) for row in rows}


def gather(
    rows: Iterable[tuple[Transcript, Sequence[Explanation], Sequence[Verdict]]],
    wanted: Collection[str],
    *,
    scanner: str,
    sites: int,
    seed: int,
) -> Gathered:
    """The strongest ``sites`` verdicts of ``scanner`` in each wanted transcript, and rivals from all. ``rows`` are read once."""
    subjects: list[Subject] = []
    mean: list[str] = []

    def candidates() -> Iterator[Rival]:
        for transcript, said, verdicts in rows:
            judged = [row for row in verdicts if row.scanner == scanner and row.control == "none"]
            if transcript.transcript_id in wanted:
                subjects.extend(_subjects(transcript, said, judged, sites))
            mean.extend(row.text for row in said if not mean and row.control == "mean" and row.status in READABLE)
            yield from _silent(transcript, said, judged)

    rivals = tuple(choose_rivals(candidates(), seed))
    return Gathered(tuple(subjects), rivals, mean[0] if mean else None)


def _subjects(transcript: Transcript, said: Sequence[Explanation], judged: Sequence[Verdict], count: int) -> list[Subject]:
    real = {(row.call_index, row.position, row.sample): row for row in said if row.control == "none"}
    chosen = choose_verdicts(judged, {key: row.cosine for key, row in real.items()}, count)
    return [Subject(row, transcript, real[row.call_index, row.position, row.sample].text) for row in chosen]


def _silent(transcript: Transcript, said: Sequence[Explanation], judged: Sequence[Verdict]) -> Iterator[Rival]:
    """Its explanations that the scanner calls NO."""
    silent = {(row.call_index, row.position, row.sample) for row in judged if row.label == "NO"}
    for row in said:
        if row.control == "none" and row.text and (row.call_index, row.position, row.sample) in silent:
            yield Rival(transcript.scenario, row)


def neighbour_sites(found: Gathered, tokenizer: Any, count: int) -> list[tuple[Transcript, list[Site]]]:
    """The tokens to read in addition, by transcript, each once and in the order of calls; at most ``count`` near each subject."""
    transcripts = {subject.transcript.transcript_id: subject.transcript for subject in found.subjects}
    sites: dict[str, dict[tuple[int, int], Site]] = {name: {} for name in transcripts}
    for subject in found.subjects:
        for site in neighbours(subject.transcript, subject.verdict.call_index, subject.verdict.position, tokenizer, count):
            sites[site.transcript_id][site.call_index, site.position] = site
    return [(transcripts[name], [chosen[key] for key in sorted(chosen)]) for name, chosen in sites.items() if chosen]


def neighbours_of(subject: Subject, read: Mapping[Place, Neighbour]) -> tuple[Neighbour, ...]:
    """Those of the tokens read in addition that stand near a subject."""
    name, call, position = subject.place
    near = [row for (other, _, _), row in read.items() if other == name and row.call_index == call]
    return tuple(sorted((row for row in near if 0 < abs(row.position - position) <= REACH), key=lambda row: row.position))
