"""Decoding: no reply depends on its batch, its order or its neighbours."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import anyio
import pytest
import torch

from audit.target import decode as module
from audit.target.batching import Batcher
from audit.target.decode import Reply, Request, Sampler, decode


def requests(count: int, seed: int = 0, **settings: Any) -> list[Request]:
    rng = random.Random(seed)
    lengths = [rng.randrange(5, 40) for _ in range(count)]
    prompts = [tuple(rng.randrange(3, 200) for _ in range(length)) for length in lengths]
    return [Request(prompt, 12, seed=index, **settings) for index, prompt in enumerate(prompts)]


def run(model: Any, batch: list[Request], stop: set[int] = frozenset({2})) -> list[Reply]:  # type: ignore[assignment]
    replies: dict[int, Reply] = {}
    decode(model, batch, stop, replies.__setitem__)
    return [replies[index] for index in range(len(batch))]


def by_hand(model: Any, request: Request) -> list[int]:
    """Greedy decoding without cache, batch or padding."""
    ids = list(request.prompt_ids)
    with torch.inference_mode():
        for _ in range(request.max_new):
            ids.append(int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
            if ids[-1] == 2:
                break
    return ids[len(request.prompt_ids) :]


def gemma() -> Any:
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    torch.manual_seed(0)
    config = Gemma3TextConfig(vocab_size=250, hidden_size=32, intermediate_size=48, num_attention_heads=4, num_key_value_heads=2,
                              num_hidden_layers=7, head_dim=8, sliding_window=16)  # fmt: skip
    return Gemma3ForCausalLM(config).eval()


def test_greedy_in_a_padded_batch_equals_greedy_by_hand(tiny_target: Any) -> None:
    for model in (tiny_target.model, gemma()):
        batch = requests(7)
        for request, reply in zip(batch, run(model, batch), strict=True):
            assert list(reply.output_ids) == by_hand(model, request)


def test_replies_do_not_depend_on_batch_or_order(tiny_target: Any) -> None:
    batch = requests(9, temperature=1.0) + requests(3, seed=5) + requests(3, seed=6, temperature=0.7, top_p=0.9, top_k=20)
    together = run(tiny_target.model, batch)
    alone = [run(tiny_target.model, [request])[0] for request in batch]
    assert together == alone
    assert run(tiny_target.model, batch[::-1]) == together[::-1]
    assert len({reply.output_ids for reply in together}) == len(batch)


def test_another_seed_samples_another_reply(tiny_target: Any) -> None:
    request = requests(1, temperature=1.0)[0]
    replies = run(tiny_target.model, [replace(request, seed=seed) for seed in range(4)])
    assert len(set(replies)) == 4


def test_ties_are_settled_by_a_lone_pass(tiny_target: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = requests(4)
    expected = run(tiny_target.model, batch)
    monkeypatch.setattr(module, "TIE", 1e9)
    settled = []
    real = module._Batch._settle

    def spy(self: Any, index: int, step: int, uniform: Any) -> Any:
        settled.append(index)
        return real(self, index, step, uniform)

    monkeypatch.setattr(module._Batch, "_settle", spy)
    assert run(tiny_target.model, batch) == expected
    assert set(settled) == {0, 1, 2, 3}


def test_a_stop_token_ends_a_reply_and_stays_in_it(tiny_target: Any) -> None:
    batch = requests(6)
    free = run(tiny_target.model, batch, set())
    assert not any(reply.stopped for reply in free)
    stop = free[0].output_ids[4]
    for reply, whole in zip(run(tiny_target.model, batch, {stop}), free, strict=True):
        cut = whole.output_ids.index(stop) + 1 if stop in whole.output_ids else len(whole.output_ids)
        assert reply.output_ids == whole.output_ids[:cut]
        assert reply.stopped == (stop in whole.output_ids)


def test_limits_are_each_requests_own(tiny_target: Any) -> None:
    batch = [replace(request, max_new=limit) for limit, request in enumerate(requests(6), start=1)]
    assert [len(reply.output_ids) for reply in run(tiny_target.model, batch, set())] == [1, 2, 3, 4, 5, 6]


def test_long_replies_outgrow_the_first_buffer(tiny_target: Any) -> None:
    batch = [replace(request, max_new=200) for request in requests(2)]
    for request, reply in zip(batch, run(tiny_target.model, batch, set()), strict=True):
        assert len(reply.output_ids) == 200
        ids = torch.tensor([request.prompt_ids + reply.output_ids])
        forced = tiny_target.model(input_ids=ids).logits[0, len(request.prompt_ids) - 1 : -1].argmax(-1)
        assert forced.tolist() == list(reply.output_ids)


def test_sampling_follows_the_probabilities() -> None:
    shares = torch.tensor([0.5, 0.0, 0.3, 0.2])
    count = 20_000
    uniform = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    for settings, expected in [
        ({}, [0.5, 0, 0.3, 0.2]),
        ({"top_k": 2}, [0.625, 0, 0.375, 0]),
        ({"top_p": 0.5}, [1, 0, 0, 0]),
        ({"top_p": 0.6}, [0.625, 0, 0.375, 0]),
        ({"temperature": 0.0}, [1, 0, 0, 0]),
    ]:
        sampler = Sampler([Request((1,), 1, **({"temperature": 1.0} | settings))])  # type: ignore[arg-type]
        chosen, _ = sampler.choose(shares.log().expand(count, 4).clone(), uniform, [0] * count)
        found = torch.bincount(chosen, minlength=4) / count
        assert found.tolist() == pytest.approx(expected, abs=1e-3)


def test_out_of_memory_halves_the_batch(tiny_target: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = requests(5)
    expected = run(tiny_target.model, batch)
    real = module._Batch._forward

    def small(self: Any, tokens: Any, cache: Any, seen: int) -> Any:
        if len(self.rows) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, tokens, cache, seen)

    monkeypatch.setattr(module._Batch, "_forward", small)
    replies: dict[int, Reply] = {}
    assert decode(tiny_target.model, batch, {2}, replies.__setitem__) == 2
    assert [replies[index] for index in range(5)] == expected

    def never(self: Any, tokens: Any, cache: Any, seen: int) -> Any:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(module._Batch, "_forward", never)
    with pytest.raises(RuntimeError, match="allocate"):
        decode(tiny_target.model, batch, {2}, replies.__setitem__)


def test_concurrent_requests_share_batches_and_a_cancelled_leader_is_replaced() -> None:
    sizes: list[int] = []

    def fake(batch: Any, deliver: Any) -> None:
        sizes.append(len(batch))
        for index, request in enumerate(batch):
            deliver(index, Reply(request.prompt_ids, True))

    async def main() -> list[Reply]:
        batcher, replies = Batcher(fake, 4), {}

        async def ask(number: int) -> None:
            replies[number] = await batcher.submit(Request((number,), 1))

        async def give_up() -> None:
            with anyio.move_on_after(0.001):
                await batcher.submit(Request((99,), 1))

        async with anyio.create_task_group() as group:
            group.start_soon(give_up)
            await anyio.sleep(0)
            for number in range(10):
                group.start_soon(ask, number)
        return [replies[number] for number in range(10)]

    assert [reply.output_ids for reply in anyio.run(main)] == [(number,) for number in range(10)]
    assert sum(sizes) == 10
    assert max(sizes) == 4


def test_an_error_in_a_batch_reaches_every_request_of_it() -> None:
    def broken(batch: Any, deliver: Any) -> None:
        deliver(0, Reply((1,), True))
        raise RuntimeError("no such kernel")

    async def main() -> list[str]:
        batcher, outcomes = Batcher(broken, 8), []

        async def ask(number: int) -> None:
            try:
                outcomes.append(str((await batcher.submit(Request((number,), 1))).output_ids))
            except RuntimeError as error:
                outcomes.append(str(error))

        async with anyio.create_task_group() as group:
            for number in range(3):
                group.start_soon(ask, number)
        return sorted(outcomes)

    assert anyio.run(main) == ["(1,)", "no such kernel", "no such kernel"]
