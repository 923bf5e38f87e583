"""Win rates of a game: by arm and organism, with intervals, beside what chance gives and what a win costs.

Seeds of one organism are alike, so the interval of an arm comes from drawing whole organisms with replacement (cluster bootstrap), with
the Wilson interval that takes runs for independent beside it. A bootstrap of organisms that all did the same has no width; then the
interval of ``audit.statistics.cluster_means`` is the one to read, and it stands there too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import combinations
from typing import Any

import numpy as np

from audit.game.records import GameRun
from audit.statistics import cluster_bootstrap, cluster_means, paired_difference, wilson

BOOTSTRAP_SEED = 0


def summary(runs: Sequence[GameRun]) -> dict[str, Any]:
    """All that ``game --json`` prints; plain JSON."""
    arms = list(dict.fromkeys(run.arm for run in runs))
    return {
        "schema_version": 1,
        "auditor": sorted({run.auditor for run in runs}),
        "arms": [_cell(arm, name, rows) for arm in arms for name, rows in _by_organism(runs, arm)],
        "differences": _differences(runs, arms),
        "totals": [_total(arm, [run for run in runs if run.arm == arm]) for arm in arms],
        "decoy_wins": sum(_alarm(run) for run in runs if run.kind == "decoy"),
        "decoy_runs": sum(run.kind == "decoy" and run.grade is not None for run in runs),
        "base_wins": sum(_alarm(run) for run in runs if run.kind == "base"),
        "base_runs": sum(run.kind == "base" and run.grade is not None for run in runs),
        "failed": [{"organism": run.organism, "arm": run.arm, "seed": run.seed, "error": run.error} for run in runs if run.grade is None],
    }


def _by_organism(runs: Sequence[GameRun], arm: str) -> list[tuple[str, list[GameRun]]]:
    names = list(dict.fromkeys(run.organism for run in runs if run.arm == arm))
    return [(name, [run for run in runs if run.arm == arm and run.organism == name]) for name in names]


def _cell(arm: str, organism: str, runs: Sequence[GameRun]) -> dict[str, Any]:
    """One organism under one arm. A decoy or base has nothing that could be found, so no ``wins``; what it may have is ``false_alarms``."""
    graded = [run for run in runs if run.grade is not None]
    wins = sum(_won(run) for run in graded)
    return {
        "arm": arm,
        "organism": organism,
        "kind": runs[0].kind,
        "runs": len(graded),
        "failed": len(runs) - len(graded),
        "wins": wins,
        "false_alarms": sum(_alarm(run) for run in graded),
        "ci": list(wilson(wins, len(graded))),
        "quirks_found": _mean([len(run.grade.quirks_found) for run in graded if run.grade]),
        "quirks_of": max((run.grade.quirks_of for run in graded if run.grade), default=0),
        "rubric": _rubric(graded),
        "stopped_by_budget": sum(bool(run.spent.exhausted) for run in graded),
        "spent": _spent(graded),
        "reasons": dict(Counter(run.grade.reasons[0] for run in graded if run.grade)),
        "logs": sorted({run.log for run in runs}),
    }


def _total(arm: str, runs: Sequence[GameRun]) -> dict[str, Any]:
    """An arm over all organisms that hide something."""
    graded = [run for run in runs if run.grade is not None and run.kind == "organism"]
    wins = [float(_won(run)) for run in graded]
    names = [run.organism for run in graded]
    others = sum(run.others for run in graded)
    chance = sum(run.wins_elsewhere for run in graded)
    controls = sum(run.kind != "organism" and run.grade is not None for run in runs)
    return {
        "arm": arm,
        "organisms": len(set(names)),
        "runs": len(graded),
        "wins": int(sum(wins)),
        "rate": _mean(wins),
        "wilson": list(wilson(int(sum(wins)), len(wins))),
        "bootstrap": list(cluster_bootstrap(wins, names, lambda rows: float(np.mean(rows)), BOOTSTRAP_SEED)) if wins else None,
        "clustered": cluster_means(wins, names)[0].tolist() if wins else None,
        "organisms_found": len({run.organism for run in graded if _won(run)}),
        "chance": {"wins": chance, "of": others, "rate": chance / others if others else None},
        "quirks_share": _mean([len(run.grade.quirks_found) / run.grade.quirks_of for run in graded if run.grade and run.grade.quirks_of]),
        "false_alarms": sum(_alarm(run) for run in runs),
        "false_alarms_ci": list(wilson(sum(_alarm(run) for run in runs), controls)),
        "controls": controls,
        "spent": _spent(graded),
        "cost_per_win": _cost_per_win(graded, int(sum(wins))),
    }


def _differences(runs: Sequence[GameRun], arms: Sequence[str]) -> list[dict[str, Any]]:
    """Each pair of arms on the organisms and seeds that both audited: the difference of win rates, its bootstrap interval over organisms,
    and the p of a test that flips signs of whole organisms."""
    won = {(run.arm, run.organism, run.seed): float(_won(run)) for run in runs if run.grade is not None and run.kind == "organism"}
    rows = []
    for first, second in combinations(arms, 2):
        pairs = [(organism, seed) for arm, organism, seed in won if arm == first and (second, organism, seed) in won]
        if len({organism for organism, _ in pairs}) < 2:
            continue
        sides = ([won[arm, organism, seed] for organism, seed in pairs] for arm in (second, first))
        found = paired_difference(*sides, seed=BOOTSTRAP_SEED, clusters=[organism for organism, _ in pairs])
        interval = list(found.interval) if found.interval is not None else None
        rows.append(
            {"arm": second, "against": first, "difference": found.difference, "interval": interval, "p": found.p, "pairs": found.pairs}
        )
    return rows


def _won(run: GameRun) -> bool:
    return run.grade is not None and run.grade.won


def _alarm(run: GameRun) -> bool:
    return run.grade is not None and run.grade.false_alarm


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _rubric(runs: Iterable[GameRun]) -> dict[str, Any] | None:
    """How often which points were given, and how often none."""
    grades = [run.grade.rubric for run in runs if run.grade is not None and run.grade.rubric is not None]
    if not grades:
        return None
    points = Counter(one.points for one in grades)
    return {"points": {str(value): points[value] for value in (1, 2, 3, 4)}, "ungraded": points[None]}


def _spent(runs: Sequence[GameRun]) -> dict[str, float | None]:
    """Means of a run."""
    return {
        "conversations": _mean([run.spent.conversations for run in runs]),
        "tokens": _mean([run.spent.tokens for run in runs]),
        "minutes": _mean([run.spent.minutes for run in runs]),
        "auditor_tokens": _mean([run.metadata.get("api_tokens", 0) for run in runs]),
    }


def _cost_per_win(runs: Sequence[GameRun], wins: int) -> dict[str, float] | None:
    """What all runs of an arm used, for each win; ``None`` without one."""
    if not wins:
        return None
    return {
        "conversations": sum(run.spent.conversations for run in runs) / wins,
        "tokens": sum(run.spent.tokens for run in runs) / wins,
        "auditor_tokens": sum(run.metadata.get("api_tokens", 0) for run in runs) / wins,
    }


def run_rows(runs: Sequence[GameRun]) -> list[dict[str, Any]]:
    """Every audit in one row each, with where its transcript lies; plain JSON."""
    return [
        {
            "organism": run.organism, "kind": run.kind, "arm": run.arm, "seed": run.seed, "auditor": run.auditor,
            "won": _won(run), "false_alarm": _alarm(run), "quirks_found": list(run.grade.quirks_found) if run.grade else [],
            "reason": run.grade.reasons[0] if run.grade else "", "claim": _cause(run.metadata.get("report") or {}),
            "spent": asdict(run.spent), "log": run.log, "sample": run.metadata.get("sample", ""), "error": run.error,
        }
        for run in runs
    ]  # fmt: skip


def _cause(report: dict[str, Any]) -> str:
    """What the report names as the root cause, in its own words; empty if it names none."""
    return next((str(claim["text"]) for claim in report.get("claims", ()) if claim["kind"] == "root_cause"), "")


def chart_data(found: dict[str, Any]) -> list[dict[str, Any]]:
    """One bar for each arm: rate with its interval, and the chance rate beside it. Arms without a run are left out."""
    return [
        {"arm": row["arm"], "rate": row["rate"], "low": row["clustered"][0], "high": row["clustered"][1], "chance": row["chance"]["rate"]}
        for row in found["totals"]
        if row["runs"]
    ]
