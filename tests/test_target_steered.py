"""Steering a real (tiny) target: what it touches, that nothing leaks, and what logs and transcripts say of it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.log import EvalLog
from inspect_ai.model import Model, get_model
from inspect_ai.scorer import includes
from inspect_ai.solver import generate

import audit.registry  # noqa: F401  (makes the provider known)
from audit.errors import AuditError, RefusedInput
from audit.evidence.coherence import coherence, is_coherent, reply_nats, together
from audit.evidence.contrast import block_outputs, contrast_pairs, directions_from, lab_pairs, random_like
from audit.records import ModelCall
from audit.target.capture import capture
from audit.target.decode import Reply, Request, decode
from audit.target.steered import Directions, Steering, load_directions, parse_variant, save_directions, steered, unit
from audit.target.transcripts import read_transcripts

IDS = [5, 40, 77, 8, 130, 22, 61, 9, 14, 200, 33, 90]


def directions(blocks: int = 3, width: int = 32, norm: float = 4.0, name: str = "") -> Directions:
    return unit(np.random.default_rng(5).normal(size=(blocks, width)), norm, name)


def replies(model: Any, prompts: list[list[int]], steering: Steering | None) -> list[tuple[int, ...]]:
    found: dict[int, tuple[int, ...]] = {}

    def deliver(index: int, reply: Reply) -> None:
        found[index] = reply.output_ids

    with steered(model, steering):
        decode(model, [Request(tuple(prompt), 12, seed=3) for prompt in prompts], {2}, deliver)
    return [found[index] for index in range(len(prompts))]


@pytest.mark.parametrize("layers", [None, (1,), (0, 2)])
def test_the_direction_is_added_after_the_chosen_blocks_and_nowhere_else(tiny_target: Any, layers: tuple[int, ...] | None) -> None:
    model, given = tiny_target.model, directions()
    with torch.inference_mode():
        plain = block_outputs(model, IDS)
        with steered(model, Steering(given, 0.5, layers)):
            # Each block's own input decides what it adds, so a block is checked with its input as it was then.
            changed = block_outputs(model, IDS)
    first = min(layers or (0,))
    assert torch.equal(plain[:first], changed[:first])
    # Strength 1.0 is the norm in all: each steered block adds its share.
    expected = torch.from_numpy(0.5 * 4.0 / len(layers or range(3)) * given.rows[first])
    assert torch.allclose(changed[first] - plain[first], expected.expand(len(IDS), -1), atol=1e-4)
    for layer in range(first + 1, 3):
        assert not torch.allclose(plain[layer], changed[layer], atol=1e-3)
    with torch.inference_mode():
        assert torch.equal(block_outputs(model, IDS), plain)


def test_a_block_that_is_not_chosen_computes_as_ever(tiny_target: Any) -> None:
    """With block 1 steered, block 2 puts out what it makes of the steered input, nothing more."""
    model, given = tiny_target.model, directions()
    seen: dict[str, torch.Tensor] = {}
    block = model.model.layers[2]

    def keep(module: Any, inputs: Any, keywords: Any, output: Any) -> None:
        seen["out"] = output[0] if isinstance(output, tuple) else output
        seen["in"], seen["keywords"] = (inputs[0] if inputs else keywords["hidden_states"]), keywords

    handle = block.register_forward_hook(keep, with_kwargs=True)
    try:
        with torch.inference_mode(), steered(model, Steering(given, 0.5, (1,))):
            model(torch.tensor([IDS]), use_cache=False)
            again = block(seen["in"], **{key: value for key, value in seen["keywords"].items() if key != "hidden_states"})  # type: ignore[attr-defined]
    finally:
        handle.remove()
    assert torch.equal(again[0] if isinstance(again, tuple) else again, seen["out"])


def test_strength_zero_and_none_change_no_bit_and_nothing_stays_behind(tiny_target: Any) -> None:
    model = tiny_target.model
    hooks = [list(block._forward_hooks) for block in model.model.layers]
    with torch.inference_mode():
        plain = model(torch.tensor([IDS])).logits
        for steering in (None, Steering(directions(), 0.0)):
            with steered(model, steering):
                assert torch.equal(model(torch.tensor([IDS])).logits, plain)
        with pytest.raises(KeyError), steered(model, Steering(directions(), 0.5)):
            assert not torch.equal(model(torch.tensor([IDS])).logits, plain)
            raise KeyError
        assert torch.equal(model(torch.tensor([IDS])).logits, plain)
    assert [list(block._forward_hooks) for block in model.model.layers] == hooks


def test_a_batch_gives_what_lone_prompts_give(tiny_target: Any) -> None:
    prompts = [IDS[:count] for count in (4, 12, 7, 9)]
    for strength in (0.3, -0.3):
        steering = Steering(directions(), strength)
        together_ = replies(tiny_target.model, prompts, steering)
        assert together_ == [replies(tiny_target.model, [prompt], steering)[0] for prompt in prompts]
        assert together_ != replies(tiny_target.model, prompts, None)


def test_greedy_replies_agree_with_passes_without_a_cache(tiny_target: Any) -> None:
    steering = Steering(directions(), 0.4)
    [reply] = replies(tiny_target.model, [IDS], steering)
    with torch.inference_mode(), steered(tiny_target.model, steering):
        for count in range(len(reply)):
            logits = tiny_target.model(torch.tensor([[*IDS, *reply[:count]]]), use_cache=False).logits[0, -1]
            assert int(logits.argmax()) == reply[count]


def test_capture_reads_the_steered_stream_only_while_it_is_steered(tiny_target: Any) -> None:
    call = ModelCall(0, "", None, tuple(IDS[:8]), tuple(IDS[8:]), (), "")
    given = directions()
    [plain] = capture(tiny_target.model, [call], [[9, 11]], 1)
    with steered(tiny_target.model, Steering(given, 0.5, (1,))):
        [changed] = capture(tiny_target.model, [call], [[9, 11]], 1)
    assert np.allclose(changed - plain, 2.0 * given.rows[1], atol=1e-4)
    assert np.array_equal(capture(tiny_target.model, [call], [[9, 11]], 1)[0], plain)


def test_directions_survive_their_file_and_bad_files_are_refused(tmp_path: Path, tiny_target: Any) -> None:
    from safetensors.numpy import save_file

    given = unit(directions().rows, 3.5, "random-1", "made by a test")
    save_directions(tmp_path / "a.safetensors", given)
    read = load_directions(tmp_path / "a.safetensors")
    assert np.allclose(read.rows, given.rows, atol=1e-6) and (read.norm, read.name, read.source) == (3.5, "random-1", "made by a test")
    assert np.allclose(np.linalg.norm(read.rows, axis=1), 1.0, atol=1e-6)
    with pytest.raises(AuditError, match="no file"):
        load_directions(tmp_path / "absent.safetensors")
    (tmp_path / "text.safetensors").write_text("not one")
    save_file({"weight": np.zeros(3, dtype=np.float32)}, tmp_path / "other.safetensors")
    save_file({"directions": np.zeros((3, 32), dtype=np.float32), "norm": np.ones(1, dtype=np.float32)}, tmp_path / "zero.safetensors")
    for name in ("text", "other", "zero"):
        with pytest.raises(RefusedInput) as caught:
            load_directions(tmp_path / f"{name}.safetensors")
        assert caught.value.remedy
    for wrong in (Steering(directions(width=16), 0.1), Steering(directions(blocks=4), 0.1), Steering(directions(), 0.1, (0, 3)),
                  Steering(directions(), 99.0), Steering(directions(), 0.1, ()), Steering(directions(), 0.1, (1, 1))):  # fmt: skip
        with pytest.raises(AuditError), steered(tiny_target.model, wrong):
            pass


def test_names_of_variants_are_read_back() -> None:
    assert Steering(directions(), 0.1).variant == "steered:+0.1"
    assert Steering(directions(name="random-1"), -0.05).variant == "steered:random-1:-0.05"
    assert parse_variant("steered:+0.1") == ("", 0.1) and parse_variant("steered:random-1:-0.05") == ("random-1", -0.05)
    assert parse_variant("steered:+1e-05") == ("", 1e-5)
    for other in ("original", "realism", "steered:", "steered:much", "steered:<b>:+0.1", "steered:+0.1\x1b[31m"):
        assert parse_variant(other) is None


# Under Inspect


def run(target: Any, folder: Path, model: Model | None = None, **arguments: Any) -> EvalLog:
    samples = [Sample(id=name, input=f"Tell me about {name}.", target="x", metadata={"scenario": "talk"}) for name in ("a", "b")]
    chosen = model or get_model(f"nla-target/{target.folder}", device="cpu", memoize=False, **arguments)
    task = Task(dataset=samples, solver=generate(), scorer=includes(), name="talk")
    [log] = eval(task, model=chosen, log_dir=str(folder), display="none", max_tokens=10, temperature=0)
    assert log.status == "success", log.error
    return log


def texts(log: EvalLog) -> dict[Any, str]:
    return {sample.id: sample.output.completion for sample in log.samples or []}


def test_the_provider_steers_and_says_so(tiny_target: Any, tmp_path: Path) -> None:
    save_directions(tmp_path / "v.safetensors", directions())
    plain = run(tiny_target, tmp_path / "plain")
    towards = run(tiny_target, tmp_path / "up", steering=str(tmp_path / "v.safetensors"), steering_strength=0.5, steering_layers="1,2")
    assert texts(plain) != texts(towards)
    logged = towards.samples[0].output.metadata["nla"]["steering"]  # type: ignore[index]
    assert (logged["variant"], logged["layers"], logged["strength"]) == ("steered:+0.5", [1, 2], 0.5)
    assert "steering" not in plain.samples[0].output.metadata["nla"]  # type: ignore[index]
    # Read together, as `scan` reads them: the same samples do not stand in each other's way.
    rows = list(read_transcripts([tmp_path / "plain", tmp_path / "up"], tiny_target.tokenizer))
    assert [(row.transcript_id, row.variant, row.metadata["variant_of"], row.error) for row in rows] == [
        ("talk/a/1", "original", None, None), ("talk/b/1", "original", None, None),
        ("talk/a/1/steered:+0.5", "steered:+0.5", "talk/a/1", None), ("talk/b/1/steered:+0.5", "steered:+0.5", "talk/b/1", None),
    ]  # fmt: skip


def test_a_steered_target_shares_the_weights_and_leaves_the_other_alone(tiny_target: Any, tmp_path: Path) -> None:
    plain = get_model(f"nla-target/{tiny_target.folder}", device="cpu", memoize=False)
    before = texts(run(tiny_target, tmp_path / "a", plain))
    api = plain.api.with_steering(Steering(directions(), 0.5))  # type: ignore[attr-defined]
    assert api.target is plain.api.target  # type: ignore[attr-defined]
    changed = texts(run(tiny_target, tmp_path / "b", Model(api, plain.config, {"steering_strength": 0.5})))
    assert changed != before and texts(run(tiny_target, tmp_path / "c", plain)) == before
    none = plain.api.with_steering(Steering(directions(), 0.0))  # type: ignore[attr-defined]
    assert texts(run(tiny_target, tmp_path / "d", Model(none, plain.config))) == before
    with pytest.raises(AuditError, match="not for this target"):
        plain.api.with_steering(Steering(directions(width=8), 0.5))  # type: ignore[attr-defined]


def test_steered_and_plain_requests_at_once_do_not_mix(tiny_target: Any, tmp_path: Path) -> None:
    plain = get_model(f"nla-target/{tiny_target.folder}", device="cpu", memoize=False).api
    other = plain.with_steering(Steering(directions(), 0.5))  # type: ignore[attr-defined]

    def request(number: int) -> Request:
        return Request(tuple(IDS[: 5 + number]), 8)

    async def both() -> tuple[list[Reply], list[Reply]]:
        jobs = [api.batcher.submit(request(number)) for number in range(4) for api in (plain, other)]  # type: ignore[attr-defined]
        found = await asyncio.gather(*jobs)
        return list(found[::2]), list(found[1::2])

    mine, theirs = asyncio.run(both())
    prompts = [list(request(number).prompt_ids) for number in range(4)]
    model = plain.target.model  # type: ignore[attr-defined]
    assert [reply.output_ids[:8] for reply in mine] == [row[:8] for row in replies(model, prompts, None)]
    assert [reply.output_ids[:8] for reply in theirs] == [row[:8] for row in replies(model, prompts, Steering(directions(), 0.5))]


@pytest.mark.parametrize(
    "arguments", [{"steering_strength": 0.1}, {"steering": "FILE"}, {"steering": "FILE", "steering_strength": "much"},
                  {"steering": "FILE", "steering_strength": 0.1, "steering_layers": "first"}],
)  # fmt: skip
def test_half_an_order_to_steer_is_refused(tiny_target: Any, tmp_path: Path, arguments: dict[str, Any]) -> None:
    save_directions(tmp_path / "v.safetensors", directions())
    filled = {key: str(tmp_path / "v.safetensors") if value == "FILE" else value for key, value in arguments.items()}
    with pytest.raises(AuditError) as caught:
        get_model(f"nla-target/{tiny_target.folder}", device="cpu", memoize=False, **filled)
    assert caught.value.remedy


# Directions and coherence


def test_directions_are_read_where_both_prompts_end_alike_and_the_norm_at_the_middle_block(tiny_target: Any) -> None:
    model = tiny_target.model
    other = [*IDS[:6], 50, 51, *IDS[-3:]]
    made = directions_from(model, [(IDS, other)])
    with torch.inference_mode():
        first, second = block_outputs(model, IDS), block_outputs(model, other)
    gap = first[:, -3:].mean(1) - second[:, -3:].mean(1)
    assert np.allclose(made.rows, torch.nn.functional.normalize(gap, dim=-1).numpy(), atol=1e-5)
    assert made.norm == pytest.approx(float((first[1, 6:].norm(dim=-1).mean() + second[1, 6:].norm(dim=-1).mean()) / 2), rel=1e-5)
    assert np.allclose(directions_from(model, [(other, IDS)]).rows, -made.rows, atol=1e-6)
    for pairs in ([], [(IDS, IDS)], [(IDS, IDS[:5])], [(IDS, [*IDS[:-1], 50])]):
        with pytest.raises(AuditError):
            directions_from(model, pairs)


def test_contrast_prompts_differ_in_what_they_say_only(tiny_target: Any) -> None:
    tokenizer = tiny_target.tokenizer
    for pairs in (contrast_pairs(tokenizer), lab_pairs(tokenizer, 0, 9)):
        assert len({tuple(tested) for tested, _ in pairs}) == len(pairs)
        for tested, control in pairs:
            first, second = tokenizer.decode(tested), tokenizer.decode(control)
            assert first != second and first.endswith("<|im_start|>assistant\n") and second.endswith("<|im_start|>assistant\n")
    # In the lab's, everything before the last line of the request is the same.
    for tested, control in lab_pairs(tokenizer, 0, 9):
        first, second = tokenizer.decode(tested), tokenizer.decode(control)
        assert first.rpartition("\n[")[0] == second.rpartition("\n[")[0] != ""


def test_random_directions_have_the_same_lengths_and_angles() -> None:
    real = unit(np.random.default_rng(1).normal(size=(1, 32)) + 0.5 * np.random.default_rng(2).normal(size=(6, 32)), 2.5)
    control, other = random_like(real, 1, 0), random_like(real, 2, 0)
    assert np.allclose(control.rows @ control.rows.T, real.rows @ real.rows.T, atol=1e-5)
    assert control.norm == real.norm and (control.name, other.name) == ("random-1", "random-2")
    assert np.array_equal(control.rows, random_like(real, 1, 0).rows) and not np.allclose(control.rows, other.rows, atol=0.1)
    wide = [random_like(unit(np.eye(2, 400), 1.0), number, 0).rows @ np.eye(2, 400).T for number in range(20)]
    assert np.abs(wide).mean() < 0.1


def test_replies_of_the_target_itself_are_more_likely_than_noise(tiny_target: Any) -> None:
    model = tiny_target.model
    [own] = replies(model, [IDS], None)
    call = ModelCall(0, "", None, tuple(IDS), own, (), "", ('{"name": "f", "arguments": {}}', '{"name": '))
    noise = ModelCall(0, "", None, tuple(IDS), tuple(np.random.default_rng(0).integers(3, 300, len(own)).tolist()), (), "")
    with torch.inference_mode():
        shares = model(torch.tensor([[*IDS, *own]])).logits[0].log_softmax(-1)
    by_hand = -sum(float(shares[len(IDS) - 1 + place, token]) for place, token in enumerate(own))
    assert reply_nats(model, call) == pytest.approx(by_hand, rel=1e-4)
    mine, theirs = coherence(model, "a", [call]), coherence(model, "b", [noise])
    assert (mine.tokens, mine.calls, mine.parsed) == (len(own), 2, 1)
    assert mine.nats is not None and theirs.nats is not None and theirs.nats > mine.nats + 1
    assert is_coherent(together([mine]), together([mine])) is True and is_coherent(together([theirs]), together([mine])) is False
    assert coherence(model, "c", [ModelCall(0, "", None, (1,), (), (), "")]).nats is None
    assert is_coherent(together([]), together([mine])) is None
