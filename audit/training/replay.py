"""Gold summaries that the AR goes on reading during joint RL, so that it does not forget what words mean while it follows the AV.

A departure from the paper, whose AR reads the AV's samples only; ``RlConfig.replay`` is 0 unless asked for.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.errors import RefusedInput
from audit.training.warm_start import ExplainedActivations


@dataclass(frozen=True)
class Replay:
    """Activations with their summaries, and how many of them are drawn for each of the AV's samples."""

    data: ExplainedActivations
    share: float
    seed: int

    def drawn(self, key: tuple[int, int], samples: int) -> list[int]:
        """The rows read beside ``samples`` of the AV's texts, the same in every process; none twice."""
        return random.Random(f"replay/{self.seed}/{key}").sample(range(len(self.data.summaries)), round(self.share * samples))

    def rows(self, rows: Sequence[int]) -> tuple[list[str], NDArray[np.float32]]:
        """The summaries and activations ``[n, d]`` of some rows."""
        return [self.data.summaries[row] for row in rows], self.data.vectors[list(rows)]


def replay_of(data: ExplainedActivations | None, share: float, seed: int, update: int, processes: int) -> Replay | None:
    """What is replayed beside ``update`` samples an update of the AR; ``None`` if nothing is. Raises ``RefusedInput`` if it cannot be."""
    if not share:
        return None
    if data is None:
        raise RefusedInput("'rl.replay' needs activations with summaries.", "Set it to 0, or train from a corpus that has them.")
    needed = round(share * update)
    if needed > len(data.summaries):
        problem = f"There are {len(data.summaries)} summaries to replay, fewer than the {needed} of an update."
        raise RefusedInput(problem, "Lower 'rl.replay', or give more documents.")
    if not needed or needed % processes:
        problem = f"'rl.replay' asks for {needed} summaries an update, which {processes} processes cannot share."
        raise RefusedInput(problem, "Choose a share that gives each process one or more of them.")
    return Replay(data, share, seed)
