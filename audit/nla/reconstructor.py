"""The AR: reads an explanation back into a vector, with the target's first K+1 blocks and a linear head."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from audit.errors import RefusedInput
from audit.nla.checkpoints import (
    HEAD_NAME,
    LORA_HEAD_NAME,
    LORA_META_NAME,
    body_of,
    check_part,
    is_adapter,
    is_lora_reconstructor,
    read_json,
)  # fmt: skip
from audit.nla.prompt import fill
from audit.nla.sidecar import Sidecar

if TYPE_CHECKING:
    import torch


_WORTH_SHARING = 0.85
"""Texts are read as trees if these hold at most so many of their tokens."""
_ON_CPU, _ON_ACCELERATOR = 32, 128
"""Texts in a batch; a CPU's caches hold few."""
_TOKENS_A_ROW = 64
"""Of trees, as many tokens go together as a batch of rows of this length has."""
_ALIKE = 0.999
"""Least cosine of a vector read in a tree with the same read alone; rounding of bfloat16 stays above it."""


@dataclass(frozen=True)
class ReadOut:
    """In what an AR's format departs from the paper's."""

    special_tokens: bool = True
    """Whether its prompt has the tokenizer's special tokens (BOS)."""
    hidden_norm: float | None = None
    """Norm to which the backbone's output is scaled before the head; ``None`` leaves it."""
    keep_final_norm: bool = False
    """Whether the base's final norm was kept in training."""


