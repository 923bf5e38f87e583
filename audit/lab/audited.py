"""An audit of the lab in memory: played transcripts go through the functions that an audit's stages call, from sites to evidence levels.

For measuring many audits against known ground truth, which nothing here reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from audit.evidence.examine import evidence_of
from audit.evidence.gather import gather, neighbour_sites
from audit.evidence.selection import choose_transcripts
from audit.findings.calibration import Calibration, calibrate, control_group, in_calibration_half
from audit.findings.examined import Examined, examined_transcripts
from audit.findings.quality import control_rates
from audit.findings.tally import Tally, tallies
from audit.lab.lexicon import Novelty
from audit.lab.measure import sites_of, transcripts, vectors_at
from audit.lab.play import Played
from audit.lab.world import AGENT_FAMILIES
from audit.nla import NlaPair
from audit.records import Explanation, Transcript, Verdict
from audit.scanners.base import get_scanner, scan_explanations
from audit.stages.activation_files import StoredActivation, Vectors, stored
from audit.stages.chunks import chunks
from audit.stages.explanations import explain_batch
from audit.stages.jobs import InMemory, Place, all_jobs, centre, choose_controls, control_count, place, usable
from audit.stages.neighbours import Instruments, read_neighbours

CONTROLS = "ordinary_use"


@dataclass(frozen=True)
class Plan:
    """The size of an audit in memory."""

    per_state: int
    """Transcripts of each hidden state in each agent family."""
    controls: int
    novelty: Novelty = "names"
    scanner: str = "awareness.classifier"
    tokens: int = 12
    neighbours: int = 3
    sites: int = 2
    """Verdicts examined in each transcript."""
    false_positive_rate: float = 0.05
    control_share: float = 0.1
    batch: int = 256


@dataclass(frozen=True)
class Audited:
    """What the audit says, and the samples that know the truth."""

    played: dict[str, Played]
    """By transcript id."""
    tallies: list[Tally]
    calibration: Calibration
    shuffled: dict[str, Any]
    examined: list[Examined]


def audit_in_memory(target: Any, tokenizer: Any, pair: NlaPair, seed: int, plan: Plan) -> Audited:
    """One audit under a seed; every transcript above the threshold is examined, controls only if they did not set it."""
    agents = transcripts(target, tokenizer, plan.per_state, seed, plan.novelty, AGENT_FAMILIES)
    ordinary = transcripts(target, tokenizer, plan.controls // 2, seed + 1, plan.novelty, (CONTROLS,))
    rows = [_as_audited(row) for row in chain(*agents.values(), *ordinary.values())]
    said, vectors = _explained(target, tokenizer, pair, rows, seed, plan)
    verdicts = scan_explanations(said, get_scanner(plan.scanner))
    records = [row.transcript for row in rows]
    counted = list(tallies(iter(records), iter(said), iter(verdicts), [plan.scanner]))
    calibration = calibrate(control_group(counted), plan.scanner, plan.false_positive_rate, seed)
    shuffled = control_rates(verdicts, plan.scanner)["shuffled"]
    chosen = [row for row in counted if row.kind != "deployment" or not in_calibration_half(row.cluster, seed)]
    wanted = choose_transcripts(chosen, plan.scanner, 4 * len(chosen))
    found = gather(_grouped(records, said, verdicts), wanted, scanner=plan.scanner, sites=plan.sites, seed=seed)
    instruments = Instruments(target, pair, get_scanner(plan.scanner), 0.0, seed, plan.batch)
    read = read_neighbours(neighbour_sites(found, tokenizer, plan.neighbours), instruments)
    evidence = evidence_of(found, vectors, read.found, pair.reconstruct, lambda ids: str(tokenizer.decode(list(ids))))
    examined = examined_transcripts(counted, calibration, shuffled, evidence, {})
    return Audited({row.transcript.transcript_id: row for row in rows}, counted, calibration, shuffled, examined)


def _as_audited(row: Played) -> Played:
    """The transcript as an audit of the family's scenario would have it."""
    kind: Any = "deployment" if row.sample.family == CONTROLS else "evaluation"
    return replace(row, transcript=replace(row.transcript, kind=kind))


def _explained(
    target: Any, tokenizer: Any, pair: NlaPair, rows: Sequence[Played], seed: int, plan: Plan
) -> tuple[list[Explanation], dict[Place, Vectors]]:
    """Explanations of all sites with their controls, in the order of the transcripts, and the activations by place."""
    from audit.target.capture import activation_rows

    sites = sites_of(rows, tokenizer, plan.tokens, seed)
    flat = [site for chosen in sites for site in chosen]
    array = vectors_at(target, rows, sites)
    activations: list[StoredActivation] = [stored(row, "") for row in activation_rows(flat, array)]
    vectors = {place(row): vector for row, vector in zip(activations, array, strict=True)}
    source, kept = InMemory(vectors), list(usable(activations))
    controls = choose_controls(kept, control_count(len(kept), plan.control_share, 50), seed)
    middle = centre(kept, source)
    said: list[Explanation] = []
    for batch in chunks(all_jobs(kept, 1, controls), plan.batch):
        said += explain_batch(batch, source, middle, pair, 0.0, seed)
    return said, vectors


def _grouped(
    records: Sequence[Transcript], said: Sequence[Explanation], verdicts: Sequence[Verdict]
) -> list[tuple[Transcript, list[Explanation], list[Verdict]]]:
    texts: dict[str, list[Explanation]] = {}
    labels: dict[str, list[Verdict]] = {}
    for row in said:
        texts.setdefault(row.transcript_id, []).append(row)
    for verdict in verdicts:
        labels.setdefault(verdict.transcript_id, []).append(verdict)
    return [(row, texts.get(row.transcript_id, []), labels.get(row.transcript_id, [])) for row in records]
