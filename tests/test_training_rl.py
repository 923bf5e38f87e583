"""Joint RL on a tiny pair whose AV knows the form of explanations but not yet which one belongs to which vector."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from audit.errors import AuditError, RefusedInput
from audit.nla.pair import Reconstructor, Verbalizer
from audit.nla.sidecar import read_sidecar, write_sidecar
from audit.training.curves import CURVES_PICTURE, CURVES_TABLE, CurveRow
from audit.training.grpo import RlConfig, train_rl
from audit.training.joint import JointTrainer
from audit.training.loop import LoopConfig
from audit.training.processes import Processes
from audit.training.prompts import reconstructor_meta, verbalizer_meta
from audit.training.replay import replay_of
from audit.training.rollouts import ORTHOGONAL, Rollout, advantages_of, rewards_of, rollout_of, sample_rollouts
from audit.training.warm_start import (
    ExplainedActivations,
    VerbalizerBatches,
    injection_norm,
    warm_start_reconstructor,
    warm_start_verbalizer,
)

MARK = "\u2726"
TEXTS = ("- the report", "- a tool call", "- numbers", "- let me")
CONFIG = RlConfig(
    steps=6, batch=4, group=4, max_tokens=40, verbalizer_learning_rate=3e-3, reconstructor_learning_rate=3e-3, warmup_steps=1,
    evaluate_every=2, evaluate_on=12, checkpoint_every=2, micro_batch=8,
)  # fmt: skip


@dataclass(frozen=True)
class Warm:
    """A warm-started pair and its activations."""

    verbalizer: Verbalizer
    reconstructor: Reconstructor
    vectors: NDArray[np.float32]
    held_out: NDArray[np.float32]

    def copy(self) -> Warm:
        av, ar = self.verbalizer, self.reconstructor
        return Warm(
            Verbalizer(copy.deepcopy(av.model), av.tokenizer, av.sidecar),
            Reconstructor(copy.deepcopy(ar.backbone), copy.deepcopy(ar.head), ar.tokenizer, ar.sidecar),
            self.vectors,
            self.held_out,
        )


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory, tiny_tokenizer: Callable[[], Any], tiny_model: Callable[..., Any]) -> Warm:
    """The AV has learned the texts with shuffled vectors, the AR with the right ones: there is something for RL to gain."""
    from tokenizers import AddedToken

    folder = tmp_path_factory.mktemp("warm")
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens([AddedToken(MARK, normalized=False, special=False)])
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(4, 32))
    kinds = rng.integers(4, size=120)
    vectors = (centres[kinds] + 0.2 * rng.normal(size=(120, 32))).astype(np.float32)
    common = {"d_model": 32, "extraction_layer_index": 1}
    write_sidecar(folder / "av", verbalizer_meta(tokenizer, "Read {injection_char}", MARK, injection_norm(vectors), common))
    write_sidecar(folder / "ar", reconstructor_meta(tokenizer, "{explanation} is:", 1, common))

    def data(owners: NDArray[np.int64]) -> ExplainedActivations:
        return ExplainedActivations(vectors, tuple(TEXTS[kind] for kind in owners), np.arange(120), (None,) * 120)

    torch.manual_seed(0)
    model = tiny_model(len(tokenizer))
    verbalizer = Verbalizer(model, tokenizer, read_sidecar(folder / "av", "av"))
    batches = VerbalizerBatches(data(rng.permutation(kinds)), tokenizer, verbalizer.prompt, injection_norm(vectors), 1.0)
    warm_start_verbalizer(model, batches, 16, 0, LoopConfig(steps=160, learning_rate=0.01, warmup_steps=5), folder / "s")
    backbone = tiny_model(len(tokenizer), num_hidden_layers=2).model
    backbone.norm = torch.nn.Identity()
    head = torch.nn.Linear(32, 32, bias=False)
    torch.nn.init.eye_(head.weight)
    reconstructor = Reconstructor(backbone, head, tokenizer, read_sidecar(folder / "ar", "ar"))
    warm_start_reconstructor(reconstructor, data(kinds), 16, 0, LoopConfig(steps=60, learning_rate=0.01, warmup_steps=5), folder / "t")
    return Warm(verbalizer, reconstructor, vectors[:80], vectors[80:])


def run(pair: Warm, folder: Path, config: RlConfig = CONFIG, stop_after: int | None = None) -> list[CurveRow]:
    """The rows of a run, killed after a step if asked."""
    rows: list[CurveRow] = []

    def report(row: CurveRow) -> None:
        rows.append(row)
        if row.step == stop_after:
            raise KeyboardInterrupt

    train_rl(pair.verbalizer, pair.reconstructor, pair.vectors, pair.held_out, config, folder, report)
    return rows


def without_times(rows: list[CurveRow]) -> list[dict[str, Any]]:
    return [asdict(replace(row, seconds=0.0, tokens_per_second=None)) for row in rows]


def test_a_killed_run_goes_on_on_the_same_curve(warm: Warm, tmp_path: Path) -> None:
    whole, killed, resumed = warm.copy(), warm.copy(), warm.copy()
    curve = run(whole, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(killed, tmp_path / "killed", stop_after=5)
    after = run(resumed, tmp_path / "killed")
    assert [row.step for row in after] == [5, 6]  # the last state was saved after step 4
    assert without_times(after) == without_times(curve[5:])
    for one, other in ((whole.verbalizer.model, resumed.verbalizer.model), (whole.reconstructor.head, resumed.reconstructor.head)):
        assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    tables = [
        pd.read_parquet(tmp_path / name / CURVES_TABLE).drop(columns=["seconds", "tokens_per_second"]) for name in ("whole", "killed")
    ]
    pd.testing.assert_frame_equal(*tables)
    assert list(tables[0].step) == list(range(7)) and next(iter(tables[0].columns)) == next(iter(fields(CurveRow))).name
    assert tables[0].fve.notna().tolist() == [True, False, True, False, True, False, True]
    assert (tmp_path / "whole" / CURVES_PICTURE).read_bytes().startswith(b"\x89PNG")


def test_the_kl_is_zero_at_first_and_grows(warm: Warm, tmp_path: Path) -> None:
    rows = run(warm.copy(), tmp_path)[1:]
    assert rows[0].kl == pytest.approx(0, abs=1e-9)
    assert all(row.kl is not None and row.kl > 1e-6 for row in rows[1:])


def test_a_heavier_penalty_keeps_the_av_nearer_to_its_warm_start(warm: Warm, tmp_path: Path) -> None:
    free, held = (run(warm.copy(), tmp_path / str(weight), replace(CONFIG, kl_weight=weight)) for weight in (0.0, 50.0))
    assert held[-1].kl is not None and free[-1].kl is not None and held[-1].kl < free[-1].kl / 2


@pytest.mark.slow
def test_rl_improves_the_reward_and_the_held_out_round_trip(warm: Warm, tmp_path: Path) -> None:
    # At CONFIG's rates the pair drifts apart, or not, by the last bits of a sum.
    rates = {"verbalizer_learning_rate": 1e-3, "reconstructor_learning_rate": 1e-3}
    config = replace(CONFIG, steps=54, batch=8, group=8, evaluate_every=54, evaluate_on=40, checkpoint_every=54, micro_batch=64, **rates)
    rows = run(warm.copy(), tmp_path, config)
    start, end = (np.mean([row.reward for row in part]) for part in (rows[1:4], rows[-3:]))
    assert rows[0].fve is not None and rows[-1].fve is not None
    assert end > start + 0.2
    assert rows[-1].fve > rows[0].fve + 0.2
    assert rows[-1].fve_shuffled is not None and rows[-1].fve_shuffled < 0


def trainer_with_samples(pair: Warm) -> tuple[JointTrainer, list[Rollout], torch.Tensor]:
    trainer = JointTrainer(pair.verbalizer, pair.reconstructor, CONFIG, Processes())
    rollouts = sample_rollouts(pair.verbalizer, pair.vectors, [3, 1], 4, 40, 1.0, (0, 0))
    return trainer, rollouts, torch.as_tensor(pair.vectors[[rollout.row for rollout in rollouts]])


def has_gradients(module: torch.nn.Module) -> bool:
    return any(parameter.grad is not None and bool(parameter.grad.abs().sum() > 0) for parameter in module.parameters())


def test_neither_model_gets_a_gradient_from_the_other(warm: Warm) -> None:
    trainer, rollouts, given = trainer_with_samples(warm.copy())
    errors = trainer.reconstructor_gradients(rollouts, given)
    assert has_gradients(trainer.reader) and not has_gradients(trainer.scorer)
    before = [parameter.grad.clone() for parameter in trainer.reader.parameters()]
    trainer.verbalizer_gradients(rollouts, given, advantages_of(rewards_of(rollouts, errors, "mse", 0.5), 4))
    assert has_gradients(trainer.scorer)
    assert all(torch.equal(one, other.grad) for one, other in zip(before, trainer.reader.parameters(), strict=True))


def test_the_gradients_equal_an_independent_computation(warm: Warm) -> None:
    """Against autograd on one sample after another, with the AV's loss written out anew; the AV has moved from its start."""
    pair = warm.copy()
    trainer, rollouts, given = trainer_with_samples(pair)
    start = copy.deepcopy(pair.verbalizer.model)
    with torch.no_grad():
        for parameter in pair.verbalizer.model.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    worth = np.linspace(-1, 1, len(rollouts))
    divergence = trainer.verbalizer_gradients(rollouts, given, worth)
    found = [parameter.grad.clone() for parameter in pair.verbalizer.model.parameters()]

    def likelihood(model: Any, rollout: Rollout) -> torch.Tensor:
        ids = torch.tensor([[*pair.verbalizer.prompt.ids, *rollout.tokens]])
        inputs = model.get_input_embeddings()(ids).clone()
        vector = torch.as_tensor(pair.vectors[rollout.row])
        inputs[0, pair.verbalizer.prompt.position] = vector / vector.norm() * pair.verbalizer.sidecar.injection_scale
        shares = model(inputs_embeds=inputs).logits[0].log_softmax(-1)[len(pair.verbalizer.prompt.ids) - 1 : -1]
        return shares[torch.arange(len(rollout.tokens)), torch.tensor(rollout.tokens)]

    pair.verbalizer.model.zero_grad()
    total, kl = torch.zeros(()), []
    for rollout, advantage in zip(rollouts, worth, strict=True):
        mine, theirs = likelihood(pair.verbalizer.model, rollout), likelihood(start, rollout).detach()
        penalty = torch.exp(theirs - mine) - (theirs - mine) - 1
        kl.append(float(penalty.detach().sum()))
        total = total + (CONFIG.kl_weight * penalty - advantage * mine).sum()
    (total / sum(len(rollout.tokens) for rollout in rollouts)).backward()
    assert divergence == pytest.approx(kl, rel=1e-3)
    for one, other in zip(found, pair.verbalizer.model.parameters(), strict=True):
        assert torch.allclose(one, other.grad, rtol=1e-3, atol=1e-6)


