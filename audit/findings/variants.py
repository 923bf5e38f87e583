"""Keeping manipulated transcripts (realism twins, steered ones) out of every rate that is about the originals."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Protocol, TypeVar

from audit.records import Transcript

ORIGINAL = "original"


class _OfTranscript(Protocol):
    @property
    def transcript_id(self) -> str: ...


RowT = TypeVar("RowT", bound=_OfTranscript)


def variant_ids(transcripts: Iterable[Transcript]) -> frozenset[str]:
    """Ids of the transcripts that are variants; empty where there is no original at all, for then the variants are what is studied."""
    variants: set[str] = set()
    originals = 0
    for row in transcripts:
        if row.variant == ORIGINAL:
            originals += row.error is None
        else:
            variants.add(row.transcript_id)
    return frozenset(variants) if originals else frozenset()


def without(rows: Iterable[RowT], ids: Collection[str]) -> Iterator[RowT]:
    """The rows of all other transcripts, in their order; every table must leave out the same ones to stay aligned."""
    return (row for row in rows if row.transcript_id not in ids)
