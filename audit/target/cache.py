"""A key-value cache with room to grow.

The cache of ``transformers`` copies everything it holds at every token; with long prompts and a small model on a CPU these copies
took nine tenths of the decoding time.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

_ROOM = 128
"""Tokens for which there is room when a buffer is allocated."""


class _RoomyLayer(DynamicLayer):  # type: ignore[misc]
    """Keys and values of one block with full attention; ``keys`` and ``values`` are views of larger buffers ``[B, H, room, d]``."""

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Appends the new states and returns all of them."""
        before = self.get_seq_length()
        after = before + key_states.shape[-2]
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.key_buffer, self.value_buffer = key_states[..., :0, :], value_states[..., :0, :]
        if after > self.key_buffer.shape[-2]:
            self.key_buffer = _larger(self.key_buffer, key_states, before, after)
            self.value_buffer = _larger(self.value_buffer, value_states, before, after)
        self.key_buffer[..., before:after, :] = key_states
        self.value_buffer[..., before:after, :] = value_states
        self.keys, self.values = self.key_buffer[..., :after, :], self.value_buffer[..., :after, :]
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keeps the rows ``indices``, which must ascend, in place."""
        length = self.get_seq_length()
        for new, old in enumerate(indices.tolist()):
            if new != old:
                self.key_buffer[new, :, :length] = self.key_buffer[old, :, :length]
                self.value_buffer[new, :, :length] = self.value_buffer[old, :, :length]
        self.key_buffer, self.value_buffer = self.key_buffer[: len(indices)], self.value_buffer[: len(indices)]
        self.keys, self.values = self.key_buffer[..., :length, :], self.value_buffer[..., :length, :]


def new_cache(model: Any) -> DynamicCache:
    """An empty cache for a model. Blocks with sliding windows keep the layers that ``transformers`` gives them."""
    cache = DynamicCache(config=model.config.get_text_config())
    cache.layers = [_RoomyLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


def _larger(buffer: torch.Tensor, like: torch.Tensor, used: int, needed: int) -> torch.Tensor:
    batch, heads, _, size = like.shape
    larger = like.new_empty(batch, heads, needed + max(_ROOM, needed // 4), size)
    larger[..., :used, :] = buffer[..., :used, :]
    return larger
