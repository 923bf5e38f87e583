"""Decoding one batch of prompts with a transformers model, as fast as the model's own forward pass allows.

What the prompts have in common up to the injection site goes through the model once, the head sees last tokens only, keys and values
stand in buffers with room to grow, and finished rows leave the batch in groups.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from audit.engines.addition import adding
from audit.engines.base import Addition, DecodeSettings
from audit.target.cache import compaction, has_plain_rows, new_cache

_DROP_AT = 1 / 8
"""Finished rows leave the batch when they make up this share of it; leaving moves other rows' keys and values."""
_MEMORY_SHARE = 1 / 4
"""Share of a machine's memory that keys and values may take."""


def decode_batch(
    model: Any, prompts: torch.Tensor, settings: DecodeSettings, keys: Sequence[int], addition: Addition | None = None
) -> list[list[int]]:
    """New token ids for prompts ``[n, T, d]``, the stop token not included; see ``AddingEngine.decode``."""
    if not len(prompts) or settings.max_tokens < 1:
        return [[] for _ in prompts]
    with torch.inference_mode():
        return _Batch(model, prompts, settings, keys, addition).run()


def rows_in_memory(model: Any, tokens: int) -> int:
    """How many rows of ``tokens`` a batch on the CPU may have: a system that runs out of memory kills, where an accelerator raises."""
    if model.device.type != "cpu" or not hasattr(os, "sysconf"):
        return sys.maxsize
    config = model.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    row = 2 * config.num_hidden_layers * heads * width * model.dtype.itemsize * tokens
    return max(1, int(_MEMORY_SHARE * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / row))


def shared_prefix(prompts: torch.Tensor) -> int:
    """How many leading positions of ``[n, T, d]`` are the same in all rows; at most ``T - 1``, so that each row has a last one."""
    same = (prompts == prompts[:1]).all(dim=-1).all(dim=0)
    return min(int(same.long().cumprod(dim=0).sum()), prompts.shape[1] - 1)


class _Batch:
    """The state of one batch. ``rows[i]`` is the prompt that row ``i`` of the cache belongs to."""

    def __init__(self, model: Any, prompts: torch.Tensor, settings: DecodeSettings, keys: Sequence[int], addition: Addition | None) -> None:
        self.model, self.settings, self.addition = model, settings, addition
        self.device = prompts.device
        self.prompts = prompts
        self.embed = model.get_input_embeddings()
        self.cache = new_cache(model)
        self.droppable = has_plain_rows(self.cache)
        self.stop = torch.tensor(settings.stop_ids, dtype=torch.long, device=self.device)
        self.rows = torch.arange(len(prompts), device=self.device)
        self.ended = torch.zeros(len(prompts), dtype=torch.bool, device=self.device)
        self.written = torch.zeros(len(prompts), settings.max_tokens, dtype=torch.long, device=self.device)
        self.lengths = torch.full((len(prompts),), settings.max_tokens, dtype=torch.long, device=self.device)
        self.uniform = _uniform(settings, keys).to(self.device) if settings.temperature > 0 else None

    def run(self) -> list[list[int]]:
        """Decodes until every row has ended or has its maximum of tokens."""
        logits = self._read_prompts()
        for step in range(self.settings.max_tokens):
            chosen = self._choose(logits, step)
            self._record(chosen, step)
            ended = int(self.ended.sum())
            if ended == len(self.rows) or step + 1 == self.settings.max_tokens:
                break
            if self.droppable and ended >= _DROP_AT * len(self.rows):
                chosen = self._drop(chosen)
            logits = self._forward(self.embed(chosen).unsqueeze(1))
        return [row[:length] for row, length in zip(self.written.tolist(), self.lengths.tolist(), strict=True)]

    def _read_prompts(self) -> torch.Tensor:
        shared = shared_prefix(self.prompts) if self.droppable and len(self.prompts) > 1 else 0
        if self.addition is not None:
            shared = min(shared, self.addition.position)
        if shared:
            # The prefix needs keys and values only, so the decoder without its head reads it.
            decoder = self.model.get_decoder()
            decoder(inputs_embeds=self.prompts[:1, :shared], past_key_values=self.cache, use_cache=True)
            self.cache.batch_repeat_interleave(len(self.prompts))
        with adding(self.model, self.addition, shared):
            logits = self._forward(self.prompts[:, shared:])
        del self.prompts
        return logits

    def _forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Logits ``[B, V]`` of the next token, for input embeddings ``[B, t, d]``."""
        output = self.model(inputs_embeds=inputs, past_key_values=self.cache, use_cache=True, logits_to_keep=1)
        logits: torch.Tensor = output.logits[:, -1]
        return logits

    def _choose(self, logits: torch.Tensor, step: int) -> torch.Tensor:
        if self.uniform is None:
            return logits.argmax(dim=-1)
        edges = torch.softmax(logits.float() / self.settings.temperature, dim=-1).cumsum(dim=-1)
        at = self.uniform[self.rows, step, None] * edges[:, -1:]
        return torch.searchsorted(edges, at, right=True)[:, 0].clamp(max=logits.shape[-1] - 1)

    def _record(self, chosen: torch.Tensor, step: int) -> None:
        ends = torch.isin(chosen, self.stop) & ~self.ended
        self.written[self.rows, step] = chosen
        self.lengths[self.rows[ends]] = step
        self.ended |= ends

    def _drop(self, chosen: torch.Tensor) -> torch.Tensor:
        kept = compaction(~self.ended)
        self.cache.batch_select_indices(kept)
        self.rows, self.ended = self.rows[kept], self.ended[kept]
        return chosen[kept]


def _uniform(settings: DecodeSettings, keys: Sequence[int]) -> torch.Tensor:
    """Random numbers ``[n, max_tokens]``, each row's from the seed and its own key, so that no row depends on its neighbours."""
    drawn = [np.random.default_rng([settings.seed % 2**63, key % 2**63]).random(settings.max_tokens, dtype=np.float32) for key in keys]
    return torch.from_numpy(np.stack(drawn))
