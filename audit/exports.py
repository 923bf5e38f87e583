"""An audit's tables as CSV, for spreadsheets and for whoever has no parquet.

Lists, records and mappings become JSON text. Absent is an empty cell, as is an empty text: what must tell them apart reads the parquet
files. Text that a spreadsheet would run as a formula gets an apostrophe before it; numbers stay as they are. Activations are left out.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TextIO

from audit.spreadsheet import cell
from audit.stages import names
from audit.store import ROW_GROUP, Store

TABLES = (
    names.TRANSCRIPTS_TABLE, names.SITES_TABLE, names.ACTIVATIONS_TABLE, names.EXPLANATIONS_TABLE, names.VERDICTS_TABLE,
    names.MOTIVES_TABLE, names.BASELINES_TABLE, names.EVIDENCE_TABLE, names.COHERENCE_TABLE,
)  # fmt: skip
FINDINGS_TABLES = ("scenarios", "findings", "scanner_rates", "manipulations")
"""The lists in ``findings.json`` that are tables by themselves."""


def export_csv(store: Store, target: Store) -> list[str]:
    """Writes one CSV for each table of the audit, and for each list of ``findings.json``; returns their names. Streams."""
    written = []
    for name in TABLES:
        if store.path(name).is_file():
            written.append(_write(target, name.replace(".parquet", ".csv"), _table(store, name)))
    if store.path(names.FINDINGS_FILE).is_file():
        findings = store.read_json(names.FINDINGS_FILE)
        for name in FINDINGS_TABLES:
            rows = findings.get(name) or []
            # A file of the same name as a table's would hide it.
            written.append(_write(target, f"findings-{name}.csv" if name != "findings" else "findings.csv", _listed(rows)))
    return written


def _write(target: Store, name: str, rows: Iterable[Sequence[Any]]) -> str:
    with target.replacing(name) as temporary, temporary.open("w", encoding="utf-8", errors="replace", newline="") as stream:
        write_rows(stream, rows)
    return name


def write_rows(stream: TextIO, rows: Iterable[Sequence[Any]]) -> None:
    """Rows as CSV, the first one the header; every text made safe for spreadsheets."""
    writer = csv.writer(stream)
    for row in rows:
        writer.writerow([_cell(value) for value in row])


def _table(store: Store, name: str) -> Iterator[Sequence[Any]]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(store.path(name)) as table:
        columns = table.schema_arrow.names
        yield columns
        for batch in table.iter_batches(batch_size=ROW_GROUP):
            for row in batch.to_pylist():
                yield [row[column] for column in columns]


def _listed(rows: Sequence[Mapping[str, Any]]) -> Iterator[Sequence[Any]]:
    """Mappings as rows; the columns are all keys, in the order in which they come up."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    yield columns
    for row in rows:
        yield [row.get(column) for column in columns]


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, str):
        return cell(value)
    if isinstance(value, bool | int | float):
        return str(value)
    return cell(json.dumps(value, ensure_ascii=False, default=str))


def as_csv(rows: Iterable[Sequence[Any]]) -> str:
    """Rows as the text of a CSV file."""
    stream = io.StringIO(newline="")
    write_rows(stream, rows)
    return stream.getvalue()
