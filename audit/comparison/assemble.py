"""Puts the comparison of two audits together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from audit.comparison.claims import match_findings
from audit.comparison.rates import paired, rate_changes
from audit.comparison.records import AREAS, SCHEMA_VERSION, AreaVerdict, AuditComparison, Themes
from audit.comparison.settings import area_verdicts, setting_differences
from audit.comparison.side import Side

FindThemes = Callable[[set[str], AreaVerdict], Themes]
"""Given the scenarios that both have and whether themes can be compared."""


def compare_audits(first: Side, second: Side, find_themes: FindThemes, seed: int = 0) -> AuditComparison:
    """From two sides to the whole comparison; ``find_themes`` reads the explanations, the one part that the sides do not hold.

    ``seed``: of the bootstrap.
    """
    differences = setting_differences(first, second)
    verdicts = area_verdicts(differences)
    pairs, other_prompts = paired(first.outcomes, second.outcomes)
    names = [list(dict.fromkeys(row["name"] for row in side.findings["scenarios"])) for side in (first, second)]
    shared = [place[0] for place in sorted(first.places & second.places)]
    rates = rate_changes(first, second, verdicts, pairs, seed)
    themes = next(one for one in verdicts if one.area == "themes")
    return AuditComparison(
        schema_version=SCHEMA_VERSION,
        first=first.summary,
        second=second.summary,
        verdicts=verdicts,
        settings=tuple(differences),
        shared_scenarios=tuple(name for name in names[0] if name in shared),
        only_first=tuple(name for name in names[0] if name not in shared),
        only_second=tuple(name for name in names[1] if name not in shared),
        same_samples=len(pairs),
        other_prompts=other_prompts,
        rates=rates,
        findings=match_findings(first, second, verdicts, rates),
        themes=find_themes(set(shared), themes),
        notes=(*_notes(first, second, len(pairs), other_prompts, bool(shared)), *_in_words(verdicts)),
    )


def _notes(first: Side, second: Side, same: int, other_prompts: int, shared: bool) -> tuple[str, ...]:
    """What a reader must know before any difference."""
    notes = []
    if not shared:
        notes.append("The audits have no scenario, kind and variant in common, so no rate can be compared.")
    elif same:
        notes.append(f"{same} samples ran in both audits with the same prompt: there the same sample is compared with itself (McNemar).")
    else:
        notes.append("No sample ran in both audits, so a difference may also be one between samples.")
    if other_prompts:
        notes.append(f"{other_prompts} transcripts have the same name in both audits and other prompts; they are compared as groups only.")
    if first.summary.folder != second.summary.folder and first.summary.findings_sha256 == second.summary.findings_sha256:
        notes.append("Both findings.json are the same, byte for byte: this is one audit, compared with itself.")
    notes.append(
        "Each difference has two intervals: one takes transcripts for independent, the other keeps prompts of one origin together. "
        "A rise or fall is called one only if chance does not explain it by the test, and the second interval holds no zero."
    )
    return tuple(notes)


def _in_words(verdicts: Sequence[AreaVerdict]) -> Iterator[str]:
    """What can be compared, with care, and not at all: a sentence each, and the settings that are to blame."""
    words = {"comparable": "Comparable", "with care": "Comparable with care", "not comparable": "Not comparable"}
    for verdict, opening in words.items():
        mine = [one for one in verdicts if one.verdict == verdict]
        aspects = list(dict.fromkeys(reason.split(":")[0] for one in mine for reason in one.reasons))
        because = f" The audits differ in: {', '.join(aspects)}." if aspects else ""
        if mine:
            yield f"{opening}: {', '.join(AREAS[one.area] for one in mine)}.{because}"
