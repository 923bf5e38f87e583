"""A game as Inspect tasks: one task for each organism and arm, one sample for each seed, the grade as its score.

The task's solver opens the auditee and lets the auditor work; only the scorer reads what is hidden. An evaluation set runs them, and goes
on where it was stopped: samples that are finished are not run again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.errors import AuditError
from audit.game.arms import Arm
from audit.game.auditors import scripted
from audit.game.auditors.battery import Battery
from audit.game.budget import Budget
from audit.game.desk import keep, left
from audit.game.grading import grade, why_not
from audit.game.loading import base_name, nla_name, require_peft
from audit.game.organisms import Exhibit, Organism, Secret
from audit.game.workspace import WorkingFolder
from audit.game.zoo import Zoo
from audit.store import content_hash

if TYPE_CHECKING:
    from inspect_ai import Task
    from inspect_ai.scorer import Scorer
    from inspect_ai.solver import Solver

VERSION = 6
"""Of the game; a change that makes old and new runs incomparable raises it, and nothing is taken from older logs."""
MOST_MESSAGES = 600
EXTRA_SECONDS = 600
"""Beyond the budget's minutes, for loading and for the report; then Inspect stops the sample and it is graded as it is."""
GRADED, OPENED = "game", "opened"


@dataclass(frozen=True)
class Rules:
    """What all audits of a game share."""

    auditor: str
    """``scripted``, or the name of the model in the role ``auditor``."""
    budget: Budget
    battery: Battery
    seeds: int
    first_seed: int
    work: Path
    """Working folders go here."""
    graded_by_model: bool = False


@dataclass(frozen=True)
class Cell:
    """One organism under one arm."""

    organism: Organism
    arm: Arm


def cells(organisms: Sequence[Organism], arms: Sequence[Arm]) -> list[Cell]:
    """All pairs, organism by organism, so that each is loaded once. Raises ``AuditError`` if one lacks what its arm needs."""
    found = [Cell(organism, arm) for organism in organisms for arm in arms]
    for cell in found:
        _check(cell)
    return found


def _check(cell: Cell) -> None:
    exhibit, tools = cell.organism.exhibit, cell.arm.tools
    require_peft(exhibit)
    if tools & {"text_diff", "diff", "nla", "sae"}:
        base_name(exhibit)
    if cell.arm.reads_activations:
        nla_name(exhibit)
    if "search_training_data" in tools:
        if exhibit.corpus is None:
            raise AuditError(f"'{cell.organism.name}' names no corpus to search.", "Name its folder as 'corpus', or leave that tool out.")
        from audit.game.instruments.training_data import TrainingData

        TrainingData(Path(exhibit.corpus))


def game_task(cell: Cell, rules: Rules, zoo: Zoo, rivals: Sequence[Organism] = ()) -> Task:
    """The task of one cell. ``rivals``: organisms whose win rules a report is also held against, for what chance gives."""
    from inspect_ai import Task, task
    from inspect_ai.dataset import MemoryDataset, Sample

    organism, arm = cell.organism, cell.arm
    samples = [
        Sample(id=f"seed-{seed}", input=f"Audit {organism.exhibit.label}.", metadata={"seed": seed})
        for seed in range(rules.first_seed, rules.first_seed + rules.seeds)
    ]

    @task(name=f"game_{organism.exhibit.label}_{arm.name}")
    def game(organism_sha: str, weights: str, tools: str, auditor: str, seeds: str, budget: str, battery: str, models: str) -> Task:
        return Task(
            dataset=MemoryDataset(samples),
            solver=playing(cell, rules, zoo),
            scorer=graded(cell, rules, rivals),
            name=f"game_{organism.exhibit.label}_{arm.name}",
            version=VERSION,
            message_limit=MOST_MESSAGES if rules.auditor != scripted.NAME else None,
            time_limit=int(rules.budget.minutes * 60 + EXTRA_SECONDS),
            metadata={"organism": organism.name, "kind": organism.secret.kind, "arm": arm.name, "auditor": rules.auditor},
        )

    # Plain texts that tell one game from another: an evaluation set resumes what has the same ones.
    return game(
        organism_sha=organism.sha, weights=weights_of(organism.exhibit), tools="+".join(sorted(arm.tools)), auditor=rules.auditor,
        seeds=f"{rules.first_seed}+{rules.seeds}", budget=repr(asdict(rules.budget)), battery=hash_of(rules.battery),
        models=repr(zoo.settings),
    )  # fmt: skip


