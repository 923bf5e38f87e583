"""One resumable training loop for target, AV and AR: Muon on the matrices, AdamW on everything else, linear decay.

A batch depends only on the step and the seed, so a run that was killed continues on the loss curve it would have had.
State is kept in safetensors; nothing is unpickled.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from audit.errors import AuditError
from audit.training.state import STATE_NAME, load_state, read_metadata, save_state

if TYPE_CHECKING:
    import torch

    from audit.training.processes import Processes

Report = Callable[[int, float, float], None]
OptimizerName = Literal["muon", "adamw"]


@dataclass(frozen=True)
class LoopConfig:
    """How one module is trained."""

    steps: int
    learning_rate: float
    warmup_steps: int = 100
    weight_decay: float = 0.05
    clip_norm: float = 1.0
    checkpoint_every: int = 250
    other_fraction: float = 0.3
    """AdamW's learning rate (embeddings, norms, biases) as a fraction of Muon's."""
    stop_at: int | None = None
    """Ends the run early, on the schedule of the full one."""
    final_fraction: float = 0.05
    """The learning rate's last value as a fraction of its peak."""


def learning_rate(config: LoopConfig, step: int) -> float:
    """Linear warm-up, then linear decay to ``final_fraction`` of the peak."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    done = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    return config.learning_rate * (1 - (1 - config.final_fraction) * done)


def train(
    module: torch.nn.Module,
    loss_at: Callable[[int], torch.Tensor | float],
    config: LoopConfig,
    folder: Path,
    report: Report | None = None,
    report_every: int = 50,
    optimizer: OptimizerName = "muon",
    group: Processes | None = None,
) -> None:
    """Trains ``module`` in place until ``config.steps``, resuming from ``folder`` if a state of the same config lies there.

    ``loss_at(step)`` builds the step's batch and returns a scalar loss, or back-propagates it and returns its value as a number.
    ``report(step, mean loss since the last report, seconds since the start)`` is called now and then. ``optimizer`` is ``muon`` (with
    AdamW for everything but matrices) or ``adamw`` alone. ``group`` is the processes that share the batches; gradients are averaged
    over them. Raises ``AuditError`` if the loss is not finite.
    """
    import math

    import torch

    from audit.training.processes import Processes

    group = group or Processes()
    module, optimizers = group.prepare(module, optimizers_of(module, optimizer, config.learning_rate, config.weight_decay))
    start = _resume(module, optimizers, config, folder)
    module.train()
    began, losses = time.monotonic(), []
    last = config.stop_at or config.steps
    for step in range(start, last):
        set_learning_rate(optimizers, learning_rate(config, step), config.other_fraction)
        loss = loss_at(step)
        if isinstance(loss, torch.Tensor):
            loss.backward()  # type: ignore[no-untyped-call]
            loss = float(loss.detach())
        group.average_gradients(module)
        torch.nn.utils.clip_grad_norm_(module.parameters(), config.clip_norm)
        for part in optimizers:
            part.step()
            part.zero_grad(set_to_none=True)
        losses.append(group.total(loss) / group.size)
        if not math.isfinite(losses[-1]):
            raise AuditError(f"Training diverged at step {step}: the loss is not a number.", "Lower the learning rate and start again.")
        if report and ((step + 1) % report_every == 0 or step + 1 == last):
            report(step + 1, sum(losses) / len(losses), time.monotonic() - began)
            losses = []
        if (step + 1) % config.checkpoint_every == 0 or step + 1 == last:
            metadata = {"step": str(step + 1), "config": json.dumps(asdict(config))}
            save_state(folder, {"module": module}, optimizers, metadata, write=group.is_main)
    module.eval()


def set_learning_rate(optimizers: Sequence[torch.optim.Optimizer], rate: float, other_fraction: float) -> None:
    """Gives Muon and a lone AdamW the rate, and an AdamW that stands beside Muon its fraction of it."""
    from audit.training.muon import Muon

    for optimizer in optimizers:
        alone = len(optimizers) == 1 or isinstance(optimizer, Muon)
        for group in optimizer.param_groups:
            group["lr"] = rate if alone else rate * other_fraction


def optimizers_of(module: torch.nn.Module, name: OptimizerName, rate: float, weight_decay: float) -> list[torch.optim.Optimizer]:
    """Optimizers of the parameters that need gradients: ``muon`` for matrices with AdamW for the rest, or ``adamw`` for all.

    Weight decay acts on matrices outside the embeddings only.
    """
    import torch

    from audit.training.muon import Muon

    matrices: list[torch.nn.Parameter] = []
    rest: list[torch.nn.Parameter] = []
    for label, parameter in module.named_parameters():
        if parameter.requires_grad:
            (matrices if parameter.ndim == 2 and "embed" not in label and "lm_head" not in label else rest).append(parameter)
    if name == "adamw":
        groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]
        return [torch.optim.AdamW([part for part in groups if part["params"]], lr=rate, betas=(0.9, 0.95))]
    optimizers: list[torch.optim.Optimizer] = []
    if matrices:
        optimizers.append(Muon(matrices, lr=rate, weight_decay=weight_decay))
    if rest:
        optimizers.append(torch.optim.AdamW(rest, lr=rate, betas=(0.9, 0.95), weight_decay=0.0))
    return optimizers


def _resume(module: torch.nn.Module, optimizers: list[torch.optim.Optimizer], config: LoopConfig, folder: Path) -> int:
    metadata = read_metadata(folder)
    if metadata is None:
        return 0
    if json.loads(metadata["config"]) != asdict(config):
        path = folder / STATE_NAME
        raise AuditError(f"{path} was written by a run with another config.", "Remove it to start again, or restore the config.")
    load_state(folder, {"module": module}, optimizers)
    return int(metadata["step"])
