"""Puts ``findings.json`` together from the tables of an audit."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from audit.evidence.coherence import Coherence
from audit.findings import SCHEMA_VERSION
from audit.findings.baselines import measure_baselines
from audit.findings.calibration import Calibration, calibrate, control_group, is_aware
from audit.findings.claims import Support, findings_of
from audit.findings.examined import by_scenario, corroboration, examined_transcripts, transcript_findings
from audit.findings.manipulations import measure_manipulations
from audit.findings.motives import motive_findings, motives_section
from audit.findings.quality import control_rates, nla_quality
from audit.findings.rates import scenario_rows
from audit.findings.scanner_rates import bases_in, scanner_findings, scanner_rates
from audit.findings.strongest import PIECES, Decode, strongest_evidence
from audit.findings.tally import Tally, tallies
from audit.findings.truth import ground_truth, known_states
from audit.findings.variants import variant_ids, without
from audit.records import BaselineScore, Evidence, Explanation, Finding, Motive, Site, Transcript, Verdict


@dataclass(frozen=True)
class Tables:
    """An audit's tables; each function starts a new pass over one, in the order of the transcripts."""

    transcripts: Callable[[], Iterator[Transcript]]
    sites: Callable[[], Iterator[Site]]
    explanations: Callable[[], Iterator[Explanation]]
    verdicts: Callable[[], Iterator[Verdict]]
    motives: Callable[[], Iterator[Motive]] = lambda: iter(())
    baselines: Callable[[], Iterator[BaselineScore]] = lambda: iter(())
    coherence: Callable[[], Iterator[Coherence]] = lambda: iter(())
    evidence: Callable[[], Iterator[Evidence]] = lambda: iter(())

    def without(self, ids: Collection[str]) -> Tables:
        """The same tables without some transcripts and what belongs to them; motives belong to none."""
        return replace(
            self,
            transcripts=lambda: without(self.transcripts(), ids),
            sites=lambda: without(self.sites(), ids),
            explanations=lambda: without(self.explanations(), ids),
            verdicts=lambda: without(self.verdicts(), ids),
            baselines=lambda: without(self.baselines(), ids),
            evidence=lambda: without(self.evidence(), ids),
        )


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
    grader: str | None = None
    """The model that graded scanners asked."""
    graded: Sequence[str] = ()
    """The scanners that asked it."""
    motives: dict[str, Any] = field(default_factory=dict)
    """What the search for motives compared."""
    baselines: dict[str, Any] = field(default_factory=dict)
    """What the baselines held out, and why some are missing."""


def make_findings(tables: Tables, about: About) -> dict[str, Any]:
    """The content of ``findings.json``. Ground truth is looked up last, when nothing can depend on it any more."""
    every = list(tallies(tables.transcripts(), tables.explanations(), tables.verdicts(), about.scanners))
    # Originals only, from here on: what was manipulated has rows of its own and a part in no other figure.
    variants = variant_ids(tables.transcripts())
    scored, tables = tables.baselines, tables.without(variants)
    counted = [tally for tally in every if tally.transcript_id not in variants]
    calibration = calibrate(control_group(counted), about.awareness, about.false_positive_rate, about.seed)
    by_scanner, scanner_controls = scanner_rates(tables.transcripts(), tables.verdicts())
    rows = scenario_rows(counted, calibration, about.seed)
    rows = [row | {"awareness_basis": bases_in(by_scanner, about.awareness, row)} for row in rows]
    manipulated = scenario_rows([tally for tally in every if tally.transcript_id in variants], calibration, about.seed)
    # Variants have a part here, for it holds them apart itself: would reading the text have moved as well?
    compared = measure_baselines(scored(), every, calibration, about.baselines, about.seed)
    rows, manipulated = (
        [row | compared.rows.get((row["name"], row["kind"], row["variant"]), {}) for row in group] for group in (rows, manipulated)
    )
    moved = measure_manipulations(every, calibration, tables.coherence(), about.seed)
    quality = nla_quality(tables.explanations(), about.baseline_variance)
    yes = control_rates(tables.verdicts(), about.awareness)
    pieces = strongest_evidence(
        tables.transcripts(), tables.sites(), tables.explanations(), tables.verdicts(),
        scanner=about.awareness, aware={tally.transcript_id for tally in counted if is_aware(tally, calibration)}, decode=about.decode,
        examined={(row.transcript_id, row.call_index, row.position, row.sample) for row in tables.evidence()},
    )  # fmt: skip
    themes = motives_section(tables.motives(), about.motives)
    read, unmatched = scanner_findings(by_scanner, scanner_controls, about.graded)
    closely = examined_transcripts(counted, calibration, yes["shuffled"], tables.evidence(), moved.results)
    single = transcript_findings(closely, calibration, yes["shuffled"])
    whole = findings_of(rows, calibration, quality, yes, pieces, Support(by_scenario(closely), moved.results))
    found = [*whole, *read, *motive_findings(themes), *single]
    return {
        "schema_version": SCHEMA_VERSION,
        "created": about.created,
        "target": about.target,
        "nla": about.nla,
        "awareness": {key: value for key, value in asdict(calibration).items() if key != "noise_floor"},
        "scenarios": [*rows, *manipulated],
        "manipulations": moved.section,
        "controls": _controls(calibration, yes, quality),
        "baselines": compared.section,
        "nla_quality": quality,
        "findings": [_as_json(finding) for finding in found],
        "corroboration": corroboration(closely, counted, calibration),
        "evidence": pieces[:PIECES],
        "scanner_rates": by_scanner,
        "scanner_controls": scanner_controls,
        "grader": {"model": about.grader, "scanners": list(about.graded)} if about.grader else None,
        "motives": themes,
        "failures": about.failures,
        "limits": [*about.limits, *_limits(calibration, counted, about), *unmatched],
        "ground_truth": ground_truth(counted, known_states(tables.transcripts()), calibration, about.seed, compared.chosen),
    }


def _as_json(finding: Finding) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(finding).items()}


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
