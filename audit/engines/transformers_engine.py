"""The embedded engine: batched decoding with a transformers model that is already in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from audit.engines.base import Addition, DecodeSettings

if TYPE_CHECKING:
    import torch


class TransformersEngine:
    """Decodes with a causal language model, at most ``batch_size`` prompts at a time."""

    name = "transformers"

    def __init__(self, model: Any, batch_size: int = 512) -> None:
        self.model = model
        self.batch_size = batch_size

    def decode(
        self, prompts: torch.Tensor, settings: DecodeSettings, keys: Sequence[int], addition: Addition | None = None
    ) -> list[list[int]]:
        """See ``Engine.decode`` and ``AddingEngine.decode``. A batch that does not fit into memory is halved and tried again."""
        from audit.engines.batch import rows_in_memory
        from audit.target.memory import free_memory

        self.batch_size = min(self.batch_size, rows_in_memory(self.model, prompts.shape[1] + settings.max_tokens))
        texts: list[list[int]] = []
        while len(texts) < len(prompts):
            rows = slice(len(texts), len(texts) + self.batch_size)
            added = addition.of_rows(rows) if addition is not None else None
            decoded = self._fitting(prompts[rows], settings, keys[rows], added)
            if decoded is None:
                # Here the failed batch's tensors are no longer held by a traceback.
                free_memory()
                self.batch_size = min(self.batch_size, len(prompts[rows])) // 2
            else:
                texts += decoded
        return texts

    def _fitting(
        self, prompts: torch.Tensor, settings: DecodeSettings, keys: Sequence[int], addition: Addition | None
    ) -> list[list[int]] | None:
        """The batch's texts, or ``None`` if it does not fit into memory. One prompt that does not fit raises."""
        from audit.engines.batch import decode_batch
        from audit.target.memory import is_out_of_memory

        try:
            return decode_batch(self.model, prompts, settings, keys, addition)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or len(prompts) == 1:
                raise
            return None
