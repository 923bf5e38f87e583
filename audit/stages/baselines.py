"""Stage 9: what reading the text and a linear probe would have found: scores of classifiers that need no NLA, one row each.

The scores are counted in the findings. Nothing here sees the known state (see ``audit/evidence/folds.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np

from audit.evidence.folds import Subject
from audit.evidence.probes import PROBE, Captured, Probe, fit_probe
from audit.evidence.text_baseline import OWN_WORDS, Conversation, Readers, conversation, fit_readers, own_word_scores
from audit.findings.calibration import calibrate, control_group, is_aware
from audit.findings.tally import aligned, tallies
from audit.pipeline import Context, Outcome
from audit.records import BaselineScore, Explanation, Transcript, Verdict
from audit.stages.activation_files import ActivationReader, StoredActivation
from audit.stages.chunks import chunks
from audit.stages.deciding import deciding_scanner
from audit.stages.names import (
    ACTIVATIONS_FOLDER,
    ACTIVATIONS_TABLE,
    BASELINES_TABLE,
    EXPLANATIONS_TABLE,
    TRANSCRIPTS_TABLE,
    VERDICTS,
    VERDICTS_TABLE,
)

if TYPE_CHECKING:
    from audit.scanners.base import Scanner

TRANSCRIPTS_AT_ONCE = 128


def measure(context: Context) -> Outcome:
    """Fits the readers of text and the probe, and writes what they say of every transcript and site, in the order of the transcripts."""
    from audit.scanners.base import get_scanner

    subjects = _subjects(context)
    known = {subject.transcript_id for subject in subjects}
    readers = fit_readers(lambda: _conversations(context, known), subjects, context.config.seed)
    with ExitStack() as stack:
        reader = stack.enter_context(ActivationReader(context.store.path(ACTIVATIONS_FOLDER)))
        sites = context.store.count_rows(ACTIVATIONS_TABLE)
        probe = fit_probe(lambda: _captured(context, reader), sites, subjects, context.config.seed)
        scanners = [get_scanner(name) for name in OWN_WORDS]
        rows = _scores(context, known, readers, probe, scanners, reader)
        written = context.store.write_table(BASELINES_TABLE, BaselineScore, rows)
    facts = {
        "held_out": {one.name: one.folds.held_out for one in readers.readers}
        | ({PROBE: probe.folds.held_out} if isinstance(probe, Probe) else {}),
        "missing": readers.missing | ({PROBE: probe} if isinstance(probe, str) else {}),
    }
    return Outcome(counts={"scores": written}, facts=facts)


def _subjects(context: Context) -> list[Subject]:
    """The usable transcripts with the NLA's verdicts, judged as in the findings."""
    store, config = context.store, context.config
    names = context.stages[VERDICTS]["facts"]["scanners"]
    counted = [
        tally
        for tally in tallies(
            store.read_table(TRANSCRIPTS_TABLE, Transcript),
            store.read_table(EXPLANATIONS_TABLE, Explanation),
            store.read_table(VERDICTS_TABLE, Verdict),
            names,
        )
        if tally.usable
    ]
    calibration = calibrate(control_group(counted), deciding_scanner(config, names), config.false_positive_rate, config.seed)
    return [
        Subject(tally.transcript_id, tally.scenario, tally.kind, tally.variant, tally.cluster, is_aware(tally, calibration))
        for tally in counted
    ]


def _conversations(context: Context, known: set[str]) -> Iterator[Conversation]:
    rows = context.store.read_table(TRANSCRIPTS_TABLE, Transcript)
    return (conversation(row) for row in rows if row.transcript_id in known)


def _captured(context: Context, reader: ActivationReader) -> Iterator[Captured]:
    """The usable activations of one transcript after the other."""
    take = aligned(context.store.read_table(ACTIVATIONS_TABLE, StoredActivation))
    for transcript in context.store.read_table(TRANSCRIPTS_TABLE, Transcript):
        rows = [row for row in take(transcript.transcript_id) if row.status == "ok"]
        if rows:
            places = tuple((row.call_index, row.position) for row in rows)
            yield Captured(transcript.transcript_id, places, np.stack([reader.vector(row) for row in rows]))


def _scores(
    context: Context, known: set[str], readers: Readers, probe: Probe | str, scanners: Sequence[Scanner], reader: ActivationReader
) -> Iterator[BaselineScore]:
    """All rows of a transcript together."""
    probed = aligned(_probed(context, probe, reader))
    with context.reporter.track("transcripts", len(known), "transcript") as advance:
        for piece in chunks(_conversations(context, known), TRANSCRIPTS_AT_ONCE):
            found = [*own_word_scores(piece, scanners), *(row for one in readers.readers for row in one.scores(piece))]
            take = _by_transcript(found)
            for one in piece:
                yield from take(one.transcript_id)
                yield from probed(one.transcript_id)
            advance(len(piece))


def _probed(context: Context, probe: Probe | str, reader: ActivationReader) -> Iterator[BaselineScore]:
    if isinstance(probe, Probe):
        for captured in _captured(context, reader):
            yield from probe.scores(captured)


def _by_transcript(rows: Sequence[BaselineScore]) -> Callable[[str], list[BaselineScore]]:
    found: dict[str, list[BaselineScore]] = {}
    for row in rows:
        found.setdefault(row.transcript_id, []).append(row)
    return lambda transcript_id: found.get(transcript_id, [])
