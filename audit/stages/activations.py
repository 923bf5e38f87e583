"""Stage 4: one pass over the transcripts reads the residual stream at the chosen sites."""

from __future__ import annotations

from collections import Counter
from itertools import chain

from audit.findings.tally import aligned
from audit.pipeline import Context, Outcome
from audit.records import Site, Transcript
from audit.stages.activation_files import StoredActivation, save_arrays, stored
from audit.stages.chunks import chunks
from audit.stages.names import ACTIVATIONS, ACTIVATIONS_FOLDER, ACTIVATIONS_TABLE, SITES_TABLE, TRANSCRIPTS_TABLE
from audit.stages.resources import Resources

TRANSCRIPTS_A_SHARD = 64


def capture(context: Context, resources: Resources) -> Outcome:
    """Writes ``activations/`` and its table; a shard that is there already is not read again."""
    store, config = context.store, context.config
    folder = store.path(ACTIVATIONS_FOLDER)
    folder.mkdir(exist_ok=True)
    if config.nla_name is None:
        return Outcome(counts={"activations": store.write_table(ACTIVATIONS_TABLE, StoredActivation, ())})
    workspace = store.workspace(ACTIVATIONS)
    take = aligned(store.read_table(SITES_TABLE, Site))
    tables = []
    with context.reporter.track("transcripts", store.count_rows(TRANSCRIPTS_TABLE), "transcript") as advance:
        for number, piece in enumerate(chunks(store.read_table(TRANSCRIPTS_TABLE, Transcript), TRANSCRIPTS_A_SHARD)):
            wanted = [(transcript, sites) for transcript in piece if (sites := take(transcript.transcript_id))]
            # The table comes after the arrays, so a shard with a table is whole.
            tables.append(f"{workspace}/{number:06d}.parquet")
            if not store.path(tables[-1]).exists():
                _shard(context, resources, wanted, f"{number:06d}.safetensors", tables[-1])
            advance(len(piece))
    rows = chain.from_iterable(store.read_table(name, StoredActivation) for name in tables)
    written = store.write_table(ACTIVATIONS_TABLE, StoredActivation, rows)
    statuses = Counter(row.status for row in store.read_table(ACTIVATIONS_TABLE, StoredActivation))
    failures = {f"activation_{status}": count for status, count in sorted(statuses.items()) if status != "ok"}
    return Outcome(counts={"activations": written}, failures=failures, facts={"target": resources.description()})


def _shard(context: Context, resources: Resources, wanted: list[tuple[Transcript, list[Site]]], file: str, table: str) -> None:
    from audit.target.capture import capture_sites

    arrays, rows = {}, []
    for transcript, sites in wanted:
        vectors, found = capture_sites(resources.target.model, transcript, sites, resources.pair.layer)
        arrays[transcript.transcript_id] = vectors
        rows += [stored(row, file) for row in found]
    with context.store.replacing(f"{ACTIVATIONS_FOLDER}/{file}") as temporary:
        save_arrays(temporary, arrays)
    context.store.write_table(table, StoredActivation, rows)
