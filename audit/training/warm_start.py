"""Warm start of AV and AR on pairs of activation and summary (paper, section 3): supervised, on disjoint documents.

Departures from the paper: the AV's loss can weigh chosen spans of a summary more than the rest (``emphasis``), which a small
model needs to learn the few tokens that carry polarity; matrices are trained with Muon instead of AdamW.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from audit.nla.pair import Reconstructor
from audit.nla.prompt import CLOSE_TAG, OPEN_TAG, InjectionPrompt, inject
from audit.training.loop import LoopConfig, train

if TYPE_CHECKING:
    import torch

Report = Callable[[int, float, float], None]


@dataclass(frozen=True)
class ExplainedActivations:
    """Activations with their summaries."""

    vectors: NDArray[np.float32]
    """Raw residual stream after block K, ``[n, d]``."""
    summaries: tuple[str, ...]
    documents: NDArray[np.int64]
    """Which document each row came from; splits go by document."""
    emphasis: tuple[tuple[int, int] | None, ...]
    """Character span of each summary that weighs more in the AV's loss, if any."""

    def of_documents(self, chosen: Callable[[int], bool]) -> ExplainedActivations:
        """The rows whose document is chosen."""
        rows = [row for row, document in enumerate(self.documents) if chosen(int(document))]
        return ExplainedActivations(
            self.vectors[rows], tuple(self.summaries[row] for row in rows), self.documents[rows], tuple(self.emphasis[row] for row in rows)
        )


def injection_norm(vectors: NDArray[np.float32]) -> float:
    """The norm to which injected vectors are scaled: the 75th percentile of the activations' norms (paper, section 3)."""
    return float(np.percentile(np.linalg.norm(vectors, axis=1), 75))


class VerbalizerBatches:
    """Tokenised summaries behind the AV's prompt, with a weight for each token."""

    def __init__(self, data: ExplainedActivations, tokenizer: Any, prompt: InjectionPrompt, scale: float, emphasis: float) -> None:
        self.data, self.prompt, self.scale = data, prompt, scale
        texts = [f"{OPEN_TAG}\n{summary}\n{CLOSE_TAG}" for summary in data.summaries]
        encoded = tokenizer(texts, return_offsets_mapping=True)
        lead = len(OPEN_TAG) + 1
        self.targets: list[list[int]] = [[*ids, tokenizer.eos_token_id] for ids in encoded["input_ids"]]
        self.weights: list[list[float]] = []
        for span, offsets in zip(data.emphasis, encoded["offset_mapping"], strict=False):
            inside = [span is not None and start < span[1] + lead and end > span[0] + lead for start, end in offsets]
            self.weights.append([emphasis if flag else 1.0 for flag in inside] + [1.0])

    def loss(self, model: Any, rows: Sequence[int], vectors: NDArray[np.float32] | None = None) -> torch.Tensor:
        """Weighted mean cross-entropy of the summaries of ``rows``, given their vectors (or the ones passed in)."""
        import torch

        width = max(len(self.targets[row]) for row in rows)
        targets = torch.tensor([self.targets[row] + [0] * (width - len(self.targets[row])) for row in rows])
        weights = torch.tensor([self.weights[row] + [0.0] * (width - len(self.weights[row])) for row in rows])
        embed = model.get_input_embeddings()
        head = embed(torch.tensor(self.prompt.ids))
        injected = inject(
            head, torch.as_tensor(self.data.vectors[list(rows)] if vectors is None else vectors), self.prompt.position, self.scale
        )
        inputs = torch.cat([injected, embed(targets[:, :-1])], dim=1)
        logits = model(inputs_embeds=inputs, use_cache=False).logits[:, len(self.prompt.ids) - 1 :]
        losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view_as(weights)
        return (losses * weights).sum() / weights.sum()


def warm_start_verbalizer(
    model: Any, batches: VerbalizerBatches, batch: int, seed: int, config: LoopConfig, folder: Path, report: Report | None = None
) -> None:
    """Trains the AV in place on ``batches``. Resumable from ``folder``."""

    def loss_at(step: int) -> torch.Tensor:
        rows = random.Random(f"av/{seed}/{step}").sample(range(len(batches.targets)), batch)
        return batches.loss(model, rows)

    train(model, loss_at, config, folder, report)


def reconstruction_loss(reconstructor: Reconstructor, rows: list[list[int]], vectors: NDArray[np.float32]) -> torch.Tensor:
    """Mean ``2 (1 - cosine)`` between the vectors and what the AR makes of the prompts."""
    import torch

    made = reconstructor.forward(rows)
    return 2 * (1 - torch.nn.functional.cosine_similarity(made, torch.as_tensor(vectors), dim=-1)).mean()


def warm_start_reconstructor(
    reconstructor: Reconstructor,
    data: ExplainedActivations,
    batch: int,
    seed: int,
    config: LoopConfig,
    folder: Path,
    report: Report | None = None,
) -> None:
    """Trains the AR (backbone and head) in place. Resumable from ``folder``."""
    import torch

    prompts = reconstructor.encode(data.summaries)
    module = torch.nn.ModuleDict({"backbone": reconstructor.backbone, "value_head": reconstructor.head})

    def loss_at(step: int) -> torch.Tensor:
        rows = random.Random(f"ar/{seed}/{step}").sample(range(len(prompts)), batch)
        return reconstruction_loss(reconstructor, [prompts[row] for row in rows], data.vectors[rows])

    train(module, loss_at, config, folder, report)
