"""The state of a training run in safetensors: trainable parameters and what the optimizers remember. Nothing is unpickled.

Sharded parameters (FSDP, as ``DTensor``) are saved whole and sharded again when they are read, so a run may go on with another number
of processes. Saving and reading are collective then: every process calls them, and one writes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

STATE_NAME = "training_state.safetensors"


def save_state(
    folder: Path,
    modules: Mapping[str, torch.nn.Module],
    optimizers: Sequence[torch.optim.Optimizer],
    metadata: Mapping[str, str],
    write: bool = True,
) -> None:
    """Replaces the state in ``folder`` in one step. Parameters that need no gradient are left out: they do not change.

    A parameter is named after its module's name, ``<module>.<parameter>``. Only the process with ``write`` touches the disk.
    """
    from safetensors.torch import save_file

    tensors = _tensors(modules, optimizers)
    if not write:
        return
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / STATE_NAME
    partial = target.with_suffix(".partial")
    save_file(tensors, partial, metadata=dict(metadata))
    os.replace(partial, target)


def read_metadata(folder: Path) -> dict[str, str] | None:
    """What was saved beside the state in ``folder``; ``None`` if there is no state."""
    from safetensors import safe_open

    path = folder / STATE_NAME
    if not path.exists():
        return None
    with safe_open(path, "pt") as file:
        return dict(file.metadata())


def load_state(folder: Path, modules: Mapping[str, torch.nn.Module], optimizers: Sequence[torch.optim.Optimizer]) -> None:
    """Puts the state in ``folder`` into modules and optimizers of the same shapes."""
    import torch
    from safetensors import safe_open

    with safe_open(folder / STATE_NAME, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (the file is no mapping)
    parameters = {f"{prefix}.{name}": value for prefix, module in modules.items() for name, value in module.named_parameters()}
    with torch.no_grad():
        for name, value in tensors.items():
            if not name.startswith("optimizer."):
                parameters[name].copy_(_spread_like(value, parameters[name]))
    for number, optimizer in enumerate(optimizers):
        order = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        state = optimizer.state_dict()
        for name, value in tensors.items():
            if name.startswith(f"optimizer.{number}."):
                _, _, index, key = name.split(".", 3)
                state["state"].setdefault(int(index), {})[key] = _spread_like(value, order[int(index)])
        optimizer.load_state_dict(state)


def whole(value: torch.Tensor) -> torch.Tensor:
    """A tensor that is not sharded; gathers one that is (collective)."""
    gathered: torch.Tensor = value.full_tensor() if hasattr(value, "full_tensor") else value
    return gathered


def _tensors(modules: Mapping[str, torch.nn.Module], optimizers: Sequence[torch.optim.Optimizer]) -> dict[str, torch.Tensor]:
    import torch

    tensors: dict[str, torch.Tensor] = {}
    for prefix, module in modules.items():
        tensors.update({f"{prefix}.{name}": value for name, value in module.named_parameters() if value.requires_grad})
    for number, optimizer in enumerate(optimizers):
        for index, state in optimizer.state_dict()["state"].items():
            for key, value in state.items():
                tensors[f"optimizer.{number}.{index}.{key}"] = torch.as_tensor(value)
    return {name: whole(value.detach()).cpu().contiguous().clone() for name, value in tensors.items()}


def _spread_like(value: torch.Tensor, parameter: Any) -> torch.Tensor:
    """A whole tensor, sharded as the parameter that it belongs to is; scalars (an optimizer's step count) stay as they are."""
    if not hasattr(parameter, "full_tensor") or value.shape != parameter.shape:
        return value
    from torch.distributed.tensor import distribute_tensor

    spread: torch.Tensor = distribute_tensor(value.to(parameter.device), parameter.device_mesh, parameter.placements)
    return spread
