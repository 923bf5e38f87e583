"""Stage 2: from logs to token-exact transcripts. A sample that cannot be read is a transcript with an error, not a crash."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from audit.pipeline import Context, Outcome
from audit.records import Transcript
from audit.stages.logs import LogFile, audit_logs
from audit.stages.names import TRANSCRIPTS_TABLE
from audit.stages.resources import Resources

CONTROL_VARIANT = "controls"


def read(context: Context, resources: Resources) -> Outcome:
    """Reads every log once, one sample after the other."""
    logs = audit_logs(context.store, context.config)
    counts: Counter[str] = Counter()
    with context.reporter.track("logs", len(logs), "log") as advance:

        def transcripts() -> Iterator[Transcript]:
            for log in logs:
                yield from _unique(_of_log(log, resources), counts)
                advance(1)

        written = context.store.write_table(TRANSCRIPTS_TABLE, Transcript, _counted(transcripts(), counts))
    failures = {"transcript_unusable": counts["error"]} if counts["error"] else {}
    return Outcome(counts={"transcripts": written, "calls": counts["calls"]}, failures=failures, notes=tuple(_notes(counts, written)))


def _of_log(log: LogFile, resources: Resources) -> Iterator[Transcript]:
    from audit.target.transcripts import read_transcripts

    for transcript in read_transcripts(log.path, resources.tokenizer):
        named = replace(transcript, source=log.source)
        if log.control:
            # Told apart from the audit's own samples, which may have the same task and sample names.
            named = replace(named, transcript_id=f"controls/{named.transcript_id}", kind="deployment", known_state=None)
        yield named


def _unique(transcripts: Iterator[Transcript], counts: Counter[str]) -> Iterator[Transcript]:
    """Ids are unique in an audit: the same task run twice gets a number."""
    for transcript in transcripts:
        key = f"id:{transcript.transcript_id}"
        counts[key] += 1
        yield transcript if counts[key] == 1 else replace(transcript, transcript_id=f"{transcript.transcript_id}#{counts[key]}")


def _counted(transcripts: Iterator[Transcript], counts: Counter[str]) -> Iterator[Transcript]:
    for transcript in transcripts:
        counts["error"] += transcript.error is not None
        counts["calls"] += len(transcript.calls)
        counts["rederived"] += any(call.positions_rederived for call in transcript.calls)
        yield transcript


def _notes(counts: Counter[str], written: int) -> Iterator[str]:
    if counts["rederived"]:
        yield (
            f"{counts['rederived']} of {written} transcripts come from logs without token ids: their text was tokenised again, so positions "
            "are re-derived and may differ from what the model generated."
        )
