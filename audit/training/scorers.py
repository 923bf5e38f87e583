"""AV and AR as modules whose whole use of their weights is one ``forward``, as anything that shards weights needs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from audit.nla.pair import Reconstructor
from audit.nla.prompt import InjectionPrompt, inject


class TokenScorer(torch.nn.Module):
    """The AV under teacher forcing: the log-probability of each token of a text, given a vector."""

    def __init__(self, model: Any, prompt: InjectionPrompt, scale: float | None, temperature: float = 1.0) -> None:
        super().__init__()
        self.model, self.prompt, self.scale, self.temperature = model, prompt, scale, temperature
        # Tells FSDP where to cut.
        self._no_split_modules = getattr(model, "_no_split_modules", None)

    def forward(self, vectors: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Log-probabilities ``[n, T]``, float32, of ``tokens`` ``[n, T]`` behind the prompt with ``vectors`` ``[n, d]`` (raw).

        Padding may stand on the right, where no real token looks; what is returned for it means nothing.
        """
        embed = self.model.get_input_embeddings()
        device = embed.weight.device
        tokens = tokens.to(device)
        prompt = embed(torch.tensor(self.prompt.ids, device=device))
        injected = inject(prompt, vectors.to(device), self.prompt.position, self.scale)
        inputs = torch.cat([injected, embed(tokens[:, :-1])], dim=1)
        logits = self.model(inputs_embeds=inputs, use_cache=False, logits_to_keep=tokens.shape[1]).logits
        flat = logits.float().flatten(0, 1) / self.temperature
        return -torch.nn.functional.cross_entropy(flat, tokens.flatten(), reduction="none").view(tokens.shape)


class VectorReader(torch.nn.Module):
    """The AR: from prompts to vectors."""

    def __init__(self, reconstructor: Reconstructor) -> None:
        super().__init__()
        self.backbone, self.value_head = reconstructor.backbone, reconstructor.head
        self._reconstructor = reconstructor
        self._no_split_modules = getattr(reconstructor.backbone, "_no_split_modules", None)

    def forward(self, rows: list[list[int]]) -> torch.Tensor:
        """Vectors ``[n, d]`` for prompts as token ids, padded on the right."""
        return self._reconstructor.forward(rows)


def mse_of(made: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
    """``2 (1 - cosine)`` of each row ``[n]``: the squared distance of the normalised vectors (paper, section 2)."""
    return 2 * (1 - torch.nn.functional.cosine_similarity(made.float(), vectors.to(made.device).float(), dim=-1))


def padded(rows: Sequence[Sequence[float]], dtype: torch.dtype = torch.long) -> torch.Tensor:
    """Rows of different lengths as a tensor ``[n, T]`` with zeros on the right."""
    width = max(len(row) for row in rows)
    return torch.tensor([[*row, *[0] * (width - len(row))] for row in rows], dtype=dtype)