def test_several_updates_of_the_ar_learn_the_parts_one_after_another(warm: Warm) -> None:
    several, one = warm.copy(), warm.copy()
    trainer, rollouts, given = trainer_with_samples(several)
    trainer.config = replace(CONFIG, reconstructor_updates=2)
    errors = trainer.read_and_learn(rollouts, given, 1e-2)
    by_part, rollouts, given = trainer_with_samples(one)
    parts = [by_part.read_and_learn(rollouts[part], given[part], 1e-2) for part in (slice(0, 4), slice(4, 8))]
    assert np.array_equal(errors, np.concatenate(parts))
    assert torch.equal(several.reconstructor.head.weight, one.reconstructor.head.weight)
    untouched = warm.reconstructor.reconstruct([rollout.text for rollout in rollouts])
    at_first = 2 * (1 - torch.nn.functional.cosine_similarity(torch.as_tensor(untouched), given).numpy())
    assert errors[:4] == pytest.approx(at_first[:4], rel=1e-4) and errors[4:] != pytest.approx(at_first[4:], rel=1e-4)


def test_the_ar_can_read_the_lines_of_an_activations_texts_in_another_order(warm: Warm) -> None:
    trainer, rollouts, given = trainer_with_samples(warm.copy())
    trainer.config = replace(CONFIG, reorder=1.0)
    rollouts = [replace(rollout, text=f"- one\n- {' '.join(rollout.text.split())}\n- three") for rollout in rollouts]
    errors = trainer.reconstructor_gradients(rollouts, given)
    for group in (slice(0, 4), slice(4, 8)):
        found = set()
        for order in itertools.permutations(range(3)):
            read = ["\n".join(rollout.text.split("\n")[place] for place in order) for rollout in rollouts[group]]
            made = torch.as_tensor(warm.reconstructor.reconstruct(read))
            expected = 2 * (1 - torch.nn.functional.cosine_similarity(made, given[group]).numpy())
            found |= {order} if errors[group] == pytest.approx(expected, rel=1e-4) else set()
        assert len(found) == 1 and (0, 1, 2) not in found, "one order for all texts of an activation, and not the AV's"


