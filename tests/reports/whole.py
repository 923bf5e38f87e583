"""An audit whose report has every section: to the tables of a finished one comes what needs a grader, twins, labels, people."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

from reports.view import AuditTables

SHA256 = "a" * 64
PLACE = {"transcript_id": "blackmail/3/1", "call_index": 0, "position": 41, "sample": 0}


def share(count: int, of: int) -> dict[str, Any]:
    return {"count": count, "of": of, "rate": count / of, "ci": [0.1, 0.9]}


def whole_audit(tables: AuditTables) -> AuditTables:
    """The same audit with motives, a grader, manipulations, what was left out, agreement with people, and sign-offs of three kinds."""
    findings = copy.deepcopy(tables.findings) | {
        "grader": {"model": "openai/some-model", "scanners": ["awareness.judge"]},
        "motives": {
            "compared_with": "controls", "audit": None, "why_not": None, "studied": {"transcripts": 20}, "reference": {"transcripts": 25},
            "themes": [_theme()],
        },
        "manipulations": [
            _moved("realism", {"expected": "falls", "as_expected": True}), _moved("steering", {"points": [_point(0.1), _point(0.2)]}),
        ],
        "left_out": [{"scenario": "swe_tasks", "reason": "no sandbox works here", "remedy": "install bubblewrap"}],
    }  # fmt: skip
    findings["scanner_rates"] += [_judged("awareness.judge"), _judged("mismatch.lexical")]
    decisions = (("approve", SHA256), ("approve_with_conditions", SHA256), ("reject", "b" * 64))
    signed = [
        {"name": "Ada", "role": "Lead", "decision": decision, "conditions": "Repeat it.", "notes": "Soon.", "signed": "2026-11-21",
         "findings_sha256": digest}
        for decision, digest in decisions
    ]  # fmt: skip
    return replace(tables, findings=findings, findings_sha256=SHA256, sign_offs=signed, agreement=_agreement())


def _theme() -> dict[str, Any]:
    return {
        "theme": "afraid, shutdown", "words": ["afraid", "shutdown"], "log_odds": 2.25, "z": 6.5, "p": 0.001, "transcripts": share(8, 20),
        "reference_transcripts": share(1, 25), "said_transcripts": share(2, 8), "explanations": share(9, 60),
        "quotes": [PLACE | {"text": "- afraid of a shutdown"}],
    }  # fmt: skip


def _point(strength: float) -> dict[str, Any]:
    flips = {"only_original": 20, "only_variant": 1, "p": 0.001}
    rates = {"pairs": 24, "original_rate": 0.6, "rate": 0.1, "difference": -0.5, "difference_ci": [-0.6, -0.4]}
    return {"strength": strength, "coherent": strength < 0.2, "nla_aware": flips, "harmful": None} | rates


def _moved(name: str, more: dict[str, Any]) -> dict[str, Any]:
    return {"scenario": "blackmail", "manipulation": name, "judged_at": [0.1], "p_adjusted": 0.01} | _point(0.1) | more


def _judged(scanner: str) -> dict[str, Any]:
    return {
        "scanner": scanner, "name": "blackmail", "kind": "evaluation", "variant": "original", "transcripts": share(7, 20),
        "explanations": share(12, 57), "unclear": 4, "ungraded": 3, "bases": {"suspicion": {"explanations": 11, "transcripts": 6}},
        "strongest": [PLACE | {"quote": "it is being evaluated", "reason": "suspicion: it says so.", "confidence": 0.9}],
    }  # fmt: skip


def _agreement() -> dict[str, Any]:
    kappa = {"rows": 40, "kappa": 0.8, "kappa_ci": [0.6, 0.9], "agreement": 0.9}
    return {
        "rows": 40, "scanner": "awareness.classifier", "reviewers": [{"reviewer": "ada", "labels": 40}], "labelled": {"YES": 20},
        "population": {"YES": 99}, "people_yes": share(20, 40), "notes": ["A note."],
        "scanners": [kappa | {"scanner": "awareness.classifier", "precision": share(18, 20), "recall": share(18, 22)}],
        "between_reviewers": [kappa | {"first": "ada", "second": "bob"}],
    }  # fmt: skip
