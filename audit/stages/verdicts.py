"""Stage 7: scanners judge the explanations' wording, and the target's own turns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from audit.findings.tally import aligned
from audit.pipeline import Context, Outcome
from audit.records import Explanation, Transcript, Verdict
from audit.stages.chunks import chunks
from audit.stages.names import EXPLANATIONS_TABLE, TRANSCRIPTS_TABLE, VERDICTS_TABLE

if TYPE_CHECKING:
    from audit.scanners.base import Scanner

TRANSCRIPTS_AT_ONCE = 128


def scan(context: Context) -> Outcome:
    """One verdict for each explanation and each turn by each scanner, in the order of the transcripts."""
    from audit.scanners.base import registered
    from audit.scanners.user import load_user_scanner

    mine = {scanner.name for path in context.config.scanners for scanner in load_user_scanner(Path(path))}
    # The registry is the process's: another audit in it may have brought scanners of its own.
    scanners = [scanner for scanner in registered() if scanner.core.__module__.startswith("audit.") or scanner.name in mine]
    counts: Counter[str] = Counter()
    written = context.store.write_table(VERDICTS_TABLE, Verdict, _verdicts(context, scanners, counts))
    failures = {"verdict_unclear": counts["UNCLEAR"]} if counts["UNCLEAR"] else {}
    return Outcome(counts={"verdicts": written}, failures=failures, facts={"scanners": [scanner.name for scanner in scanners]})


def _verdicts(context: Context, scanners: Sequence[Scanner], counts: Counter[str]) -> Iterator[Verdict]:
    from audit.scanners.base import scan_explanations, scan_turns

    store = context.store
    take = aligned(store.read_table(EXPLANATIONS_TABLE, Explanation))
    total = store.count_rows(TRANSCRIPTS_TABLE)
    with context.reporter.track("transcripts", total, "transcript") as advance:
        for piece in chunks(store.read_table(TRANSCRIPTS_TABLE, Transcript), TRANSCRIPTS_AT_ONCE):
            explanations = [row for transcript in piece for row in take(transcript.transcript_id)]
            found: list[Verdict] = []
            for scanner in scanners:
                found += scan_explanations(explanations, scanner) if scanner.target == "explanation" else scan_turns(piece, scanner)
            order = {transcript.transcript_id: index for index, transcript in enumerate(piece)}
            found.sort(key=lambda row: order[row.transcript_id])  # stable: a transcript's verdicts stay in the scanners' order
            counts.update(row.label for row in found)
            yield from found
            advance(len(piece))
