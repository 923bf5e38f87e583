"""What an engine is: it decodes token ids from prompts given as embeddings. Engines know prompts and vectors, no labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class DecodeSettings:
    """How to decode. ``temperature`` 0 is greedy."""

    max_tokens: int
    temperature: float = 0.0
    seed: int = 0
    stop_ids: tuple[int, ...] = ()


@dataclass(frozen=True)
class Addition:
    """Vectors that are added to the residual stream while the prompts are read (norm-matched: ``h + |h| v / |v|``)."""

    block: int
    """They are added to the output of this block,"""
    position: int
    """at this position of every prompt."""
    vectors: torch.Tensor
    """One a prompt, ``[n, d]``, raw."""

    def of_rows(self, rows: slice) -> Addition:
        """The addition for some of the prompts."""
        return Addition(self.block, self.position, self.vectors[rows])


class Engine(Protocol):
    """Decodes a batch of prompts."""

    name: str

    def decode(self, prompts: torch.Tensor, settings: DecodeSettings, keys: Sequence[int]) -> list[list[int]]:
        """New token ids for prompts ``[n, T, d]`` (input embeddings, no padding), the stop token not included.

        ``keys`` holds one number a prompt: with it and the seed a sampled text does not depend on what else is in the batch.
        """
        ...


class AddingEngine(Engine, Protocol):
    """An engine that can also add vectors inside the model, as LoRA NLAs need it."""

    def decode(
        self, prompts: torch.Tensor, settings: DecodeSettings, keys: Sequence[int], addition: Addition | None = None
    ) -> list[list[int]]:
        """See ``Engine.decode``."""
        ...
