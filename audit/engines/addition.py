"""Adds vectors to the residual stream of a transformers model during one forward pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from audit.engines.base import Addition
from audit.target.loading import decoder_of

if TYPE_CHECKING:
    import torch


@contextmanager
def adding(model: Any, addition: Addition | None, skipped: int = 0) -> Iterator[None]:
    """Within it, a pass over prompts adds ``addition`` to them; ``None`` adds nothing.

    ``skipped`` tells how many positions of the prompts stand in the cache already. Passes over new tokens must stay outside: the
    cache carries what was added.
    """
    if addition is None:
        yield
        return
    hook = decoder_of(model).layers[addition.block].register_forward_hook(_added(replace(addition, position=addition.position - skipped)))
    try:
        yield
    finally:
        hook.remove()


def _added(addition: Addition) -> Any:
    def change(module: Any, arguments: Any, output: Any) -> Any:
        if isinstance(output, tuple):
            return (norm_matched(output[0], addition), *output[1:])
        return norm_matched(output, addition)

    return change


def norm_matched(residual: torch.Tensor, addition: Addition) -> torch.Tensor:
    """``residual`` ``[n, T, d]`` with each vector, scaled to the norm of what stands there, added; norms in float32."""
    vectors = addition.vectors.to(residual.device).float()
    here = residual[:, addition.position].float()
    direction = vectors / vectors.norm(dim=-1, keepdim=True).clamp(min=1e-12)
    result = residual.clone()
    result[:, addition.position] = (here + here.norm(dim=-1, keepdim=True) * direction).to(residual.dtype)
    return result
