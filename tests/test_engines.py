"""Engines: what they decode, against plain forward passes of small random models; that no vector leaks into another; memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from audit.engines.base import Addition, DecodeSettings
from audit.engines.batch import rows_in_memory, shared_prefix
from audit.engines.choice import make_engine
from audit.engines.transformers_engine import TransformersEngine
from audit.engines.vllm_engine import VllmEngine
from audit.errors import MissingExtra, RefusedInput
from audit.lab import weights_folder
from audit.nla import load_pair
from audit.target.cache import compaction, has_plain_rows, new_cache

STOP = (2, 11)
PROMPT, SITE = 9, 4


def prompts_of(model: Any, count: int, seed: int = 0) -> torch.Tensor:
    """Prompts that differ at one position only, as an AV's do, ``[n, T, d]``."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, model.config.vocab_size, (PROMPT,), generator=generator)
    rows = model.get_input_embeddings()(ids).detach().expand(count, -1, -1).clone()
    rows[:, SITE] = torch.randn(count, rows.shape[-1], generator=generator) * 3
    return rows


def greedy(model: Any, prompt: torch.Tensor, most: int, stop: Sequence[int]) -> list[int]:
    """Greedy decoding of one prompt by whole forward passes, without any cache."""
    ids: list[int] = []
    with torch.no_grad():
        while len(ids) < most:
            new = model.get_input_embeddings()(torch.tensor(ids, dtype=torch.long))
            token = int(model(inputs_embeds=torch.cat([prompt, new])[None], use_cache=False).logits[0, -1].argmax())
            if token in stop:
                break
            ids.append(token)
    return ids


def sliding_model(vocabulary: int = 60) -> Any:
    """A random model that mixes full attention with windows shorter than the prompt."""
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    torch.manual_seed(0)
    config = Gemma3TextConfig(
        vocab_size=vocabulary, hidden_size=32, intermediate_size=64, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2,
        head_dim=8, sliding_window=5, layer_types=["sliding_attention", "full_attention"] * 2, max_position_embeddings=256,
        tie_word_embeddings=False,
    )  # fmt: skip
    model = Gemma3ForCausalLM(config).eval()
    for weights in model.model.layers.parameters():
        weights.data.mul_(8)
    return model


def linear_model(vocabulary: int = 60) -> Any:
    """A random model with a recurrent state, whose rows can be neither spread nor dropped."""
    from transformers import Qwen3NextConfig, Qwen3NextForCausalLM

    torch.manual_seed(0)
    config = Qwen3NextConfig(
        vocab_size=vocabulary, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        head_dim=8, linear_num_key_heads=2, linear_num_value_heads=2, linear_key_head_dim=8, linear_value_head_dim=8,
        num_experts=2, num_experts_per_tok=1, moe_intermediate_size=16, shared_expert_intermediate_size=16, decoder_sparse_step=1,
        layer_types=["linear_attention", "full_attention"], max_position_embeddings=256,
    )  # fmt: skip
    return Qwen3NextForCausalLM(config).eval()


@pytest.mark.parametrize("kind", ["full", "sliding", "linear"])
@pytest.mark.parametrize("batch", [3, 64])
def test_greedy_texts_equal_lone_passes_whatever_the_attention_and_the_batch(kind: str, batch: int, tiny_model: Callable[..., Any]) -> None:
    model = {"full": lambda: tiny_model(60), "sliding": sliding_model, "linear": linear_model}[kind]()
    prompts = prompts_of(model, 20)
    # Stops that the model does say, at different times.
    stop = tuple({greedy(model, prompts[row], place + 1, ())[place] for row, place in ((0, 4), (1, 9), (2, 14))})
    found = TransformersEngine(model, batch).decode(prompts, DecodeSettings(24, stop_ids=stop), range(20))
    expected = [greedy(model, prompt, 24, stop) for prompt in prompts]
    assert found == expected
    assert len({len(text) for text in expected}) > 3, "texts of one length would not show that rows leave the batch rightly"


def test_texts_do_not_depend_on_what_else_is_decoded(tiny_model: Callable[..., Any]) -> None:
    model = tiny_model(60)
    prompts, engine = prompts_of(model, 30), TransformersEngine(model)
    for temperature in (0.0, 1.0):
        settings = DecodeSettings(20, temperature, seed=3, stop_ids=STOP)
        whole = engine.decode(prompts, settings, range(100, 130))
        order = [7, 3, 29, 11]
        assert engine.decode(prompts[order], settings, [100 + row for row in order]) == [whole[row] for row in order]
        assert engine.decode(prompts[:1], settings, [100]) == whole[:1]


