"""From what was gathered and read to rows of evidence: recurrence, ablation, context and fit of each examined verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from audit.evidence.ablation import Ablatable, Ablated, Reconstruct, Vectors, ablate
from audit.evidence.claims import bearing, claim_kind, split_claims
from audit.evidence.context import Surroundings, check_claim
from audit.evidence.gather import Gathered, Place, Subject, neighbours_of
from audit.evidence.recurrence import says_the_same
from audit.evidence.rivals import ReadRival, fit, fits_better, rivals_of
from audit.records import ClaimEvidence, Evidence, Neighbour

Decode = Callable[[Sequence[int]], str]
AFTER = 60
"""Tokens behind an examined one that claims about words to come are held against."""


def evidence_of(
    found: Gathered,
    vectors: Mapping[Place, Vectors],
    read: Mapping[Place, Neighbour],
    reconstruct: Reconstruct,
    decode: Decode,
) -> list[Evidence]:
    """One row for each subject, in order. ``vectors`` holds the activations ``[d]`` of ``found.places``, ``read`` the neighbours."""
    if not found.subjects:
        return []
    rivals, mean = _read_rivals(found, vectors, reconstruct)
    own = [rivals_of(subject.transcript.transcript_id, subject.transcript.scenario, rivals) for subject in found.subjects]
    items = [_ablatable(subject, vectors[subject.place], theirs) for subject, theirs in zip(found.subjects, own, strict=True)]
    return [
        _row(subject, item, ablated, theirs, mean, neighbours_of(subject, read), surroundings(subject, decode))
        for subject, item, ablated, theirs in zip(found.subjects, items, ablate(items, reconstruct), own, strict=True)
    ]


def surroundings(subject: Subject, decode: Decode) -> Surroundings:
    """The transcript up to a subject's token, and what follows it."""
    call = next(call for call in subject.transcript.calls if call.index == subject.verdict.call_index)
    ids, end = call.prompt_ids + call.output_ids, subject.verdict.position + 1
    return Surroundings(decode(ids[:end]), decode(ids[end : end + AFTER]))


def _read_rivals(found: Gathered, vectors: Mapping[Place, Vectors], reconstruct: Reconstruct) -> tuple[list[ReadRival], Vectors | None]:
    texts = [rival.explanation.text for rival in found.rivals] + ([found.mean] if found.mean is not None else [])
    made = list(reconstruct(texts)) if texts else []
    places = [(row.transcript_id, row.call_index, row.position) for row in (rival.explanation for rival in found.rivals)]
    rivals = [ReadRival(rival, vectors[at], own) for rival, at, own in zip(found.rivals, places, made, strict=False)]
    return rivals, made[-1] if found.mean is not None else None


def _ablatable(subject: Subject, vector: Vectors, rivals: Sequence[ReadRival]) -> Ablatable:
    claims = split_claims(subject.explanation)
    others = np.stack([row.vector for row in rivals]) if rivals else np.zeros((0, len(vector)), dtype=np.float32)
    told = bearing(claims, subject.explanation, subject.verdict.quote)
    return Ablatable(subject.explanation, tuple(claims), tuple(told), vector, others)


def _row(
    subject: Subject,
    item: Ablatable,
    ablated: Ablated,
    rivals: Sequence[ReadRival],
    mean: Vectors | None,
    neighbours: tuple[Neighbour, ...],
    around: Surroundings,
) -> Evidence:
    verdict, together = subject.verdict, ablated.bearing
    return Evidence(
        transcript_id=verdict.transcript_id,
        call_index=verdict.call_index,
        position=verdict.position,
        sample=verdict.sample,
        scanner=verdict.scanner,
        quote=verdict.quote,
        neighbours=neighbours,
        claims=_claims(item, ablated, neighbours, around),
        error_change=together.error if together else None,
        control_change=together.control if together else None,
        fit=fit(item.vector, ablated.made, rivals),
        fits_mean=fits_better(item.vector, ablated.made, mean),
    )


def _claims(item: Ablatable, ablated: Ablated, neighbours: Sequence[Neighbour], around: Surroundings) -> tuple[ClaimEvidence, ...]:
    found = []
    for claim, change in zip(item.claims, ablated.claims, strict=True):
        check, bears = check_claim(claim.text, around), claim in item.bearing
        # Whether a neighbour says the verdict's claim is for the scanner to tell, which knows its wordings.
        agreeing = [row.label == "YES" if bears else says_the_same(claim.text, row.text) for row in neighbours]
        found.append(
            ClaimEvidence(
                claim.text, claim_kind(claim.text), bears, sum(agreeing), change.error if change else None,
                change.control if change else None, check.status, check.reason,
            )
        )  # fmt: skip
    return tuple(found)
