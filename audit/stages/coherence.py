"""Stage 2b: the target reads again, without steering, what it wrote with and without: are steered replies still replies?"""

from __future__ import annotations

from collections.abc import Iterator

from audit.evidence.coherence import Coherence, coherence
from audit.pipeline import Context, Outcome
from audit.records import Transcript
from audit.stages.names import COHERENCE_TABLE, TRANSCRIPTS_TABLE
from audit.stages.resources import Resources
from audit.target.steered import parse_variant


def check(context: Context, resources: Resources) -> Outcome:
    """Writes ``coherence.parquet``: one row for each steered transcript and for the original of each."""
    store = context.store
    wanted = {name for row in store.read_table(TRANSCRIPTS_TABLE, Transcript) if parse_variant(row.variant) for name in _both(row)}

    def rows() -> Iterator[Coherence]:
        model = resources.target.model
        with context.reporter.track("transcripts", len(wanted), "transcript") as advance:
            for transcript in store.read_table(TRANSCRIPTS_TABLE, Transcript):
                if transcript.transcript_id in wanted and transcript.error is None:
                    yield coherence(model, transcript.transcript_id, transcript.calls)
                    advance(1)

    return Outcome(counts={"transcripts": store.write_table(COHERENCE_TABLE, Coherence, rows())})


def _both(transcript: Transcript) -> tuple[str, str]:
    return transcript.transcript_id, str(transcript.metadata.get("variant_of"))