def gold_for(pair: Warm) -> ExplainedActivations:
    return ExplainedActivations(pair.vectors, TEXTS * 20, np.arange(80), (None,) * 80)


def test_replayed_summaries_weigh_as_much_as_samples_and_are_not_among_the_errors(warm: Warm) -> None:
    pair = warm.copy()
    trainer, rollouts, given = trainer_with_samples(pair)
    trainer.replay = replay_of(gold_for(pair), 0.5, 0, len(rollouts), 1)
    assert trainer.replay is not None
    drawn = trainer.replay.drawn((0, 0), len(rollouts))
    assert len(set(drawn)) == 4 and drawn != trainer.replay.drawn((1, 0), len(rollouts))
    errors = trainer.reconstructor_gradients(rollouts, given, drawn)
    assert len(errors) == len(rollouts)
    found = [parameter.grad.clone() for parameter in pair.reconstructor.backbone.parameters()]
    pair.reconstructor.backbone.zero_grad()
    texts = [rollout.text for rollout in rollouts] + [TEXTS[row % 4] for row in drawn]
    total = torch.zeros(())
    for text, vector in zip(texts, torch.cat([given, torch.as_tensor(pair.vectors[drawn])]), strict=True):
        state = pair.reconstructor.backbone(input_ids=torch.tensor(pair.reconstructor.encode([text]))).last_hidden_state[0, -1]
        total = total + 2 * (1 - torch.nn.functional.cosine_similarity(pair.reconstructor.head(state), vector, dim=0))
    (total / len(texts)).backward()
    for one, other in zip(found, pair.reconstructor.backbone.parameters(), strict=True):
        assert torch.allclose(one, other.grad, rtol=1e-3, atol=1e-5)