class Reconstructor:
    """The AR: the target's first K+1 blocks, no final norm, a linear head read at the last token of a fixed prompt."""

    def __init__(self, backbone: Any, head: torch.nn.Linear, tokenizer: Any, sidecar: Sidecar, read_out: ReadOut | None = None) -> None:
        self.backbone, self.head, self.tokenizer, self.sidecar = backbone, head, tokenizer, sidecar
        self.read_out = read_out or ReadOut()
        self._reads_trees: bool | None = None

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Prompt token ids, with special tokens unless the format has none.

        A prompt that is too long loses its beginning, since the end carries the read-out, but never its first token if that is
        the BOS.
        """
        prompts = [fill(self.sidecar.prompt_template, explanation=text) for text in texts]
        ids: list[list[int]] = self.tokenizer(prompts, add_special_tokens=self.read_out.special_tokens)["input_ids"]
        limit = int(getattr(self.backbone.config, "max_position_embeddings", 0) or 1_000_000)
        return [row if len(row) <= limit else _shortened(row, limit, self.tokenizer.bos_token_id) for row in ids]

    def reconstruct(self, texts: Sequence[str], batch_size: int | None = None) -> NDArray[np.float32]:
        """One vector for each text, ``[n, d]`` float32. Equal texts are read once, and so is what many of them begin with.

        ``batch_size`` texts at a time; left out, as many as this device reads fastest.
        """
        import torch

        batch_size = batch_size or (_ON_CPU if self.head.weight.device.type == "cpu" else _ON_ACCELERATOR)
        rows = self.encode(texts)
        numbers: dict[tuple[int, ...], int] = {}
        places = [numbers.setdefault(tuple(row), len(numbers)) for row in rows]
        distinct = list(map(list, numbers))
        result = np.zeros((len(distinct), self.sidecar.d_model), dtype=np.float32)
        with torch.inference_mode():
            for batch, vectors in self._batches(distinct, batch_size):
                result[batch] = vectors.float().cpu().numpy()
        return result[places]

    def _batches(self, rows: list[list[int]], batch_size: int) -> Iterator[tuple[list[int], torch.Tensor]]:
        """The rows read batch by batch: as trees where that saves work, else those of similar length together."""
        from audit.nla.prefix_tree import batches, grow, read_ends

        trees = grow(rows) if self._may_read_trees(rows) else []
        if trees and sum(len(tree.tokens) for tree in trees) <= _WORTH_SHARING * sum(map(len, rows)):
            for together in batches(trees, batch_size * _TOKENS_A_ROW):
                numbers, hidden = read_ends(self.backbone, together, self.head.weight.device)
                yield numbers, self._vectors(hidden)
            return
        order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            yield batch, self.forward([rows[index] for index in batch])

    def _may_read_trees(self, rows: list[list[int]]) -> bool:
        """Whether this backbone reads a tree as it reads texts, tried out once: models that are not attention alone do not."""
        from audit.nla.prefix_tree import may_share

        if len(rows) < 2 or not may_share(self.backbone, max(map(len, rows))):
            return False
        if self._reads_trees is None:
            # Two texts part at their last token, so that in the tree one of them does not stand behind its own beginning.
            begin = rows[0][: len(rows[0]) // 2 + 1]
            self._reads_trees = self._reads_alike([rows[0], [*begin, min(rows[0])], [*begin, max(*rows[0], *rows[1])]])
        return self._reads_trees

    def _reads_alike(self, rows: list[list[int]]) -> bool:
        """Whether these texts give the same vectors in a tree and alone."""
        import torch

        from audit.nla.prefix_tree import grow, read_ends

        try:
            numbers, hidden = read_ends(self.backbone, grow(rows), self.head.weight.device)
        except (TypeError, ValueError, AttributeError, RuntimeError):
            return False  # its parts take or give something else: it is read text by text
        alone = self.forward([rows[number] for number in numbers])
        return bool((torch.nn.functional.cosine_similarity(self._vectors(hidden).float(), alone.float()) > _ALIKE).all())

    def forward(self, rows: list[list[int]]) -> torch.Tensor:
        """Vectors ``[n, d]`` for prompts of any lengths, padded on the right."""
        import torch

        width = max(len(row) for row in rows)
        device = self.head.weight.device
        ids = torch.tensor([row + [0] * (width - len(row)) for row in rows], device=device)
        mask = None
        if any(len(row) < width for row in rows):
            mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows], device=device)
        hidden = self.backbone(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
        last = torch.tensor([len(row) - 1 for row in rows], device=device)
        return self._vectors(hidden[torch.arange(len(rows), device=device), last])

    def _vectors(self, read: torch.Tensor) -> torch.Tensor:
        """The head's vectors ``[n, d]`` for the backbone's output at last tokens."""
        read = read.to(self.head.weight.dtype)
        if self.read_out.hidden_norm is not None:
            read = read * (self.read_out.hidden_norm / read.norm(dim=-1, keepdim=True).clamp(min=1e-12))
        vectors: torch.Tensor = self.head(read)
        return vectors


def _shortened(row: list[int], limit: int, bos: int | None) -> list[int]:
    kept = row[:1] if row[0] == bos else []
    return kept + row[len(row) - limit + len(kept) :]


def load_reconstructor(
    folder: Path, sidecar: Sidecar, layer: int | None = None, dtype: str = "float32", device: str | None = None
) -> Reconstructor:
    """Loads the AR's backbone, cut to ``layer`` + 1 blocks, and its head (float32 whatever the backbone's ``dtype``).

    ``layer`` is K, by default the sidecar's; where neither says it, the checkpoint is taken as it is. A LoRA is merged into its
    base. Raises ``RefusedInput`` for what is not an AR of this layer.
    """
    from audit.nla.adapters import merge_adapter, merge_reconstructor
    from audit.nla.weights import linear_head, load_decoder, part_tokenizer, read_tensors

    check_part(folder, "ar")
    body, lora = body_of(folder, sidecar), is_lora_reconstructor(folder)
    read_out, blocks = read_out_of(folder, sidecar), _blocks(folder, sidecar.layer if layer is None else layer)
    tensors = read_tensors(folder / (LORA_HEAD_NAME if lora else HEAD_NAME))
    head_tensors = {name: value for name, value in tensors.items() if not lora or name.startswith("value_head.")}
    head = linear_head(head_tensors, sidecar.d_model, f"The head of {folder.name}")
    tokenizer = part_tokenizer(folder, body, chat=False)
    backbone = load_decoder(body, blocks, dtype, read_out.keep_final_norm)
    if lora:
        merge_reconstructor(backbone, {name: value for name, value in tensors.items() if name not in head_tensors}, folder)
    elif is_adapter(folder):
        merge_adapter(backbone, folder)
    return Reconstructor(backbone.to(device or "cpu"), head.to(device or "cpu"), tokenizer, sidecar, read_out)


def read_out_of(folder: Path, sidecar: Sidecar) -> ReadOut:
    """How an AR of this format reads: the LoRA trainers use no special tokens and scale the backbone's output before the head.

    They are known by their dataset sidecar or their ``ar_meta.json``, where an absent ``final_norm_stripped`` means an early
    checkpoint that kept the norm.
    """
    if is_lora_reconstructor(folder):
        return ReadOut(False, sidecar.mse_scale, not read_json(folder / LORA_META_NAME).get("final_norm_stripped", False))
    return ReadOut(False, sidecar.mse_scale) if sidecar.kind == "nla_dataset" else ReadOut()


def _blocks(folder: Path, layer: int | None) -> int | None:
    blocks = None if layer is None else layer + 1
    if not is_lora_reconstructor(folder):
        return blocks
    trained = read_json(folder / LORA_META_NAME).get("ar_num_layers")
    if blocks is not None and trained is not None and trained != blocks:
        raise RefusedInput(
            f"The AR {folder.name} was trained with {trained} blocks, but reading block {layer} takes {blocks}.",
            "Use AV and AR of one layer; check the layer in nla_meta.yaml.",
        )
    return trained if blocks is None else blocks
