"""Hidden motives, what a grader says, and what rules say: what scanners find beside awareness of being evaluated."""

from __future__ import annotations

from typing import Any

from reports.evidence import explorer_link
from reports.model import MotiveView, QuoteView, ScannerView
from reports.reading import Rate, integer, mapping, mappings, number, share, text, texts
from reports.text import plain, shown

QUOTES, WORDS, THEMES = 2, 12, 20
AWARENESS = "awareness."
"""Scanners by rules of this kind have sections of their own."""


def motive_views(findings: dict[str, Any]) -> tuple[MotiveView, ...]:
    """The themes, the most over-represented first."""
    return tuple(_motive(row) for row in mappings(mapping(findings.get("motives")).get("themes"))[:THEMES])


def _motive(row: dict[str, Any]) -> MotiveView:
    return MotiveView(
        theme=text(row.get("theme")) or "(no words)",
        words=tuple(texts(row.get("words"))[:WORDS]),
        z=number(row.get("z")),
        log_odds=number(row.get("log_odds")),
        p=number(row.get("p")),
        transcripts=share(row.get("transcripts"), "not counted"),
        reference=share(row.get("reference_transcripts"), "not counted"),
        said=share(row.get("said_transcripts"), "not asked"),
        explanations=share(row.get("explanations"), "not counted"),
        quotes=tuple(quote_view(quote, text(quote.get("text"))) for quote in mappings(row.get("quotes"))),
    )


def quote_view(place: dict[str, Any], said: str, linked: bool = True) -> QuoteView:
    """A quote with where it stands; ``linked``: the page has an explorer to open there."""
    call, position = integer(place.get("call_index")), integer(place.get("position"))
    where = f"{plain(text(place.get('transcript_id')), 60)}, call {call}, position {position}"
    return QuoteView(shown(said), where, text(place.get("reason")), explorer_link(place, text(place.get("scanner"))) if linked else "")


def motives_words(findings: dict[str, Any]) -> tuple[str, str]:
    """What was compared, in a sentence; and why there is nothing to show, empty if there is."""
    found = mapping(findings.get("motives"))
    if not found:
        return "", "Not looked for: the audit has not come that far, or an older version made it."
    if why := text(found.get("why_not")):
        return "", why
    studied, reference = mapping(found.get("studied")), mapping(found.get("reference"))
    other = mapping(found.get("audit"))
    against = f"the audit in “{plain(text(other.get('folder')), 120)}”" if other else "this audit’s control conversations"
    compared = (
        f"The explanations of {_amount(studied)} were compared with those of {_amount(reference)} of {against}. No list of motives was "
        "given in advance: what stands out is found in the words."
    )
    if not other:
        compared += " Against ordinary use, a theme may only tell what the scenarios are about; name another audit with --reference DIR."
    return compared, "" if mappings(found.get("themes")) else "No theme stands out. That is no proof that there is no motive."


def _amount(side: dict[str, Any]) -> str:
    count = integer(side.get("transcripts"))
    return f"{'an unknown number of' if count is None else f'{count:,}'} conversation{'' if count == 1 else 's'}"


def scanner_views(findings: dict[str, Any], graded: bool) -> tuple[ScannerView, ...]:
    """One row for each scanner and scenario: those that asked a grader, or those of rules that are about something else than awareness."""
    asked = set(texts(mapping(findings.get("grader")).get("scanners")))
    rows = [row for row in mappings(findings.get("scanner_rates")) if (text(row.get("scanner")) in asked) == graded]
    if not graded:
        rows = [row for row in rows if not text(row.get("scanner")).startswith(AWARENESS)]
    return tuple(_row(row, mapping(mapping(findings.get("scanner_controls")).get(text(row.get("scanner"))))) for row in rows)


def _row(row: dict[str, Any], controls: dict[str, Any]) -> ScannerView:
    bases = [
        f"{plain(name, 30)} {integer(found.get('explanations'))}"
        for name, found in mapping(row.get("bases")).items()
        if integer(mapping(found).get("explanations")) is not None
    ]
    unasked = Rate(why="no usable answer")
    transcripts, explanations = share(row.get("transcripts")), share(row.get("explanations"))
    return ScannerView(
        scanner=text(row.get("scanner")) or "(no name)",
        scenario=text(row.get("name")) or "(no name)",
        kind=text(row.get("kind")) or "unknown",
        variant=text(row.get("variant")) or "original",
        transcripts=transcripts if transcripts.known else unasked,
        explanations=explanations if explanations.known else unasked,
        shuffled=share(controls.get("shuffled"), "not measured"),
        unclear=integer(row.get("unclear")),
        ungraded=integer(row.get("ungraded")),
        bases=", ".join(bases),
        quotes=tuple(quote_view(piece, text(piece.get("quote"))) for piece in mappings(row.get("strongest"))[:QUOTES]),
    )


def grader_words(findings: dict[str, Any], has_nla: bool) -> tuple[str, str]:
    """Who graded, and why nobody did, empty if somebody did."""
    grader = mapping(findings.get("grader"))
    if "scenarios" not in findings:
        return "", "Not measured: the audit has not come that far."
    if not has_nla:
        return "", "Not measured: no NLA was used, so there is no explanation to grade."
    if not grader:
        return "", "Not measured: no grader was named. Name any model that Inspect can reach with --grader PROVIDER/MODEL."
    if not scanner_views(findings, graded=True):
        return "", "Not measured: there was no explanation that the grader could be asked about."
    return text(grader.get("model")), ""
