"""The embedded engine: batched decoding with a transformers model and its key-value cache. Rows that have ended leave the batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from audit.engines.base import DecodeSettings

if TYPE_CHECKING:
    import torch


class TransformersEngine:
    """Decodes with a causal language model that is already in memory."""

    name = "transformers"

    def __init__(self, model: Any, batch_size: int = 192) -> None:
        self.model = model
        self.batch_size = batch_size

    def decode(self, prompts: torch.Tensor, settings: DecodeSettings, keys: Sequence[int]) -> list[list[int]]:
        """See ``Engine.decode``. A batch that does not fit into memory is halved and tried again."""
        import torch

        texts: list[list[int]] = []
        start = 0
        while start < len(prompts):
            stop = start + self.batch_size
            try:
                texts += self._decode_batch(prompts[start:stop], settings, keys[start:stop])
                start = stop
            except torch.OutOfMemoryError:
                if self.batch_size == 1:
                    raise
                self.batch_size //= 2
        return texts

    def _decode_batch(self, prompts: torch.Tensor, settings: DecodeSettings, keys: Sequence[int]) -> list[list[int]]:
        import torch
        from transformers import DynamicCache

        texts: list[list[int]] = [[] for _ in range(len(prompts))]
        generators = _generators(settings, keys)
        alive = torch.arange(len(prompts))
        cache = DynamicCache()
        embed = self.model.get_input_embeddings()
        stop_ids = torch.tensor(settings.stop_ids, dtype=torch.long)
        inputs = prompts
        with torch.inference_mode():
            for _ in range(settings.max_tokens):
                output = self.model(inputs_embeds=inputs, past_key_values=cache, use_cache=True, logits_to_keep=1)
                chosen = _choose(output.logits[:, -1].float(), settings, [generators[row] for row in alive] if generators else None)
                ended = torch.isin(chosen.cpu(), stop_ids)
                for row, token, is_end in zip(alive.tolist(), chosen.tolist(), ended.tolist(), strict=False):
                    if not is_end:
                        texts[row].append(token)
                going = (~ended).nonzero().flatten()
                if not len(going):
                    break
                if len(going) < len(alive):
                    alive, chosen = alive[going], chosen[going.to(chosen.device)]
                    cache.batch_select_indices(going.to(chosen.device))
                inputs = embed(chosen).unsqueeze(1)
        return texts


def _generators(settings: DecodeSettings, keys: Sequence[int]) -> list[torch.Generator]:
    import torch

    if settings.temperature == 0:
        return []
    return [torch.Generator().manual_seed((settings.seed * 1_000_003 + key) % (2**63 - 1)) for key in keys]


def _choose(logits: torch.Tensor, settings: DecodeSettings, generators: list[torch.Generator] | None) -> torch.Tensor:
    import torch

    if generators is None:
        return logits.argmax(dim=-1)
    shares = torch.softmax(logits.cpu() / settings.temperature, dim=-1)
    picks = [torch.multinomial(share, 1, generator=generator) for share, generator in zip(shares, generators, strict=False)]
    return torch.cat(picks).to(logits.device)
