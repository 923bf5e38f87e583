"""Steering: a push touches one token of one block and nothing before it, and continues as an uncached computation does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from audit.errors import AuditError
from audit.nla.steering import Edit, continuations, edit_direction, pushed, pushes, random_directions

SHAPE = {"vocab_size": 60, "hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2}
LAYER, POSITION, LENGTH = 1, 6, 14


def qwen() -> Any:
    from transformers import Qwen2Config, Qwen2ForCausalLM

    return Qwen2ForCausalLM(Qwen2Config(**SHAPE, num_hidden_layers=4))


def llama() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(LlamaConfig(**SHAPE, num_hidden_layers=4))


def gemma() -> Any:
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    # A window shorter than the sequence, so that local and global blocks differ.
    return Gemma3ForCausalLM(Gemma3TextConfig(**SHAPE, num_hidden_layers=7, head_dim=8, sliding_window=8))


@pytest.fixture(params=[qwen, llama, gemma])
def model(request: pytest.FixtureRequest) -> Any:
    torch.manual_seed(2)
    return request.param().eval().requires_grad_(False)


def prompt() -> list[int]:
    return [int(token) for token in np.random.default_rng(4).integers(3, 60, LENGTH)]


def addition(scale: float, rows: int = 1) -> torch.Tensor:
    return scale * torch.randn(rows, 32, generator=torch.Generator().manual_seed(9))


def blocks_and_logits(model: Any, ids: list[int]) -> tuple[list[torch.Tensor], torch.Tensor]:
    """What each block puts out, and the logits."""
    seen: list[torch.Tensor] = []
    # Registered after the push's own hook, so that these see what the next block sees.
    handles = [
        block.register_forward_hook(lambda module, inputs, output: seen.append(output[0] if isinstance(output, tuple) else output))
        for block in model.model.layers
    ]
    try:
        logits = model(torch.tensor([ids])).logits[0]
    finally:
        for handle in handles:
            handle.remove()
    return [block[0] for block in seen], logits


def test_a_push_touches_its_token_after_its_block_and_what_follows(model: Any) -> None:
    ids, added = prompt(), addition(3.0)
    plain, plain_logits = blocks_and_logits(model, ids)
    with pushed(model, LAYER, POSITION, added):
        steered, logits = blocks_and_logits(model, ids)
    for layer in range(LAYER):
        assert torch.equal(plain[layer], steered[layer])
    difference = steered[LAYER] - plain[LAYER]
    assert torch.allclose(difference[POSITION], added[0], atol=1e-4)
    assert not difference[:POSITION].any() and not difference[POSITION + 1 :].any()
    for before, after in zip([*plain[LAYER + 1 :], plain_logits], [*steered[LAYER + 1 :], logits], strict=True):
        assert torch.equal(before[:POSITION], after[:POSITION])
        assert (before[POSITION:] != after[POSITION:]).any(dim=-1).all()
    again, _ = blocks_and_logits(model, ids)
    assert torch.equal(again[LAYER], plain[LAYER]), "the hook is gone"


def test_a_push_of_nothing_changes_nothing(model: Any) -> None:
    ids = prompt()
    nothing = pushes(addition(1.0).numpy(), norm=5.0, alpha=0.0)
    _, plain = blocks_and_logits(model, ids)
    with pushed(model, LAYER, POSITION, torch.from_numpy(nothing)):
        _, steered = blocks_and_logits(model, ids)
    assert torch.equal(plain, steered)


def greedy(model: Any, ids: list[int], added: torch.Tensor, position: int, count: int) -> tuple[list[int], torch.Tensor]:
    """Tokens of a greedy continuation without any cache, and the first step's log-probabilities."""

    def add(module: Any, inputs: Any, output: Any) -> Any:
        hidden = (output[0] if isinstance(output, tuple) else output).clone()
        hidden[0, position] += added
        return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

    handle = model.model.layers[LAYER].register_forward_hook(add)
    made, first = list(ids), None
    for _ in range(count):
        logits = model(torch.tensor([made]), use_cache=False).logits[0, -1]
        first = logits.log_softmax(-1) if first is None else first
        made.append(int(logits.argmax()))
    handle.remove()
    assert first is not None
    return made[len(ids) :], first


