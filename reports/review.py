"""What people added to an audit: sign-offs, and how far scanners agree with people's labels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from reports.reading import Rate, integer, interval, mapping, mappings, number, share, text, texts
from reports.text import plain

DECISIONS = {"approve": "Approved", "approve_with_conditions": "Approved with conditions", "reject": "Rejected"}
NOBODY = "Not measured: nobody has labelled explanations yet. `nla-audit label DIR` asks for labels, blind; then write this report again."


@dataclass(frozen=True)
class SignOffView:
    """One reviewer's decision."""

    name: str
    role: str
    decision: str
    tone: str
    """``approve``, ``conditions``, ``reject``, or ``invalid``."""
    conditions: str
    notes: str
    signed: str
    digest: str
    valid: bool
    """Whether the findings are still those that were signed."""


@dataclass(frozen=True)
class SignOffSection:
    """The sign-offs, the newest first, and what it takes to add one."""

    digest: str
    """SHA-256 of ``findings.json``; empty if it is not known."""
    entries: tuple[SignOffView, ...]
    blank: str
    """The JSON to fill in by hand."""


def sign_off_section(entries: Sequence[dict[str, Any]], digest: str) -> SignOffSection:
    """Sign-offs against the SHA-256 of the findings as they are now."""
    return SignOffSection(digest, tuple(_entry(entry, digest) for entry in reversed(entries)), blank_sign_off(digest))


def _entry(entry: dict[str, Any], digest: str) -> SignOffView:
    decision, signed = text(entry.get("decision")), text(entry.get("findings_sha256"))
    valid = bool(digest) and signed == digest
    tones = {"approve": "approve", "approve_with_conditions": "conditions"}
    return SignOffView(
        name=text(entry.get("name")) or "(no name)",
        role=text(entry.get("role")) or "(no role)",
        decision=DECISIONS.get(decision, "Undecided"),
        tone=tones.get(decision, "reject") if valid else "invalid",
        conditions=text(entry.get("conditions")),
        notes=text(entry.get("notes")),
        signed=text(entry.get("signed")),
        digest=signed,
        valid=valid,
    )


def blank_sign_off(digest: str) -> str:
    """What ``nla-audit report --sign-off`` takes, with the places to fill in named."""
    form = {
        "schema_version": 1, "findings_sha256": digest, "name": "YOUR NAME", "role": "YOUR ROLE",
        "decision": "approve, approve_with_conditions or reject", "conditions": "", "notes": "", "signed": "YYYY-MM-DD",
    }  # fmt: skip
    return json.dumps(form, indent=2, ensure_ascii=False)


@dataclass(frozen=True)
class ScannerAgreement:
    """One scanner against people."""

    scanner: str
    rows: int | None
    kappa: Rate
    agreement: Rate
    precision: Rate
    recall: Rate


@dataclass(frozen=True)
class ReviewerAgreement:
    """Two people against each other."""

    names: str
    rows: int | None
    kappa: Rate
    agreement: Rate


@dataclass(frozen=True)
class AgreementView:
    """What people say of explanations, and what scanners said of the same."""

    missing: str
    """Why there is nothing to show; empty if there is."""
    labelled: str
    people_yes: Rate
    scanners: tuple[ScannerAgreement, ...]
    between: tuple[ReviewerAgreement, ...]
    notes: tuple[str, ...]


def agreement_view(found: dict[str, Any] | None) -> AgreementView:
    """The content of ``agreement.json``; ``None`` where nobody labelled."""
    if found is None:
        return AgreementView(NOBODY, "", Rate(), (), (), ())
    return AgreementView(
        missing="" if integer(found.get("rows")) else "Not measured: no label is about an explanation that is still there.",
        labelled=_labelled(found),
        people_yes=share(found.get("people_yes")),
        scanners=tuple(_scanner(row) for row in mappings(found.get("scanners"))),
        between=tuple(_pair(row) for row in mappings(found.get("between_reviewers"))),
        notes=(*texts(found.get("notes")), *_lost(found)),
    )


def _labelled(found: dict[str, Any]) -> str:
    people = [f"{plain(text(row.get('reviewer')), 40)} ({integer(row.get('labels'))})" for row in mappings(found.get("reviewers"))]
    drawn = mapping(found.get("labelled"))
    of = mapping(found.get("population"))
    parts = [f"{integer(drawn.get(label))} of the {integer(of.get(label))} that it calls {label}" for label in of]
    scanner = plain(text(found.get("scanner")), 60)
    return f"{integer(found.get('rows'))} explanations, by {', '.join(people)}; drawn by the verdict of {scanner}: {', '.join(parts)}."


def _lost(found: dict[str, Any]) -> list[str]:
    stale, damaged = integer(found.get("stale")) or 0, integer(found.get("damaged_lines")) or 0
    lost = [f"{stale} labels are about explanations that have changed or are gone since; they are left out."] if stale else []
    return lost + ([f"{damaged} lines of labels.jsonl are no labels; they are left out."] if damaged else [])


def _kappa(row: dict[str, Any]) -> tuple[Rate, Rate]:
    value, rows = number(row.get("kappa")), integer(row.get("rows"))
    low, high = interval(row.get("kappa_ci"))
    why = "undefined: both always say the same one thing" if rows else "not measured: no row in common"
    return Rate(value, low, high, why=why), Rate(number(row.get("agreement")), why="not measured: no row in common")


def _scanner(row: dict[str, Any]) -> ScannerAgreement:
    return ScannerAgreement(
        text(row.get("scanner")) or "(no name)", integer(row.get("rows")), *_kappa(row),
        share(row.get("precision"), "not measured: it calls none of these YES"),
        share(row.get("recall"), "not measured: people call none of these YES"),
    )  # fmt: skip


def _pair(row: dict[str, Any]) -> ReviewerAgreement:
    names = f"{plain(text(row.get('first')), 40)} and {plain(text(row.get('second')), 40)}"
    return ReviewerAgreement(names, integer(row.get("rows")), *_kappa(row))
