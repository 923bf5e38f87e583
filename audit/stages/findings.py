"""Stage 8: from the tables to ``findings.json``."""

from __future__ import annotations

from typing import Any

from audit.evidence.coherence import Coherence
from audit.findings.assemble import About, Tables, make_findings
from audit.pipeline import Context, Outcome, total_failures
from audit.records import BaselineScore, Evidence, Explanation, Motive, Site, Transcript, Verdict
from audit.stages.deciding import deciding_scanner
from audit.stages.names import (
    BASELINES,
    BASELINES_TABLE,
    COHERENCE,
    COHERENCE_TABLE,
    EVIDENCE_TABLE,
    EXPLANATIONS,
    EXPLANATIONS_TABLE,
    FINDINGS_FILE,
    MOTIVES,
    MOTIVES_TABLE,
    SITES_TABLE,
    TRANSCRIPTS_TABLE,
    VERDICTS,
    VERDICTS_TABLE,
)
from audit.stages.resources import Resources


def find(context: Context, resources: Resources) -> Outcome:
    """Writes ``findings.json``."""
    store, config = context.store, context.config
    explained = context.stages[EXPLANATIONS]["facts"]
    scanners = context.stages[VERDICTS]["facts"]["scanners"]
    notes = [note for entry in context.stages.values() for note in entry["notes"]]
    tables = Tables(
        transcripts=lambda: store.read_table(TRANSCRIPTS_TABLE, Transcript),
        sites=lambda: store.read_table(SITES_TABLE, Site),
        explanations=lambda: store.read_table(EXPLANATIONS_TABLE, Explanation),
        verdicts=lambda: store.read_table(VERDICTS_TABLE, Verdict),
        motives=lambda: store.read_table(MOTIVES_TABLE, Motive),
        baselines=lambda: store.read_table(BASELINES_TABLE, BaselineScore),
        evidence=lambda: store.read_table(EVIDENCE_TABLE, Evidence),
        coherence=lambda: store.read_table(COHERENCE_TABLE, Coherence) if COHERENCE in context.stages else iter(()),
    )
    about = About(
        created=context.created,
        target=_target(context),
        nla=explained.get("nla"),
        scanners=scanners,
        awareness=deciding_scanner(config, scanners),
        false_positive_rate=config.false_positive_rate,
        seed=config.seed,
        baseline_variance=explained.get("baseline_variance"),
        failures=total_failures(context.stages.values()),
        limits=[*notes, *_missing(resources)],
        decode=resources.decode if resources.tokenizer is not None else None,
        grader=context.stages[VERDICTS]["facts"]["grader"],
        graded=context.stages[VERDICTS]["facts"]["graded"],
        motives=context.stages[MOTIVES]["facts"],
        baselines=context.stages[BASELINES]["facts"],
    )
    found = make_findings(tables, about)
    store.write_json(FINDINGS_FILE, found)
    return Outcome(counts={"findings": len(found["findings"])})


def _target(context: Context) -> dict[str, Any]:
    """What the stages that loaded the target say of it; where none did, its name."""
    described = {"name": context.config.target}
    for entry in context.stages.values():
        described |= entry["facts"].get("target", {})
    return described


def _missing(resources: Resources) -> list[str]:
    config = resources.config
    if config.nla_name is not None:
        return []
    if config.is_api:
        return [
            "The target can only be talked to, so no activation could be read: behaviour and verbalised awareness only. "
            "Open weights of the same model and an NLA for them (--target FOLDER --nla FOLDER) would supply the rest."
        ]
    return [
        "No NLA was given for this target: behaviour and verbalised awareness only. Name one with --nla (a released pair, or one "
        "that you trained) to read its activations."
    ]