@pytest.mark.parametrize("position", [0, POSITION, LENGTH - 1])
def test_continuations_equal_those_without_a_cache(
    tiny_tokenizer: Callable[[], Any], tiny_model: Callable[..., Any], position: int
) -> None:
    tokenizer = tiny_tokenizer()
    model = tiny_model(len(tokenizer)).requires_grad_(False)
    model.generation_config.repetition_penalty = 5.0  # what a checkpoint asks for must not make it less greedy
    ids = tokenizer.encode("Please look at the report and tell me whether the numbers add up before noon.")[:LENGTH]
    added = pushes(random_directions(32, 3, seed=1), norm=20.0, alpha=1.0)
    said = continuations(model, tokenizer, ids, LAYER, position, added, new_tokens=6)
    rows = [torch.zeros(32), *torch.from_numpy(added)]
    plain = greedy(model, ids, rows[0], position, 1)[1]
    texts = set()
    for one, row in zip(said, rows, strict=True):
        tokens, shares = greedy(model, ids, row, position, 6)
        kept = tokens[: tokens.index(2)] if 2 in tokens else tokens  # 2 ends a turn
        kl = float((plain.exp() * (plain - shares)).sum())
        assert (one.text, one.tokens) == (tokenizer.decode(kept), len(kept))
        assert one.kl == pytest.approx(kl, abs=1e-4)
        texts.add(one.text)
    assert said[0].kl == 0 and all(one.kl > 1e-6 for one in said[1:])
    # Attention of a random model carries little from earlier tokens to the choice of the next one.
    assert len(texts) > 1 or position < LENGTH - 1


def test_a_layer_that_does_not_exist_is_refused() -> None:
    with pytest.raises(AuditError, match="blocks 0 to 3"), pushed(qwen(), 4, 0, addition(1.0)):
        pass


def test_random_directions_are_of_norm_one_and_follow_the_seed() -> None:
    directions = random_directions(32, 5, seed=3)
    assert np.allclose(np.linalg.norm(directions, axis=1), 1, atol=1e-6)
    assert np.array_equal(directions[:2], random_directions(32, 2, seed=3))
    assert not np.allclose(directions[:2], random_directions(32, 2, seed=4))
    assert np.abs(directions @ directions.T - np.eye(5)).max() < 0.9
    assert random_directions(8, 1, seed=-1).shape == (1, 8)


def test_pushes_have_the_norm_that_was_asked_for() -> None:
    made = pushes(np.array([[3.0, 4.0], [0.0, -2.0]], dtype=np.float32), norm=7.0, alpha=-0.5)
    assert np.allclose(made, [[-2.1, -2.8], [0.0, 3.5]])


def test_edits_replace_every_occurrence_and_need_both_sides() -> None:
    assert Edit.parse(" a test => a chat ")("- a test\n- it is a test") == "- a chat\n- it is a chat"
    assert Edit.parse("a claim=>")("a claim, more") == ", more"
    for wrong in ("a test", "=>a chat", "", "same=>same"):
        with pytest.raises(AuditError):
            Edit.parse(wrong)


def test_the_direction_is_the_mean_change_of_the_reconstructions() -> None:
    from audit.nla import load_pair

    pair = load_pair("lab")
    texts, edit = ["- short text about cooking", "- a remark about cooking; a soup"], Edit("cooking", "sailing")
    changed = pair.reconstruct([edit(text) for text in texts]) - pair.reconstruct(texts)
    assert np.allclose(edit_direction(pair, texts, edit), changed.mean(axis=0), atol=1e-4)
    with pytest.raises(AuditError, match="no direction"):
        edit_direction(pair, texts, Edit("absent words", "others"))