def test_two_vectors_never_get_one_anothers_text(tiny_model: Callable[..., Any]) -> None:
    model = tiny_model(60)
    engine, settings = TransformersEngine(model), DecodeSettings(12, stop_ids=())
    prompts = prompts_of(model, 6)
    first = engine.decode(prompts, settings, range(6))
    assert len({tuple(text) for text in first}) == 6
    assert engine.decode(prompts.flip(0), settings, range(6)) == first[::-1]


def test_sampling_follows_the_models_distribution_and_the_seed(tiny_model: Callable[..., Any]) -> None:
    model = tiny_model(12)
    model.lm_head.weight.data.mul_(0.3)
    prompt = prompts_of(model, 1)
    many = prompt.expand(4000, -1, -1)
    texts = TransformersEngine(model, 1000).decode(many, DecodeSettings(1, 1.5, seed=1), range(4000))
    counts = np.bincount([text[0] for text in texts], minlength=12)
    with torch.no_grad():
        expected = (model(inputs_embeds=prompt).logits[0, -1] / 1.5).softmax(-1).numpy() * 4000
    common = expected > 20
    assert common.sum() >= 3
    deviation = (((counts - expected) ** 2 / expected)[common]).sum()
    assert deviation < 40, "chi squared of at most 12 cells"
    again = DecodeSettings(6, 1.0, seed=1)
    engine = TransformersEngine(model)
    assert engine.decode(many[:50], again, range(50)) == engine.decode(many[:50], again, range(50))
    assert engine.decode(many[:50], again, range(50)) != engine.decode(many[:50], DecodeSettings(6, 1.0, seed=2), range(50))


@pytest.mark.parametrize("block", [0, 1])
def test_an_addition_acts_at_its_place_and_nowhere_else(block: int, tiny_model: Callable[..., Any]) -> None:
    model = tiny_model(60)
    prompts = prompts_of(model, 1).expand(5, -1, -1)
    vectors = torch.randn(5, 32, generator=torch.Generator().manual_seed(1))
    found = TransformersEngine(model, 2).decode(prompts, DecodeSettings(8), range(5), Addition(block, SITE, vectors))

    def expected(row: int) -> list[int]:
        def add(module: Any, inputs: Any, output: Any) -> Any:
            hidden = output[0] if isinstance(output, tuple) else output
            hidden[:, SITE] += hidden[:, SITE].norm(dim=-1, keepdim=True) * vectors[row] / vectors[row].norm()
            return output

        handle = model.model.layers[block].register_forward_hook(add)
        try:
            return greedy(model, prompts[row], 8, ())
        finally:
            handle.remove()

    assert found == [expected(row) for row in range(5)]
    assert len({tuple(text) for text in found}) > 1
    assert not model.model.layers[block]._forward_hooks


def test_nothing_to_decode_gives_nothing(tiny_model: Callable[..., Any]) -> None:
    model = tiny_model(60)
    engine = TransformersEngine(model)
    assert engine.decode(prompts_of(model, 3)[:0], DecodeSettings(5), []) == []
    assert engine.decode(prompts_of(model, 3), DecodeSettings(0), range(3)) == [[], [], []]
    first = greedy(model, prompts_of(model, 1)[0], 1, ())
    assert engine.decode(prompts_of(model, 1), DecodeSettings(5, stop_ids=tuple(first)), [0]) == [[]]


def test_a_batch_that_does_not_fit_is_halved_and_no_text_is_lost(tiny_model: Callable[..., Any]) -> None:
    model = tiny_model(60)
    prompts, settings = prompts_of(model, 13), DecodeSettings(8, stop_ids=STOP)
    expected = TransformersEngine(model).decode(prompts, settings, range(13))

    def crowded(module: Any, inputs: Any) -> None:
        if len(inputs[0]) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")

    handle = model.model.layers[0].mlp.register_forward_pre_hook(crowded)
    engine = TransformersEngine(model)
    try:
        assert engine.decode(prompts, settings, range(13)) == expected
        assert engine.batch_size == 3
        handle.remove()
        handle = model.model.layers[0].mlp.register_forward_pre_hook(lambda module, inputs: (_ for _ in ()).throw(MemoryError()))
        with pytest.raises(MemoryError):
            engine.decode(prompts, settings, range(13))
    finally:
        handle.remove()


def test_a_failure_that_is_no_lack_of_memory_is_raised(tiny_model: Callable[..., Any]) -> None:
    model = tiny_model(60)
    with pytest.raises(RuntimeError, match="size of tensor"):
        TransformersEngine(model).decode(torch.zeros(2, 4, 31), DecodeSettings(3), range(2))


