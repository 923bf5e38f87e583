"""What texts have in common is read once, and nothing else changes."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from audit.nla.pair import Reconstructor
from audit.nla.prefix_tree import batches, grow, may_share
from audit.nla.sidecar import read_sidecar, write_sidecar
from audit.training.prompts import reconstructor_meta

BEGINNING = "the report before noon "
TEXTS = [BEGINNING * 3 + rest for rest in ("let me", "one", "let me", "tool call numbers", "let us")] + ["a tool call"]


def rows_like(seed: int, count: int) -> list[list[int]]:
    rng = random.Random(seed)
    return [[rng.randrange(1, 4) for _ in range(rng.randint(1, 9))] for _ in range(count)]


@pytest.mark.parametrize(("seed", "limit"), [(0, 1), (1, 12), (2, 40), (3, 10_000)])
def test_every_text_stands_in_one_tree_and_is_read_along_its_parents(seed: int, limit: int) -> None:
    rows = rows_like(seed, 60)
    trees = grow(rows, limit)
    assert sorted(number for tree in trees for number, _ in tree.ends) == list(range(60))
    for tree in trees:
        assert len(tree.tokens) <= limit or len(tree.ends) == 1 or len({tuple(rows[number]) for number, _ in tree.ends}) == 1
        for number, end in tree.ends:
            path = [place for place in range(end + 1) if tree.bounds[place] > end]
            assert [tree.tokens[place] for place in path] == rows[number]
            assert [tree.depths[place] for place in path] == list(range(len(path)))
    if limit == 10_000:
        assert len(trees) == 1
        assert len(trees[0].tokens) == len({tuple(row[: size + 1]) for row in rows for size in range(len(row))})


def test_batches_hold_every_tree_once_and_no_more_than_their_share() -> None:
    trees = grow(rows_like(4, 80), 15)
    found = batches(trees, 40)
    assert sorted(map(id, trees)) == sorted(id(tree) for together in found for tree in together)
    assert all(len(together) * max(len(tree.tokens) for tree in together) <= 40 for together in found)
    assert any(len(together) > 1 for together in found)
    assert len(batches(trees, 1)) == len(trees)


@pytest.fixture
def reconstructor(tmp_path: Path, tiny_tokenizer: Callable[[], Any], tiny_model: Callable[..., Any]) -> Reconstructor:
    tokenizer = tiny_tokenizer()
    write_sidecar(tmp_path, reconstructor_meta(tokenizer, "{explanation} is:", 1, {"d_model": 32, "extraction_layer_index": 1}))
    torch.manual_seed(0)
    backbone = tiny_model(len(tokenizer), num_hidden_layers=2).model
    backbone.norm = torch.nn.Identity()
    return Reconstructor(backbone, torch.nn.Linear(32, 32, bias=False), tokenizer, read_sidecar(tmp_path, "ar"))


def tokens_read(reconstructor: Reconstructor, texts: list[str]) -> tuple[np.ndarray[Any, Any], int]:
    """The vectors, and how many tokens went through the model for them."""
    counted: list[int] = []
    hook = reconstructor.backbone.register_forward_pre_hook(
        lambda module, arguments, named: counted.append(named["input_ids"].numel()), with_kwargs=True
    )
    made = reconstructor.reconstruct(texts)
    hook.remove()
    return made, sum(counted)


def test_shared_beginnings_go_through_the_model_once(reconstructor: Reconstructor) -> None:
    reconstructor.reconstruct(TEXTS)  # it has been found out that this model reads trees
    made, read = tokens_read(reconstructor, TEXTS)
    alone = [tokens_read(reconstructor, [text]) for text in TEXTS]
    assert np.allclose(made, np.concatenate([vector for vector, _ in alone]), atol=1e-5)
    assert np.array_equal(made[0], made[2])
    assert read < 0.6 * sum(count for _, count in alone)


def test_texts_that_share_nothing_are_read_as_before(reconstructor: Reconstructor) -> None:
    texts = ["one", "numbers before noon and the report", "three words here"]
    made, _ = tokens_read(reconstructor, texts)
    assert np.allclose(made, np.concatenate([reconstructor.reconstruct([text]) for text in texts]), atol=1e-5)


class Mixing(torch.nn.Module):
    """Adds to each token what stands at the place before it, as a model with convolutions or a running state would."""

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return hidden + torch.roll(hidden, 1, dims=1)


def test_a_model_that_is_not_attention_alone_reads_each_text_for_itself(reconstructor: Reconstructor) -> None:
    reconstructor.backbone.norm = Mixing()
    made, _ = tokens_read(reconstructor, TEXTS)
    expected = np.concatenate([reconstructor.reconstruct([text]) for text in TEXTS])
    assert np.allclose(made, expected, atol=1e-5)
    assert reconstructor._reads_trees is False


class Routed(torch.nn.Module):
    """Gives more than the hidden states, as mixtures of experts do."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, hidden: torch.Tensor) -> Any:
        return Pair(self.inner(hidden))


class Pair(tuple):  # type: ignore[type-arg]
    """A tuple that can be added to hidden states."""

    def __new__(cls, hidden: torch.Tensor) -> Pair:
        return super().__new__(cls, (hidden, None))

    def __radd__(self, other: torch.Tensor) -> torch.Tensor:
        return other + self[0]


def test_a_model_whose_parts_give_something_else_is_read_text_by_text(reconstructor: Reconstructor) -> None:
    reconstructor.backbone.layers[-1].mlp = Routed(reconstructor.backbone.layers[-1].mlp)
    made = reconstructor.reconstruct(TEXTS)
    assert reconstructor._reads_trees is False
    assert np.allclose(made, np.concatenate([reconstructor.reconstruct([text]) for text in TEXTS]), atol=1e-5)


def test_a_sliding_window_shorter_than_the_texts_is_not_shared(reconstructor: Reconstructor) -> None:
    assert may_share(reconstructor.backbone, 30)
    reconstructor.backbone.config.sliding_window = 20
    assert may_share(reconstructor.backbone, 20) and not may_share(reconstructor.backbone, 21)
    reconstructor.backbone.config.sliding_window = None
    reconstructor.backbone.config._attn_implementation = "flash_attention_2"
    assert not may_share(reconstructor.backbone, 20)
