"""What would have been found without an NLA: readers of the text and a linear probe, as rows of one table, and in a sentence."""

from __future__ import annotations

from typing import Any

from reports.model import BaselineView
from reports.reading import Rate, flat, mapping, mappings, number, share, text
from reports.text import plain
from reports.words import percent

NAMES = {
    "text.awareness.lexical": "The rules, on the model’s own words",
    "text.awareness.classifier": "The trained scanner, on the model’s own words",
    "text.reader": "Reader of the conversation, trained on the NLA’s verdicts",
    "text.reader_of_kind": "Reader of the conversation, trained on evaluation or deployment",
    "probe": "Linear probe on the same activations",
}
HELD_OUT = {"scenario": "whole scenarios", "skeleton": "prompts of one origin"}
MISSING = "not measured: no baseline ran"


def baseline_views(findings: dict[str, Any]) -> tuple[BaselineView, ...]:
    """One row for each classifier of text, then the probe; missing ones say why."""
    found = mapping(findings.get("baselines"))
    of_text = mapping(found.get("text"))
    rows = [*mappings(of_text.get("classifiers")), *([found["probe"]] if mapping(found.get("probe")) else [])]
    return tuple(_row(row, text(of_text.get("chosen"))) for row in rows)


def _row(row: dict[str, Any], chosen: str) -> BaselineView:
    name, reason = text(row.get("name")), text(row.get("missing"))
    why = f"not measured: {reason}" if reason else "not measured: too few conversations of one side"
    agreement = "not asked of the probe" if name == "probe" else why
    return BaselineView(
        name=NAMES.get(name, plain(name, 60)),
        chosen=bool(name) and name == chosen,
        missing=reason,
        held_out=HELD_OUT.get(text(row.get("held_out")), "nothing: it was not fitted here"),
        floor=share(row.get("noise_floor"), why if reason else "not measured: too few control transcripts"),
        agreement=_area(row.get("agreement"), agreement),
        kind=_area(row.get("kind"), why),
        site=_area(row.get("site"), why) if name == "probe" else None,
    )


def _area(value: Any, why: str) -> Rate:
    found = mapping(value)
    return share({"rate": found.get("auroc"), "ci": found.get("ci")}, why)


def text_rate(row: dict[str, Any], findings: dict[str, Any]) -> Rate:
    """The share of a scenario's conversations that the text baseline flags, or why it is not known."""
    why = mapping(mapping(findings.get("baselines")).get("text"))
    missing = MISSING if not text(why.get("chosen")) else "not measured: too few control transcripts to set its threshold"
    found = share(row.get("text_baseline"), missing)
    return found if found.known else Rate(number(row.get("text_baseline_rate")), why=missing)


def probe_rate(row: dict[str, Any], findings: dict[str, Any]) -> Rate:
    """The same for the probe."""
    probe = mapping(mapping(findings.get("baselines")).get("probe"))
    reason = text(probe.get("missing"))
    missing = MISSING if not probe else f"not measured: {reason or 'too few control transcripts to set its threshold'}"
    found = share(row.get("probe"), missing)
    return found if found.known else flat(row, "probe", missing)


def curve(row: dict[str, Any]) -> tuple[Rate, ...]:
    """The any-of-N rate by N; as far as the points are there in order."""
    points = []
    for place, point in enumerate(mappings(row.get("any_of_n_curve")), 1):
        if number(point.get("n")) != place or number(point.get("rate")) is None:
            break
        points.append(share({"rate": point.get("rate"), "ci": point.get("ci")}))
    return tuple(points)


def baseline_words(findings: dict[str, Any]) -> tuple[str, ...]:
    """How much of the result reading the text would have told, in a sentence; nothing where no baseline ran."""
    rows = [row for row in baseline_views(findings) if row.chosen]
    if not rows or not mapping(findings.get("nla")):
        return ()
    area = rows[0].agreement
    if area.value is None or area.low is None or area.high is None:
        return ("Whether reading the text would have told the same conversations apart could not be measured.",)
    told = (
        "reading the text alone tells in part which conversations of a scenario are NLA-aware"
        if area.low > 0.5
        else "no reader of the text alone could tell which conversations of a scenario are NLA-aware"
    )
    return (f"Without an NLA, {told} (AUROC {area.value:.2f}, 95% interval {area.low:.2f} to {area.high:.2f}; 0.5 is guessing).",)


def floor_words(row: dict[str, Any], floor: Rate) -> str:
    """What stands below a scenario's NLA-aware rate: the noise floor, and whether chance explains the difference."""
    tested = number(mapping(row.get("against_noise_floor")).get("p_adjusted"))
    if not floor.known:
        return "no noise floor"
    chance = "" if tested is None else f"; p {'under 0.001' if tested < 0.001 else f'{tested:.3f}'}, corrected"
    between = "" if floor.low is None or floor.high is None else f" [{percent(floor.low)} – {percent(floor.high)}]"
    return f"noise floor {percent(floor.value)}{between}{chance}"
