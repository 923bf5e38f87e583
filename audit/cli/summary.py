"""What an audit found, in the terminal."""

from __future__ import annotations

import json
from typing import Any

import click

from audit.cli.terminal import LINE, brief, clean
from audit.errors import AuditError
from audit.findings.claims import percent
from audit.review.agreement import AGREEMENT_FILE
from audit.stages.names import FINDINGS_FILE, REPORT_FILE
from audit.store import Store

SHOWN_LIMITS = 6
NAME = 60
"""Characters of a scenario's name."""


def print_findings(store: Store) -> None:
    """``findings.json`` for machines; ASCII only, so nothing in it can act on a terminal."""
    click.echo(json.dumps(store.read_json(FINDINGS_FILE), indent=2, ensure_ascii=True))


def exceeding(store: Store, threshold: float) -> list[str]:
    """Scenarios, controls and manipulated variants left out, whose NLA-aware or harmful rate is above the threshold.

    Raises ``AuditError`` if none of them has such a rate: what was not measured is not clean.
    """
    rows = [row for row in studied(store.read_json(FINDINGS_FILE)["scenarios"]) if row["kind"] != "deployment"]
    rates = [(row["name"], row[key]) for row in rows for key in ("nla_aware_rate", "harmful_rate") if row[key] is not None]
    if not rates:
        raise AuditError(
            "There is no NLA-aware and no harmful rate to compare with --fail-on.", "The report says what is missing, and why."
        )
    return sorted({name for name, rate in rates if rate > threshold})


def print_summary(store: Store) -> None:
    """A table of the scenarios, the noise floor, the NLA's quality, the limits, and where the report is."""
    from rich.console import Console

    found = store.read_json(FINDINGS_FILE)
    console = Console(highlight=False)
    console.print(scenario_table(studied(found["scenarios"])))
    for line in (*quality_lines(found), *baseline_lines(found["scenarios"]), *move_lines(found["manipulations"]), *reading_lines(found)):
        console.print(brief(line), markup=False)
    limits = found["limits"]
    for limit in limits[:SHOWN_LIMITS]:
        console.print(f"- {brief(limit)}", markup=False)
    if len(limits) > SHOWN_LIMITS:
        console.print(f"- and {len(limits) - SHOWN_LIMITS} more, in the report")
    print_paths(store)


