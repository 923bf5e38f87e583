"""Stage 4: one pass over the transcripts reads the residual stream at the chosen sites."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import numpy as np

from audit.findings.tally import aligned
from audit.pipeline import Context, Outcome
from audit.records import Site, Transcript
from audit.stages.activation_files import StoredActivation, Vectors, save_arrays, stored
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
    tables, halvings = [], 0
    with context.reporter.track("transcripts", store.count_rows(TRANSCRIPTS_TABLE), "transcript") as advance:
        for number, piece in enumerate(chunks(store.read_table(TRANSCRIPTS_TABLE, Transcript), TRANSCRIPTS_A_SHARD)):
            wanted = [(transcript, sites) for transcript in piece if (sites := take(transcript.transcript_id))]
            # The table comes after the arrays, so a shard with a table is whole.
            tables.append(f"{workspace}/{number:06d}.parquet")
            if not store.path(tables[-1]).exists():
                halvings += _shard(context, resources, wanted, f"{number:06d}.safetensors", tables[-1])
            advance(len(piece))
    rows = chain.from_iterable(store.read_table(name, StoredActivation) for name in tables)
    written = store.write_table(ACTIVATIONS_TABLE, StoredActivation, rows)
    statuses = Counter(row.status for row in store.read_table(ACTIVATIONS_TABLE, StoredActivation))
    failures = {f"activation_{status}": count for status, count in sorted(statuses.items()) if status != "ok"}
    notes = (f"Memory ran out while activations were read; batches were halved {halvings} times.",) if halvings else ()
    return Outcome(counts={"activations": written}, failures=failures, notes=notes, facts={"target": resources.description()})


def _shard(context: Context, resources: Resources, wanted: Sequence[tuple[Transcript, list[Site]]], file: str, table: str) -> int:
    """Reads and writes one file of activations and its rows; returns how often memory ran out and a batch was halved."""
    from audit.target.capture import activation_rows

    halvings = 0

    def halved() -> None:
        nonlocal halvings
        halvings += 1

    vectors = read_vectors(wanted, resources.target.model, resources.pair.layer, halved) if wanted else []
    typical = typical_norm(vectors)
    rows = [stored(row, file) for (_, sites), array in zip(wanted, vectors, strict=True) for row in activation_rows(sites, array, typical)]
    arrays = {transcript.transcript_id: array for (transcript, _), array in zip(wanted, vectors, strict=True)}
    with context.store.replacing(f"{ACTIVATIONS_FOLDER}/{file}") as temporary:
        save_arrays(temporary, arrays)
    context.store.write_table(table, StoredActivation, rows)
    return halvings


def read_vectors(
    wanted: Sequence[tuple[Transcript, list[Site]]], model: Any, layer: int, halved: Callable[[], None] | None = None
) -> list[Vectors]:
    """For each transcript the activations ``[n, d]`` of its sites after block ``layer``, in their order; sites stand in that of calls."""
    from audit.target.capture import capture as read_residual

    pairs = [(transcript, call) for transcript, _ in wanted for call in transcript.calls]
    places: dict[tuple[str, int], list[int]] = defaultdict(list)
    for _, sites in wanted:
        for site in sites:
            places[site.transcript_id, site.call_index].append(site.position)
    positions = [places[transcript.transcript_id, call.index] for transcript, call in pairs]
    arrays = read_residual(model, [call for _, call in pairs], positions, layer, on_halving=halved)
    found: dict[str, list[Vectors]] = defaultdict(list)
    for (transcript, _), array in zip(pairs, arrays, strict=True):
        found[transcript.transcript_id].append(array)
    return [np.concatenate(found[transcript.transcript_id]) for transcript, _ in wanted]


def typical_norm(vectors: Sequence[Vectors]) -> float | None:
    """Median norm over the transcripts of a shard: a handful of sites of one transcript is a poor guide."""
    norms = np.concatenate([np.linalg.norm(array.astype(np.float64), axis=1) for array in vectors]) if vectors else np.zeros(0)
    norms = norms[np.isfinite(norms)]
    return float(np.median(norms)) if len(norms) else None
