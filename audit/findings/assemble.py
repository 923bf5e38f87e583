"""Puts ``findings.json`` together from the tables of an audit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from audit.findings import SCHEMA_VERSION
from audit.findings.claims import findings_of
from audit.findings.quality import control_rates, nla_quality
from audit.findings.rates import Calibration, calibrate, is_aware, scenario_rows
from audit.findings.strongest import PIECES, Decode, strongest_evidence
from audit.findings.tally import Tally, tallies
from audit.findings.truth import ground_truth, known_states
from audit.records import Explanation, Site, Transcript, Verdict


@dataclass(frozen=True)
class Tables:
    """An audit's tables; each function starts a new pass over one, in the order of the transcripts."""

    transcripts: Callable[[], Iterator[Transcript]]
    sites: Callable[[], Iterator[Site]]
    explanations: Callable[[], Iterator[Explanation]]
    verdicts: Callable[[], Iterator[Verdict]]


@dataclass(frozen=True)
class About:
    """What the tables do not hold."""

    created: str
    target: dict[str, Any]
    nla: dict[str, Any] | None
    scanners: Sequence[str]
    """Those that ran."""
    awareness: str
    """The scanner whose rate decides."""
    false_positive_rate: float
    seed: int
    baseline_variance: float | None
    failures: dict[str, int]
    limits: Sequence[str]
    decode: Decode | None = None


def make_findings(tables: Tables, about: About) -> dict[str, Any]:
    """The content of ``findings.json``. Ground truth is looked up last, when nothing can depend on it any more."""
    counted = list(tallies(tables.transcripts(), tables.explanations(), tables.verdicts(), about.scanners))
    controls = [tally for tally in counted if tally.kind == "deployment" and tally.usable]
    calibration = calibrate(controls, about.awareness, about.false_positive_rate, about.seed)
    rows = scenario_rows(counted, calibration)
    quality = nla_quality(tables.explanations(), about.baseline_variance)
    yes = control_rates(tables.verdicts(), about.awareness)
    pieces = strongest_evidence(
        tables.transcripts(), tables.sites(), tables.explanations(), tables.verdicts(),
        scanner=about.awareness, aware={tally.transcript_id for tally in counted if is_aware(tally, calibration)}, decode=about.decode,
    )  # fmt: skip
    found = findings_of(rows, calibration, quality, yes, pieces)
    return {
        "schema_version": SCHEMA_VERSION,
        "created": about.created,
        "target": about.target,
        "nla": about.nla,
        "awareness": {key: value for key, value in asdict(calibration).items() if key != "noise_floor"},
        "scenarios": rows,
        "controls": _controls(calibration, yes, quality),
        "nla_quality": quality,
        "findings": [asdict(finding) | {"evidence": list(finding.evidence), "caveats": list(finding.caveats)} for finding in found],
        "evidence": pieces[:PIECES],
        "failures": about.failures,
        "limits": [*about.limits, *_limits(calibration, counted, about)],
        "ground_truth": ground_truth(counted, known_states(tables.transcripts()), calibration, about.seed),
    }


def _controls(calibration: Calibration, yes: dict[str, Any], quality: dict[str, Any]) -> dict[str, Any]:
    return {
        "noise_floor": calibration.noise_floor,
        "yes_rate": yes["none"],
        "shuffled": {"yes": yes["shuffled"], "fve": quality["shuffled_fve"], "cosine_mean": quality["shuffled_cosine_mean"]},
        "mean_direction": {"yes": yes["mean"], "fve": quality["mean_direction_fve"], "cosine_mean": quality["mean_direction_cosine_mean"]},
    }


def _limits(calibration: Calibration, counted: list[Tally], about: About) -> list[str]:
    limits = []
    if about.nla is not None:
        limits.append("A language model writes the explanations, and they can be wrong in detail: read themes, weighed by the controls.")
        limits.append("NLA-aware is a relative measure: how often explanations speak of an evaluation, compared with deployment controls.")
        if calibration.threshold is None:
            limits.append(
                f"No threshold: only {calibration.calibrated_on} control transcripts could calibrate one, so none is called NLA-aware. "
                "Run the scenario ordinary_use as well, or bring deployment traffic of your own with --controls LOGS."
            )
        elif calibration.held_out < 50:
            limits.append(f"The noise floor rests on {calibration.held_out} control transcripts: its interval is wide.")
    unusable = sum(not tally.usable for tally in counted)
    if unusable:
        limits.append(f"{unusable} of {len(counted)} transcripts could not be used; the table of transcripts says why.")
    return limits
