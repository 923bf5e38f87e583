"""Explanations of single activations as they are made: the records, the stream of them, and how they are shown and kept."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from audit.cli.terminal import clean
from audit.errors import AuditError
from audit.records import ExplanationStatus, Site

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from audit.nla.pair import NlaPair
    from audit.nla.vectors import Vectors

FIRST_BATCH, GROWTH, LARGEST_BATCH = 4, 4, 64
"""The first lines should come at once, and large batches are faster by the token."""
ENOUGH_FOR_FVE = 10
"""The variance of fewer activations says little."""
SUFFIXES = (".jsonl", ".parquet")
_LOW, _HIGH = (104, 32, 32), (16, 96, 48)
_SCORED = ("ok", "truncated")
_REMARKS = {"outlier_norm": "unusual norm", "not_finite": "not finite", "truncated": "cut off", "unparsed": "no tags", "failed": "failed"}


@dataclass(frozen=True)
class Explained:
    """One activation, what the AV says about it, and how much of it the words carry."""

    position: int
    """Offset of the token in the text, or row in the file of vectors."""
    token: str | None
    """``None`` where there are only vectors."""
    text: str
    status: ExplanationStatus
    cosine: float | None
    """Between the activation and the AR's reconstruction."""
    mse_nrm: float | None
    norm: float | None
    """Of the activation; ``None`` if that is not finite."""
    activation: Literal["ok", "not_finite", "outlier_norm"]
    tokens: int
    """Length of what the AV wrote."""


def explain_each(pair: NlaPair, vectors: Vectors, sites: Sequence[Site], temperature: float, seed: int) -> Iterator[Explained]:
    """One record for each row of ``vectors`` ``[n, d]``, in order, in batches that grow."""
    from audit.target.capture import activation_rows

    rows = activation_rows(sites, vectors)
    start, size = 0, FIRST_BATCH
    while start < len(vectors):
        batch = slice(start, min(start + size, len(vectors)))
        said = pair.explain(vectors[batch], temperature=temperature, seed=seed, keys=list(range(batch.start, batch.stop)))
        cosines = round_trip(pair, vectors[batch], [one.text if one.status in _SCORED else None for one in said])
        for site, row, one, cosine in zip(sites[batch], rows[batch], said, cosines, strict=True):
            error = None if cosine is None else 2.0 * (1.0 - cosine)
            norm = row.norm if math.isfinite(row.norm) else None
            yield Explained(site.position, site.token or None, one.text, one.status, cosine, error, norm, row.status, one.tokens)
        start, size = batch.stop, min(GROWTH * size, LARGEST_BATCH)


def round_trip(pair: NlaPair, vectors: Vectors, texts: Sequence[str | None]) -> list[float | None]:
    """Cosine of each activation ``[n, d]`` and the AR's reading of its text.

    ``None`` where there is no text, and where either vector is zero or not finite and so has no direction.
    """
    from audit.nla.fidelity import cosine

    usable = [row for row in np.flatnonzero(has_direction(vectors)).tolist() if (texts[row] or "").strip()]
    found: list[float | None] = [None] * len(vectors)
    if usable:
        rebuilt = pair.reconstruct([texts[row] or "" for row in usable])
        for row, value, good in zip(usable, cosine(vectors[usable], rebuilt).tolist(), has_direction(rebuilt), strict=True):
            found[row] = value if good else None
    return found


def has_direction(vectors: Vectors) -> NDArray[np.bool_]:
    """Which rows of ``[n, d]`` are finite and not zero."""
    good: NDArray[np.bool_] = np.isfinite(vectors).all(axis=1) & (vectors != 0).any(axis=1)
    return good


def show(rows: Iterable[Explained], console: Console, baseline: float | None) -> list[Explained]:
    """Prints each record as it comes; ``baseline`` is the variance of the normalised activations, for the shading."""
    shown = []
    for row in rows:
        console.print(_line(row, baseline))
        shown.append(row)
    return shown


def _line(row: Explained, baseline: float | None) -> Table:
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2), expand=True)
    grid.add_column(width=5, justify="right", style="dim")
    if row.token is not None:
        grid.add_column(width=16, no_wrap=True, overflow="ellipsis")
    grid.add_column(width=5, justify="right")
    grid.add_column(ratio=1)
    cosine = Text("-" if row.cosine is None else f"{row.cosine:.2f}")
    explanation = Text(clean(row.text))
    for state in (row.status, row.activation):
        if state in _REMARKS:
            explanation.append(f" [{_REMARKS[state]}]", style="yellow")
    token = [] if row.token is None else [Text(clean(row.token, keep=""), style=_shade(row, baseline))]
    if row.token is None:
        cosine.stylize(_shade(row, baseline))
    grid.add_row(str(row.position), *token, cosine, explanation)
    return grid


def _shade(row: Explained, baseline: float | None) -> str:
    """A background from red (no better than knowing the mean) to green (nothing is lost); by the cosine where there is no baseline."""
    if row.cosine is None or row.mse_nrm is None:
        return "dim"
    share = row.cosine if baseline is None else 1.0 - row.mse_nrm / baseline
    share = min(max(share, 0.0), 1.0)
    red, green, blue = (round(low + share * (high - low)) for low, high in zip(_LOW, _HIGH, strict=True))
    return f"bright_white on rgb({red},{green},{blue})"


def variance(vectors: Vectors) -> float | None:
    """The error of knowing only the mean of the activations, the variance baseline; ``None`` if they are too few or all alike."""
    from audit.nla.fidelity import baseline_error

    good = vectors[has_direction(vectors)]
    if len(good) < ENOUGH_FOR_FVE:
        return None
    error = baseline_error(good, "variance")
    return error if error > 1e-9 else None


def closing_line(rows: Sequence[Explained], baseline: float | None) -> str:
    """Mean fidelity over all records, and what could not be explained."""
    errors = [row.mse_nrm for row in rows if row.mse_nrm is not None]
    parts = [f"{len(rows)} activations"]
    if errors:
        mean = sum(errors) / len(errors)
        parts.append(f"cosine {1 - mean / 2:.2f}")
        if baseline is not None:
            parts.append(f"FVE {1 - mean / baseline:.2f} (variance baseline, of these {len(rows)} activations)")
    for state, remark in _REMARKS.items():
        count = sum(state in (row.status, row.activation) for row in rows)
        parts += [f"{count} {remark}"] if count else []
    return ", ".join(parts)


def check_out(out: Path) -> None:
    """Refuses, before any work, a file that could not be written afterwards (``AuditError``)."""
    if out.suffix not in SUFFIXES:
        raise AuditError(f"'{out}' is neither a .jsonl nor a .parquet file.", "Give --out a name that ends so.")
    if out.is_dir() or not out.parent.is_dir():
        raise AuditError(f"'{out}' cannot be written: {'it is a folder' if out.is_dir() else 'its folder does not exist'}.", "Name a file.")


def keep(out: Path, rows: Sequence[Explained], vectors: Vectors) -> None:
    """Writes the records whole or not at all; a parquet table also holds the vectors, as ``nla-audit score`` reads them."""
    import json

    from audit.nla.vectors import write_rows
    from audit.store import Store

    try:
        with Store(out.parent).replacing(out.name) as temporary:
            if out.suffix == ".parquet":
                columns = {field.name: [getattr(row, field.name) for row in rows] for field in fields(Explained)}
                write_rows(temporary, columns, vectors)
            else:
                temporary.write_text("".join(json.dumps(asdict(row)) + "\n" for row in rows), encoding="utf-8")
    except OSError as error:
        raise AuditError(f"'{out}' cannot be written: {error.strerror}.", "Choose another --out.") from None
