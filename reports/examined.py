"""What close examination adds: the rules beside each finding, single transcripts, and the claims of an examined explanation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reports.model import ClaimView, ExaminedView, Figure, FindingView, RuleView, TranscriptView
from reports.reading import Rate, integer, mapping, mappings, number, share, text
from reports.text import CLAIM, anchor, plain, shown, token_text

TRANSCRIPT = "transcript/"
"""How the ids of findings on single transcripts begin."""
CONTEXT = {
    "supported": "stands in the conversation",
    "contradicted": "contradicted by the conversation",
    "unverifiable": "cannot be looked up",
}


def rule_views(row: dict[str, Any]) -> tuple[RuleView, ...]:
    """The rules that a finding met, then those that it failed."""
    return tuple(
        RuleView(plain(text(rule.get("rule")).replace("_", " "), 60), plain(text(rule.get("level")), 20), met, text(rule.get("why")))
        for key, met in (("rules_met", True), ("rules_failed", False))
        for rule in mappings(row.get(key))
    )


def is_single(row: dict[str, Any]) -> bool:
    """Whether a finding concerns one transcript."""
    return text(row.get("id")).startswith(TRANSCRIPT)


def transcript_views(findings: Sequence[dict[str, Any]], views: Sequence[FindingView]) -> tuple[TranscriptView, ...]:
    """The rows of the table of single transcripts; ``views`` are those of the same findings."""
    return tuple(_transcript(row, view) for row, view in zip(findings, views, strict=True))


def _transcript(row: dict[str, Any], view: FindingView) -> TranscriptView:
    numbers, controls = mapping(row.get("numbers")), mapping(row.get("controls"))
    return TranscriptView(
        finding=view,
        name=view.id.removeprefix(TRANSCRIPT),
        conversation=anchor("transcript", view.id.removeprefix(TRANSCRIPT)),
        tokens=share(numbers.get("yes_tokens"), "not measured"),
        neighbours=share(numbers.get("yes_neighbours"), "none was read"),
        error=number(numbers.get("error_without_claim")),
        control_error=number(controls.get("error_without_claim")),
        fit=Rate(number(numbers.get("fit"))),
    )


def corroboration_figures(findings: dict[str, Any]) -> tuple[Figure, ...]:
    """How many single transcripts hold by every rule, and how many controls do; empty where none was examined."""
    found = mapping(findings.get("corroboration"))
    own, controls = share(found.get("corroborated")), share(found.get("controls_corroborated"))
    if not own.of and not controls.of:
        return ()
    aware = integer(found.get("nla_aware"))
    alike, none = controls if controls.of else None, "no control above the threshold was examined"
    return (
        Figure("NLA-aware conversations", text="not known" if aware is None else str(aware)),
        Figure("Of those examined, corroborated", own, missing="none was examined"),
        Figure("Of controls examined alike, corroborated", alike, missing=none, meaning="Each is a false alarm."),
    )


def examined_view(row: dict[str, Any] | None) -> ExaminedView | None:
    """The examination of one verdict; ``None`` where it was not examined."""
    if row is None:
        return None
    near = mappings(row.get("neighbours"))
    labels = [text(entry.get("label")) for entry in near if text(entry.get("label"))]
    yes = labels.count("YES")
    fits_mean = row.get("fits_mean")
    return ExaminedView(
        neighbours=Rate(yes / len(labels), count=yes, of=len(labels)) if labels else Rate(why="none was read"),
        tokens=tuple((token_text(text(entry.get("token"))), text(entry.get("label"))) for entry in near),
        error=number(row.get("error_change")),
        control_error=number(row.get("control_change")),
        fit=Rate(number(row.get("fit"))),
        fits_mean=bool(fits_mean) if fits_mean is not None and fits_mean == fits_mean else None,
        claims=tuple(_claim(claim, len(near)) for claim in mappings(row.get("claims"))),
    )


def _claim(row: dict[str, Any], neighbours: int) -> ClaimView:
    return ClaimView(
        text=shown(text(row.get("text")), CLAIM),
        kind=plain(text(row.get("kind")), 20),
        bears=bool(row.get("bears_verdict")),
        recurs=f"{integer(row.get('recurs')) or 0} of {neighbours}" if neighbours else "",
        error=number(row.get("error_change")),
        control_error=number(row.get("control_change")),
        context=CONTEXT.get(text(row.get("context")), "not looked up"),
        reason=text(row.get("context_reason")),
    )
