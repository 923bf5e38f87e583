"""An audit's folder: the manifest, and tables of records as parquet files. The only module that writes into it.

Every file is written beside its final name, flushed to disk and then moved over it, so that a reader sees the old file, the
new one, or none, never a part of one. Tables are written and read in row groups: memory does not grow with their length.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from audit.columns import from_row, schema_of, to_row
from audit.errors import AuditError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    RecordT = TypeVar("RecordT", bound=DataclassInstance)
else:
    RecordT = TypeVar("RecordT")

MANIFEST = "audit.json"
MANIFEST_VERSION = 1
WORK = ".work"
LOCK = ".lock"
TEMPORARY = ".partial"
"""In the names of files that are being written."""
ROW_GROUP = 256
"""Rows held in memory at once: transcripts are heavy, and everything else is light."""


class StoreError(AuditError):
    """An audit's folder that cannot be used."""


class Store:
    """The folder of one audit."""

    def __init__(self, folder: str | Path, create: bool = True) -> None:
        self.folder = Path(folder)
        if self.folder.exists() and not self.folder.is_dir():
            remedy = "Choose another --out." if create else "Name the folder that `nla-audit run` wrote."
            raise StoreError(f"'{folder}' is a file, not a folder.", remedy)
        if create:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StoreError(f"The folder '{folder}' cannot be made: {error.strerror}.", "Choose another --out.") from None
        elif not self.manifest_path.is_file():
            raise StoreError(f"'{folder}' is no audit's folder: it has no {MANIFEST}.", "Name the folder that `nla-audit run` wrote.")

    @property
    def manifest_path(self) -> Path:
        return self.folder / MANIFEST

    def path(self, name: str) -> Path:
        """Where an output of that relative name stands."""
        return self.folder / name

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps a second process out of the folder, and sweeps up what a killed one left half written. Raises ``StoreError``."""
        import fcntl

        with self._lock_file() as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise StoreError(f"Another process is at work in '{self.folder}'.", "Wait for it, or choose another --out.") from None
            for leftover in self.folder.rglob(f".*{TEMPORARY}*"):
                leftover.unlink(missing_ok=True)
            yield

    def _lock_file(self) -> TextIO:
        # Outputs are replaced whole, folders too: in a folder of the user's that could be a folder of logs of theirs.
        if not self.manifest_path.exists() and any(not file.name.startswith(".") for file in self.folder.iterdir()):
            raise StoreError(f"'{self.folder}' holds other files and is no audit's folder.", "Choose a new or an empty folder with --out.")
        try:
            return self.path(LOCK).open("w")
        except OSError as error:
            raise StoreError(f"Nothing can be written into '{self.folder}': {error.strerror}.", "Choose another --out.") from None

    # the manifest

    def manifest(self) -> dict[str, Any]:
        """The manifest, or an empty one. Raises ``StoreError`` if it is damaged or of a newer version."""
        try:
            found = json.loads(self.manifest_path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {"manifest_version": MANIFEST_VERSION, "stages": {}}
        except (OSError, ValueError):
            raise StoreError(f"'{self.manifest_path}' cannot be read.", "Start anew in another folder with --out.") from None
        if not isinstance(found, dict) or found.get("manifest_version") != MANIFEST_VERSION:
            raise StoreError(f"'{self.manifest_path}' was written by another version of nla-audit.", "Start anew with another --out.")
        return found

    def write_manifest(self, manifest: dict[str, Any]) -> None:
        """Replaces the manifest in one step."""
        self.write_json(MANIFEST, manifest)

    # plain files

    def write_json(self, name: str, value: Any) -> Path:
        """Writes readable JSON; NaN and infinity are refused, for JSON has neither."""
        return self.write_text(name, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")

    def read_json(self, name: str) -> Any:
        """What ``write_json`` wrote."""
        return json.loads(self.path(name).read_text(encoding="utf-8"))

    def write_text(self, name: str, text: str) -> Path:
        """Writes a text file in one step; lone surrogates, which no encoding has, become question marks."""
        with self.replacing(name) as temporary:
            temporary.write_bytes(text.encode("utf-8", "replace"))
        return self.path(name)

    @contextmanager
    def replacing(self, name: str, suffix: str = "") -> Iterator[Path]:
        """A temporary path that takes the place of ``name`` if the block ends without an error."""
        final = self.path(name)
        final.parent.mkdir(parents=True, exist_ok=True)
        temporary = final.with_name(f".{final.name}{TEMPORARY}{suffix}")
        try:
            yield temporary
            _flush(temporary)
            os.replace(temporary, final)
            _flush(final.parent)
        finally:
            temporary.unlink(missing_ok=True)

    # tables

    def write_table(self, name: str, record: type[RecordT], rows: Iterable[RecordT]) -> int:
        """Writes records as a parquet table, row group by row group; returns how many."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema, count, group = schema_of(record), 0, []
        with self.replacing(name) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
            for row in rows:
                group.append(to_row(row))
                count += 1
                if len(group) == ROW_GROUP:
                    writer.write_table(pa.Table.from_pylist(group, schema))
                    group = []
            if group:
                writer.write_table(pa.Table.from_pylist(group, schema))
        return count

    def read_table(self, name: str, record: type[RecordT]) -> Iterator[RecordT]:
        """The records of a table in their order, read row group by row group."""
        import pyarrow.parquet as pq

        with pq.ParquetFile(self.path(name)) as table:
            for batch in table.iter_batches(batch_size=ROW_GROUP):
                for row in batch.to_pylist():
                    yield from_row(record, row)

    def count_rows(self, name: str) -> int:
        """How many rows a table has, from its footer."""
        import pyarrow.parquet as pq

        return int(pq.read_metadata(self.path(name)).num_rows)

    # work in progress

    def workspace(self, stage: str) -> str:
        """A folder, named relative to the audit's, for the shards of a stage. The pipeline clears it when the stage's inputs change."""
        name = f"{WORK}/{stage}"
        self.path(name).mkdir(parents=True, exist_ok=True)
        return name

    def discard_workspace(self, stage: str) -> None:
        """Removes a stage's shards, and the folder of all shards once it is empty."""
        shutil.rmtree(self.path(WORK) / stage, ignore_errors=True)
        with suppress(OSError):
            self.path(WORK).rmdir()

    def remove(self, name: str) -> None:
        """Removes an output, file or folder, if it is there."""
        path = self.path(name)
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def content_hash(path: Path) -> str | None:
    """SHA-256 of a file, or of a folder's visible files with their names; ``None`` if there is nothing."""
    if path.is_file():
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    if not path.is_dir():
        return None
    whole = hashlib.sha256()
    for file in sorted(path.rglob("*")):
        inner = file.relative_to(path)
        if file.is_file() and not any(part.startswith(".") for part in inner.parts):
            whole.update(f"{inner.as_posix()}\0{content_hash(file)}\n".encode("utf-8", "surrogateescape"))
    return whole.hexdigest()


def _flush(path: Path) -> None:
    """Asks the system to put a file or folder on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
