"""Joint reinforcement learning of AV and AR (paper, section 3).

At each step the AV writes ``group`` explanations of each of ``batch`` activations at temperature 1. The AR reads them back; the reward of
an explanation is ``-mse_nrm`` (or ``-log mse_nrm``), its advantage the reward less its group's mean, in units of the group's standard
deviation. The AV takes one policy-gradient step with a KL penalty to the warm-started AV; the AR takes one regression step on the same
samples, or several on parts of them. Neither gradient passes into the other model: rewards are numbers, texts are text.

Choices of ours where the paper is silent, and departures from it:
- one update of the AV a batch, so the importance ratio is 1 and nothing is clipped; every token of the batch weighs the same;
- the AR may read a share of the texts with their lines shuffled (``reorder``), and gold summaries beside the samples (``replay``);
- the AR may take several updates a batch (``reconstructor_updates``), each on whole groups, whose rewards come from the weights before it;
- the KL penalty is the estimator ``r - log r - 1`` with ``r = p_reference / p`` of the sampled tokens: not negative, and zero at the start;
- AdamW with a constant learning rate after a short warm-up; Muon can be chosen;
- what the penalty at the cap is, and that a text which ended without its closing tag is unparsed (``rollouts``);
- injection by replaced embeddings only: an AV that gets its vector added after a block is refused.

Runs in one process or several (``processes`` says what of that was tested).
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field

from audit.errors import AuditError, RefusedInput
from audit.nla.pair import Reconstructor, Verbalizer
from audit.training.curves import CurveRow, Curves
from audit.training.evaluation import round_trip
from audit.training.loop import LoopConfig, OptimizerName, learning_rate
from audit.training.rollouts import RewardName

if TYPE_CHECKING:
    from audit.training.processes import Processes
    from audit.training.warm_start import ExplainedActivations

Count = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0)]
Weight = Annotated[float, Field(ge=0)]


@dataclass(frozen=True)
class RlConfig:
    """How joint RL is done. Learning rates are those of the open 7B models; a small model takes far larger ones."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    steps: Annotated[int, Field(ge=0)] = 2000
    batch: Count = 16
    """Activations a step."""
    group: Annotated[int, Field(ge=2)] = 8
    """Explanations of each."""
    temperature: Rate = 1.0
    max_tokens: Annotated[int, Field(ge=8)] = 150
    """Length cap."""
    cap_penalty: Weight = 0.5
    """Taken from the reward of a text that runs into the cap."""
    reward: RewardName = "mse"
    kl_weight: Weight = 0.02
    verbalizer_learning_rate: Rate = 1e-5
    reconstructor_learning_rate: Rate = 5e-5
    reconstructor_updates: Count = 1
    """Of the AR a step, each on its share of the activations: sampling is what costs, and an AR that lags behind misleads the AV."""
    reorder: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the activations whose explanations the AR reads with shuffled lines: no code can then hide in their order."""
    replay: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Gold summaries that the AR reads beside the AV's samples, for each of them: what keeps its reading of true words."""
    warmup_steps: Annotated[int, Field(ge=0)] = 10
    optimizer: OptimizerName = "adamw"
    weight_decay: Weight = 0.0
    clip_norm: Rate = 1.0
    micro_batch: Count = 64
    """Sequences that go through a model at once; halved where memory runs out."""
    evaluate_every: Count = 25
    evaluate_on: Annotated[int, Field(ge=2)] = 200
    """At most so many held-out activations."""
    checkpoint_every: Count = 25
    seed: int = 0


def train_rl(
    verbalizer: Verbalizer,
    reconstructor: Reconstructor,
    vectors: NDArray[np.float32],
    held_out_vectors: NDArray[np.float32],
    config: RlConfig,
    folder: Path,
    report: Callable[[CurveRow], None] | None = None,
    group: Processes | None = None,
    gold: ExplainedActivations | None = None,
) -> None:
    """Trains a warm-started pair in place. Vectors are raw activations ``[n, d]``; the held-out ones must be of other documents.

    All parameters are trained, or those alone that require gradients if only some do (LoRA). ``folder`` gets the state,
    ``curves.parquet`` and ``curves.png``; a call with the same warm-started pair, vectors and config goes on from there, on the curve that
    an undisturbed run would have had. ``report`` gets each row of the curves (row 0: the warm start); ``gold`` is what ``config.replay``
    draws from. Raises ``AuditError`` for a state of another run and where training diverges, ``RefusedInput`` for vectors that cannot be
    trained on.
    """
    from audit.training.joint import JointTrainer
    from audit.training.processes import Processes
    from audit.training.replay import replay_of

    group = group or Processes()
    _check(verbalizer, vectors, held_out_vectors, config, group)
    chosen = np.random.default_rng(config.seed).permutation(len(held_out_vectors))[: config.evaluate_on]
    held_out = held_out_vectors[np.sort(chosen)]
    update = config.batch * config.group // config.reconstructor_updates
    replay = replay_of(gold, config.replay, config.seed, update, group.size)
    trainer = JointTrainer(verbalizer, reconstructor, config, group, replay)
    replayed = [replay.data.vectors] if replay else []
    start_of_run = _fingerprint(trainer.parameters(), vectors, held_out, *replayed)
    identity = {"config": json.dumps(asdict(config), sort_keys=True), "start": start_of_run}
    curves = Curves(folder)
    start = _resume(trainer, curves, identity, folder)

    def keep(row: CurveRow) -> None:
        curves.rows.append(row)
        if report is not None:
            report(row)

    if start == 0:
        keep(_measured(CurveRow("rl", 0, 0.0), trainer, held_out))
    for step in range(start, config.steps):
        row, last = _one_step(trainer, vectors, step), step + 1 == config.steps
        if (step + 1) % config.evaluate_every == 0 or last:
            row = _measured(row, trainer, held_out)
        keep(row)
        if (step + 1) % config.checkpoint_every == 0 or last:
            if group.is_main:
                curves.save(last)
            trainer.save(folder, identity | {"step": str(step + 1)})
    if not config.steps and group.is_main:
        curves.save(last=True)


