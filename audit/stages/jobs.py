"""What is to be explained: every usable activation, and a few of them again as controls. Decided from names and the seed alone."""

from __future__ import annotations

import hashlib
import heapq
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.records import Control
from audit.stages.activation_files import StoredActivation, Vectors, VectorSource

Place = tuple[str, int, int]


@dataclass(frozen=True)
class Job:
    """One explanation to make."""

    site: StoredActivation
    """Whose activation the explanation is scored against."""
    sample: int
    control: Control
    donor: StoredActivation | None
    """Whose activation is injected: its own, another's (``shuffled``), or none (``mean``: the mean is)."""

    @property
    def key(self) -> int:
        """Fixes the random numbers of this job whatever it is batched with."""
        return _hash(f"{self.site.transcript_id}/{self.site.call_index}/{self.site.position}/{self.sample}/{self.control}")


@dataclass(frozen=True)
class Centre:
    """The mean of the activations, in one pass."""

    mean: Vectors | None
    """Mean direction scaled to the mean norm, ``[d]``; ``None`` if there is no activation."""
    baseline_variance: float | None
    """Mean squared distance of the normalised activations from their mean: what FVE is measured against."""


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "replace")).digest()[:7], "big")


def place(row: StoredActivation) -> Place:
    """What identifies a site."""
    return row.transcript_id, row.call_index, row.position


class InMemory:
    """Vectors ``[d]`` that stand in no file, by the place of their site."""

    def __init__(self, vectors: Mapping[Place, Vectors]) -> None:
        self._vectors = vectors

    def vector(self, row: StoredActivation) -> Vectors:
        """The raw residual of one activation."""
        return self._vectors[place(row)]


def usable(rows: Iterable[StoredActivation]) -> Iterator[StoredActivation]:
    """Those whose activation is finite and of ordinary norm."""
    return (row for row in rows if row.status == "ok")


def control_count(sites: int, share: float, minimum: int) -> int:
    """How many sites are explained again under each control."""
    return min(sites, max(math.ceil(share * sites), minimum)) if share > 0 else 0


def choose_controls(rows: Iterable[StoredActivation], count: int, seed: int) -> dict[Place, StoredActivation | None]:
    """``count`` sites drawn by the seed, each with a donor of another transcript (``None`` if there is none)."""
    drawn = heapq.nsmallest(count, ((_hash(f"control/{seed}/{place(row)}"), place(row), row) for row in rows), key=lambda item: item[:2])
    chosen = [row for _, _, row in drawn]
    donors: dict[Place, StoredActivation | None] = {}
    for index, row in enumerate(chosen):
        others = chosen[index + 1 :] + chosen[:index]
        donors[place(row)] = next((other for other in others if other.transcript_id != row.transcript_id), None)
    return donors


def all_jobs(rows: Iterable[StoredActivation], samples: int, controls: dict[Place, StoredActivation | None]) -> Iterator[Job]:
    """The jobs in the order of the sites; a site's controls follow it."""
    for row in rows:
        for sample in range(samples):
            yield Job(row, sample, "none", row)
        if place(row) in controls:
            donor = controls[place(row)]
            if donor is not None:
                yield Job(row, 0, "shuffled", donor)
            yield Job(row, 0, "mean", None)


def count_jobs(sites: int, samples: int, controls: dict[Place, StoredActivation | None]) -> int:
    """How many jobs ``all_jobs`` yields."""
    return sites * samples + len(controls) + sum(donor is not None for donor in controls.values())


def centre(rows: Iterable[StoredActivation], reader: VectorSource, advance: Callable[[int], None] | None = None) -> Centre:
    """Mean direction and variance of the activations; holds one of them at a time."""
    total: NDArray[np.float64] | None = None
    norms, count = 0.0, 0
    for row in rows:
        vector = reader.vector(row).astype(np.float64)
        norm = float(np.linalg.norm(vector))
        if norm == 0.0:
            continue
        total = vector / norm if total is None else total + vector / norm
        norms, count = norms + norm, count + 1
        if advance is not None:
            advance(1)
    if total is None:
        return Centre(None, None)
    mean = total / count
    length = float(np.linalg.norm(mean))
    scaled = mean / max(length, 1e-12) * (norms / count)
    return Centre(scaled.astype(np.float32), 1.0 - length**2)
