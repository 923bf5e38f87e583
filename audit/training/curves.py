"""How a training run went: one row a step in a parquet table, and a picture of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from audit.store import Store

CURVES_TABLE, CURVES_PICTURE = "curves.parquet", "curves.png"
_REDRAW_SECONDS = 30.0


@dataclass(frozen=True)
class CurveRow:
    """One report of a training run. What a stage does not have, or did not measure at that step, is ``None``."""

    stage: Literal["target", "av", "ar", "rl"]
    """The lab's target, warm start of the AV, warm start of the AR, joint RL."""
    step: int
    """Steps done, from 1."""
    seconds: float
    """Wall time: of the step in RL, since the start (or the last resumption) in a warm start."""
    loss: float | None = None
    """Warm start: mean since the last row; nats a token for the AV, ``mse_nrm`` for the AR."""
    reward: float | None = None
    """Mean over all samples of the step."""
    reward_spread: float | None = None
    """Mean standard deviation within a group: where it is zero there is nothing to learn."""
    mse_nrm: float | None = None
    """Mean error over the parsed samples: also the AR's loss."""
    kl: float | None = None
    """From the warm-started AV, nats a token (the estimator of ``grpo``)."""
    unparsed: float | None = None
    """Share of samples."""
    capped: float | None = None
    """Share of samples that ran into the length cap."""
    length: float | None = None
    """Mean tokens of a sample."""
    tokens_per_second: float | None = None
    """Sampled tokens over the step's whole wall time."""
    micro_batch: int | None = None
    """Sequences that went through a model at once; falls when memory runs out."""
    fve: float | None = None
    """Held-out documents, greedy round trip, variance baseline (the paper's)."""
    fve_shuffled: float | None = None
    """The same with explanations of other activations: the control, which should stay at or below zero."""
    fve_reordered: float | None = None
    """The same with the points of each explanation in another order: if it falls far below ``fve``, the code is not in the words."""
    cosine: float | None = None
    """Mean cosine of the held-out round trip."""
    held_out_unparsed: float | None = None
    held_out_length: float | None = None


class Curves:
    """The rows of a run, kept in ``curves.parquet`` and ``curves.png`` of a folder."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder)
        self.rows: list[CurveRow] = []
        self._drawn = float("-inf")

    def resume(self, stage: str, step: int) -> None:
        """Reads the rows of an earlier run, those of a stage up to a step; what it did after its last state is done again."""
        if self.store.path(CURVES_TABLE).is_file():
            rows = self.store.read_table(CURVES_TABLE, CurveRow)
            self.rows = [row for row in rows if row.stage != stage or row.step <= step]

    def save(self, last: bool = False) -> None:
        """Replaces the table, and the picture if it is old or this is the last time."""
        self.store.write_table(CURVES_TABLE, CurveRow, self.rows)
        if last or time.monotonic() - self._drawn > _REDRAW_SECONDS:
            with self.store.replacing(CURVES_PICTURE) as temporary:
                draw(self.rows, temporary)
            self._drawn = time.monotonic()


_PANELS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    ("Held-out FVE (greedy, variance baseline)", (("fve", "explained"), ("fve_reordered", "points reordered"))),
    ("Reward", (("reward", "mean"), ("reward_spread", "spread within a group"))),
    ("KL from the warm start (nats a token)", (("kl", ""),)),
    ("Share of samples", (("unparsed", "unparsed"), ("capped", "at the length cap"))),
    ("Tokens a sample", (("length", ""),)),
    ("Sampled tokens a second", (("tokens_per_second", ""),)),
)


def draw(rows: Sequence[CurveRow], path: Path) -> None:
    """Draws the curves as a PNG: losses if there are any, then the six things to watch in RL."""
    from matplotlib.figure import Figure

    panels = [(title, "rl", lines) for title, lines in _PANELS if any(row.stage == "rl" for row in rows)]
    warm: list[tuple[str, str, tuple[tuple[str, str], ...]]] = [
        (title, stage, (("loss", ""),))
        for title, stage in (
            ("Target (nats a token)", "target"),
            ("Warm start of the AV (nats a token)", "av"),
            ("Warm start of the AR (mse_nrm)", "ar"),
        )
        if any(row.stage == stage for row in rows)
    ]
    panels = warm + panels
    height = max(1, (len(panels) + 1) // 2)
    figure = Figure(figsize=(10, 2.8 * height), layout="constrained")
    for number, (title, stage, lines) in enumerate(panels):
        axes = figure.add_subplot(height, 2, number + 1)
        for name, label in lines:
            _line(axes, [row for row in rows if row.stage == stage], name, label)
        axes.set_title(title, fontsize=10, loc="left")
        axes.set_xlabel("step", fontsize=8)
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=8, frameon=False)
    figure.savefig(path, format="png", dpi=100)


def _line(axes: Any, rows: Sequence[CurveRow], name: str, label: str) -> None:
    points = [(row.step, getattr(row, name)) for row in rows if getattr(row, name) is not None]
    if points:
        axes.plot(*zip(*points, strict=True), label=label, marker="." if len(points) < 40 else "", linewidth=1.2)
