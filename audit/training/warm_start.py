"""Warm start of AV and AR on pairs of activation and summary (paper, section 3): supervised, on disjoint documents.

Departures from the paper: the AV's loss can weigh chosen spans of a summary more than the rest (``emphasis``), which a small
model needs to learn the few tokens that carry polarity; the AR can read a share of the summaries with their lines in another order
(``reorder``), so that it reads lines and not their places; matrices are trained with Muon instead of AdamW.
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
from audit.nla.prompt import CLOSE_TAG, OPEN_TAG, InjectionPrompt
from audit.nla.rewrites import reordered
from audit.training.loop import LoopConfig, OptimizerName, train
from audit.training.loop import Report as Report
from audit.training.microbatch import MicroBatch

if TYPE_CHECKING:
    import torch

    from audit.training.processes import Processes
    from audit.training.scorers import TokenScorer


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
        from audit.training.scorers import TokenScorer

        return self.loss_sum(TokenScorer(model, self.prompt, self.scale), rows, vectors) / self.weight_of(rows)

    def loss_sum(self, scorer: TokenScorer, rows: Sequence[int], vectors: NDArray[np.float32] | None = None) -> torch.Tensor:
        """Weighted sum of the cross-entropy of all tokens of the summaries of ``rows``."""
        import torch

        from audit.training.scorers import padded

        given = torch.as_tensor(self.data.vectors[list(rows)] if vectors is None else vectors)
        likelihood: torch.Tensor = scorer(given, padded([self.targets[row] for row in rows]))
        weights = padded([self.weights[row] for row in rows], torch.float32).to(likelihood.device)
        total: torch.Tensor = -(likelihood * weights).sum()
        return total

    def weight_of(self, rows: Sequence[int]) -> float:
        """The sum of the weights of all tokens of the summaries of ``rows``."""
        return sum(sum(self.weights[row]) for row in rows)


@dataclass(frozen=True)
class Machinery:
    """How a warm start runs, beside what it learns; the defaults are those of the lab."""

    optimizer: OptimizerName = "muon"
    micro_batch: int | None = None
    """Sequences that go through the model at once; ``None``: the whole batch."""
    report_every: int = 50
    group: Processes | None = None
    """The processes that share the work."""
    on_halving: Callable[[int], None] | None = None
    """Told when memory ran out, with the new micro-batch."""


def warm_start_verbalizer(
    model: Any,
    batches: VerbalizerBatches,
    batch: int,
    seed: int,
    config: LoopConfig,
    folder: Path,
    report: Report | None = None,
    machinery: Machinery | None = None,
) -> None:
    """Trains the AV in place on ``batches``. Resumable from ``folder``."""
    from audit.training.processes import Processes
    from audit.training.scorers import TokenScorer

    machinery = machinery or Machinery()
    group, pieces = machinery.group or Processes(), MicroBatch(machinery.micro_batch, machinery.on_halving)
    scorer = TokenScorer(model, batches.prompt, batches.scale)

    def loss_at(step: int) -> float:
        rows = random.Random(f"av/{seed}/{step}").sample(range(len(batches.targets)), batch)
        factor = group.size / batches.weight_of(rows)

        def loss_of(piece: list[int]) -> torch.Tensor:
            with group.autocast():
                return batches.loss_sum(scorer, piece) * factor

        return pieces.backward(group.share(rows), lambda row: len(batches.targets[row]), loss_of, scorer)

    train(scorer, loss_at, config, folder, report, machinery.report_every, machinery.optimizer, group)


def warm_start_reconstructor(
    reconstructor: Reconstructor,
    data: ExplainedActivations,
    batch: int,
    seed: int,
    config: LoopConfig,
    folder: Path,
    report: Report | None = None,
    machinery: Machinery | None = None,
    reorder: float = 0.0,
) -> None:
    """Trains the AR (backbone and head) in place; a share ``reorder`` of what it reads has shuffled lines. Resumable from ``folder``."""
    import torch

    from audit.training.processes import Processes
    from audit.training.scorers import VectorReader, mse_of

    machinery = machinery or Machinery()
    group, pieces = machinery.group or Processes(), MicroBatch(machinery.micro_batch, machinery.on_halving)
    prompts: dict[int, list[int]] = {}
    reader = VectorReader(reconstructor)

    def loss_of(piece: list[int]) -> torch.Tensor:
        with group.autocast():
            made = reader([prompts[row] for row in piece])
        return mse_of(made, torch.as_tensor(data.vectors[piece])).sum() * (group.size / batch)

    def loss_at(step: int) -> float:
        rows = random.Random(f"ar/{seed}/{step}").sample(range(len(data.summaries)), batch)
        texts = reordered([data.summaries[row] for row in rows], reorder, random.Random(f"ar/{seed}/{step}/order"))
        prompts.clear()
        prompts.update(zip(rows, reconstructor.encode(texts), strict=True))
        return pieces.backward(group.share(rows), lambda row: len(prompts[row]), loss_of, reader)

    train(reader, loss_at, config, folder, report, machinery.report_every, machinery.optimizer, group)