def studied(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The scenarios without the manipulated variants of those that are there as they were."""
    originals = {row["name"] for row in rows if row["variant"] == "original"}
    return [row for row in rows if row["variant"] == "original" or row["name"] not in originals]


def move_lines(entries: list[dict[str, Any]]) -> list[str]:
    """What moved the measure: one line for each scenario that was manipulated."""
    said: dict[str, list[str]] = {}
    for entry in entries:
        verdict = {True: "as expected", False: "not as expected"}.get(entry["as_expected"], "cannot be told")
        what = {"realism": "realism twins", "steering": "steering"}.get(entry["manipulation"], "random directions")
        said.setdefault(entry["scenario"], []).append(f"{what} {verdict}")
    return [f"What moves {brief(scenario, NAME)}: {', '.join(parts)}" for scenario, parts in said.items()]


def scenario_table(rows: list[dict[str, Any]]) -> Any:
    """One line a scenario: awareness as measured, as said, and behaviour, each with its interval."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("scenario", "kind", "transcripts", "NLA-aware", "says so", "harmful"):
        table.add_column(name, justify="right" if name == "transcripts" else "left")
    for row in rows:
        cells = [brief(row["name"], NAME), brief(row["kind"], NAME), str(row["transcripts"])]
        table.add_row(*map(Text, [*cells, *(_rate(row, key) for key in ("nla_aware", "verbalised", "harmful"))]))
    return table


def _rate(row: dict[str, Any], key: str) -> str:
    rate, interval = row[f"{key}_rate"], row[f"{key}_ci"]
    return "-" if rate is None else f"{percent(rate)} [{100 * interval[0]:.0f}-{100 * interval[1]:.0f}]"


def quality_lines(found: dict[str, Any]) -> list[str]:
    """Noise floor, fidelity and, in the lab, agreement with ground truth: one line each, only what is known."""
    lines = []
    floor, quality, truth = found["controls"]["noise_floor"], found["nla_quality"], found.get("ground_truth")
    if floor and floor["rate"] is not None:
        low, high = floor["ci"]
        lines.append(f"Noise floor on {floor['of']} held-out controls: {percent(floor['rate'])} [{100 * low:.0f}-{100 * high:.0f}]")
    if quality["fve"] is not None:
        shuffled = "unknown" if quality["shuffled_fve"] is None else f"{quality['shuffled_fve']:.2f}"
        lines.append(f"NLA: FVE {quality['fve']:.2f} (variance baseline; shuffled {shuffled}), cosine {quality['cosine_mean']:.2f}")
    examined = found.get("corroboration")
    if examined and examined["corroborated"]["of"]:
        own, controls = examined["corroborated"], examined["controls_corroborated"]
        beside = f"; of {controls['of']} controls examined alike, {controls['count']}" if controls["of"] else ""
        lines.append(f"Single transcripts: of {own['of']} examined of {examined['nla_aware']}, {own['count']} corroborated{beside}")
    if truth and truth["mean_auroc"] is not None:
        lines.append(f"Ground truth (lab only): mean AUROC {truth['mean_auroc']:.2f} over {', '.join(truth['averaged_over'])}")
    return lines


def baseline_lines(rows: list[dict[str, Any]]) -> list[str]:
    """What would have been flagged without an NLA, at the same rate of false alarms: one line a baseline, only where it is known."""
    lines = []
    for name, key in (("Reading the text alone", "text_baseline_rate"), ("A linear probe", "probe_rate")):
        known = [(row["name"], row[key]) for row in studied(rows) if row["kind"] != "deployment" and row.get(key) is not None]
        if known:
            lines.append(f"{name} would flag: " + ", ".join(f"{brief(scenario, NAME)} {percent(rate)}" for scenario, rate in known))
    return lines


def reading_lines(found: dict[str, Any]) -> list[str]:
    """What a grader was asked, and the themes that stand out: one line each, only where there is something to say."""
    lines = []
    grader, motives = found["grader"], found["motives"]
    if grader:
        rows = [row for row in found["scanner_rates"] if row["scanner"] in grader["scanners"]]
        answered, lost = sum(row["explanations"]["of"] for row in rows), sum(row["ungraded"] for row in rows)
        lines.append(f"Grader {brief(grader['model'], NAME)}: {answered} questions answered, {lost} not")
    if motives["why_not"] is None:
        themes, against = motives["themes"], f"{motives['reference']['transcripts']} transcripts of the reference"
        strongest = f"; the strongest: {brief(themes[0]['theme'], LINE)} (z {themes[0]['z']:.1f})" if themes else ""
        lines.append(f"Themes that stand out against {against}: {len(themes)}{strongest}")
    return lines


def agreement_lines(store: Store) -> list[str]:
    """How far scanners agree with people: one line a scanner, where people have labelled."""
    if not store.path(AGREEMENT_FILE).is_file():
        return []
    lines = []
    for row in store.read_json(AGREEMENT_FILE)["scanners"]:
        kappa = "kappa undefined" if row["kappa"] is None else f"kappa {row['kappa']:.2f}"
        sure = f" [{row['kappa_ci'][0]:.2f}-{row['kappa_ci'][1]:.2f}]" if row["kappa_ci"] else ""
        shares = f"precision {percent(row['precision']['rate'])}, recall {percent(row['recall']['rate'])}"
        lines.append(f"People and {brief(row['scanner'], NAME)} on {row['rows']} explanations: {kappa}{sure}, {shares}")
    return lines


def print_paths(store: Store) -> None:
    """Where to look next."""
    click.echo(f"Report: {clean(str(store.path(REPORT_FILE)), keep='')}")
    click.echo(f"Findings: {clean(str(store.path(FINDINGS_FILE)), keep='')}")
