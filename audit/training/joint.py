"""One step of joint RL: sample, reconstruct, reward; the gradients of AV and AR, each from its own loss; both updates at the end."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from audit.nla.pair import Reconstructor, Verbalizer
from audit.nla.rewrites import reordered
from audit.training.curves import CurveRow
from audit.training.loop import optimizers_of, set_learning_rate
from audit.training.microbatch import MicroBatch
from audit.training.processes import Processes, gathered_weights
from audit.training.replay import Replay
from audit.training.rollouts import ORTHOGONAL, Rollout, advantages_of, rewards_of, sample_rollouts
from audit.training.scorers import TokenScorer, VectorReader, mse_of, padded
from audit.training.state import load_state, save_state

if TYPE_CHECKING:
    from audit.training.grpo import RlConfig

_OTHER_FRACTION = 0.3
"""Beside Muon, AdamW's learning rate as a fraction of Muon's."""


class JointTrainer:
    """A pair in training: its models, their optimizers, and the AV that it started from."""

    def __init__(
        self, verbalizer: Verbalizer, reconstructor: Reconstructor, config: RlConfig, group: Processes, replay: Replay | None = None
    ) -> None:
        # With an engine of its own: another one would go on decoding with weights from before the training.
        self.verbalizer = Verbalizer(verbalizer.model, verbalizer.tokenizer, verbalizer.sidecar)
        self.reconstructor, self.config, self.group, self.replay = reconstructor, config, group, replay
        self.pieces = MicroBatch(config.micro_batch)
        scorer = TokenScorer(verbalizer.model, verbalizer.prompt, verbalizer.sidecar.injection_scale, config.temperature)
        self.scorer, self.verbalizer_optimizers = self._prepare(scorer, config.verbalizer_learning_rate)
        self.reader, self.reconstructor_optimizers = self._prepare(VectorReader(reconstructor), config.reconstructor_learning_rate)
        self.reference = [parameter.detach().clone() for parameter in self.scorer.parameters() if parameter.requires_grad]
        if group.is_sharded:
            # Sharded modules must be called from their root first, and sampling calls a part of it.
            with torch.no_grad():
                self.scorer(torch.ones(1, verbalizer.sidecar.d_model), torch.zeros(1, 1, dtype=torch.long))
                self.reader([[0]])

    def _prepare(self, module: torch.nn.Module, rate: float) -> tuple[torch.nn.Module, list[Any]]:
        if not any(parameter.requires_grad for parameter in module.parameters()):
            module.requires_grad_(True)
        optimizers = optimizers_of(module.eval(), self.config.optimizer, rate, self.config.weight_decay)
        return self.group.prepare(module, optimizers)

    def parameters(self) -> dict[str, torch.Tensor]:
        """What is trained, by name."""
        return {
            f"{prefix}.{name}": value
            for prefix, module in self._modules().items()
            for name, value in module.named_parameters()
            if value.requires_grad
        }

    def _modules(self) -> dict[str, torch.nn.Module]:
        return {"verbalizer": self.scorer, "reconstructor": self.reader}

    def save(self, folder: Path, metadata: Mapping[str, str]) -> None:
        """Writes the state; every process calls it."""
        optimizers = [*self.verbalizer_optimizers, *self.reconstructor_optimizers]
        known = {**metadata, "micro_batch": str(self.pieces.size)}
        save_state(folder, self._modules(), optimizers, known, write=self.group.is_main)

    def load(self, folder: Path, micro_batch: int) -> None:
        """Reads the state that ``save`` wrote."""
        load_state(folder, self._modules(), [*self.verbalizer_optimizers, *self.reconstructor_optimizers])
        self.pieces.size = micro_batch

    @contextmanager
    def generating(self) -> Iterator[None]:
        """Both models whole and in the launcher's precision, without gradients."""
        with ExitStack() as stack:
            for context in (gathered_weights(self.scorer), gathered_weights(self.reader), self.group.autocast()):
                stack.enter_context(context)
            yield

    def step(
        self, vectors: NDArray[np.float32], rows: Sequence[int], step: int, verbalizer_rate: float, reconstructor_rate: float
    ) -> CurveRow:
        """One step on ``vectors[rows]``; the row of the curves without times."""
        config = self.config
        with self.generating():
            rollouts = sample_rollouts(
                self.verbalizer, vectors, self.group.share(rows), config.group, config.max_tokens, config.temperature, (config.seed, step)
            )
        given = torch.as_tensor(vectors[[rollout.row for rollout in rollouts]])
        errors = self.read_and_learn(rollouts, given, reconstructor_rate, step)
        rewards = rewards_of(rollouts, errors, config.reward, config.cap_penalty)
        kl = self.verbalizer_gradients(rollouts, given, advantages_of(rewards, config.group))
        self._update(self.scorer, self.verbalizer_optimizers, verbalizer_rate)
        return self._row(step, rollouts, rewards, errors, kl)

    def read_and_learn(self, rollouts: Sequence[Rollout], given: torch.Tensor, rate: float, step: int = 0) -> NDArray[np.float64]:
        """Updates the AR part by part; the error of each sample ``[n]``, measured before its part was learnt.

        A part is whole groups, so that samples of one activation are compared by one AR.
        """
        size = len(rollouts) // self.config.reconstructor_updates
        errors = []
        for start in range(0, len(rollouts), size):
            drawn = self.replay.drawn((step, start), size * self.group.size) if self.replay else ()
            part = slice(start, start + size)
            errors.append(self.reconstructor_gradients(rollouts[part], given[part], self.group.share(drawn)))
            self._update(self.reader, self.reconstructor_optimizers, rate)
        return np.concatenate(errors)

    def _as_read(self, text: str, key: object) -> str:
        """A text as the AR reads it; one key, one order: texts of one activation are all in the AV's order of lines, or all in another."""
        return reordered([text], self.config.reorder, random.Random(f"order/{self.config.seed}/{key}"))[0]

    def reconstructor_gradients(
        self, rollouts: Sequence[Rollout], given: torch.Tensor, replayed: Sequence[int] = ()
    ) -> NDArray[np.float64]:
        """Leaves in the AR the gradient of its mean error over the parsed samples and the replayed rows; the error of each sample ``[n]``.

        Unparsed samples run along without weight, so that all processes take the same number of passes.
        """
        texts = [self._as_read(rollout.text, rollout.row) for rollout in rollouts]
        weights = torch.tensor([float(rollout.parsed) for rollout in rollouts] + [1.0] * len(replayed))
        if self.replay and replayed:
            gold, vectors = self.replay.rows(replayed)
            texts += [self._as_read(text, f"replay/{row}") for text, row in zip(gold, replayed, strict=True)]
            given = torch.cat([given, torch.as_tensor(vectors)])
        prompts = self.reconstructor.encode(texts)
        factor = self.group.size / max(1.0, self.group.total(float(weights.sum())))
        errors = np.full(len(texts), ORTHOGONAL)

        def loss_of(piece: list[int]) -> torch.Tensor:
            with self.group.autocast():
                made = self.reader([prompts[index] for index in piece])
            each = mse_of(made, given[piece])
            errors[piece] = each.detach().cpu().double().numpy()
            return (each * weights[piece].to(each.device)).sum() * factor

        with _checkpointing(self.reader, self.reconstructor.backbone):
            self.pieces.backward(range(len(texts)), lambda index: len(prompts[index]), loss_of, self.reader)
        return errors[: len(rollouts)]

    def verbalizer_gradients(
        self, rollouts: Sequence[Rollout], given: torch.Tensor, advantages: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Leaves in the AV the gradient of the policy's loss; the KL of each sample, summed over its tokens ``[n]``."""
        reference = self._reference_likelihoods(rollouts, given)
        factor = self.group.size / self.group.total(sum(len(rollout.tokens) for rollout in rollouts))
        worth = torch.as_tensor(advantages, dtype=torch.float32)
        divergence = np.zeros(len(rollouts))

        def loss_of(piece: list[int]) -> torch.Tensor:
            likelihood, mask = self._likelihoods(rollouts, given, piece)
            gap = (padded([reference[index] for index in piece], torch.float32).to(likelihood.device) - likelihood) * mask
            kl = gap.exp() - gap - 1
            # Its value is 1: the samples come from these very weights.
            ratio = (likelihood - likelihood.detach()).exp()
            divergence[piece] = kl.detach().sum(dim=1).cpu().double().numpy()
            loss = (self.config.kl_weight * kl - worth[piece, None].to(likelihood.device) * ratio) * mask
            return loss.sum() * factor

        with _checkpointing(self.scorer, self.verbalizer.model):
            self.pieces.backward(range(len(rollouts)), lambda index: len(rollouts[index].tokens), loss_of, self.scorer)
        return divergence

    def _reference_likelihoods(self, rollouts: Sequence[Rollout], given: torch.Tensor) -> list[list[float]]:
        """Log-probabilities of the samples' tokens under the warm-started AV."""
        found: list[list[float]] = [[] for _ in rollouts]

        def work() -> None:
            for piece in self.pieces.pieces(range(len(rollouts)), lambda index: len(rollouts[index].tokens)):
                likelihood, _ = self._likelihoods(rollouts, given, piece)
                for index, row in zip(piece, likelihood.tolist(), strict=True):
                    found[index] = row[: len(rollouts[index].tokens)]

        with torch.no_grad(), self._as_it_began():
            self.pieces.attempt(len(rollouts), work, lambda: None)
        return found

    def _likelihoods(self, rollouts: Sequence[Rollout], given: torch.Tensor, piece: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probabilities ``[m, T]`` of some samples, and where their tokens are."""
        with self.group.autocast():
            likelihood: torch.Tensor = self.scorer(given[piece], padded([rollouts[index].tokens for index in piece]))
        mask = padded([[1.0] * len(rollouts[index].tokens) for index in piece], torch.float32)
        return likelihood, mask.to(likelihood.device)

    @contextmanager
    def _as_it_began(self) -> Iterator[None]:
        """The AV with the weights of its warm start; only what is trained is kept twice."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    @torch.no_grad()
    def _exchange(self) -> None:
        trained = [parameter for parameter in self.scorer.parameters() if parameter.requires_grad]
        for parameter, other in zip(trained, self.reference, strict=True):
            current = parameter.detach().clone()
            parameter.copy_(other)
            other.copy_(current)

    def _update(self, module: torch.nn.Module, optimizers: list[Any], rate: float) -> None:
        set_learning_rate(optimizers, rate, _OTHER_FRACTION)
        self.group.average_gradients(module)
        torch.nn.utils.clip_grad_norm_(module.parameters(), self.config.clip_norm)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def _row(
        self, step: int, rollouts: Sequence[Rollout], rewards: NDArray[np.float64], errors: NDArray[np.float64], kl: NDArray[np.float64]
    ) -> CurveRow:
        facts = [
            (reward, error, divergence, float(len(rollout.tokens)), float(rollout.parsed), float(rollout.capped))
            for rollout, reward, error, divergence in zip(rollouts, rewards, errors, kl, strict=True)
        ]
        reward, error, divergence, length, parsed, capped = np.array(self.group.gather(facts)).T
        return CurveRow(
            "rl", step + 1, 0.0, reward=float(reward.mean()),
            reward_spread=float(reward.reshape(-1, self.config.group).std(axis=1).mean()),
            mse_nrm=float(error[parsed > 0].mean()) if parsed.any() else None,
            kl=float(divergence.sum() / length.sum()), unparsed=float(1 - parsed.mean()), capped=float(capped.mean()),
            length=float(length.mean()), micro_batch=self.pieces.size,
        )  # fmt: skip


@contextmanager
def _checkpointing(module: torch.nn.Module, model: Any) -> Iterator[None]:
    """Lets a model recompute its activations in the backward pass if it was told to; transformers does so in training mode only."""
    module.train(any(getattr(part, "gradient_checkpointing", False) for part in model.modules()))
    try:
        yield
    finally:
        module.eval()
