"""What a run would do, before it does it: transcripts, explanations, and roughly how long they take."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from audit.config import LAB, AuditConfig
from audit.stages.jobs import control_count
from audit.stages.scenarios import Plan

LAB_CONVERSATIONS, LAB_EXPLANATIONS = 3.0, 40.0
"""A second, on two cores."""
START_SECONDS = 15.0
REPLY_TOKENS, EXPLANATION_TOKENS = 1500, 130
"""Of ordinary models: a conversation with tool calls, and an explanation (paper, section on cost)."""
CPU_FLOPS, GPU_FLOPS = 5e10, 1e14
"""What batched decoding of one machine sustains, to an order of magnitude."""


@dataclass(frozen=True)
class Estimate:
    """Upper bounds: transcripts with fewer tokens than asked for need fewer explanations."""

    scenarios: list[str]
    left_out: list[str]
    transcripts: int
    explanations: int
    minutes: float | None
    """Rough; ``None`` if the target's size is not known before it is downloaded."""
    questions: int = 0
    """To the grader: one for each explanation and graded scanner, asked again where an answer is unusable."""


def estimate(config: AuditConfig) -> Estimate:
    """Counts what the scenarios would give. Loads no model."""
    from audit.cli.table import plan_scenarios

    plan = plan_scenarios(config)
    transcripts = sum(len(task.build().dataset) for task in plan.tasks) + _manipulated(config, plan)
    sites = transcripts * config.tokens if config.nla_name else 0
    explanations = sites * config.samples + 2 * (control_count(sites, config.control_share, config.control_minimum) if sites else 0)
    explanations += _examined(config, transcripts) if sites else 0
    return Estimate(
        [task.name for task in plan.tasks], list(plan.left_out), transcripts, explanations, _minutes(config, transcripts, explanations),
        explanations * _graded_scanners(config),
    )  # fmt: skip


def _examined(config: AuditConfig, transcripts: int) -> int:
    """Explanations of tokens near examined ones."""
    from audit.evidence.selection import CONTROL_SHARE

    chosen = min(transcripts, int(config.evidence_transcripts * (1 + CONTROL_SHARE)))
    return chosen * config.evidence_sites * config.evidence_neighbours


def _manipulated(config: AuditConfig, plan: Plan) -> int:
    """Conversations of realism twins and under steering."""
    from audit.cli.table import choose_sandbox
    from audit.cli.variants import plan_variants

    if not config.manipulates:
        return 0
    twins, again = (sum(len(task.build().dataset) for task in one.tasks) for one in plan_variants(config, plan, choose_sandbox(config)[0]))
    return twins + again * 2 * (len(config.steer) + config.steer_controls)


def _graded_scanners(config: AuditConfig) -> int:
    from audit.scanners.base import Beside, registered

    if config.grader is None:
        return 0
    offered: tuple[Beside, ...] = ("turns",)
    return sum(scanner.graded for scanner in registered("explanation", graded=True, beside=offered))


def _minutes(config: AuditConfig, transcripts: int, explanations: int) -> float | None:
    if config.target == LAB:
        return round((START_SECONDS + transcripts / LAB_CONVERSATIONS + explanations / LAB_EXPLANATIONS) / 60, 1)
    parameters = _parameters(config.target)
    if parameters is None:
        return None
    import torch

    speed = GPU_FLOPS if torch.cuda.is_available() else CPU_FLOPS
    tokens = transcripts * REPLY_TOKENS + explanations * EXPLANATION_TOKENS
    return round((2.0 * parameters * tokens / speed + START_SECONDS) / 60, 1)


def _parameters(target: str) -> float | None:
    """Parameters of a local checkpoint, from the size of its 16-bit weights."""
    folder = Path(target).expanduser()
    files = list(folder.glob("*.safetensors")) if folder.is_dir() else []
    return sum(file.stat().st_size for file in files) / 2 if files else None


def print_estimate(config: AuditConfig, as_json: bool) -> None:
    """Tells what would be done."""
    found = estimate(config)
    if as_json:
        click.echo(json.dumps(asdict(found)))
        return
    click.echo(f"Scenarios: {', '.join(found.scenarios) or 'none'}")
    for line in found.left_out:
        click.echo(f"  {line}")
    click.echo(f"Transcripts: {found.transcripts}")
    click.echo(f"Explanations: {found.explanations} at most")
    if found.questions:
        click.echo(f"Questions to the grader: {found.questions} at most")
    minutes = "unknown before the target is here" if found.minutes is None else f"about {found.minutes:g}"
    click.echo(f"Minutes: {minutes}")
