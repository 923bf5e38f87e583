"""A key-value cache with room to grow.

The cache of ``transformers`` copies everything it holds at every token; with long prompts and a small model on a CPU these copies
took nine tenths of the decoding time.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

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
        """Keeps the rows ``indices``, in place; only rows whose number changes are copied (see ``compaction``)."""
        length = self.get_seq_length()
        moved = (indices != torch.arange(len(indices), device=indices.device)).nonzero().flatten()
        for buffer in (self.key_buffer, self.value_buffer):
            buffer[moved, :, :length] = buffer[indices[moved], :, :length]
        self.key_buffer, self.value_buffer = self.key_buffer[: len(indices)], self.value_buffer[: len(indices)]
        self.keys, self.values = self.key_buffer[..., :length, :], self.value_buffer[..., :length, :]

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Lets ``repeats`` rows go on from a cache of one row, which they share until the next update copies it."""
        assert self.keys.shape[0] == 1
        self.key_buffer, self.value_buffer = (states.expand(repeats, -1, -1, -1) for states in (self.keys, self.values))
        self.keys, self.values = self.key_buffer, self.value_buffer


def compaction(kept: torch.Tensor) -> torch.Tensor:
    """For flags ``[B]`` the rows to keep, in an order in which rows from the end fill the gaps, so that few have to move."""
    count = int(kept.sum())
    order = torch.arange(count, device=kept.device)
    order[~kept[:count]] = kept[count:].nonzero().flatten() + count
    return order


def has_plain_rows(cache: DynamicCache) -> bool:
    """Whether every block's state is keys and values by row, so that rows can be spread and dropped (linear attention has more)."""
    return all(type(layer) in (_RoomyLayer, DynamicLayer, DynamicSlidingWindowLayer) for layer in cache.layers)


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
