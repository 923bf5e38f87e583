"""What differs between two audits, and what each difference makes incomparable: a table of aspects, and a few that take more to tell."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from audit.comparison.records import AREAS, EXPLAINED, Area, AreaVerdict, Effect, SettingDifference
from audit.comparison.side import Side

Effects = Mapping[str, Effect]
Verdict = Literal["comparable", "with care", "not comparable"]
EVERY: tuple[Area, ...] = tuple(AREAS)
SHOWN = 200
"""Characters of a setting's value."""


def on(effect: Effect, *areas: Area) -> dict[str, Effect]:
    """The same effect on several areas."""
    named: Sequence[str] = areas
    return dict.fromkeys(named, effect)


@dataclass(frozen=True)
class Aspect:
    """One setting, and what follows where the two audits differ in it."""

    name: str
    value: Callable[[Side], Any]
    effects: Effects
    meaning: str
    needs_nla: bool = True
    """Whether it only matters where both audits have explanations."""


def _nla(key: str) -> Callable[[Side], Any]:
    return lambda side: (side.findings["nla"] or {}).get(key)


def _config(key: str) -> Callable[[Side], Any]:
    return lambda side: side.config.get(key)


def _awareness(key: str) -> Callable[[Side], Any]:
    return lambda side: side.findings["awareness"].get(key)


def _grader(side: Side) -> Any:
    return (side.findings.get("grader") or {}).get("model")


def _version(side: Side) -> Any:
    return (side.manifest.get("versions") or {}).get("nla-audit")


def _packages(side: Side) -> Any:
    return {name: version for name, version in (side.manifest.get("versions") or {}).items() if name != "nla-audit"}


ASPECTS = (
    Aspect(
        "NLA", _nla("name"), on("incomparable", *EXPLAINED),
        "Two NLAs put the same activation into different words: rates of explanations would tell of the NLAs as well as of the targets.",
    ),
    Aspect(
        "layer", _nla("layer"), on("incomparable", *EXPLAINED),
        "Activations of another layer hold other things, so rates of explanations cannot be set against each other.",
    ),
    Aspect(
        "which tokens were read", _config("sites"), on("incomparable", *EXPLAINED),
        "The ends of replies, say, speak of other things than tokens drawn at random.",
    ),
    Aspect(
        "tokens read of a transcript", _config("tokens"),
        {**on("incomparable", "scanners", "graded"), **on("caution", "awareness", "themes")},
        "The more tokens are read, the likelier is any one YES; shares of tokens stay comparable, but are coarser where fewer were read.",
    ),
    Aspect(
        "explanations of a token", _config("samples"),
        {**on("incomparable", "scanners", "graded"), **on("caution", "awareness", "themes")},
        "The more explanations there are, the likelier is any one YES.",
    ),
    Aspect(
        "temperature of explanations", _nla("temperature"), on("caution", *EXPLAINED),
        "At a higher temperature an NLA says more that is far-fetched.",
    ),
    Aspect(
        "deciding scanner", _awareness("scanner"), on("incomparable", "awareness"),
        "NLA-aware means something else under each; the rates by scanner stand side by side.",
    ),
    Aspect(
        "false alarms allowed", _awareness("false_positive_rate"), on("incomparable", "awareness"),
        "The audit that allows more false alarms calls more transcripts NLA-aware, whatever the target.",
    ),
    Aspect(
        "threshold", _awareness("threshold"), on("caution", "awareness"),
        "Each audit sets its own on its own controls: NLA-aware then means more often than this audit's controls, and not one fixed share "
        "of tokens. The rates by scanner need no threshold.",
    ),
    Aspect(
        "controls of the user's own", _config("controls"), on("caution", "awareness"),
        "The thresholds rest on different traffic.",
    ),
    Aspect(
        "grader", _grader, on("incomparable", "graded"),
        "Two graders judge differently; what rules find can still be compared.",
    ),
    Aspect("seed", _config("seed"), on("caution", *EXPLAINED), "Other tokens were drawn, and in the lab other samples."),
    Aspect("sandbox", _config("sandbox"), on("caution", "behaviour"), "Commands ran somewhere else.", needs_nla=False),
    Aspect("samples a scenario", _config("limit"), on("note", *EVERY), "The intervals tell which side has fewer.", needs_nla=False),
    Aspect("scanners of the user's own", _config("scanners"), on("note", "scanners"), "Only scanners that ran in both are compared."),
    Aspect(
        "version of nla-audit", _version, on("caution", *EVERY),
        "Scenarios, their scorers and scanners may have changed in between; audit both with one version to be sure.", needs_nla=False,
    ),
    Aspect("versions of packages", _packages, on("note", *EVERY), "Numerics can differ in the last digits.", needs_nla=False),
    Aspect(
        "schema of findings.json", lambda side: side.findings["schema_version"], on("caution", *EVERY),
        "A figure of the same name may mean something else.", needs_nla=False,
    ),
)  # fmt: skip


