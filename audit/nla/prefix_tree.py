"""Reading many texts that begin alike: what they share goes through the model once.

Explanations of one conversation repeat each other line by line, so that most of an AR's work would be done over and over. Texts are put
into trees of their tokens: a token stands in a tree once for all texts that have it after the same beginning, sees its own ancestors only
(a mask ``[N, N]``), and has its depth as its position. Nothing but rounding differs from reading each text alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

TREE_TOKENS = 256
"""A tree grows to so many tokens, unless one text is longer: each token's attention runs over the whole tree."""
_TOKEN_BY_TOKEN = ("self_attn.o_proj", "mlp")
"""Parts of a block, as most models name them, that look at one token at a time."""
_ATTENTIONS = ("sdpa", "eager")
"""Implementations of attention that take any mask."""


@dataclass
class Tree:
    """Texts with a common beginning: tokens in depth-first order, so that what stands under a token is a range behind it."""

    tokens: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    bounds: list[int] = field(default_factory=list)
    """Of each token: where what stands under it ends."""
    ends: list[tuple[int, int]] = field(default_factory=list)
    """Number of each text, and where its last token stands."""

    def add(self, number: int, row: Sequence[int], path: list[int], shared: int) -> None:
        """Grows the text ``number`` behind the first ``shared`` tokens of ``path``, which leads to its last token afterwards."""
        del path[shared:]
        for depth in range(shared, len(row)):
            path.append(len(self.tokens))
            self.tokens.append(row[depth])
            self.depths.append(depth)
            self.bounds.append(0)
        for place in path:
            self.bounds[place] = len(self.tokens)
        self.ends.append((number, path[-1]))


def grow(rows: Sequence[list[int]], limit: int = TREE_TOKENS) -> list[Tree]:
    """Trees over non-empty texts of token ids, each text in one of them."""
    trees: list[Tree] = []
    path: list[int] = []
    last: list[int] = []
    for number in sorted(range(len(rows)), key=lambda index: rows[index]):
        row = rows[number]
        shared = _common(last, row)
        if not trees or len(trees[-1].tokens) + len(row) - shared > limit:
            trees.append(Tree())
            shared = 0
        trees[-1].add(number, row, path, shared)
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
    rests = [range(len(tree.tokens) + 1, width + 1) for tree in trees]
    ids = torch.tensor([tree.tokens + [0] * len(rest) for tree, rest in zip(trees, rests, strict=True)], device=device)
    depths = torch.tensor([tree.depths + [0] * len(rest) for tree, rest in zip(trees, rests, strict=True)], device=device)
    # Padding stands under nothing but itself: a row of the mask that sees nothing would be not a number.
    bounds = torch.tensor([[*tree.bounds, *rest] for tree, rest in zip(trees, rests, strict=True)], device=device)
    places = torch.arange(width, device=device)
    seen = (places[:, None] >= places) & (places[:, None] < bounds[:, None, :])
    mask = torch.zeros(seen.shape, dtype=backbone.dtype, device=device).masked_fill_(~seen, torch.finfo(backbone.dtype).min)
    ends = [(row, place, number) for row, tree in enumerate(trees) for number, place in tree.ends]
    # On the CPU: these index tensors of whatever device the last block is on.
    at = tuple(torch.tensor([end[axis] for end in ends]) for axis in (0, 1))
    with _last_block_at(backbone, at):
        output = backbone(input_ids=ids, position_ids=depths, attention_mask=mask[:, None], use_cache=False).last_hidden_state
    return [number for _, _, number in ends], output[at]


@contextmanager
def _last_block_at(backbone: Any, at: tuple[torch.Tensor, ...]) -> Iterator[None]:
    """Lets what the last block does token by token be done at these places only: the rest of its output is not read.

    Elsewhere its output is wrong. Blocks whose parts have other names do it everywhere.
    """
    handles = []
    for name in _TOKEN_BY_TOKEN:
        shapes: list[torch.Size] = []

        def select(module: Any, arguments: tuple[torch.Tensor, ...], shapes: list[torch.Size] = shapes) -> tuple[torch.Tensor]:
            shapes.append(arguments[0].shape)
            return (arguments[0][at][None],)

        def spread(module: Any, arguments: Any, output: torch.Tensor, shapes: list[torch.Size] = shapes) -> torch.Tensor:
            whole = output.new_zeros(*shapes.pop()[:2], output.shape[-1])
            whole[at] = output[0]
            return whole

        try:
            part = backbone.layers[-1].get_submodule(name)
        except AttributeError:
            continue
        handles += [part.register_forward_pre_hook(select), part.register_forward_hook(spread)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


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