def test_rows_on_a_cpu_are_bounded_by_its_memory(tiny_model: Callable[..., Any]) -> None:
    model = tiny_model(60)
    row = 2 * 3 * 2 * 8 * 4 * 100
    assert rows_in_memory(model, 100) == pytest.approx(rows_in_memory(model, 1) / 100, rel=0.01)
    total = float(Path("/proc/meminfo").read_text().split()[1]) * 1024
    assert rows_in_memory(model, 100) * row == pytest.approx(total / 4, rel=0.01)


def test_the_shared_prefix_ends_before_the_first_difference_and_leaves_a_token() -> None:
    rows = torch.zeros(3, 5, 2)
    assert shared_prefix(rows) == 4
    rows[1, 2, 1] = 1e-30
    assert shared_prefix(rows) == 2
    rows[2, 0, 0] = 1
    assert shared_prefix(rows) == 0


def test_compaction_keeps_exactly_the_rows_to_keep_and_moves_as_few_as_possible() -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        kept = torch.rand(17, generator=generator) < 0.7
        order = compaction(kept)
        assert sorted(order.tolist()) == kept.nonzero().flatten().tolist()
        stays = order == torch.arange(len(order))
        assert stays.tolist() == kept[: len(order)].tolist()


def test_a_cache_of_one_row_serves_many_and_drops_some(tiny_model: Callable[..., Any]) -> None:
    model = tiny_model(60)
    ids = torch.randint(0, 60, (6, 10), generator=torch.Generator().manual_seed(2))
    ids[:, :4] = ids[0, :4]
    cache = new_cache(model)
    with torch.no_grad():
        expected = model(input_ids=ids).logits[:, -1]
        model(input_ids=ids[:1, :4], past_key_values=cache, use_cache=True)
        cache.batch_repeat_interleave(6)
        model(input_ids=ids[:, 4:7], past_key_values=cache, use_cache=True)
        order = compaction(torch.tensor([True, False, True, False, True, True]))
        cache.batch_select_indices(order)
        logits = model(input_ids=ids[order, 7:], past_key_values=cache, use_cache=True).logits[:, -1]
    assert order.tolist() == [0, 5, 2, 4] or sorted(order.tolist()) == [0, 2, 4, 5]
    assert torch.allclose(logits, expected[order], atol=1e-4)


def test_which_caches_have_plain_rows(tiny_model: Callable[..., Any]) -> None:
    assert has_plain_rows(new_cache(tiny_model(60))) and has_plain_rows(new_cache(sliding_model()))
    assert not has_plain_rows(new_cache(linear_model()))


def test_engines_are_chosen_by_name(tmp_path: Path, tiny_model: Callable[..., Any]) -> None:
    model = tiny_model(60)
    engine = make_engine("transformers", model, tmp_path, batch_size=5)
    assert isinstance(engine, TransformersEngine) and engine.model is model and engine.batch_size == 5
    with pytest.raises(RefusedInput, match=r"no engine 'tensorrt'.*transformers, vllm"):
        make_engine("tensorrt", model, tmp_path)


def test_vllm_refuses_an_adapter_before_anything_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(RefusedInput, match="LoRA"):
        VllmEngine(tmp_path)


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is installed")
def test_without_vllm_its_engine_says_how_to_install_it(tmp_path: Path) -> None:
    with pytest.raises(MissingExtra, match=r"pip install 'nla-audit\[vllm\]'"):
        make_engine("vllm", None, tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed")
def test_vllm_says_what_the_transformers_engine_says() -> None:
    # The lab's AV: vLLM's attention on a CPU knows no heads as narrow as a tiny model's.
    av = load_pair("lab").av
    model, vectors = av.model, np.random.default_rng(0).normal(size=(24, 128)).astype(np.float32)
    prompts = av.prompt_embeddings(vectors)
    engine = VllmEngine(weights_folder("av"), max_model_len=256)
    settings = DecodeSettings(60, stop_ids=STOP)
    expected = TransformersEngine(model).decode(prompts, settings, range(24))
    found = engine.decode(prompts, settings, range(24))
    assert len({tuple(ids) for ids in found}) > 6
    assert sum(a == b for a, b in zip(found, expected, strict=True)) >= 23
    assert engine.decode(prompts.flip(0), settings, range(24))[::-1] == found
    sampled = DecodeSettings(60, 1.0, seed=5, stop_ids=STOP)
    assert engine.decode(prompts, sampled, range(24)) == engine.decode(prompts, sampled, range(24))
    with pytest.raises(RefusedInput, match="adds its vector"):
        engine.decode(prompts, settings, range(24), Addition(0, SITE, prompts[:, SITE]))
