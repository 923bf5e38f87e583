"""Stage 1b: the samples again as realism twins, and again while the target is steered towards awareness, against it, and at random.

Every variant's logs lie in a folder of their own under ``variants/``, the directions under ``steering/``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from audit.config import LAB, AuditConfig
from audit.pipeline import Context, Outcome
from audit.stages.names import STEERING_FOLDER, VARIANTS_FOLDER
from audit.stages.resources import Resources
from audit.stages.scenarios import Plan, outcome_of, run_set

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog
    from inspect_ai.model import Model

    from audit.target.steered import Directions, Steering

AWARENESS = "awareness"
"""The file of the real directions; in variants' names they have no name."""


def run_variants(context: Context, twins: Plan, again: Plan, resources: Resources) -> Outcome:
    """Runs ``twins`` as they are and ``again`` at every strength. Each set resumes where it was stopped."""
    logs: list[EvalLog] = []
    context.store.path(VARIANTS_FOLDER).mkdir(exist_ok=True)
    context.store.path(STEERING_FOLDER).mkdir(exist_ok=True)
    if twins.tasks:
        logs += run_set(context, twins, f"{VARIANTS_FOLDER}/realism", resources.model, "realism twins")
    facts = {}
    if context.config.steer and again.tasks:
        real = directions(context, resources)
        facts = {"steering": {"norm": real.norm, "source": real.source, "sha": real.sha}}
        for steering in steerings(real, context.config):
            model = steered_model(context, resources, steering)
            folder, about = f"{VARIANTS_FOLDER}/{folder_of(steering)}", {"steering": steering.description()}
            logs += run_set(context, again, folder, model, f"conversations, {steering.variant}", about)
    outcome = outcome_of(logs, Plan((), (*twins.left_out, *again.left_out)), resources)
    return replace(outcome, facts=outcome.facts | facts)


def directions(context: Context, resources: Resources) -> Directions:
    """The target's own direction of awareness, made once for an audit."""
    from audit.evidence.contrast import contrast_pairs, directions_from, lab_pairs

    target = resources.target
    if context.config.target == LAB:
        pairs, source = lab_pairs(target.tokenizer, context.config.seed), "threads of the lab's world that state their setting"
    else:
        pairs, source = contrast_pairs(target.tokenizer), "an AI under evaluation minus a matched control, in words"
    return directions_from(target.model, pairs, source)


def steerings(real: Directions, config: AuditConfig) -> Iterator[Steering]:
    """Every strength both ways along the real directions, then the largest both ways along each random one."""
    from audit.evidence.contrast import random_like
    from audit.target.steered import Steering

    layers = config.steer_layers or None
    for strength in config.steer:
        yield from (Steering(real, sign * strength, layers) for sign in (1, -1))
    for number in range(1, config.steer_controls + 1):
        control = random_like(real, number, config.seed)
        yield from (Steering(control, sign * max(config.steer), layers) for sign in (1, -1))


def folder_of(steering: Steering) -> str:
    """A name for the file system: ``steered+0.1``, ``random-1-0.2``."""
    return f"{steering.directions.name or 'steered'}{steering.strength:+g}"


def steered_model(context: Context, resources: Resources, steering: Steering) -> Model:
    """The target as Inspect talks to it, steered, with the weights that are in memory already; keeps the directions in the audit."""
    from inspect_ai.model import Model

    from audit.target.provider import NlaTargetAPI
    from audit.target.steered import save_directions

    api = resources.model.api
    assert isinstance(api, NlaTargetAPI)
    file = f"{STEERING_FOLDER}/{steering.directions.name or AWARENESS}.safetensors"
    with context.store.replacing(file) as temporary:
        save_directions(temporary, steering.directions)
    arguments = {"steering": file, "steering_strength": steering.strength}
    return Model(api.with_steering(steering), resources.model.config, arguments)
