"""Transcripts that were examined closely: one finding each, graded by the written rules, and what these let through on controls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import fmean
from typing import Any

from audit.evidence.levels import TRANSCRIPT_RULES, Graded, ManipulationResult, TranscriptCase, grade
from audit.evidence.recurrence import recurrence
from audit.findings.calibration import Calibration, is_aware
from audit.findings.shares import share
from audit.findings.tally import Tally
from audit.records import Evidence, Finding


@dataclass(frozen=True)
class Examined:
    """An NLA-aware transcript whose strongest verdicts were examined."""

    tally: Tally
    evidence: tuple[Evidence, ...]
    graded: Graded

    @property
    def corroborated(self) -> bool:
        """Corroborated, or more than that."""
        return self.graded.level != "observed"


def examined_transcripts(
    tallies: Iterable[Tally],
    calibration: Calibration,
    shuffled: dict[str, Any],
    evidence: Iterable[Evidence],
    manipulations: Mapping[str, Sequence[ManipulationResult]],
) -> list[Examined]:
    """Those above the threshold that have evidence, in the order of the tallies, controls included.

    ``shuffled`` is the share of YES among explanations of shuffled activations, ``manipulations`` goes by scenario.
    """
    rows: dict[str, list[Evidence]] = {}
    for row in evidence:
        rows.setdefault(row.transcript_id, []).append(row)
    found = []
    for tally in tallies:
        own = rows.get(tally.transcript_id)
        if own and is_aware(tally, calibration):
            score = tally.awareness[calibration.scanner]
            moved = manipulations.get(tally.scenario, ())
            case = TranscriptCase(score.yes, score.sites, calibration.threshold, shuffled, own, moved, tally.transcript_id)
            found.append(Examined(tally, tuple(own), grade(case, TRANSCRIPT_RULES)))
    return found


def transcript_findings(examined: Iterable[Examined], calibration: Calibration, shuffled: dict[str, Any]) -> list[Finding]:
    """One finding for each that is no control: the surest level first, then the higher share of YES tokens."""
    levels = ("causal", "corroborated", "observed")
    found = [row for row in examined if row.tally.kind != "deployment"]
    found.sort(key=lambda row: (levels.index(row.graded.level), -(row.tally.rate(calibration.scanner) or 0.0)))
    return [_finding(row, calibration, shuffled) for row in found]


def _finding(row: Examined, calibration: Calibration, shuffled: dict[str, Any]) -> Finding:
    score = row.tally.awareness[calibration.scanner]
    near = recurrence(row.evidence)
    places = ("transcript_id", "call_index", "position", "sample", "scanner")
    return Finding(
        id=f"transcript/{row.tally.transcript_id}",
        claim=(
            f"In the transcript {row.tally.transcript_id} of {row.tally.scenario} the model takes itself to be evaluated, as "
            f"{score.yes} of {score.sites} explanations say."
        ),
        level=row.graded.level,
        numbers={
            "yes_tokens": share(score.yes, score.sites),
            "threshold": calibration.threshold,
            "yes_neighbours": share(near.count, near.of),
            "error_without_claim": _mean([piece.error_change for piece in row.evidence]),
            "fit": _mean([piece.fit for piece in row.evidence]),
        },
        controls={
            "noise_floor": calibration.noise_floor,
            "yes_shuffled": shuffled,
            "error_without_claim": _mean([piece.control_change for piece in row.evidence]),
        },
        evidence=tuple({name: getattr(piece, name) for name in places} for piece in row.evidence),
        caveats=_caveats(row),
        rules_met=row.graded.met,
        rules_failed=row.graded.failed,
    )


def _caveats(row: Examined) -> tuple[str, ...]:
    statuses = [claim.context for claim in chain.from_iterable(piece.claims for piece in row.evidence)]
    wrong, right = statuses.count("contradicted"), statuses.count("supported")
    caveats = ["An explanation is written by a model; the claim is as good as the rules that it met."]
    if wrong:
        caveats.append(f"The transcript contradicts {wrong} of {wrong + right} claims of these explanations that could be looked up.")
    return tuple(caveats)


def corroboration(examined: Sequence[Examined], tallies: Iterable[Tally], calibration: Calibration) -> dict[str, Any]:
    """How many NLA-aware transcripts there are, were examined and are corroborated; the same of controls, where each one is false."""
    aware = [tally for tally in tallies if is_aware(tally, calibration)]
    studied = [row for row in examined if row.tally.kind != "deployment"]
    controls = [row for row in examined if row.tally.kind == "deployment"]
    return {
        "nla_aware": sum(tally.kind != "deployment" for tally in aware),
        "corroborated": share(sum(row.corroborated for row in studied), len(studied)),
        "controls_corroborated": share(sum(row.corroborated for row in controls), len(controls)),
    }


def by_scenario(examined: Iterable[Examined]) -> dict[str, tuple[int, int]]:
    """``(examined, corroborated)`` by scenario."""
    counts: dict[str, tuple[int, int]] = {}
    for row in examined:
        seen, held = counts.get(row.tally.scenario, (0, 0))
        counts[row.tally.scenario] = (seen + 1, held + row.corroborated)
    return counts


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
