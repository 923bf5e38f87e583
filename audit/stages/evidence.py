"""Stage: the strongest YES verdicts of some transcripts, and of some controls, are examined closely. What it reads enters no rate."""

from __future__ import annotations

from collections.abc import Iterator

from audit.evidence.examine import evidence_of
from audit.evidence.gather import Gathered, gather, neighbour_sites
from audit.evidence.selection import choose_transcripts
from audit.findings.calibration import in_calibration_half
from audit.findings.tally import aligned, tallies
from audit.findings.variants import variant_ids
from audit.pipeline import Context, Outcome
from audit.records import Evidence, Explanation, Transcript, Verdict
from audit.stages.activation_files import ActivationReader, StoredActivation, Vectors
from audit.stages.deciding import deciding_scanner
from audit.stages.jobs import Place, place
from audit.stages.names import (
    ACTIVATIONS_FOLDER,
    ACTIVATIONS_TABLE,
    EVIDENCE_TABLE,
    EXPLANATIONS_TABLE,
    TRANSCRIPTS_TABLE,
    VERDICTS,
    VERDICTS_TABLE,
)
from audit.stages.neighbours import Instruments, read_neighbours
from audit.stages.resources import Resources
from audit.stages.verdicts import asking


def examine(context: Context, resources: Resources) -> Outcome:
    """Writes ``evidence.parquet``; without an NLA, or where no verdict is YES, it is empty."""
    store, config = context.store, context.config
    scanner = deciding_scanner(config, context.stages[VERDICTS]["facts"]["scanners"])
    wanted = _wanted(context, scanner) if config.nla_name is not None and config.evidence_transcripts else []
    if not wanted:
        return Outcome(counts={"examined": store.write_table(EVIDENCE_TABLE, Evidence, ())})
    found = gather(_rows(context), set(wanted), scanner=scanner, sites=config.evidence_sites, seed=config.seed)
    instruments = _instruments(context, resources, scanner)
    sites = neighbour_sites(found, resources.tokenizer, config.evidence_neighbours)
    total = sum(len(chosen) for _, chosen in sites)
    with asking(config.grader), context.reporter.track("neighbours", total, "explanation") as advance:
        read = read_neighbours(sites, instruments, advance)
    rows = evidence_of(found, _vectors(context, found), read.found, resources.pair.reconstruct, resources.decode)
    written = store.write_table(EVIDENCE_TABLE, Evidence, rows)
    return Outcome(counts={"examined": written, "transcripts": len(wanted), "neighbours": len(read.found)}, tokens=read.tokens)


def _instruments(context: Context, resources: Resources, scanner: str) -> Instruments:
    from audit.scanners.base import get_scanner

    config, model = context.config, resources.target.model
    return Instruments(model, resources.pair, get_scanner(scanner), config.explanation_temperature, config.seed, config.shard)


def _wanted(context: Context, scanner: str) -> list[str]:
    """The transcripts to examine: originals only, and of the controls those that have no part in the threshold."""
    store, config = context.store, context.config
    variants = variant_ids(store.read_table(TRANSCRIPTS_TABLE, Transcript))
    counted = tallies(
        store.read_table(TRANSCRIPTS_TABLE, Transcript), store.read_table(EXPLANATIONS_TABLE, Explanation),
        store.read_table(VERDICTS_TABLE, Verdict), [scanner],
    )  # fmt: skip
    chosen = [
        row
        for row in counted
        if row.transcript_id not in variants and (row.kind != "deployment" or not in_calibration_half(row.cluster, config.seed))
    ]
    return choose_transcripts(chosen, scanner, config.evidence_transcripts)


def _rows(context: Context) -> Iterator[tuple[Transcript, list[Explanation], list[Verdict]]]:
    store = context.store
    variants = variant_ids(store.read_table(TRANSCRIPTS_TABLE, Transcript))
    take_said = aligned(store.read_table(EXPLANATIONS_TABLE, Explanation))
    take_verdicts = aligned(store.read_table(VERDICTS_TABLE, Verdict))
    for transcript in store.read_table(TRANSCRIPTS_TABLE, Transcript):
        said, verdicts = take_said(transcript.transcript_id), take_verdicts(transcript.transcript_id)
        if transcript.transcript_id not in variants:
            yield transcript, said, verdicts


def _vectors(context: Context, found: Gathered) -> dict[Place, Vectors]:
    rows, wanted = context.store.read_table(ACTIVATIONS_TABLE, StoredActivation), found.places
    with ActivationReader(context.store.path(ACTIVATIONS_FOLDER)) as reader:
        return {place(row): reader.vector(row) for row in rows if place(row) in wanted}
