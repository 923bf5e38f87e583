"""From ``comparison.json`` to what its page shows: what can be compared, what rose and fell, which findings are new, which themes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from reports.model import MotiveView
from reports.reading import Rate, integer, interval, mapping, mappings, number, share, text, texts
from reports.scanned import quote_view
from reports.text import one_of

THEMES = 10
MEASURES = {
    "nla_aware": "NLA-aware",
    "silent": "NLA-aware among the silent",
    "verbalised": "said aloud",
    "harmful": "harmful",
}
SCANNER = "scanner:"
AREAS = {
    "behaviour": "What the models did",
    "verbalised": "What they said aloud of being evaluated",
    "awareness": "NLA-aware conversations",
    "scanners": "What rules find in explanations",
    "graded": "What a grader finds in explanations",
    "themes": "Themes of the explanations",
}
STATUSES = {
    "new": ("New in B", "Found in B; A could have found them and did not."),
    "vanished": ("Vanished in B", "Found in A; B could have found them and did not."),
    "kept": ("In both", ""),
    "not_comparable": ("Not comparable", "Found in one audit only, and the audits differ in what they could find."),
    "not_asked": ("Not asked in both", "Found in one audit only; the other did not look there."),
}
DIRECTIONS = {"rose": "rose", "fell": "fell", "unclear": "no clear change", "none": "not compared"}
TESTS = {"mcnemar": "McNemar", "fisher": "Fisher"}


@dataclass(frozen=True)
class SideView:
    """One of the two audits."""

    letter: str
    target: str
    facts: tuple[tuple[str, str], ...]
    unfinished: tuple[str, ...]


@dataclass(frozen=True)
class RateRow:
    """One rate in both audits."""

    scenario: str
    variant: str
    kind: str
    measure: str
    """As the file names it."""
    label: str
    first: Rate
    second: Rate
    change: Rate
    direction: str
    p: float | None
    tested: str
    """By which test, and on what."""

    @property
    def place(self) -> str:
        return self.scenario if self.variant == "original" else f"{self.scenario} ({self.variant})"


@dataclass(frozen=True)
class MatchRow:
    """A finding of either audit."""

    about: str
    first: tuple[str, str]
    """Claim and level; empty where that audit has none."""
    second: tuple[str, str]
    why: str
    p: float | None


@dataclass(frozen=True)
class ComparisonView:
    """The whole page."""

    tone: str
    headline: str
    sides: tuple[SideView, SideView]
    notes: tuple[str, ...]
    verdicts: tuple[tuple[str, str, tuple[str, ...]], ...]
    settings: tuple[tuple[str, str, str, str, str], ...]
    """Aspect, A, B, what it does, meaning."""
    main: tuple[RateRow, ...]
    scanners: tuple[RateRow, ...]
    only: tuple[tuple[str, str], ...]
    """Scenarios of one audit only, with its letter."""
    findings: tuple[tuple[str, str, tuple[MatchRow, ...]], ...]
    """Heading, meaning and rows."""
    themes: tuple[tuple[str, tuple[MotiveView, ...]], ...]
    themes_missing: str


def comparison_view(found: dict[str, Any]) -> ComparisonView:
    """The content of ``comparison.json`` as plain data."""
    rows = [_rate(row) for row in mappings(found.get("rates"))]
    themes = mapping(found.get("themes"))
    tone, headline = _headline(rows, mappings(found.get("findings")))
    return ComparisonView(
        tone=tone,
        headline=headline,
        sides=(_side("A", mapping(found.get("first"))), _side("B", mapping(found.get("second")))),
        notes=tuple(texts(found.get("notes"))),
        verdicts=tuple(_verdict(row) for row in mappings(found.get("verdicts"))),
        settings=tuple(_setting(row) for row in mappings(found.get("settings"))),
        main=tuple(row for row in rows if not row.measure.startswith(SCANNER)),
        scanners=tuple(row for row in rows if row.measure.startswith(SCANNER)),
        only=tuple((name, letter) for letter, key in (("A", "only_first"), ("B", "only_second")) for name in texts(found.get(key))),
        findings=_findings(mappings(found.get("findings"))),
        themes=tuple(
            (letter, tuple(_theme(row) for row in mappings(themes.get(key))[:THEMES]))
            for letter, key in (("B", "more_in_second"), ("A", "more_in_first"))
        ),
        themes_missing=text(themes.get("why_not")),
    )


def _headline(rows: Sequence[RateRow], findings: Sequence[dict[str, Any]]) -> tuple[str, str]:
    tested = [row for row in rows if row.change.known]
    moved = {word: sum(row.direction == word for row in tested) for word in ("rose", "fell")}
    if not tested:
        return "unknown", "No rate of these two audits can be compared."
    changed = {word: sum(text(row.get("status")) == word for row in findings) for word in ("new", "vanished")}
    said = f"; new findings: {changed['new'] or 'none'}, vanished: {changed['vanished'] or 'none'}"
    if not any(moved.values()):
        return "calm", f"No rate clearly rose or fell from A to B ({len(tested)} compared){said}."
    parts = [f"{count} {word}" for word, count in moved.items() if count]
    return "alert", f"Of {len(tested)} rates compared, {one_of(parts)} clearly from A to B{said}."


def _side(letter: str, side: dict[str, Any]) -> SideView:
    layer, count = integer(side.get("layer")), integer(side.get("transcripts"))
    facts = (
        ("Target", text(side.get("target"))),
        ("Revision", text(side.get("revision"))),
        ("NLA", text(side.get("nla")) or "none"),
        ("Layer", "" if layer is None else str(layer)),
        ("Conversations", "" if count is None else f"{count:,}"),
        ("Begun", text(side.get("created"))),
        ("Folder", text(side.get("folder"))),
        ("SHA-256 of findings.json", text(side.get("findings_sha256"))),
    )
    named = tuple((name, value or "not known") for name, value in facts)
    return SideView(letter, text(side.get("target")) or "unnamed model", named, tuple(texts(side.get("unfinished"))))


def _verdict(row: dict[str, Any]) -> tuple[str, str, tuple[str, ...]]:
    area = text(row.get("area"))
    return AREAS.get(area, area), text(row.get("verdict")), tuple(texts(row.get("reasons")))


def _setting(row: dict[str, Any]) -> tuple[str, str, str, str, str]:
    effects = {text(effect) for effect in mapping(row.get("effects")).values()}
    worst = next((name for name in ("incomparable", "caution", "subject") if name in effects), "note")
    words = {"incomparable": "not comparable", "caution": "care", "subject": "the subject", "note": "harmless"}
    return text(row.get("aspect")), text(row.get("first")), text(row.get("second")), words[worst], text(row.get("meaning"))


def _rate(row: dict[str, Any]) -> RateRow:
    why = text(row.get("why_not")) or "not compared"
    measure, pairs = text(row.get("measure")), integer(row.get("pairs")) or 0
    tested = TESTS.get(text(row.get("test")), "")
    if tested == "McNemar":
        tested += f", {pairs} pairs: {integer(row.get('only_first')) or 0} in A only, {integer(row.get('only_second')) or 0} in B only"
    return RateRow(
        scenario=text(row.get("scenario")) or "(no name)",
        variant=text(row.get("variant")) or "original",
        kind=text(row.get("kind")) or "unknown",
        measure=measure,
        label=MEASURES.get(measure) or measure.removeprefix(SCANNER),
        first=share(row.get("first")),
        second=share(row.get("second")),
        change=Rate(number(row.get("difference")), *interval(row.get("ci")), None, None, why, *interval(row.get("cluster_ci"))),
        direction=DIRECTIONS.get(text(row.get("direction")), "not compared"),
        p=number(row.get("p_adjusted")),
        tested=tested,
    )


def _findings(rows: Sequence[dict[str, Any]]) -> tuple[tuple[str, str, tuple[MatchRow, ...]], ...]:
    groups = []
    for status, (heading, meaning) in STATUSES.items():
        mine = tuple(_match(row) for row in rows if text(row.get("status")) == status)
        if mine or status in ("new", "vanished"):
            groups.append((heading, meaning, mine))
    return tuple(groups)


def _match(row: dict[str, Any]) -> MatchRow:
    def told(key: str) -> tuple[str, str]:
        side = mapping(row.get(key))
        return text(side.get("claim")), text(side.get("level"))

    return MatchRow(text(row.get("about")), told("first"), told("second"), text(row.get("why")), number(row.get("p_adjusted")))


def _theme(row: dict[str, Any]) -> MotiveView:
    def carried(count: str, total: str, ends: str = "") -> Rate:
        part, whole = integer(row.get(count)), integer(row.get(total))
        if part is None or not whole:
            return Rate(why="not counted")
        low, high = interval(row.get(ends)) if ends else (None, None)
        return Rate(part / whole, low, high, part, whole)

    return MotiveView(
        theme=text(row.get("theme")) or "(no words)",
        words=tuple(texts(row.get("words"))[:12]),
        z=number(row.get("z")), log_odds=number(row.get("log_odds")), p=number(row.get("p")),
        transcripts=carried("transcripts", "transcripts_of", "transcripts_ci"),
        reference=carried("reference_transcripts", "reference_of"),
        said=Rate(why="not asked"),
        explanations=carried("explanations", "explanations_of"),
        quotes=tuple(quote_view(quote, text(quote.get("text")), linked=False) for quote in mappings(row.get("quotes"))),
    )  # fmt: skip
