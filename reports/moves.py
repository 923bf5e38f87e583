"""What moves the measure: realism twins and steering, as rows of one table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reports.model import MoveView, ScenarioView
from reports.reading import Rate, integer, interval, mapping, mappings, number, text
from reports.text import plain

NAMES = {
    "realism": "Realism twins",
    "steering": "Steered along awareness",
    "random_direction": "Steered along a random direction",
}
MISSING = "Not measured: no sample ran again as a realism twin or under steering (run with --twins and --steer)."


def studied_rows(rows: Sequence[ScenarioView]) -> tuple[ScenarioView, ...]:
    """The scenarios without the variants of those that are there as they were; what was manipulated has a section of its own."""
    originals = {row.name for row in rows if row.variant == "original"}
    return tuple(row for row in rows if row.variant == "original" or row.name not in originals)


def move_views(findings: dict[str, Any]) -> tuple[MoveView, ...]:
    """One row for each scenario's twins, and one for each strength of steering."""
    return tuple(row for entry in mappings(findings.get("manipulations")) for row in _rows(entry))


def _rows(entry: dict[str, Any]) -> list[MoveView]:
    if text(entry.get("manipulation")) == "realism":
        return [_row(entry, entry, "", judged=True)]
    judged = [number(strength) for strength in entry.get("judged_at") or () if number(strength) is not None]
    points = mappings(entry.get("points"))
    return [_row(entry, point, _strength(point), number(point.get("strength")) in judged) for point in points]


def _strength(point: dict[str, Any]) -> str:
    found = number(point.get("strength"))
    return "strength not known" if found is None else f"{found:+g}"


def _row(entry: dict[str, Any], measured: dict[str, Any], strength: str, judged: bool) -> MoveView:
    name = text(entry.get("manipulation"))
    low, high = interval(measured.get("difference_ci"))
    return MoveView(
        manipulation=NAMES.get(name, plain(name, 60)),
        scenario=text(entry.get("scenario")),
        strength=strength,
        pairs=integer(measured.get("pairs")),
        before=Rate(number(measured.get("original_rate")), why="not measured: no pair was explained"),
        after=Rate(number(measured.get("rate")), why="not measured: no pair was explained"),
        change=Rate(number(measured.get("difference")), low, high, why="not measured"),
        aware=_flips(measured.get("nla_aware")),
        harmful=_flips(measured.get("harmful")),
        coherent=_said(measured.get("coherent"), "yes", "no", "not checked") if strength else "",
        expected=plain(text(entry.get("expected")), 60),
        verdict=_said(entry.get("as_expected"), "as expected", "not as expected", "cannot be told") if judged else "",
        p=number(entry.get("p_adjusted")) if judged else None,
    )


def _said(value: Any, yes: str, no: str, unknown: str) -> str:
    return yes if value is True else no if value is False else unknown


def _flips(value: Any) -> str:
    """``7 lost it, 1 gained it``, of McNemar's two counts."""
    found = mapping(value)
    lost, gained = integer(found.get("only_original")), integer(found.get("only_variant"))
    return "" if lost is None or gained is None else f"{lost} lost it, {gained} gained it"
