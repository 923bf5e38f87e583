"""What a comparison of two audits says, as plain records; ``comparison.json`` is the outermost of them.

The first audit is the one that the second is compared with: a difference is second minus first, and what rose is higher in the second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from audit.records import Motive

SCHEMA_VERSION = 2
Area = Literal["behaviour", "verbalised", "awareness", "scanners", "graded", "themes"]
Effect = Literal["subject", "note", "caution", "incomparable"]
"""What a difference in settings does: it is what the comparison is about; nothing; care is called for; no comparison at all."""
Status = Literal["new", "vanished", "kept", "not_asked", "not_comparable"]
AREAS: dict[Area, str] = {
    "behaviour": "what the targets did",
    "verbalised": "what they said aloud of being evaluated",
    "awareness": "NLA-aware transcripts",
    "scanners": "what scanners find in explanations, by rules",
    "graded": "what a grader finds in explanations",
    "themes": "themes of the explanations",
}
EXPLAINED: tuple[Area, ...] = ("awareness", "scanners", "graded", "themes")
"""The areas that rest on explanations."""


@dataclass(frozen=True)
class SideSummary:
    """One of the two audits."""

    folder: str
    created: str
    target: str
    revision: str
    """Of the target; empty if it is not known."""
    nla: str
    """Empty without one."""
    layer: int | None
    transcripts: int
    findings: int
    findings_sha256: str
    unfinished: tuple[str, ...]
    """Stages that are not done."""


@dataclass(frozen=True)
class SettingDifference:
    """Something in which the two audits differ, and what follows."""

    aspect: str
    first: str
    second: str
    effects: dict[str, Effect]
    """By area; an area that is not named is untouched."""
    meaning: str


@dataclass(frozen=True)
class AreaVerdict:
    """Whether one kind of rates can be compared."""

    area: Area
    verdict: Literal["comparable", "with care", "not comparable"]
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class RateChange:
    """One rate of one scenario in both audits."""

    scenario: str
    kind: str
    variant: str
    measure: str
    """``nla_aware``, ``silent`` (NLA-aware among transcripts that say nothing aloud), ``verbalised``, ``harmful``, ``scanner:<name>``."""
    area: Area
    first: dict[str, Any]
    """``count``, ``of``, ``rate``, ``ci`` (Wilson's), as in ``findings.json``."""
    second: dict[str, Any]
    difference: float | None
    """``None`` where the two are not comparable or one is not measured; ``why_not`` then says why."""
    ci: tuple[float, ...] | None
    """Newcombe's; it takes every transcript for independent of every other, in its own audit and between the two."""
    cluster_ci: tuple[float, ...] | None
    """Bootstrap over whole clusters (prompts of one origin), those that both audits have drawn as one; ``None`` with fewer than two."""
    test: Literal["mcnemar", "fisher"] | None
    """McNemar's where both audits ran the same samples, Fisher's otherwise; ``None`` where it happened never or always in both."""
    p: float | None
    p_adjusted: float | None
    """For the false discovery rate over all rates of the comparison (Benjamini-Hochberg)."""
    pairs: int
    """Samples that both audits ran and judged."""
    only_first: int
    """Pairs in which it holds in the first audit only: what fell."""
    only_second: int
    direction: Literal["rose", "fell", "unclear", "none"]
    """A rise or fall needs ``p_adjusted`` below 0.05 and a ``cluster_ci`` without zero; ``unclear``: chance may explain the difference;
    ``none``: nothing was compared."""
    why_not: str


@dataclass(frozen=True)
class FindingMatch:
    """A finding of either audit, and what became of it. Matched by what the claim is about, never by its wording."""

    status: Status
    about: str
    """What it is about, in words."""
    first: dict[str, Any] | None
    """``id``, ``claim``, ``level``."""
    second: dict[str, Any] | None
    why: str
    """Of a finding on one side only: why it is not on the other; of one on both: whether its level changed."""
    p_adjusted: float | None
    """Of the rate that it rests on: whether the change is more than chance."""


@dataclass(frozen=True)
class Themes:
    """What the explanations of one audit speak of more than those of the other, on the scenarios that both have."""

    more_in_first: tuple[Motive, ...]
    more_in_second: tuple[Motive, ...]
    why_not: str
    """Why nothing was compared; empty if it was."""


@dataclass(frozen=True)
class AuditComparison:
    """Two audits, compared."""

    schema_version: int
    first: SideSummary
    second: SideSummary
    verdicts: tuple[AreaVerdict, ...]
    settings: tuple[SettingDifference, ...]
    shared_scenarios: tuple[str, ...]
    only_first: tuple[str, ...]
    """Scenarios that only the first audit has."""
    only_second: tuple[str, ...]
    same_samples: int
    """Transcripts of the same sample, with the same prompt, in both."""
    other_prompts: int
    """Transcripts of the same name whose prompts differ."""
    rates: tuple[RateChange, ...]
    findings: tuple[FindingMatch, ...]
    themes: Themes
    notes: tuple[str, ...]
