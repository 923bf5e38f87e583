"""Telling an exhausted memory from any other failure, so that a batch can be halved and everything else can be raised."""

from __future__ import annotations

import gc

_CPU_MESSAGES = ("can't allocate memory", "not enough memory", "out of memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that an accelerator's or the machine's memory is exhausted."""
    import torch

    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(message in str(error).lower() for message in _CPU_MESSAGES)


def free_memory() -> None:
    """Gives cached blocks back before a smaller batch is tried."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
