"""What joint RL learns from at one step: explanations sampled from the AV, their rewards, and their advantages (paper, section 3).

Declared departures and choices of ours, where the paper is silent: what the penalty at the length cap is; a text that ended without its
closing tag counts as unparsed (only at the cap is it kept as a truncated one).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from audit.engines.base import DecodeSettings
from audit.nla.pair import Verbalizer
from audit.nla.prompt import parse_explanation

ORTHOGONAL = 2.0
"""The error of a reconstruction that has nothing in common with the activation: what an unparsed text is charged."""
_SMALLEST_ERROR = 1e-4
"""Keeps the logarithm of a perfect reconstruction finite."""

RewardName = Literal["mse", "log_mse"]


@dataclass(frozen=True)
class Rollout:
    """One sampled explanation."""

    row: int
    """Which of the step's vectors it explains."""
    tokens: tuple[int, ...]
    """What the AV wrote, its end token included if it got that far."""
    text: str
    parsed: bool
    """Whether there is an explanation to reconstruct from."""
    capped: bool
    """Whether it ran into the length cap."""


def sample_rollouts(
    verbalizer: Verbalizer,
    vectors: NDArray[np.float32],
    rows: Sequence[int],
    group: int,
    max_tokens: int,
    temperature: float,
    seed: Sequence[int],
) -> list[Rollout]:
    """``group`` explanations of each of ``vectors[rows]``, group after group.

    A text depends on the seed, its row and its number in the group, never on the rest of the batch. Sampling ends at the end token of the
    warm start only, so that every sampled token is one that the scorer scores.
    """
    from audit.engines.transformers_engine import TransformersEngine

    if not rows:
        return []
    repeated = np.repeat(np.asarray(rows), group)
    keys = (repeated * group + np.tile(np.arange(group), len(rows))).tolist()
    end = verbalizer.tokenizer.eos_token_id
    settings = DecodeSettings(max_tokens, temperature, _mixed(seed), (end,))
    prompts = verbalizer.prompt_embeddings(vectors[repeated])
    written = TransformersEngine(verbalizer.model).decode(prompts, settings, keys)
    return [rollout_of(row, ids, max_tokens, verbalizer) for row, ids in zip(repeated.tolist(), written, strict=True)]


def rollout_of(row: int, ids: Sequence[int], max_tokens: int, verbalizer: Verbalizer) -> Rollout:
    """Sampled ids (without the end token) as a rollout."""
    capped = len(ids) >= max_tokens
    text, status = parse_explanation(verbalizer.tokenizer.decode(list(ids), skip_special_tokens=True))
    parsed = status == "ok" or (status == "truncated" and capped)
    tokens = tuple(ids) if capped else (*ids, verbalizer.tokenizer.eos_token_id)
    return Rollout(row, tokens, text, parsed, capped)


def rewards_of(rollouts: Sequence[Rollout], errors: NDArray[np.float64], kind: RewardName, cap_penalty: float) -> NDArray[np.float64]:
    """Rewards ``[n]`` from the AR's errors ``mse_nrm`` ``[n]``: ``-mse`` or ``-log mse``, less a penalty at the cap.

    An unparsed text gets the reward of an orthogonal reconstruction whatever its error.
    """
    charged = np.where([rollout.parsed for rollout in rollouts], errors, ORTHOGONAL)
    rewards = -charged if kind == "mse" else -np.log(np.maximum(charged, _SMALLEST_ERROR))
    result: NDArray[np.float64] = rewards - cap_penalty * np.array([rollout.capped for rollout in rollouts], dtype=np.float64)
    return result


def advantages_of(rewards: NDArray[np.float64], group: int) -> NDArray[np.float64]:
    """Rewards ``[n]``, group after group, less their group's mean and in units of its standard deviation; zero where all are equal."""
    grouped = rewards.reshape(-1, group)
    centred = grouped - grouped.mean(axis=1, keepdims=True)
    spread = grouped.std(axis=1, keepdims=True)
    result: NDArray[np.float64] = (centred / np.where(spread > 1e-6, spread, 1.0)).reshape(-1)
    return result


def _mixed(seed: Sequence[int]) -> int:
    """One non-negative integer for several."""
    return int(np.random.SeedSequence(list(seed)).generate_state(1, np.uint32)[0])
