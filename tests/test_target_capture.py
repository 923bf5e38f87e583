"""The captured residual stream equals that of a full forward pass."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch

from audit.errors import AuditError
from audit.records import ModelCall, Site
from audit.target import capture as module
from audit.target.capture import activation_rows, capture

VOCABULARY = 60
SHAPE = {"vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2}


def qwen() -> Any:
    from transformers import Qwen2Config, Qwen2ForCausalLM

    return Qwen2ForCausalLM(Qwen2Config(**SHAPE, num_hidden_layers=4)).eval()


def qwen3() -> Any:
    from transformers import Qwen3Config, Qwen3ForCausalLM

    return Qwen3ForCausalLM(Qwen3Config(**SHAPE, num_hidden_layers=4, head_dim=8))


def llama() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(LlamaConfig(**SHAPE, num_hidden_layers=4))


def gemma() -> Any:
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    # A window shorter than the sequences, so that local and global blocks differ.
    return Gemma3ForCausalLM(Gemma3TextConfig(**SHAPE, num_hidden_layers=7, head_dim=8, sliding_window=8))


def gemma_wrapped() -> Any:
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration

    size = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision = {**size, "image_size": 28, "patch_size": 14}
    config = Gemma3Config(text_config={**SHAPE, "num_hidden_layers": 4, "head_dim": 8}, vision_config=vision, mm_tokens_per_image=4)
    return Gemma3ForConditionalGeneration(config)


def a_call(length: int, seed: int, index: int = 0) -> ModelCall:
    rng = random.Random(seed)
    ids = tuple(rng.randrange(3, VOCABULARY) for _ in range(length))
    return ModelCall(index, "event", None, ids[: length // 2], ids[length // 2 :], (), "")


def reference(model: Any, call: ModelCall, layer: int) -> np.ndarray[Any, Any]:
    with torch.inference_mode():
        output = model(input_ids=torch.tensor([call.prompt_ids + call.output_ids]), output_hidden_states=True)
    return np.asarray(output.hidden_states[layer + 1][0].numpy())


@pytest.mark.parametrize("build", [qwen, qwen3, llama, gemma, gemma_wrapped])
@pytest.mark.parametrize("batch_tokens", [1, 10_000], ids=["alone", "padded"])
def test_capture_equals_the_full_forward_pass(build: Any, batch_tokens: int) -> None:
    torch.manual_seed(1)
    model = build().eval()
    calls = [a_call(length, seed) for seed, length in enumerate([17, 40, 5, 23, 23])]
    positions = [[16, 3, 10], [39, 0], [4], [], [22, 21]]
    for layer in (0, 2):
        arrays = capture(model, calls, positions, layer, batch_tokens)
        for call, wanted, array in zip(calls, positions, arrays, strict=True):
            assert array.dtype == np.float32 and array.shape == (len(wanted), 32)
            if wanted:
                np.testing.assert_allclose(array, reference(model, call, layer)[wanted], atol=1e-5, rtol=0)


def test_the_last_block_is_read_before_the_final_norm() -> None:
    model, call = llama().eval(), a_call(12, 0)
    model.model.norm.weight.data.fill_(3.0)
    seen: list[torch.Tensor] = []
    handle = model.model.layers[3].register_forward_hook(lambda module, inputs, output: seen.append(output))
    normed = reference(model, call, 3)
    handle.remove()
    array = capture(model, [call], [[5, 11]], 3)[0]
    np.testing.assert_allclose(array, seen[0][0, [5, 11]].numpy(), atol=1e-5)
    assert np.abs(array - normed[[5, 11]]).max() > 0.1


def test_later_blocks_do_not_run_and_no_hook_stays() -> None:
    model = qwen()
    ran: list[int] = []
    for number, block in enumerate(model.model.layers):
        block.register_forward_hook(lambda module, inputs, output, number=number: ran.append(number))
    before = len(model.model.layers[1]._forward_hooks)
    capture(model, [a_call(9, 0)], [[3]], 1)
    assert ran == [0, 1]
    assert len(model.model.layers[1]._forward_hooks) == before
    model(input_ids=torch.tensor([[5, 6]]))
    assert ran == [0, 1, 0, 1, 2, 3]


def test_a_turn_that_begins_with_the_earlier_one_is_read_in_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    model, first = qwen(), a_call(20, 0)
    second = ModelCall(1, "event", None, first.prompt_ids + first.output_ids + (7, 8, 9), (10, 11), (), "")
    third = a_call(22, 5, index=2)
    sizes: list[int] = []
    real = module._pass
    monkeypatch.setattr(module, "_pass", lambda decoder, items, layer: sizes.append(len(items)) or real(decoder, items, layer))
    arrays = capture(model, [first, second, third], [[15, 19], [24, 15], [21]], 2)
    assert sizes == [2]
    for call, wanted, array in zip([first, second, third], [[15, 19], [24, 15], [21]], arrays, strict=True):
        np.testing.assert_allclose(array, reference(model, call, 2)[wanted], atol=1e-5)


def test_out_of_memory_halves_the_batch_and_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    model = qwen()
    calls = [a_call(10 + seed, seed) for seed in range(5)]
    real, halved = module._pass, []

    def small(decoder: Any, items: Any, layer: int) -> Any:
        if len(items) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(decoder, items, layer)

    monkeypatch.setattr(module, "_pass", small)
    arrays = capture(model, calls, [[9]] * 5, 1, on_halving=lambda: halved.append(1))
    assert len(halved) == 2
    for call, array in zip(calls, arrays, strict=True):
        np.testing.assert_allclose(array, reference(model, call, 1)[[9]], atol=1e-5)

    def never(decoder: Any, items: Any, layer: int) -> Any:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(module, "_pass", never)
    with pytest.raises(AuditError, match="10 tokens does not fit"):
        capture(model, calls[:1], [[9]], 1)

    def broken(decoder: Any, items: Any, layer: int) -> Any:
        raise RuntimeError("shape mismatch")

    monkeypatch.setattr(module, "_pass", broken)
    with pytest.raises(RuntimeError, match="shape mismatch"):
        capture(model, calls, [[9]] * 5, 1)


def test_layers_and_positions_that_do_not_exist_are_refused() -> None:
    with pytest.raises(AuditError, match="blocks 0 to 3"):
        capture(qwen(), [a_call(9, 0)], [[3]], 4)
    with pytest.raises(AuditError, match="positions 0 to 8"):
        capture(qwen(), [a_call(9, 0)], [[9]], 1)
    with pytest.raises(AuditError, match="positions 0 to 8"):
        capture(qwen(), [a_call(9, 0)], [[-1]], 1)


def test_not_finite_and_outlying_activations_are_flagged() -> None:
    vectors = np.ones((6, 4), dtype=np.float32)
    vectors[1, 2], vectors[2, 0], vectors[3], vectors[4] = np.nan, np.inf, 50, 0
    sites = [Site("t/1/1", 0, position, "x", "response", "all") for position in range(6)]
    rows = activation_rows(sites, vectors)
    assert [row.status for row in rows] == ["ok", "not_finite", "not_finite", "outlier_norm", "outlier_norm", "ok"]
    assert [row.row for row in rows] == list(range(6))
    assert rows[0].norm == pytest.approx(2.0)
    assert {row.status for row in activation_rows(sites[:1], vectors[:1], typical_norm=20.0)} == {"outlier_norm"}
