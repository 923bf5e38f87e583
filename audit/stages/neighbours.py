"""Tokens near examined ones: captured, explained and judged as an audit's own are, and kept out of its tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from audit.records import Explanation, Neighbour, Site, Transcript, Verdict
from audit.stages.activation_files import stored
from audit.stages.activations import read_vectors, typical_norm
from audit.stages.chunks import chunks
from audit.stages.explanations import explain_batch
from audit.stages.jobs import Centre, InMemory, Job, Place, place

if TYPE_CHECKING:
    from audit.nla.pair import NlaPair
    from audit.scanners.base import Scanner


@dataclass(frozen=True)
class Instruments:
    """What reads a token and judges what is said of it."""

    model: Any
    """The target."""
    pair: NlaPair
    scanner: Scanner
    temperature: float
    seed: int
    batch: int
    """Explanations that are decoded together."""


@dataclass(frozen=True)
class NeighbourReadings:
    """What the tokens say, by their place."""

    found: dict[Place, Neighbour]
    tokens: int
    """Generated."""


def read_neighbours(
    wanted: Sequence[tuple[Transcript, list[Site]]], instruments: Instruments, advance: Callable[[int], None] | None = None
) -> NeighbourReadings:
    """Reads the sites of each transcript (each site once, in the order of calls). What cannot be explained has no label."""
    from audit.target.capture import activation_rows

    wanted = [(transcript, sites) for transcript, sites in wanted if sites]
    arrays = read_vectors(wanted, instruments.model, instruments.pair.layer)
    typical = typical_norm(arrays)
    read = [
        (stored(row, ""), array[row.row])
        for (_, sites), array in zip(wanted, arrays, strict=True)
        for row in activation_rows(sites, array, typical)
    ]
    source = InMemory({place(row): vector for row, vector in read})
    said: dict[Place, Explanation] = {}
    jobs = (Job(row, 0, "none", row) for row, _ in read if row.status == "ok")
    for batch in chunks(jobs, instruments.batch):
        made = explain_batch(batch, source, Centre(None, None), instruments.pair, instruments.temperature, instruments.seed)
        said.update({(row.transcript_id, row.call_index, row.position): row for row in made})
        if advance is not None:
            advance(len(batch))
    verdicts = _judged(said, instruments.scanner)
    found = {key: _neighbour(site, said.get(key), verdicts.get(key)) for _, sites in wanted for site in sites for key in [_place(site)]}
    return NeighbourReadings(found, sum(row.tokens for row in said.values()))


def _judged(said: Mapping[Place, Explanation], scanner: Scanner) -> dict[Place, Verdict]:
    from audit.scanners.base import scan_explanations
    from audit.scanners.summarise import ungraded

    found = scan_explanations(said.values(), scanner)
    return {(row.transcript_id, row.call_index, row.position): row for row in found if not ungraded(row)}


def _neighbour(site: Site, said: Explanation | None, verdict: Verdict | None) -> Neighbour:
    return Neighbour(
        call_index=site.call_index,
        position=site.position,
        token=site.token,
        text=said.text if said else "",
        status=said.status if said else "failed",
        label=verdict.label if verdict else None,
        confidence=verdict.confidence if verdict else None,
    )


def _place(site: Site) -> Place:
    return site.transcript_id, site.call_index, site.position