def test_what_cannot_be_replayed_is_refused(warm: Warm, tmp_path: Path) -> None:
    with pytest.raises(RefusedInput, match=r"'rl\.replay' needs activations with summaries"):
        run(warm.copy(), tmp_path, replace(CONFIG, replay=0.5))
    with pytest.raises(RefusedInput, match="80 summaries to replay, fewer than the 100 of an update"):
        replay_of(gold_for(warm), 0.5, 0, 200, 1)
    with pytest.raises(RefusedInput, match="5 summaries an update, which 2 processes cannot share"):
        replay_of(gold_for(warm), 0.5, 0, 10, 2)


def test_a_batch_that_cannot_be_divided_into_updates_is_refused(warm: Warm, tmp_path: Path) -> None:
    with pytest.raises(RefusedInput, match="4 activations a step cannot be divided into 3 updates"):
        run(warm.copy(), tmp_path, replace(CONFIG, reconstructor_updates=3))


def test_unparsed_texts_get_the_orthogonal_reward_and_teach_the_ar_nothing(warm: Warm) -> None:
    pair = warm.copy()
    encode = pair.verbalizer.tokenizer.encode
    good = rollout_of(0, encode("<explanation>\n- numbers\n</explanation>"), 40, pair.verbalizer)
    bare = rollout_of(1, encode("- numbers"), 40, pair.verbalizer)
    unclosed = rollout_of(1, encode("<explanation>\n- numbers"), 40, pair.verbalizer)
    cut = rollout_of(1, encode("<explanation>\n- numbers"), len(encode("<explanation>\n- numbers")), pair.verbalizer)
    assert [row.parsed for row in (good, bare, unclosed, cut)] == [True, False, False, True]
    assert [row.capped for row in (good, bare, unclosed, cut)] == [False, False, False, True]
    end = pair.verbalizer.tokenizer.eos_token_id
    assert good.tokens[-1] == end and cut.tokens[-1] != end
    rewards = rewards_of([good, bare, unclosed, cut], np.array([0.5, 0.1, 0.1, 0.5]), "mse", cap_penalty=0.3)
    assert rewards == pytest.approx([-0.5, -ORTHOGONAL, -ORTHOGONAL, -0.8])
    logs = rewards_of([good, bare], np.array([0.5, 0.1]), "log_mse", cap_penalty=0.3)
    assert logs == pytest.approx([np.log(2), -np.log(2)])
    trainer = JointTrainer(pair.verbalizer, pair.reconstructor, CONFIG, Processes())
    trainer.reconstructor_gradients([bare, unclosed], torch.as_tensor(pair.vectors[:2]))
    assert not has_gradients(trainer.reader)


