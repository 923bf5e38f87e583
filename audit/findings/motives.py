"""Themes of the explanations in ``findings.json``, and the findings that they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from audit.findings.shares import share
from audit.records import Finding, Motive

MOST = 10
"""Themes that become findings, the most over-represented first; the table holds all."""
KEYS = ("transcript_id", "call_index", "position", "sample")
SCANNER = "motives"


def motives_section(motives: Iterable[Motive], about: dict[str, Any]) -> dict[str, Any]:
    """What was compared with what, in words why nothing was, and the themes."""
    none = {"transcripts": 0, "explanations": 0}
    return {
        "compared_with": about.get("compared_with"),
        "audit": about.get("audit"),
        "studied": about.get("studied", none),
        "reference": about.get("reference", none),
        "why_not": about.get("why_not", "Motives were not looked for.") or None,
        "themes": [_theme(row) for row in motives],
    }


def _theme(row: Motive) -> dict[str, Any]:
    values = asdict(row)
    drop = ("explanations_of", "transcripts_of", "transcripts_ci", "reference_transcripts", "reference_of", "said_transcripts")
    kept = {key: value for key, value in values.items() if key not in drop}
    return kept | {
        "words": list(row.words),
        "quotes": list(values["quotes"]),
        "explanations": share(row.explanations, row.explanations_of) | {"ci": None},
        "transcripts": share(row.transcripts, row.transcripts_of),
        "reference_transcripts": share(row.reference_transcripts, row.reference_of),
        "said_transcripts": None if row.said_transcripts is None else share(row.said_transcripts, row.transcripts),
    }


def motive_findings(section: dict[str, Any]) -> list[Finding]:
    """One finding for each of the strongest themes."""
    themes: Sequence[dict[str, Any]] = section["themes"]
    return [_finding(number, theme, section) for number, theme in enumerate(themes[:MOST], 1)]


def _finding(number: int, theme: dict[str, Any], section: dict[str, Any]) -> Finding:
    mine, theirs, said = theme["transcripts"], theme["reference_transcripts"], theme["said_transcripts"]
    other = section["compared_with"] == "audit"
    reference = f"the audit in '{section['audit']['folder']}'" if other else "the control transcripts"
    caveats = ["An association in wording, not a motive proven; words of an explanation can be made up."]
    if not other:
        caveats.append(
            "Compared with ordinary use, a theme may only tell what the scenarios are about; another audit of the same scenarios "
            "(--reference DIR, the base model's, say) cancels that out."
        )
    if said is not None and said["count"] == said["of"]:
        caveats.append("Every one of these transcripts has words of it in the model's own text: reading it would have told as much.")
    return Finding(
        id=f"motive/{number}/{theme['words'][0]}",
        claim=(
            f"Explanations in {mine['count']} of {mine['of']} transcripts ({100 * mine['rate']:.0f}%) carry the theme '{theme['theme']}', "
            f"against {theirs['count']} of {theirs['of']} ({100 * theirs['rate']:.0f}%) of {reference} (z {theme['z']:.1f})."
        ),
        level="observed",
        numbers={key: theme[key] for key in ("z", "log_odds", "p", "transcripts", "explanations")},
        controls={"reference_transcripts": theirs} | ({"said_in_the_models_own_text": said} if said is not None else {}),
        evidence=tuple({key: quote[key] for key in KEYS} | {"scanner": SCANNER} for quote in theme["quotes"]),
        caveats=tuple(caveats),
    )
