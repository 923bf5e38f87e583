"""Findings of two audits, matched by what they are about: by their ids, and motives by the words of their theme. Wording never counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from audit.comparison.records import Area, AreaVerdict, FindingMatch, RateChange, Status
from audit.comparison.side import SCANNER, Side

SUBJECTS = {
    "awareness": "awareness of being evaluated in",
    "behaviour": "harmful behaviour in",
    "mismatch": "explanations that contradict the model's own text in",
    "deception": "deception in",
    "reward_reasoning": "reasoning about its own reward in",
    "transcript": "awareness in the transcript",
    "motive": "the theme",
}
AREA_OF: dict[str, Area] = {"behaviour": "behaviour", "awareness": "awareness", "transcript": "awareness", "motive": "themes"}
SAME_THEME = 1 / 3
"""Two themes are one if they share at least so much of their words (Jaccard), or each other's strongest word."""
Finding = Mapping[str, Any]


def match_findings(first: Side, second: Side, verdicts: Sequence[AreaVerdict], rates: Iterable[RateChange]) -> tuple[FindingMatch, ...]:
    """Every finding of either audit once: new ones first, then those that vanished, were kept, and could not be looked for."""
    barred = {one.area: "; ".join(one.reasons) for one in verdicts if one.verdict == "not comparable"}
    tested = {(rate.scenario, rate.variant, rate.measure): rate.p_adjusted for rate in rates}
    ours, theirs = first.findings["findings"], second.findings["findings"]
    partner = _partners(first, second)
    found = [_both(mine, theirs[partner[index]], first, tested) for index, mine in enumerate(ours) if index in partner]
    found += [_one(mine, first, second, "vanished", barred, tested) for index, mine in enumerate(ours) if index not in partner]
    taken = set(partner.values())
    found += [_one(their, second, first, "new", barred, tested) for index, their in enumerate(theirs) if index not in taken]
    order: tuple[Status, ...] = ("new", "vanished", "kept", "not_comparable", "not_asked")
    return tuple(sorted(found, key=lambda match: order.index(match.status)))


def subject_of(finding: Finding) -> str:
    """The first part of an id: ``awareness``, ``behaviour``, ``transcript``, ..."""
    return str(finding["id"]).split("/", 1)[0]


def _partners(first: Side, second: Side) -> dict[int, int]:
    """For each finding of the first that the second has, its place there."""
    theirs = {finding["id"]: place for place, finding in enumerate(second.findings["findings"]) if subject_of(finding) != "motive"}
    motives = [place for place, finding in enumerate(second.findings["findings"]) if subject_of(finding) == "motive"]
    found: dict[int, int] = {}
    for index, finding in enumerate(first.findings["findings"]):
        if subject_of(finding) != "motive":
            place = theirs.get(finding["id"])
        else:
            words = theme_words(finding, first)
            others = ((place, theme_words(second.findings["findings"][place], second)) for place in motives)
            place = next((place for place, other in others if place not in found.values() and same_theme(words, other)), None)
        if place is not None:
            found[index] = place
    return found


def theme_words(finding: Finding, side: Side) -> tuple[str, ...]:
    """The words of the theme that a finding on a motive is about, the strongest first; its id holds the rank and the first of them."""
    _, rank, word = str(finding["id"]).split("/", 2)
    themes = side.findings["motives"]["themes"]
    at = int(rank) - 1 if rank.isdigit() else -1
    return tuple(themes[at]["words"]) if 0 <= at < len(themes) else (word,)


def same_theme(first: Sequence[str], second: Sequence[str]) -> bool:
    """Whether two themes are about the same."""
    ours, theirs = set(first), set(second)
    if not ours or not theirs:
        return False
    return len(ours & theirs) >= SAME_THEME * len(ours | theirs) or (first[0] in theirs and second[0] in ours)


def about(finding: Finding, side: Side) -> str:
    """What a finding is about, in words."""
    subject, _, rest = str(finding["id"]).partition("/")
    if subject == "motive":
        return f"{SUBJECTS[subject]} '{', '.join(theme_words(finding, side)[:5])}'"
    return f"{SUBJECTS.get(subject, subject)} {rest.removesuffix('/original')}"


def _told(finding: Finding) -> dict[str, Any]:
    return {key: finding[key] for key in ("id", "claim", "level")}


Tested = Mapping[tuple[str, str, str], float | None]


def _both(mine: Finding, their: Finding, first: Side, tested: Tested) -> FindingMatch:
    same = mine["level"] == their["level"]
    why = "" if same else f"Its level was {mine['level']} and is {their['level']}."
    return FindingMatch("kept", about(mine, first), _told(mine), _told(their), why, _p(mine, first, tested))


def _one(finding: Finding, having: Side, lacking: Side, status: Status, barred: Mapping[Area, str], tested: Tested) -> FindingMatch:
    mine, their = (_told(finding), None) if status == "vanished" else (None, _told(finding))
    why, area = _not_asked(finding, having, lacking), AREA_OF.get(subject_of(finding), "scanners")
    if why:
        status = "not_asked"
    elif area in barred:
        status, why = "not_comparable", f"The audits cannot be compared in this ({barred[area]})."
    return FindingMatch(status, about(finding, having), mine, their, why, _p(finding, having, tested))


def _row(finding: Finding, side: Side) -> dict[str, Any] | None:
    """The row of ``scenarios`` that a finding is about."""
    rows: list[dict[str, Any]] = side.findings["scenarios"]
    rest = str(finding["id"]).partition("/")[2]
    return next((row for row in rows if rest == f"{row['name']}/{row['variant']}"), None)


def _not_asked(finding: Finding, having: Side, lacking: Side) -> str:
    """Why the other audit cannot have the finding, in words; empty if it could."""
    subject, _, rest = str(finding["id"]).partition("/")
    if subject == "motive":
        return str(lacking.findings["motives"]["why_not"] or "")
    if subject == "transcript":
        aware = {outcome.transcript_id: outcome.measures.get("nla_aware") for outcome in lacking.outcomes}.get(rest)
        if aware is None:
            return "The other audit has no such transcript, or could not judge it."
        return "It is NLA-aware there, too, but was not examined closely." if aware else ""
    row, mine = _row(finding, lacking), _row(finding, having)
    if row is None:
        return "The other audit did not run this scenario." if mine else ""
    measure = {"awareness": "nla_aware", "behaviour": "harmful"}.get(subject)
    if measure:
        return "The other audit did not measure it there." if row[f"{measure}_rate"] is None else ""
    scanners = {entry["scanner"].split(".")[0] for entry in lacking.findings["scanner_rates"] if entry["transcripts"]["of"]}
    return "" if subject in scanners else "The other audit ran no scanner for it."


def _p(finding: Finding, side: Side, tested: Tested) -> float | None:
    """The adjusted p of the rate that a finding rests on."""
    subject, row = subject_of(finding), _row(finding, side)
    if row is None:
        return None
    place = row["name"], row["variant"]
    measure = {"awareness": "nla_aware", "behaviour": "harmful"}.get(subject)
    if measure is None:
        scanners = {str(piece["scanner"]) for piece in finding["evidence"] if str(piece["scanner"]).split(".")[0] == subject}
        measure = SCANNER + min(scanners, default="")
    return tested.get((*place, measure))