def test_advantages_compare_within_groups_only() -> None:
    found = advantages_of(np.array([-1.0, -2.0, -5.0, -5.0]), 2)
    assert found == pytest.approx([1.0, -1.0, 0.0, 0.0])


def test_samples_do_not_depend_on_what_else_is_in_the_batch(warm: Warm) -> None:
    pair = warm.copy()
    together = sample_rollouts(pair.verbalizer, pair.vectors, [5, 2, 7], 4, 40, 1.0, (0, 3))
    alone = sample_rollouts(pair.verbalizer, pair.vectors, [2], 4, 40, 1.0, (0, 3))
    assert together[4:8] == alone
    assert sample_rollouts(pair.verbalizer, pair.vectors, [2], 4, 40, 1.0, (0, 4)) != alone
    assert len({row.text for row in together}) > 1


def test_where_memory_runs_out_the_micro_batch_is_halved_and_the_gradient_is_the_same(warm: Warm) -> None:
    whole, scarce = warm.copy(), warm.copy()

    def refuse(module: Any, arguments: Any, named: Any) -> None:
        given = named.get("inputs_embeds", named.get("input_ids"))
        if torch.is_grad_enabled() and len(given) > 3:
            raise torch.OutOfMemoryError("out of memory")

    scarce.verbalizer.model.register_forward_pre_hook(refuse, with_kwargs=True)
    scarce.reconstructor.backbone.register_forward_pre_hook(refuse, with_kwargs=True)
    gradients = []
    for pair in (whole, scarce):
        trainer, rollouts, given = trainer_with_samples(pair)
        errors = trainer.reconstructor_gradients(rollouts, given)
        trainer.verbalizer_gradients(rollouts, given, advantages_of(-errors, 4))
        gradients.append([parameter.grad for module in (trainer.reader, trainer.scorer) for parameter in module.parameters()])
    assert trainer.pieces.size == 2
    assert all(torch.allclose(one, other, rtol=1e-3, atol=1e-6) for one, other in zip(*gradients, strict=True))


def test_a_sequence_that_alone_does_not_fit_is_an_error_with_a_remedy(warm: Warm) -> None:
    pair = warm.copy()
    trainer, rollouts, given = trainer_with_samples(pair)

    def refuse(*_: Any) -> None:
        raise torch.OutOfMemoryError("out of memory")

    pair.reconstructor.backbone.register_forward_pre_hook(refuse)
    with pytest.raises(AuditError, match="single sequence does not fit"):
        trainer.reconstructor_gradients(rollouts, given)


def test_a_state_of_another_run_is_refused(warm: Warm, tmp_path: Path) -> None:
    run(warm.copy(), tmp_path, replace(CONFIG, steps=2))
    with pytest.raises(AuditError, match="another config"):
        run(warm.copy(), tmp_path, replace(CONFIG, steps=2, seed=1))
    other = warm.copy()
    with torch.no_grad():
        other.reconstructor.head.weight.add_(0.1)
    with pytest.raises(AuditError, match="another warm start or corpus"):
        run(other, tmp_path, replace(CONFIG, steps=2))


def test_vectors_that_cannot_be_trained_on_are_refused(warm: Warm, tmp_path: Path) -> None:
    pair = warm.copy()
    bad = pair.vectors.copy()
    bad[3, 4] = np.nan
    with pytest.raises(RefusedInput, match="1 of the training vectors are not finite"):
        run(replace(pair, vectors=bad), tmp_path)
    with pytest.raises(RefusedInput, match=r"shape \(80, 16\)"):
        run(replace(pair, vectors=pair.vectors[:, :16]), tmp_path)
    with pytest.raises(RefusedInput, match="fewer than the 4"):
        run(replace(pair, vectors=pair.vectors[:3]), tmp_path)
    with pytest.raises(RefusedInput, match="too few"):
        run(replace(pair, held_out=pair.held_out[:1]), tmp_path)


def test_checkpointed_activations_give_the_same_gradients(warm: Warm) -> None:
    gradients = []
    for checkpointing in (False, True):
        pair = warm.copy()
        if checkpointing:
            pair.verbalizer.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        trainer, rollouts, given = trainer_with_samples(pair)
        trainer.verbalizer_gradients(rollouts, given, np.linspace(-1, 1, len(rollouts)))
        gradients.append([parameter.grad for parameter in trainer.scorer.parameters()])
        assert not pair.verbalizer.model.training
    assert all(torch.allclose(one, other, rtol=1e-4, atol=1e-7) for one, other in zip(*gradients, strict=True))
