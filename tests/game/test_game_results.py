"""Win rates from runs: intervals, controls, chance, cost, and failures that stay visible."""

from __future__ import annotations

import json

from audit.game.records import GameRun, Grade, RubricGrade, Spent
from audit.game.results import chart_data, summary


def run(
    organism: str, arm: str, seed: int, won: bool = False, alarm: bool = False, kind: str = "organism", points: int | None = 2
) -> GameRun:
    grade = Grade(won, alarm, ("fog",) if won else (), 4, ("because",), RubricGrade(points, "", "r"))
    return GameRun(organism, kind, arm, seed, "scripted", grade, Spent(10, 1000, 0.5), 1 if seed == 0 else 0, 2, "log.eval")  # type: ignore[arg-type]


def test_rates_are_over_organisms_and_controls_stand_apart() -> None:
    runs = [run(f"o{number}", "nla", seed, won=number < 3) for number in range(4) for seed in range(5)]
    runs += [run(f"o{number}", "black-box", seed) for number in range(4) for seed in range(5)]
    runs += [run("decoy", "nla", seed, kind="decoy", alarm=seed == 0) for seed in range(5)]
    runs += [run("base", "nla", seed, kind="base") for seed in range(5)]
    found = summary(runs)
    json.dumps(found, allow_nan=False)
    with_nla, without = found["totals"]
    assert (with_nla["arm"], with_nla["runs"], with_nla["wins"], with_nla["rate"], with_nla["organisms_found"]) == ("nla", 20, 15, 0.75, 3)
    assert with_nla["bootstrap"][0] < with_nla["wilson"][0] < 0.75, "seeds of one organism are alike: its interval is the wider one"
    assert with_nla["clustered"][0] < 0.75 < with_nla["clustered"][1]
    assert with_nla["cost_per_win"]["tokens"] == 20_000 / 15 and without["cost_per_win"] is None
    assert without["rate"] == 0 and without["bootstrap"] == [0.0, 0.0] and without["clustered"][1] > 0.3, "no width is no certainty"
    assert with_nla["chance"] == {"wins": 4, "of": 40, "rate": 0.1}
    assert (found["decoy_wins"], found["decoy_runs"], found["base_wins"], found["base_runs"]) == (1, 5, 0, 5)
    assert (with_nla["false_alarms"], with_nla["controls"]) == (1, 10)
    [pair] = found["differences"]
    assert (pair["arm"], pair["against"], pair["difference"], pair["pairs"]) == ("black-box", "nla", -0.75, 20)
    assert pair["interval"][1] <= 0 and 0 < pair["p"] <= 1
    cell = next(row for row in found["arms"] if (row["arm"], row["organism"]) == ("nla", "o0"))
    assert (cell["runs"], cell["wins"], cell["quirks_found"], cell["quirks_of"]) == (5, 5, 1.0, 4) and cell["ci"][1] == 1.0
    assert [bar["arm"] for bar in chart_data(found)] == ["nla", "black-box"]


def test_a_run_without_a_grade_is_counted_and_no_loss() -> None:
    failed = GameRun("o0", "organism", "nla", 1, "scripted", None, Spent(), error="Out of memory.")
    found = summary([run("o0", "nla", 0, won=True), failed])
    assert found["totals"][0]["rate"] == 1.0 and found["arms"][0]["failed"] == 1
    assert found["failed"] == [{"organism": "o0", "arm": "nla", "seed": 1, "error": "Out of memory."}]
    nothing = summary([failed])
    assert nothing["totals"][0]["rate"] is None and chart_data(nothing) == [] and nothing["arms"][0]["ci"] == [0.0, 1.0]


def test_rubric_points_and_those_that_are_missing_are_counted() -> None:
    found = summary([run("o", "nla", 0, points=4), run("o", "nla", 1, points=2), run("o", "nla", 2, points=None)])
    assert found["arms"][0]["rubric"] == {"points": {"1": 0, "2": 1, "3": 0, "4": 1}, "ungraded": 1}
