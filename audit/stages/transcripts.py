"""Stage 2: from logs to token-exact transcripts. A sample that cannot be read is a transcript with an error, not a crash."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from audit.pipeline import Context, Outcome
from audit.records import Transcript
from audit.stages.logs import control_logs, own_logs
from audit.stages.names import TRANSCRIPTS_TABLE
from audit.stages.resources import Resources


def read(context: Context, resources: Resources) -> Outcome:
    """Reads every log once, one sample after the other."""
    own, controls = own_logs(context.store, context.config), control_logs(context.config)
    counts: Counter[str] = Counter()
    with context.reporter.track("transcripts", None, "transcript") as advance:
        found = _transcripts(own, controls, resources)
        written = context.store.write_table(TRANSCRIPTS_TABLE, Transcript, _counted(found, counts, advance))
    failures = {"transcript_unusable": counts["error"]} if counts["error"] else {}
    return Outcome(counts={"transcripts": written, "calls": counts["calls"]}, failures=failures, notes=tuple(_notes(counts, written)))


def _transcripts(own: Sequence[Path], controls: Sequence[Path], resources: Resources) -> Iterator[Transcript]:
    yield from _read(own, resources)
    for transcript in _read(controls, resources) if controls else ():
        # Told apart from the audit's own samples, which may have the same task and sample names. What the user brings as
        # deployment traffic is deployment traffic, whatever its own metadata say.
        yield replace(transcript, transcript_id=f"controls/{transcript.transcript_id}", kind="deployment", known_state=None)


def _read(logs: Sequence[Path], resources: Resources) -> Iterator[Transcript]:
    if resources.config.is_api:
        from audit.stages.spoken import read_spoken

        return read_spoken(logs)
    from audit.target.transcripts import read_transcripts

    return read_transcripts(logs, resources.tokenizer)


def _counted(transcripts: Iterator[Transcript], counts: Counter[str], advance: Callable[[int], None]) -> Iterator[Transcript]:
    for transcript in transcripts:
        counts["error"] += transcript.error is not None
        counts["calls"] += len(transcript.calls)
        counts["rederived"] += any(call.positions_rederived and call.output_ids for call in transcript.calls)
        yield transcript
        advance(1)


def _notes(counts: Counter[str], written: int) -> Iterator[str]:
    if counts["rederived"]:
        yield (
            f"{counts['rederived']} of {written} transcripts come from logs without token ids: their text was tokenised again, so "
            "positions are re-derived and may differ from what the model generated."
        )
