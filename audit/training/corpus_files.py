"""The files of an activation corpus: shards while it is made, one parquet file a split and a sidecar when it is done."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from audit.errors import AuditError
from audit.nla.sidecar import SIDECAR_NAME, write_sidecar

if TYPE_CHECKING:
    from audit.training.warm_start import ExplainedActivations

Split = Literal["av", "ar", "rl", "held_out"]
Emphasised = Callable[[str], tuple[int, int] | None]
"""Finds the character span of a summary that matters most."""
SPLITS: tuple[Split, ...] = ("av", "ar", "rl", "held_out")
_COLUMNS = ["document", "position", "token", "text", "summary", "summary_status", "activation_vector"]


@dataclass(frozen=True)
class CorpusRow:
    """One activation of the corpus, beside its vector."""

    split: str
    document: int
    position: int
    token: str
    text: str
    """The document up to the end of that token."""
    status: str
    """``ok``, or why the vector is left out."""
    summary: str | None
    summary_status: str
    """``ok``, ``failed``, or ``none`` where none was wanted."""
    reason: str
    """Why there is no summary."""


def write_shard(path: Path, rows: list[CorpusRow], vectors: NDArray[np.float32]) -> None:
    """Writes rows and their vectors ``[n, d]``, whole or not at all."""
    import pyarrow as pa

    from audit.columns import schema_of, to_row
    from audit.nla.vectors import write_rows

    content = [to_row(row) for row in rows]
    columns = {field.name: pa.array([row[field.name] for row in content], field.type) for field in schema_of(CorpusRow)}
    partial = path.with_suffix(".partial")
    write_rows(partial, columns, vectors)
    os.replace(partial, path)


def merge_shards(folder: Path, shards: list[Path]) -> dict[str, Any]:
    """Sorts the shards' good rows into one file a split; returns the counts, of what was left out too."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    rows: dict[str, int] = dict.fromkeys(SPLITS, 0)
    left_out: Counter[str] = Counter()
    no_summary: Counter[str] = Counter()
    used: set[int] = set()
    with ExitStack() as stack:
        writers: dict[str, Any] = {}
        for shard in shards:
            table = pq.read_table(shard)
            used.update(table.column("document").to_pylist())
            left_out.update(status for status in table.column("status").to_pylist() if status != "ok")
            no_summary.update(reason for reason in table.column("reason").to_pylist() if reason)
            good = table.filter(pc.equal(table.column("status"), "ok"))
            for split in SPLITS:
                part = good.filter(pc.equal(good.column("split"), split)).select(_COLUMNS)
                if split not in writers:
                    partial = folder / f"{split}.partial"
                    writers[split] = stack.enter_context(pq.ParquetWriter(partial, part.schema, compression="zstd"))
                writers[split].write_table(part)
                rows[split] += len(part)
    if empty := [split for split in SPLITS if not rows[split]]:
        raise AuditError(
            f"The corpus has no activations for {empty[0]}.",
            "Give more or longer documents, or lower 'positions.first' in the configuration.",
        )
    for split in SPLITS:
        os.replace(folder / f"{split}.partial", folder / f"{split}.parquet")
    return {"rows": rows, "left_out": dict(left_out), "no_summary": dict(no_summary), "used": len(used)}


def write_dataset_sidecar(folder: Path, extraction: dict[str, Any], plan: dict[str, Any], counts: dict[str, Any]) -> None:
    """Writes the corpus's sidecar, which marks it as finished."""
    width = int(corpus_vectors(folder, "held_out").shape[1])
    write_sidecar(folder, {
        "kind": "nla_dataset", "extraction": {"d_model": width, "norm": "raw", **extraction}, "plan": plan, "counts": counts,
    })  # fmt: skip


def read_counts(folder: Path) -> dict[str, Any] | None:
    """The counts of a finished corpus; ``None`` if it is not finished."""
    import yaml

    path = folder / SIDECAR_NAME
    if not path.is_file():
        return None
    counts: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))["counts"]
    return counts


def corpus_vectors(folder: Path, split: Split) -> NDArray[np.float32]:
    """All vectors of a split, ``[n, d]`` float32, raw."""
    from audit.nla.vectors import read_vectors

    return read_vectors(folder / f"{split}.parquet")


def explained_rows(folder: Path, split: Split, emphasised: Emphasised = lambda summary: None) -> ExplainedActivations:
    """The activations of a split that have a summary, and what ``emphasised`` finds in it. Raises ``AuditError`` if none has."""
    import pyarrow.parquet as pq

    from audit.training.warm_start import ExplainedActivations

    table = pq.read_table(folder / f"{split}.parquet", columns=["document", "summary"])
    summaries = table.column("summary").to_pylist()
    rows = [row for row, summary in enumerate(summaries) if summary]
    if not rows:
        raise AuditError(f"No activation of the corpus for {split} has a summary.", "Check 'summaries.model'.")
    documents = table.column("document").to_numpy()[rows].astype(np.int64)
    chosen = tuple(summaries[row] for row in rows)
    return ExplainedActivations(corpus_vectors(folder, split)[rows], chosen, documents, tuple(map(emphasised, chosen)))