def _one_step(trainer: Any, vectors: NDArray[np.float32], step: int) -> CurveRow:
    config: RlConfig = trainer.config
    rows = random.Random(f"rl/{config.seed}/{step}").sample(range(len(vectors)), config.batch)
    rates = [
        learning_rate(LoopConfig(config.steps, peak, warmup_steps=config.warmup_steps, final_fraction=1.0), step)
        for peak in (config.verbalizer_learning_rate, config.reconstructor_learning_rate)
    ]
    began = time.monotonic()
    row: CurveRow = trainer.step(vectors, rows, step, *rates)
    if not all(math.isfinite(value) for value in (row.reward or 0.0, row.mse_nrm or 0.0, row.kl or 0.0)):
        raise AuditError(f"RL diverged at step {step}: the reward or the KL is not a number.", "Lower its learning rates and start again.")
    seconds = time.monotonic() - began
    written = (row.length or 0.0) * config.batch * config.group
    return replace(row, seconds=seconds, tokens_per_second=written / max(seconds, 1e-9))


def _measured(row: CurveRow, trainer: Any, held_out: NDArray[np.float32]) -> CurveRow:
    with trainer.generating():
        found = round_trip(trainer.verbalizer, trainer.reconstructor, held_out, trainer.config.max_tokens, trainer.group)
    return replace(
        row, fve=found.fve, fve_shuffled=found.fve_shuffled, fve_reordered=found.fve_reordered, cosine=found.cosine,
        held_out_unparsed=found.unparsed, held_out_length=found.length,
    )  # fmt: skip


def _check(verbalizer: Verbalizer, vectors: NDArray[np.float32], held_out: NDArray[np.float32], config: RlConfig, group: Processes) -> None:
    if verbalizer.sidecar.addition_block is not None:
        raise RefusedInput(
            "This AV gets its vector added after a block; RL trains AVs whose vector replaces an embedding.", "Warm-start one."
        )
    for name, some in (("training", vectors), ("held-out", held_out)):
        if some.ndim != 2 or some.shape[1] != verbalizer.sidecar.d_model:
            raise RefusedInput(f"The {name} vectors have shape {some.shape}, but this AV reads [n, {verbalizer.sidecar.d_model}].")
        if bad := int((~np.isfinite(some).all(axis=1)).sum()):
            raise RefusedInput(f"{bad} of the {name} vectors are not finite.", "Leave them out.")
    if len(held_out) < 2:
        raise RefusedInput(f"There are {len(held_out)} held-out vectors, too few to measure on.", "Give activations of more documents.")
    if len(vectors) < config.batch:
        raise RefusedInput(f"There are {len(vectors)} vectors, fewer than the {config.batch} of a step.", "Lower 'batch', or give more.")
    group.check_batch(config.batch, "A batch")
    if config.batch // group.size % config.reconstructor_updates:
        share = f"{config.batch} activations a step" + (f" on {group.size} processes" if group.size > 1 else "")
        problem = f"{share} cannot be divided into {config.reconstructor_updates} updates of the AR."
        raise RefusedInput(problem, "Make 'batch' a multiple of 'reconstructor_updates' (for each process).")


def _fingerprint(parameters: dict[str, Any], *arrays: NDArray[np.float32]) -> str:
    """Tells one warm start and corpus from another by some numbers of each."""
    from audit.training.state import whole

    digest = hashlib.sha256()
    for name, value in parameters.items():
        digest.update(name.encode() + whole(value.detach()).flatten()[:1024].float().cpu().numpy().tobytes())
    for array in arrays:
        digest.update(f"{array.shape}".encode() + np.ascontiguousarray(array[:: max(1, len(array) // 64)]).tobytes())
    return digest.hexdigest()


def _resume(trainer: Any, curves: Curves, identity: dict[str, str], folder: Path) -> int:
    from audit.training.state import STATE_NAME, read_metadata

    found = read_metadata(folder)
    if found is None:
        return 0
    for key, what in (("config", "config"), ("start", "warm start or corpus")):
        if found.get(key) != identity[key]:
            remedy = "Remove it to start again, or choose another folder."
            raise AuditError(f"{folder / STATE_NAME} belongs to a run with another {what}.", remedy)
    step = int(found["step"])
    trainer.load(folder, int(found["micro_batch"]))
    curves.resume("rl", step)
    return step
