"""Plain activation files, made by any tool: a 2-D tensor in safetensors, or a parquet column ``activation_vector`` (list<float>).

Rows are the raw residual stream after block K, not normalised: the format of the datasets that NLAs are trained on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from audit.errors import AuditError, RefusedInput

Vectors = NDArray[np.float32]

COLUMN = "activation_vector"
FORMATS = f"Give a .safetensors file with one 2-D tensor, or a .parquet file with a column '{COLUMN}'."
_PICKLE_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle")
_NUMPY_FLOATS = ("F16", "F32", "F64")


def read_vectors(file: Path) -> Vectors:
    """The vectors of a file, ``[n, d]`` float32, in its order.

    A row that is missing or not finite stays in its place, with NaN or infinity in it. Raises ``AuditError`` for a file that cannot
    be read or holds no vectors, ``RefusedInput`` for pickles, wrong shapes, rows of different lengths and missing columns.
    """
    vectors = _from_parquet(file) if file_format(file) == "parquet" else _from_safetensors(file)
    if not vectors.size:
        raise AuditError(f"'{file}' holds no vectors.", FORMATS)
    return vectors


def write_rows(file: Path, columns: Mapping[str, Sequence[Any]], vectors: Vectors) -> None:
    """Writes a parquet table of some columns and the vectors ``[n, d]`` beside them, as ``read_vectors`` reads them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    ends = np.arange(len(vectors) + 1, dtype=np.int64) * vectors.shape[1]
    flat = pa.array(np.ascontiguousarray(vectors, dtype=np.float32).reshape(-1))
    pq.write_table(pa.table({**columns, COLUMN: pa.LargeListArray.from_arrays(ends, flat)}), file, compression="zstd")


def file_format(file: Path) -> Literal["safetensors", "parquet"]:
    """The format of an activation file by its content, whatever its name. Raises ``RefusedInput`` for pickles and all others."""
    try:
        with file.open("rb") as stream:
            head = stream.read(9)
    except OSError as error:
        raise AuditError(f"'{file}' cannot be read: {error.strerror}.", FORMATS) from None
    if head[:4] == b"PAR1":
        return "parquet"
    # A safetensors file is eight bytes of length, then a JSON object.
    if head[8:] == b"{":
        return "safetensors"
    if _is_pickle(file, head):
        remedy = "Read it where you trust it, and write the tensor with safetensors.torch.save_file({'vectors': tensor}, FILE)."
        raise RefusedInput(f"'{file}' is a pickle, which can run code when it is loaded.", remedy)
    raise RefusedInput(f"'{file}' is neither a safetensors nor a parquet file.", FORMATS)


def _is_pickle(file: Path, head: bytes) -> bool:
    binary = head[:1] == b"\x80" and head[1:2] <= b"\x05"
    torch_archive = head[:2] == b"PK" and file.suffix != ".npz"
    return binary or torch_archive or file.suffix in _PICKLE_SUFFIXES


def _from_safetensors(file: Path) -> Vectors:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as handle:
            slices = {name: handle.get_slice(name) for name in handle.keys()}  # noqa: SIM118  (the handle is no mapping)
            name = _matrix(file, {name: part.get_shape() for name, part in slices.items()})
            kind = slices[name].get_dtype()
            if kind in _NUMPY_FLOATS:
                # What float32 cannot hold becomes infinite, and is then counted as not finite.
                with np.errstate(over="ignore"):
                    return np.asarray(handle.get_tensor(name), dtype=np.float32)
        if kind != "BF16":
            raise RefusedInput(f"The tensor '{name}' in '{file}' holds {kind}, not activations.", "Save it as float32 or bfloat16.")
        # NumPy has no bfloat16.
        with safe_open(file, framework="pt") as handle:
            vectors: Vectors = handle.get_tensor(name).float().numpy()
            return vectors
    except (SafetensorError, OSError) as error:
        raise AuditError(f"'{file}' is damaged: {_first_line(error)}.", "Write the file again.") from None


def _matrix(file: Path, shapes: Mapping[str, Sequence[int]]) -> str:
    """The name of the file's 2-D tensor; of several, the one that is named as the parquet column."""
    names = [name for name, shape in shapes.items() if len(shape) == 2]
    if COLUMN in names:
        return COLUMN
    if len(names) == 1:
        return names[0]
    listed = ", ".join(f"{name} {list(shape)}" for name, shape in sorted(shapes.items())[:8]) or "none"
    count = "several 2-D tensors" if names else "no 2-D tensor [n, d]"
    raise RefusedInput(f"'{file}' holds {count} (its tensors: {listed}).", f"Save one 2-D tensor, or name the right one '{COLUMN}'.")


def _from_parquet(file: Path) -> Vectors:
    import pyarrow as pa
    import pyarrow.compute as pc

    column = read_column(file, (COLUMN,), FORMATS)
    kind = column.type
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if not lists or not pa.types.is_floating(kind.value_type):
        raise RefusedInput(f"The column '{COLUMN}' of '{file}' holds {kind}, not list<float>.", FORMATS)
    present = column.is_valid().to_numpy(zero_copy_only=False)
    lengths = pc.list_value_length(column.filter(pa.array(present))).to_numpy(zero_copy_only=False)
    width = int(lengths[0]) if len(lengths) else 0
    if (lengths != width).any():
        odd = int(np.flatnonzero(present)[np.flatnonzero(lengths != width)[0]])
        problem = f"The vectors of '{file}' have different lengths: the first has {width} numbers, row {odd} has {len(column[odd])}."
        raise RefusedInput(problem, "Give activations of one layer of one model.")
    vectors = np.full((len(column), width), np.nan, dtype=np.float32)
    flat = pc.list_flatten(column.filter(pa.array(present))).cast(pa.float32()).to_numpy(zero_copy_only=False)
    vectors[present] = flat.reshape(len(lengths), width)
    return vectors


def read_column(file: Path, names: Sequence[str], remedy: str) -> Any:
    """The first of some columns that a parquet file has, as an Arrow array.

    Raises ``AuditError`` if the file is damaged, ``RefusedInput`` if it has none of them.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as table:
            found = table.schema_arrow.names
            name = next((name for name in names if name in found), None)
            if name is None:
                listed = ", ".join(found[:12]) or "none"
                raise RefusedInput(f"'{file}' has no column {' or '.join(map(repr, names))} (its columns: {listed}).", remedy)
            column = table.read(columns=[name]).column(name)
    except (pa.ArrowException, OSError) as error:
        raise AuditError(f"'{file}' is damaged: {_first_line(error)}.", "Write the file again.") from None
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")
