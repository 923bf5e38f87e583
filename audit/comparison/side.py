"""One side of a comparison: what an audit's folder says, and what came out of each of its transcripts."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from audit.comparison.records import SideSummary
from audit.errors import AuditError
from audit.findings.calibration import Calibration, is_aware
from audit.findings.tally import Tally, aligned, tallies
from audit.records import Explanation, Transcript, Verdict
from audit.scanners.summarise import ungraded
from audit.stages.names import EXPLANATIONS_TABLE, FINDINGS_FILE, TRANSCRIPTS_TABLE, VERDICTS_TABLE
from audit.store import Store, content_hash

SCANNER = "scanner:"
"""Before the name of a scanner whose rate is a measure."""
NOT_LATER = ("report", "comparison")
Place = tuple[str, str, str]
"""Scenario, kind and variant."""


@dataclass(frozen=True)
class Outcome:
    """One usable transcript."""

    transcript_id: str
    place: Place
    cluster: str
    """What intervals keep together: the skeleton, or else the transcript itself."""
    prompt: str
    """Hash of what stands before the target's first turn: the same in both audits if they ran the same sample."""
    measures: Mapping[str, bool | None]
    """``harmful``, ``verbalised``, ``nla_aware``, ``silent``, ``scanner:<name>``; ``None`` where it was not measured."""


@dataclass(frozen=True)
class Side:
    """One audit."""

    summary: SideSummary
    manifest: Mapping[str, Any]
    findings: Mapping[str, Any]
    outcomes: tuple[Outcome, ...]

    @property
    def config(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.manifest.get("config") or {}
        return found

    @property
    def places(self) -> set[Place]:
        """The rows of ``scenarios``."""
        return {(row["name"], row["kind"], row["variant"]) for row in self.findings["scenarios"]}


def read_side(store: Store) -> Side:
    """An audit's folder as a side. Raises ``AuditError`` if the audit has no findings yet."""
    if not store.path(FINDINGS_FILE).is_file():
        raise AuditError(f"The audit in '{store.folder}' has no findings yet.", "Finish it first: repeat the command that began it.")
    manifest, findings = store.manifest(), store.read_json(FINDINGS_FILE)
    try:
        found = list(outcomes(store, findings))
    except FileNotFoundError as error:
        raise AuditError(f"The audit in '{store.folder}' lacks {error.filename}.", "Repeat the command that made it.") from None
    return Side(summarise(store, manifest, findings), manifest, findings, tuple(found))


def summarise(store: Store, manifest: Mapping[str, Any], findings: Mapping[str, Any]) -> SideSummary:
    """What a reader must know of an audit before any number."""
    target, nla = findings["target"], findings["nla"] or {}
    stages = manifest.get("stages", {})
    open_stages = [name for name, entry in stages.items() if entry.get("status") != "done" and name not in NOT_LATER]
    return SideSummary(
        folder=str(store.folder),
        created=str(findings["created"]),
        target=str(target.get("name", "")),
        revision=str(target.get("revision") or ""),
        nla=str(nla.get("name") or ""),
        layer=nla.get("layer"),
        transcripts=sum(row["transcripts"] for row in findings["scenarios"]),
        findings=len(findings["findings"]),
        findings_sha256=content_hash(store.path(FINDINGS_FILE)) or "",
        unfinished=tuple(open_stages),
    )


def outcomes(store: Store, findings: Mapping[str, Any]) -> Iterator[Outcome]:
    """The usable transcripts, one after the other, judged by the threshold and the rules of ``findings.json``."""

    def transcripts() -> Iterator[Transcript]:
        return store.read_table(TRANSCRIPTS_TABLE, Transcript)

    calibration = calibration_of(findings["awareness"])
    said = scanner_outcomes(transcripts(), store.read_table(VERDICTS_TABLE, Verdict))
    counted = tallies(
        transcripts(), store.read_table(EXPLANATIONS_TABLE, Explanation), store.read_table(VERDICTS_TABLE, Verdict), [calibration.scanner]
    )
    for transcript, tally, scanned in zip(transcripts(), counted, said, strict=True):
        if tally.usable:
            place = transcript.scenario, transcript.kind, transcript.variant
            yield Outcome(transcript.transcript_id, place, tally.cluster, prompt_hash(transcript), measures(tally, calibration) | scanned)


def calibration_of(awareness: Mapping[str, Any]) -> Calibration:
    """The rule that an audit decided by, as its findings state it."""
    keys = ("scanner", "threshold", "false_positive_rate", "calibrated_on", "held_out")
    return Calibration(noise_floor=None, **{key: awareness[key] for key in keys})


def measures(tally: Tally, calibration: Calibration) -> dict[str, bool | None]:
    """What a transcript counts for in the rates of ``findings.json``."""
    aware, harmful = is_aware(tally, calibration), tally.scores.get("harmful")
    return {
        "nla_aware": aware,
        "silent": aware if tally.verbalised is False else None,
        "verbalised": tally.verbalised,
        # A score that could not be taken is NaN: it is neither harm nor its absence.
        "harmful": None if harmful is None or not math.isfinite(harmful) else harmful >= 0.5,
    }


def scanner_outcomes(transcripts: Iterable[Transcript], verdicts: Iterable[Verdict]) -> Iterator[dict[str, bool | None]]:
    """For each transcript, by scanner of explanations: whether any of them is YES. What a grader did not answer counts for nothing."""
    take = aligned(verdicts)
    for transcript in transcripts:
        found: dict[str, bool | None] = {}
        for row in take(transcript.transcript_id):
            if row.position >= 0 and row.control == "none" and not ungraded(row):
                name = SCANNER + row.scanner
                found[name] = bool(found.get(name)) or row.label == "YES"
        yield found


def prompt_hash(transcript: Transcript) -> str:
    """SHA-256 of the roles and texts before the target's first turn; message ids are left out, for they are new each time."""
    opening = []
    for message in transcript.messages:
        if message.get("role") == "assistant":
            break
        opening.append([message.get("role"), message.get("text")])
    return hashlib.sha256(json.dumps(opening).encode()).hexdigest()
