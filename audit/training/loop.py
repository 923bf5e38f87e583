"""One resumable training loop for target, AV and AR: Muon on the matrices, AdamW on everything else, linear decay.

A batch depends only on the step and the seed, so a run that was killed continues on the loss curve it would have had.
State is kept in safetensors; nothing is unpickled.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from audit.errors import AuditError

if TYPE_CHECKING:
    import torch


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
    loss_at: Callable[[int], torch.Tensor],
    config: LoopConfig,
    folder: Path,
    report: Callable[[int, float, float], None] | None = None,
    report_every: int = 50,
) -> None:
    """Trains ``module`` in place until ``config.steps``, resuming from ``folder`` if a state of the same config lies there.

    ``loss_at(step)`` builds the step's batch and returns a scalar loss. ``report(step, mean loss since the last report,
    seconds since the start)`` is called now and then. Raises ``AuditError`` if the loss is not finite.
    """
    import torch

    optimizers = _optimizers(module, config)
    start = _resume(module, optimizers, config, folder)
    module.train()
    began, losses = time.monotonic(), []
    last = config.stop_at or config.steps
    for step in range(start, last):
        for optimizer in optimizers:
            fraction = 1.0 if isinstance(optimizer, torch.optim.Muon) else config.other_fraction
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(config, step) * fraction
        loss = loss_at(step)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(module.parameters(), config.clip_norm)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        losses.append(float(loss.detach()))
        if losses[-1] != losses[-1]:
            raise AuditError(f"Training diverged at step {step}: the loss is not a number.", "Lower the learning rate and start again.")
        if (step + 1) % config.checkpoint_every == 0 or step + 1 == last:
            _save(module, optimizers, config, folder, step + 1)
        if report and ((step + 1) % report_every == 0 or step + 1 == last):
            report(step + 1, sum(losses) / len(losses), time.monotonic() - began)
            losses = []
    module.eval()


def _optimizers(module: torch.nn.Module, config: LoopConfig) -> list[torch.optim.Optimizer]:
    import torch

    matrices: list[torch.nn.Parameter] = []
    rest: list[torch.nn.Parameter] = []
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            (matrices if parameter.ndim == 2 and "embed" not in name and "lm_head" not in name else rest).append(parameter)
    optimizers: list[torch.optim.Optimizer] = []
    if matrices:
        optimizers.append(
            torch.optim.Muon(matrices, lr=config.learning_rate, weight_decay=config.weight_decay, adjust_lr_fn="match_rms_adamw")
        )
    if rest:
        optimizers.append(torch.optim.AdamW(rest, lr=config.learning_rate, betas=(0.9, 0.95), weight_decay=0.0))
    return optimizers


def _state_tensors(module: torch.nn.Module, optimizers: list[torch.optim.Optimizer]) -> dict[str, torch.Tensor]:
    import torch

    tensors = {f"module.{name}": value.detach() for name, value in module.named_parameters()}
    for number, optimizer in enumerate(optimizers):
        for index, state in optimizer.state_dict()["state"].items():
            for key, value in state.items():
                tensors[f"optimizer.{number}.{index}.{key}"] = torch.as_tensor(value).detach()
    return {name: value.contiguous().clone() for name, value in tensors.items()}


def _save(module: torch.nn.Module, optimizers: list[torch.optim.Optimizer], config: LoopConfig, folder: Path, step: int) -> None:
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    target = folder / "training_state.safetensors"
    partial = target.with_suffix(".partial")
    save_file(_state_tensors(module, optimizers), partial, metadata={"step": str(step), "config": json.dumps(asdict(config))})
    os.replace(partial, target)


def _resume(module: torch.nn.Module, optimizers: list[torch.optim.Optimizer], config: LoopConfig, folder: Path) -> int:
    import torch
    from safetensors import safe_open

    path = folder / "training_state.safetensors"
    if not path.exists():
        return 0
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
        if json.loads(metadata["config"]) != asdict(config):
            raise AuditError(f"{path} was written by a run with another config.", "Remove it to start again, or restore the config.")
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (the file is no mapping)
    parameters = dict(module.named_parameters())
    with torch.no_grad():
        for name, value in tensors.items():
            if name.startswith("module."):
                parameters[name.removeprefix("module.")].copy_(value)
    for number, optimizer in enumerate(optimizers):
        state = optimizer.state_dict()
        for name, value in tensors.items():
            if name.startswith(f"optimizer.{number}."):
                _, _, index, key = name.split(".", 3)
                state["state"].setdefault(int(index), {})[key] = value
        optimizer.load_state_dict(state)
    return int(metadata["step"])
