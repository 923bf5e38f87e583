"""Batches in pieces that fit: gradients add up over the pieces, and where memory runs out the pieces are halved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from audit.errors import AuditError

if TYPE_CHECKING:
    import torch

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


class MicroBatch:
    """How many sequences go through a model at once; shrinks when memory runs out and stays small."""

    def __init__(self, size: int | None = None, on_halving: Callable[[int], None] | None = None) -> None:
        self.size = size
        """``None``: a whole batch."""
        self.on_halving = on_halving

    def pieces(self, items: Sequence[ItemT], length: Callable[[ItemT], int]) -> list[list[ItemT]]:
        """The items in pieces of similar length, which saves padding; one piece keeps the given order."""
        if self.size is None or len(items) <= self.size:
            return [list(items)] if items else []
        ordered = sorted(items, key=length)
        return [ordered[start : start + self.size] for start in range(0, len(ordered), self.size)]

    def attempt(self, count: int, work: Callable[[], ResultT], undo: Callable[[], None]) -> ResultT:
        """The result of ``work``, which cuts ``count`` sequences into pieces; where memory runs out, undone and done again in halves.

        Raises ``AuditError`` if a single sequence does not fit.
        """
        from audit.target.memory import free_memory, is_out_of_memory

        while True:
            try:
                return work()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                size = min(self.size or count, count)
                if size <= 1:
                    remedy = "Shorten 'positions.max_tokens' or 'rl.max_tokens', or train with 'lora' or in a smaller dtype."
                    raise AuditError("A single sequence does not fit into memory.", remedy) from error
            self.size = size // 2
            undo()
            free_memory()
            if self.on_halving is not None:
                self.on_halving(self.size)

    def backward(
        self,
        items: Sequence[ItemT],
        length: Callable[[ItemT], int],
        loss_of: Callable[[list[ItemT]], torch.Tensor],
        module: torch.nn.Module,
    ) -> float:
        """Back-propagates the sum of the pieces' losses into ``module`` and returns it. Earlier gradients of the module are lost."""

        def work() -> float:
            total = 0.0
            for piece in self.pieces(items, length):
                loss = loss_of(piece)
                loss.backward()  # type: ignore[no-untyped-call]
                total += float(loss.detach())
            return total

        module.zero_grad(set_to_none=True)
        return self.attempt(len(items), work, lambda: module.zero_grad(set_to_none=True))