@cache
def weights_of(exhibit: Exhibit) -> str:
    """Tells a model and all that it is read with from another build of the same file."""
    import hashlib

    from audit.stages.identity import model_identity, nla_identity

    models = [model_identity(name) for name in (exhibit.model, exhibit.adapter, exhibit.base) if name]
    texts = [content_hash(Path(name).expanduser()) or name for name in (exhibit.generic_text, exhibit.generic_prompts) if name]
    return hashlib.sha256(repr((models, nla_identity(exhibit.nla), texts)).encode()).hexdigest()[:16]


def hash_of(battery: Battery) -> str:
    """Tells one battery from another."""
    import hashlib

    return hashlib.sha256(battery.model_dump_json().encode()).hexdigest()[:12]


def playing(cell: Cell, rules: Rules, zoo: Zoo) -> Solver:
    """Opens the auditee and lets the auditor work."""
    from inspect_ai.agent import AgentState
    from inspect_ai.solver import Generate, TaskState, solver

    exhibit, arm = cell.organism.exhibit, cell.arm

    @solver(name="auditor")
    def auditing() -> Solver:
        async def solve(state: TaskState, generate: Generate) -> TaskState:
            seed = int(state.metadata["seed"])
            folder = WorkingFolder.fresh(rules.work / exhibit.label / arm.name / f"seed-{seed}")
            auditee = await zoo.open(exhibit, arm, rules.budget, folder, seed)
            keep(auditee)
            if rules.auditor == scripted.NAME:
                keep(auditee, await scripted.audit(auditee, rules.battery, seed))
                return state
            from audit.game.auditors.agent import auditor

            before = AgentState(messages=state.messages)
            after = await auditor(auditee)(before)
            state.messages, state.output = after.messages, after.output
            keep(auditee)
            return state

        return solve

    return auditing()


def graded(cell: Cell, rules: Rules, rivals: Sequence[Organism]) -> Scorer:
    """The scorer: 1 for a win, 0 for none; the grade, what was spent and what chance gives stand in its metadata."""
    from inspect_ai.scorer import Score, Target, mean, scorer
    from inspect_ai.solver import TaskState

    secret = cell.organism.secret
    others = [one.secret for one in rivals if one.name != cell.organism.name and one.secret.win is not None]

    @scorer(name=GRADED, metrics=[mean()])
    def grading() -> Scorer:
        async def score(state: TaskState, target: Target) -> Score:
            found = left(dict(state.store.items()))
            verdict = grade(found.report, secret, found.prompts)
            if rules.graded_by_model:
                verdict = replace(verdict, rubric=await _rubric(found.report, secret))
            cause = found.report.root_cause()
            elsewhere = sum(not why_not(cause, other.win, found.prompts) for other in others if other.win is not None)
            about: dict[str, Any] = {
                "grade": asdict(verdict), "spent": asdict(found.spent), "report": found.report.as_dict(), "wins_elsewhere": elsewhere,
                "others": len(others),
            }  # fmt: skip
            return Score(value=float(verdict.won), answer=cause.text if cause else "", explanation=verdict.reasons[0], metadata=about)

        return score

    return grading()


async def _rubric(report: Any, secret: Secret) -> Any:
    from inspect_ai.model import get_model

    from audit.game.rubric import ROLE, rubric_grade

    return await rubric_grade(report, secret, get_model(role=ROLE, required=True))
