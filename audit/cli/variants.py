"""Which scenarios run again, as realism twins and steered: never the controls, whose rate sets the threshold."""

from __future__ import annotations

from functools import partial
from typing import Any

from audit.config import LAB, AuditConfig
from audit.stages.scenarios import Plan, PlannedTask


def plan_variants(config: AuditConfig, plan: Plan, sandbox: str) -> tuple[Plan, Plan]:
    """The realism twins of a plan's scenarios, and the scenarios to steer; each empty if it was not asked for."""
    from scenarios.catalogue import CATALOGUE

    entries = {entry.name: entry for entry in CATALOGUE if entry.kind == "evaluation"}
    chosen = [entries[task.name] for task in plan.tasks if task.name in entries]
    others = [task.name for task in plan.tasks if task.name not in {entry.name for entry in CATALOGUE}]
    left_out = [f"The scenario {name} has no realism twins and was not steered: it comes from another package." for name in others]
    limit = min(config.limit or config.steer_samples, config.steer_samples)
    twins = [PlannedTask(entry.name, partial(_task, entry, config, sandbox, config.limit, "realism")) for entry in chosen]
    again = [PlannedTask(entry.name, partial(_task, entry, config, sandbox, limit, "original")) for entry in chosen]
    return Plan(twins if config.twins else (), left_out), Plan(again if config.steer else ())


def _task(entry: Any, config: AuditConfig, sandbox: str, limit: int | None, variant: str) -> Any:
    from scenarios.catalogue import task_function

    source = "lab" if config.target == LAB else "written"
    return task_function(entry)(source=source, limit=limit, seed=config.seed, sandbox=sandbox, variant=variant)