def setting_differences(first: Side, second: Side) -> list[SettingDifference]:
    """Everything in which the two differ, the target first."""
    both = bool(first.findings["nla"]) and bool(second.findings["nla"])
    found = [*_targets(first, second), *_explained(first, second)]
    for aspect in ASPECTS:
        ours, theirs = aspect.value(first), aspect.value(second)
        if ours != theirs and (both or not aspect.needs_nla):
            found.append(SettingDifference(aspect.name, shown(ours), shown(theirs), dict(aspect.effects), aspect.meaning))
    return [*found, *_unfinished(first, second)]


def shown(value: Any) -> str:
    """A setting's value for people; it may hold anything that a user wrote."""
    if value is None or value == "" or value == [] or value == {}:
        return "none"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "\u2026"


def _targets(first: Side, second: Side) -> Iterator[SettingDifference]:
    mine, their = first.summary, second.summary
    ours, theirs = (f"{one.target} ({one.revision})" if one.revision else one.target for one in (mine, their))
    if ours == theirs:
        meaning = "Both audits name the same target: what differs is chance, or follows from the settings below."
        if not mine.revision:
            meaning = "Both audits name the same target, but not which revision: whether the weights are the same is not known."
        yield SettingDifference("target", ours, theirs, on("note", *EVERY), meaning)
        return
    yield SettingDifference("target", ours, theirs, on("subject", *EVERY), "This is what the comparison is about.")
    if mine.nla and mine.nla == their.nla:
        meaning = (
            "An NLA belongs to one checkpoint, and here it reads two. Where it fits one of them worse, its explanations say less of "
            "that one: part of a difference may be a difference of fit."
        )
        yield SettingDifference("how well the NLA fits", _fit(first), _fit(second), on("caution", *EXPLAINED), meaning)


def _fit(side: Side) -> str:
    fidelity = side.findings["nla_quality"].get("fve")
    return "not measured" if fidelity is None else f"FVE {fidelity:.2f}"


def _explained(first: Side, second: Side) -> Iterator[SettingDifference]:
    """An NLA, or a threshold, on one side only or on none."""
    if not (first.findings["nla"] and second.findings["nla"]):
        ours, theirs = ("an NLA" if side.findings["nla"] else "no NLA" for side in (first, second))
        meaning = "Without an NLA there are no explanations: only behaviour and what the targets said aloud can be compared."
        yield SettingDifference("explanations", ours, theirs, on("incomparable", *EXPLAINED), meaning)
    elif any(side.findings["awareness"]["threshold"] is None for side in (first, second)):
        ours, theirs = ("too few" if side.findings["awareness"]["threshold"] is None else "enough" for side in (first, second))
        meaning = "Without a threshold no transcript is called NLA-aware; it takes more control transcripts to set one."
        yield SettingDifference("controls", ours, theirs, on("incomparable", "awareness"), meaning)


def _unfinished(first: Side, second: Side) -> Iterator[SettingDifference]:
    if first.summary.unfinished or second.summary.unfinished:
        ours, theirs = (", ".join(side.summary.unfinished) for side in (first, second))
        meaning = "Stages of an audit are not done; its figures may be older than its tables."
        ours, theirs = (f"not done: {names}" if names else "finished" for names in (ours, theirs))
        yield SettingDifference("state of the audit", ours, theirs, on("caution", *EVERY), meaning)


def area_verdicts(differences: Sequence[SettingDifference]) -> tuple[AreaVerdict, ...]:
    """For each area the worst that any difference does to it, with the reasons."""
    found = []
    for area in AREAS:
        barred = [_reason(one) for one in differences if one.effects.get(area) == "incomparable"]
        careful = [_reason(one) for one in differences if one.effects.get(area) == "caution"]
        verdict: Literal["comparable", "with care", "not comparable"] = (
            "not comparable" if barred else "with care" if careful else "comparable"
        )
        found.append(AreaVerdict(area, verdict, tuple(barred or careful)))
    return tuple(found)


def _reason(difference: SettingDifference) -> str:
    return f"{difference.aspect}: {difference.first} against {difference.second}"
