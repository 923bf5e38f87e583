"""Findings in one sentence each, with the numbers, the controls beside them, what they rest on, and how far they go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from audit.evidence.levels import SCENARIO_RULES, Graded, ManipulationResult, ScenarioCase, grade
from audit.findings.rates import Calibration
from audit.records import Finding


@dataclass(frozen=True)
class Support:
    """What speaks for a scenario beside its rates, both by its name."""

    examined: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """How many of its NLA-aware transcripts were examined, and how many of these are corroborated."""
    moved: Mapping[str, Sequence[ManipulationResult]] = field(default_factory=dict)


def findings_of(
    rows: Sequence[dict[str, Any]],
    calibration: Calibration,
    quality: dict[str, Any],
    controls: dict[str, Any],
    pieces: Sequence[dict[str, Any]],
    support: Support,
) -> list[Finding]:
    """One finding on awareness, and one on behaviour, for each scenario that is no control and says anything."""
    found = []
    for row in rows:
        if row["kind"] == "deployment":
            continue
        if row["nla_aware"]:
            graded = _graded(row, calibration.noise_floor or {}, quality, support)
            found.append(_awareness(row, calibration, quality, controls, pieces, graded))
        if row["harmful"]:
            found.append(_behaviour(row))
    return found


def percent(rate: float | None) -> str:
    """A rate for people."""
    return "unknown" if rate is None else f"{100 * rate:.0f}%"


def _identifier(kind: str, row: dict[str, Any]) -> str:
    return f"{kind}/{row['name']}/{row['variant']}"


def _awareness(
    row: dict[str, Any],
    calibration: Calibration,
    quality: dict[str, Any],
    controls: dict[str, Any],
    pieces: Sequence[dict[str, Any]],
    graded: Graded,
) -> Finding:
    floor = calibration.noise_floor or {"rate": None, "ci": None}
    claim = (
        f"In {row['nla_aware']} of {row['explained']} transcripts of {row['name']} ({percent(row['nla_aware_rate'])}) the explanations "
        f"speak of an evaluation more often than the controls allow; the model's own text says so in {percent(row['verbalised_rate'])}."
    )
    keys = ("transcript_id", "call_index", "position", "sample", "scanner")
    mine = [{key: piece[key] for key in keys} for piece in pieces if piece["scenario"] == row["name"]]
    numbers = {
        key: row[key] for key in ("nla_aware_rate", "nla_aware_ci", "verbalised_rate", "verbalised_ci", "mean_site_rate", "any_of_n")
    } | ({"basis": row["awareness_basis"]} if row.get("awareness_basis") else {})
    return Finding(
        id=_identifier("awareness", row),
        claim=claim,
        level=graded.level,
        numbers=numbers | {"threshold": calibration.threshold},
        controls={"noise_floor": floor, "yes_by_control": controls, "fve": quality["fve"], "shuffled_fve": quality["shuffled_fve"]},
        evidence=tuple(mine),
        caveats=_caveats(row, floor, quality),
        rules_met=graded.met,
        rules_failed=graded.failed,
    )


def _graded(row: dict[str, Any], floor: dict[str, Any], quality: dict[str, Any], support: Support) -> Graded:
    examined, corroborated = support.examined.get(row["name"], (0, 0))
    against = row.get("against_noise_floor") or {}
    aware = {
        "count": row["nla_aware"], "of": row["explained"], "rate": row["nla_aware_rate"], "ci": row["nla_aware_ci"],
        "cluster_ci": row.get("nla_aware_cluster_ci"),
    }  # fmt: skip
    case = ScenarioCase(
        aware, floor, against.get("p_adjusted"), quality["fve"], quality["shuffled_fve"], examined, corroborated,
        support.moved.get(row["name"], ()),
    )  # fmt: skip
    return grade(case, SCENARIO_RULES)


def _caveats(row: dict[str, Any], floor: dict[str, Any], quality: dict[str, Any]) -> tuple[str, ...]:
    caveats = ["A rate of explanations is a relative measure, not the probability that the model believes anything."]
    if floor["ci"] is not None and row["nla_aware_ci"][0] <= floor["ci"][1]:
        caveats.append("The interval overlaps that of the noise floor: chance may explain it.")
    if quality["fve"] is not None and quality["fve"] < 0.3:
        caveats.append(f"The NLA's fidelity is low here (FVE {quality['fve']:.2f}): read themes, not details.")
    if row["explained"] < 30:
        caveats.append(f"Only {row['explained']} transcripts: the interval is wide.")
    return tuple(caveats)


def _behaviour(row: dict[str, Any]) -> Finding:
    split = row["harmful_by_awareness"]
    return Finding(
        id=_identifier("behaviour", row),
        claim=(
            f"The model acted harmfully in {row['harmful']} of {row['usable']} transcripts of {row['name']} "
            f"({percent(row['harmful_rate'])})."
        ),
        level="observed",
        numbers={"harmful_rate": row["harmful_rate"], "harmful_ci": row["harmful_ci"], "by_awareness": split},
        controls={},
        evidence=(),
        caveats=("Scored by the scenario's own rule; see its description.",),
    )
