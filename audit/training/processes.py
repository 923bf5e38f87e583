"""One process of a training run and its companions, by ``accelerate``.

A run started plainly is one process and needs nothing installed. Started with ``accelerate launch`` (of ``nla-audit[train]``), the
launcher's own configuration decides on the number of processes, mixed precision and FSDP; the training file says nothing about them:

    accelerate launch --num_processes 8 --mixed_precision bf16 -m audit.cli train CONFIG.yaml

Without FSDP every process holds all weights, works on its share of each batch, and gradients are averaged. A step then equals that of
one process up to rounding. With FSDP ``accelerate.prepare`` shards the modules; sampling gathers the weights of the AV for its duration.

Tested: one process, and two on CPU (gloo) with replicas, through the launcher; sharded scoring, sampling and state with torch's
``fully_shard`` on two CPU processes. NOT tested: accelerate's own FSDP (it runs on accelerators only), several nodes, mixed precision on
accelerators, models beyond some million parameters. With FSDP an exhausted memory ends the run: a batch that one process alone halves would
leave the others waiting.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

from audit.errors import AuditError, MissingExtra

if TYPE_CHECKING:
    import torch

ItemT = TypeVar("ItemT")


class Processes:
    """The processes that train together, seen from one of them."""

    def __init__(self, accelerator: Any = None) -> None:
        self._accelerator = accelerator
        self.rank: int = accelerator.process_index if accelerator else 0
        self.size: int = accelerator.num_processes if accelerator else 1
        self.is_main = self.rank == 0
        self.is_sharded = accelerator is not None and "FSDP" in str(accelerator.distributed_type)
        if self.is_sharded and not accelerator.is_fsdp2:
            raise AuditError("Only version 2 of FSDP can train an NLA.", "Set fsdp_version: 2 in the launcher's configuration.")

    @property
    def device(self) -> str:
        """Where this process computes."""
        from audit.target.loading import default_device

        return str(self._accelerator.device) if self._accelerator else default_device()

    def share(self, items: Sequence[ItemT]) -> list[ItemT]:
        """This process's part of a batch that all processes know."""
        return list(items[self.rank :: self.size])

    def check_batch(self, size: int, what: str) -> None:
        """Raises ``AuditError`` if a batch cannot be shared evenly."""
        if size % self.size:
            raise AuditError(f"{what} of {size} cannot be shared by {self.size} processes.", f"Make it a multiple of {self.size}.")

    def prepare(self, module: torch.nn.Module, optimizers: list[Any]) -> tuple[torch.nn.Module, list[Any]]:
        """The module on this process's device, sharded if the launcher asks for FSDP."""
        if not self.is_sharded:
            return module, optimizers
        prepared = self._accelerator.prepare(module, *optimizers)
        return prepared[0], list(prepared[1:])

    def average_gradients(self, module: torch.nn.Module) -> None:
        """Every gradient becomes the mean over the processes; FSDP has done it already."""
        import torch

        if self.size == 1 or self.is_sharded:
            return
        parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        gradients = [torch.zeros_like(parameter) if parameter.grad is None else parameter.grad for parameter in parameters]
        # In one message: a message for each parameter takes a small model longer than its step.
        together = torch.cat([gradient.flatten() for gradient in gradients])
        means = self._accelerator.reduce(together, reduction="mean").split([gradient.numel() for gradient in gradients])
        for parameter, mean in zip(parameters, means, strict=True):
            parameter.grad = mean.view_as(parameter)

    def total(self, number: float) -> float:
        """The sum of a number over the processes."""
        return float(sum(self.gather([number])))

    def gather(self, items: list[ItemT]) -> list[ItemT]:
        """The items of all processes in one list, on each of them, those of process 0 first."""
        if self.size == 1:
            return items
        from accelerate.utils import gather_object

        gathered: list[ItemT] = gather_object(items)
        return gathered

    def wait(self) -> None:
        """Returns when every process has come here."""
        if self.size > 1:
            self._accelerator.wait_for_everyone()

    def autocast(self) -> AbstractContextManager[Any]:
        """The launcher's mixed precision."""
        context: AbstractContextManager[Any] = self._accelerator.autocast() if self._accelerator else nullcontext()
        return context


def processes() -> Processes:
    """The processes that the launcher started, or this one alone. Raises ``MissingExtra`` if there are several and no accelerate."""
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    if not several and os.environ.get("ACCELERATE_MIXED_PRECISION", "no") == "no":
        return Processes()
    try:
        from accelerate import Accelerator
    except ImportError:
        raise MissingExtra("accelerate, which training with several processes needs,", "train") from None
    return Processes(Accelerator())


@contextmanager
def gathered_weights(module: torch.nn.Module) -> Iterator[None]:
    """Holds the weights of a sharded module whole while it generates: processes need not take the same number of steps then.

    Does nothing to a module that is not sharded.
    """
    from torch.distributed.fsdp import FSDPModule

    shards = [part for part in module.modules() if isinstance(part, FSDPModule)]
    for part in shards:
        part.set_reshard_after_forward(False, recurse=False)
        part.unshard()
    try:
        yield
    finally:
        for part in shards:
            part.reshard()
            part.set_reshard_after_forward(True, recurse=False)
