"""Stage 7: scanners judge the explanations' wording, and the target's own turns; some of them ask a grader."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from audit.findings.tally import aligned
from audit.pipeline import Context, Outcome
from audit.records import Explanation, Transcript, Verdict
from audit.stages.chunks import chunks
from audit.stages.names import EXPLANATIONS_TABLE, TRANSCRIPTS_TABLE, VERDICTS, VERDICTS_TABLE

if TYPE_CHECKING:
    from audit.scanners.base import Scanner

TRANSCRIPTS_AT_ONCE = 128
GRADED_AT_ONCE = 16
"""Where a grader is asked: what a kill can cost, in transcripts."""


def scan(context: Context) -> Outcome:
    """One verdict for each explanation and each turn by each scanner, in the order of the transcripts."""
    scanners, notes = _chosen(context)
    counts: Counter[str] = Counter()
    with asking(context.config.grader):
        written = context.store.write_table(VERDICTS_TABLE, Verdict, _verdicts(context, scanners, counts))
    failures = {name: counts[name] for name in ("verdict_unclear", "verdict_ungraded") if counts[name]}
    if counts["verdict_ungraded"]:
        notes.append(
            f"The grader {context.config.grader} gave no usable answer to {counts['verdict_ungraded']} of {counts['graded']} questions. "
            "These verdicts are UNCLEAR, say why, and stand in no rate. To ask all again, remove verdicts.parquet and run the same command."
        )
    facts = {
        "scanners": [scanner.name for scanner in scanners],
        "graded": [scanner.name for scanner in scanners if scanner.graded],
        "grader": context.config.grader,
    }
    return Outcome(counts={"verdicts": written}, failures=failures, notes=tuple(notes), facts=facts)


def _chosen(context: Context) -> tuple[list[Scanner], list[str]]:
    """The scanners that run, and in words those that do not."""
    from audit.scanners.base import Beside, registered
    from audit.scanners.user import load_user_scanner

    grader, explained = context.config.grader, context.store.count_rows(EXPLANATIONS_TABLE) > 0
    mine = {scanner.name for path in context.config.scanners for scanner in load_user_scanner(Path(path))}
    # The registry is the process's: another audit in it may have brought scanners of its own.
    known = [
        scanner
        for scanner in registered(graded=True, beside=get_args(Beside))
        if scanner.core.__module__.startswith("audit.") or scanner.name in mine
    ]
    chosen = [scanner for scanner in known if (grader or not scanner.graded) and scanner.beside in (None, "turns")]
    silent = [scanner.name for scanner in known if scanner.graded and scanner.beside in (None, "turns")] if grader is None else []
    notes = []
    if silent and (explained or mine.intersection(silent)):
        notes.append(
            f"No grader was named, so the scanners that ask one were left out: {', '.join(silent)}. "
            "Name any model that Inspect can reach with --grader PROVIDER/MODEL."
        )
    if grader is not None and not explained:
        notes.append(f"There was no explanation that the grader {grader} could be asked about.")
    if unheld := sorted(scanner.name for scanner in known if scanner.beside == "reference" and scanner.name in mine):
        notes.append(f"An audit offers no reference set to scanners of your own, so these were left out: {', '.join(unheld)}.")
    return chosen, notes


def asking(grader: str | None) -> AbstractContextManager[None]:
    """The context in which graded scanners find their grader."""
    if grader is None:
        return nullcontext()
    from audit.scanners.grading import grader_bound

    return grader_bound(grader)


def _verdicts(context: Context, scanners: Sequence[Scanner], counts: Counter[str]) -> Iterator[Verdict]:
    """The verdicts, stored piece by piece, so that what was asked before a kill is not asked again."""
    from audit.scanners.summarise import ungraded

    store = context.store
    workspace, graded = store.workspace(VERDICTS), {scanner.name for scanner in scanners if scanner.graded}
    take = aligned(store.read_table(EXPLANATIONS_TABLE, Explanation))
    total, size = store.count_rows(TRANSCRIPTS_TABLE), GRADED_AT_ONCE if graded else TRANSCRIPTS_AT_ONCE
    with context.reporter.track("transcripts", total, "transcript") as advance:
        for number, piece in enumerate(chunks(store.read_table(TRANSCRIPTS_TABLE, Transcript), size)):
            explanations = [row for transcript in piece for row in take(transcript.transcript_id)]
            shard = f"{workspace}/{number:06d}.parquet"
            if not store.path(shard).exists():
                store.write_table(shard, Verdict, _judged(piece, explanations, scanners))
            for row in store.read_table(shard, Verdict):
                counts["graded"] += row.scanner in graded
                if row.label == "UNCLEAR":
                    counts["verdict_ungraded" if ungraded(row) else "verdict_unclear"] += 1
                yield row
            advance(len(piece))


def _judged(piece: Sequence[Transcript], explanations: Sequence[Explanation], scanners: Sequence[Scanner]) -> list[Verdict]:
    """What the scanners say of some transcripts, in the order of these."""
    from audit.scanners.base import scan_explanations, scan_turns, turn_passages

    turns = [turn for transcript in piece for turn in turn_passages(transcript)]
    found: list[Verdict] = []
    for scanner in scanners:
        beside = turns if scanner.beside == "turns" else None
        if scanner.target == "explanation":
            found += scan_explanations(explanations, scanner, beside)
        else:
            found += scan_turns(piece, scanner, beside)
    order = {transcript.transcript_id: index for index, transcript in enumerate(piece)}
    return sorted(found, key=lambda row: order[row.transcript_id])  # stable: a transcript's verdicts stay in the scanners' order
