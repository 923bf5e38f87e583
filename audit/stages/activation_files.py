"""Activations on disk: one array for each transcript, some transcripts a safetensors file, and a row of bookkeeping for each activation."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from audit.records import ActivationRow

Vectors = NDArray[np.float32]
_OPEN_FILES = 16


@dataclass(frozen=True)
class StoredActivation:
    """An ``ActivationRow`` and the file that its vector is in."""

    transcript_id: str
    call_index: int
    position: int
    row: int
    norm: float
    status: Literal["ok", "not_finite", "outlier_norm"]
    shard: str
    """File in ``activations/``; the transcript's array ``[n, d]`` (float32) has the key ``tensor_key(transcript_id)``."""


def stored(row: ActivationRow, shard: str) -> StoredActivation:
    """The row with its file."""
    return StoredActivation(row.transcript_id, row.call_index, row.position, row.row, row.norm, row.status, shard)


def tensor_key(transcript_id: str) -> str:
    """Key of a transcript's array: a hash, for ids come from logs and may hold anything."""
    return hashlib.sha256(transcript_id.encode("utf-8", "replace")).hexdigest()[:32]


def save_arrays(path: Path, arrays: Mapping[str, Vectors]) -> None:
    """Writes the arrays of several transcripts, by transcript id."""
    from safetensors.numpy import save_file

    save_file({tensor_key(name): np.ascontiguousarray(array, dtype=np.float32) for name, array in arrays.items()}, path)


class VectorSource(Protocol):
    """Where vectors come from: the audit's files, or memory."""

    def vector(self, row: StoredActivation) -> Vectors:
        """The raw residual ``[d]`` of one activation."""
        ...


class ActivationReader:
    """Reads single vectors without loading whole files. A context manager."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: dict[str, Any] = {}
        self._stack = ExitStack()

    def __enter__(self) -> ActivationReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._files.clear()
        self._stack.close()

    def vector(self, row: StoredActivation) -> Vectors:
        """The raw residual ``[d]`` of one activation."""
        found: Vectors = self._open(row.shard).get_slice(tensor_key(row.transcript_id))[row.row : row.row + 1][0]
        return found

    def _open(self, shard: str) -> Any:
        from safetensors import safe_open

        if shard not in self._files:
            if len(self._files) >= _OPEN_FILES:
                self._files.clear()
                self._stack.close()
            self._files[shard] = self._stack.enter_context(safe_open(self.folder / shard, framework="numpy"))
        return self._files[shard]
