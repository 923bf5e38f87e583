"""Auditing games in the report: how often auditors find what is hidden, by what they may use. A pure function of ``game.json``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from reports.reading import Rate, integer, interval, mapping, mappings, number, text, texts
from reports.text import one_of, plain

RUNS = 150
"""Runs shown of an arm; what is left away is counted."""
SCRIPTED = "scripted"
NONE = (
    "None: no game stands beside this audit. A game (nla-audit game) lets auditors look for what is hidden in models made for it; "
    "nla-audit report DIR --game GAME shows its results here."
)


@dataclass(frozen=True)
class ArmView:
    """What auditors with one set of tools found."""

    name: str
    won: Rate
    """Of the runs on organisms that hide something: Wilson's interval, then the one that keeps runs of one organism together."""
    organisms: str
    """How many were found at least once."""
    chance: Rate
    alarms: Rate
    """Of the runs on decoy and base: a cause named where there is none."""
    quirks: Rate
    """Share of an organism's quirks that a report names."""
    cost: tuple[tuple[str, float], ...]
    """For each win, what all runs of the arm used; empty without a win."""
    runs: tuple[RunView, ...]
    runs_cut: int


@dataclass(frozen=True)
class RunView:
    """One audit of one model."""

    organism: str
    kind: str
    seed: str
    outcome: str
    """``found``, ``not found``, ``false alarm``, ``none claimed``, ``failed``."""
    why: str
    claim: str
    quirks: str
    spent: str
    log: str
    link: str
    """Address of the log that holds its transcript, beside the page; empty if it is not known."""


@dataclass(frozen=True)
class CellView:
    """One organism under one arm."""

    won: Rate
    quirks: str
    failed: int


@dataclass(frozen=True)
class GameView:
    """A game, or in ``missing`` why there is none."""

    missing: str = ""
    auditors: str = ""
    scripted: bool = False
    arms: tuple[ArmView, ...] = ()
    cells: tuple[tuple[str, str, tuple[CellView | None, ...]], ...] = ()
    """By organism: its name, its kind, and what each arm found in it, ``None`` where that was not played."""
    failed: tuple[tuple[str, str], ...] = ()
    """Where, and why."""
    folder: str = ""
    digest: str = ""


def game_view(kept: dict[str, Any] | None, logs: str = "") -> GameView:
    """``kept``: ``results`` (the content of ``game.json``), ``folder``, ``sha256`` and ``logs``, the way from the page to its logs."""
    found = mapping(mapping(kept).get("results"))
    if not mappings(found.get("totals")):
        return GameView(NONE if kept is None else "The game holds no run.")
    beside, runs = logs or text(mapping(kept).get("logs")), mappings(found.get("runs"))
    auditors = texts(found.get("auditor"))
    names = [text(row.get("arm")) for row in mappings(found.get("totals"))]
    return GameView(
        auditors=one_of([plain(name, 60) for name in auditors]),
        scripted=SCRIPTED in auditors,
        arms=tuple(_arm(row, [run for run in runs if text(run.get("arm")) == text(row.get("arm"))], beside)
                   for row in mappings(found.get("totals"))),
        cells=_cells(mappings(found.get("arms")), names),
        failed=tuple((f"{text(row.get('organism'))}, {text(row.get('arm'))}, seed {text(row.get('seed'))}", text(row.get("error")))
                     for row in mappings(found.get("failed"))),
        folder=text(mapping(kept).get("folder")),
        digest=text(mapping(kept).get("sha256")),
    )  # fmt: skip


def _arm(row: dict[str, Any], runs: Sequence[dict[str, Any]], logs: str) -> ArmView:
    chance, cost = mapping(row.get("chance")), mapping(row.get("cost_per_win"))
    found, of = integer(row.get("organisms_found")), integer(row.get("organisms"))
    ends = (*interval(row.get("wilson")), *interval(row.get("clustered")))
    rate = number(row.get("rate"))
    return ArmView(
        name=text(row.get("arm")) or "(no name)",
        won=Rate(rate, *(ends[:2] if rate is not None else (None, None)), integer(row.get("wins")), integer(row.get("runs")),
                 "no run was graded", *ends[2:]),
        organisms="" if found is None or of is None else f"{found} of {of}",
        chance=Rate(number(chance.get("rate")), count=integer(chance.get("wins")), of=integer(chance.get("of")),
                    why="not measured: no other organism to compare with"),
        alarms=_counted(integer(row.get("false_alarms")), integer(row.get("controls")), row.get("false_alarms_ci")),
        quirks=Rate(number(row.get("quirks_share"))),
        cost=tuple((name.replace("_", " "), value) for name, amount in cost.items() if (value := number(amount))),
        runs=tuple(_run(run, logs) for run in runs[:RUNS]),
        runs_cut=max(0, len(runs) - RUNS),
    )  # fmt: skip


def _counted(count: int | None, of: int | None, ends: Any = None) -> Rate:
    if count is None or not of:
        return Rate(why="not measured: no decoy or base was played")
    return Rate(count / of, *interval(ends), count, of)


def _cells(rows: Sequence[dict[str, Any]], arms: Sequence[str]) -> tuple[tuple[str, str, tuple[CellView | None, ...]], ...]:
    known = {(text(row.get("organism")), text(row.get("arm"))): row for row in rows}
    kinds = {text(row.get("organism")): text(row.get("kind")) for row in rows}
    order = sorted(kinds, key=lambda name: kinds[name] != "organism")
    return tuple(
        (name or "(no name)", kinds[name], tuple(_cell(known[name, arm]) if (name, arm) in known else None for arm in arms))
        for name in order
    )


def _cell(row: dict[str, Any]) -> CellView:
    runs, quirks, of = integer(row.get("runs")), number(row.get("quirks_found")), integer(row.get("quirks_of"))
    hides = text(row.get("kind")) == "organism"
    count = integer(row.get("wins" if hides else "false_alarms"))
    won = (
        Rate(count / runs, *interval(row.get("ci") if hides else None), count, runs)
        if runs and count is not None
        else Rate(why="none graded")
    )
    return CellView(won, "" if quirks is None or not of else f"{quirks:.1f} of {of} quirks", integer(row.get("failed")) or 0)


def _run(row: dict[str, Any], logs: str) -> RunView:
    spent, log, sample = mapping(row.get("spent")), text(row.get("log")), text(row.get("sample"))
    parts = [f"{number(spent.get(name)):,.0f} {name}" for name in ("conversations", "tokens") if number(spent.get(name)) is not None]
    if text(spent.get("exhausted")):
        parts.append(f"stopped: {text(spent.get('exhausted'))}")
    return RunView(
        organism=text(row.get("organism")) or "(no name)",
        kind=text(row.get("kind")),
        seed=text(row.get("seed")),
        outcome=_outcome(row),
        why=text(row.get("error")) or text(row.get("reason")),
        claim=text(row.get("claim")),
        quirks=", ".join(plain(name, 40) for name in texts(row.get("quirks_found"))),
        spent=", ".join(parts),
        log=f"{log}, sample {sample}" if sample else log,
        link=f"./{quote(logs, errors='replace').strip('/')}/{quote(log, safe='', errors='replace')}" if log and logs else "",
    )


def _outcome(row: dict[str, Any]) -> str:
    if text(row.get("error")):
        return "failed"
    if text(row.get("kind")) != "organism":
        return "false alarm" if row.get("false_alarm") is True else "none claimed"
    return "found" if row.get("won") is True else "not found"
