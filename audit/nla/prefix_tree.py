"""Reading many texts that begin alike: what they share goes through the model once.

Explanations of one conversation repeat each other line by line, so that most of an AR's work would be done over and over. Texts are put
into trees of their tokens: a token stands in a tree once for all texts that have it after the same beginning, sees its own ancestors only
(a mask ``[N, N]``), and has its depth as its position. Nothing but rounding differs from reading each text alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

TREE_TOKENS = 256
"""A tree grows to so many tokens, unless one text is longer: each token's attention runs over the whole tree."""
_ATTENTIONS = ("sdpa", "eager")
"""Implementations of attention that take any mask."""


@dataclass
class Tree:
    """Texts with a common beginning: tokens in the order of a walk, parents before children."""

    tokens: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    """Of each token; -1 for a first token."""
    ends: list[tuple[int, int]] = field(default_factory=list)
    """Number of each text, and where its last token stands."""

    def ancestors(self) -> NDArray[np.bool_]:
        """``[N, N]``: whether the column's token is the row's, or stands before it in a text of the row's."""
        seen = np.zeros((len(self.tokens), len(self.tokens)), dtype=np.bool_)
        for place, parent in enumerate(self.parents):
            if parent >= 0:
                seen[place] = seen[parent]
            seen[place, place] = True
        return seen


def grow(rows: Sequence[list[int]], limit: int = TREE_TOKENS) -> list[Tree]:
    """Trees over non-empty texts of token ids, each text in one of them."""
    trees: list[Tree] = []
    path: list[int] = []
    last: list[int] = []
    for number in sorted(range(len(rows)), key=lambda index: rows[index]):
        row = rows[number]
        shared = _common(last, row) if trees else 0
        if not trees or len(trees[-1].tokens) + len(row) - shared > limit:
            trees.append(Tree())
            shared = 0
        tree = trees[-1]
        del path[shared:]
        for depth in range(shared, len(row)):
            tree.parents.append(path[-1] if path else -1)
            path.append(len(tree.tokens))
            tree.tokens.append(row[depth])
            tree.depths.append(depth)
        tree.ends.append((number, path[-1]))
        last = row
    return trees


def batches(trees: Sequence[Tree], tokens: int) -> list[list[Tree]]:
    """Trees of similar size together, as many as make up ``tokens`` with their padding; at least one."""
    found: list[list[Tree]] = []
    for tree in sorted(trees, key=lambda one: len(one.tokens)):
        if not found or (len(found[-1]) + 1) * len(tree.tokens) > tokens:
            found.append([])
        found[-1].append(tree)
    return found


def read_ends(backbone: Any, trees: Sequence[Tree], device: Any) -> tuple[list[int], torch.Tensor]:
    """The numbers of the texts in these trees, and the backbone's output at the last token of each ``[n, d]``."""
    import torch

    width = max(len(tree.tokens) for tree in trees)
    ids, positions = (np.zeros((len(trees), width), dtype=np.int64) for _ in range(2))
    seen = np.zeros((len(trees), 1, width, width), dtype=np.bool_)
    # Padding sees itself: a row of the mask that sees nothing would be not a number.
    seen[:, 0, np.arange(width), np.arange(width)] = True
    for row, tree in enumerate(trees):
        size = len(tree.tokens)
        ids[row, :size], positions[row, :size] = tree.tokens, tree.depths
        seen[row, 0, :size, :size] = tree.ancestors()
    mask = torch.zeros(seen.shape, dtype=backbone.dtype, device=device)
    mask.masked_fill_(torch.as_tensor(~seen, device=device), torch.finfo(backbone.dtype).min)
    output = backbone(
        input_ids=torch.as_tensor(ids, device=device), position_ids=torch.as_tensor(positions, device=device), attention_mask=mask,
        use_cache=False,
    ).last_hidden_state  # fmt: skip
    ends = [(row, place, number) for row, tree in enumerate(trees) for number, place in tree.ends]
    return [number for _, _, number in ends], output[[row for row, _, _ in ends], [place for _, place, _ in ends]]


def may_share(backbone: Any, longest: int) -> bool:
    """Whether this model's attention takes a tree's mask: a sliding window or an attention kernel of its own does not."""
    config = backbone.config
    window = getattr(config, "sliding_window", None)
    return config._attn_implementation in _ATTENTIONS and (not window or longest <= window)


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two texts begin with alike."""
    for place, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return place
    return min(len(one), len(other))
