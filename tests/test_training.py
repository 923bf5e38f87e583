"""Training: a run that is stopped goes on as if it had not been, and the warm start learns what it should."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from audit.errors import AuditError
from audit.nla.prompt import InjectionPrompt
from audit.training.loop import LoopConfig, learning_rate, train
from audit.training.warm_start import ExplainedActivations, VerbalizerBatches, injection_norm, warm_start_verbalizer


class Net(torch.nn.Module):
    """A matrix for Muon and a vector for AdamW."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.matrix = torch.nn.Linear(4, 4)

    def loss(self, step: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(step)
        inputs = torch.randn(8, 4, generator=generator)
        loss: torch.Tensor = ((self.matrix(inputs) - inputs.flip(-1)) ** 2).mean()
        return loss


class Killed(Exception):
    """Stands for a kill."""


CONFIG = LoopConfig(steps=20, learning_rate=0.05, warmup_steps=3, checkpoint_every=4)


def run(folder: Path, stop_at: int | None = None, config: LoopConfig = CONFIG) -> tuple[Net, dict[int, float]]:
    net, losses = Net(), {}

    def loss_at(step: int) -> torch.Tensor:
        if step == stop_at:
            raise Killed
        loss = net.loss(step)
        losses[step] = float(loss.detach())
        return loss

    with contextlib.suppress(Killed):
        train(net, loss_at, config, folder)
    return net, losses


def test_a_killed_run_resumes_on_the_same_loss_curve(tmp_path: Path) -> None:
    whole, curve = run(tmp_path / "whole")
    _, before = run(tmp_path / "killed", stop_at=11)
    resumed, after = run(tmp_path / "killed")
    assert min(after) == 8  # the last state was saved after step 7
    assert {**before, **after} == pytest.approx(curve)
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.allclose(one, other)
    assert curve[19] < 0.6 * curve[0]


def test_a_state_of_another_config_is_refused(tmp_path: Path) -> None:
    run(tmp_path, stop_at=9)
    with pytest.raises(AuditError, match="another config"):
        run(tmp_path, config=LoopConfig(steps=30, learning_rate=0.05))


def test_a_loss_that_is_not_a_number_stops_the_run(tmp_path: Path) -> None:
    net = Net()
    with pytest.raises(AuditError, match="diverged at step 0"):
        train(net, lambda step: net.loss(step) * float("nan"), CONFIG, tmp_path)


def test_the_learning_rate_warms_up_and_decays() -> None:
    rates = [learning_rate(CONFIG, step) for step in range(20)]
    assert [max(rates), rates[2], rates[3]] == pytest.approx([0.05] * 3)
    assert rates[0] < rates[1] < rates[2] and rates[19] < 0.2 * 0.05


@pytest.mark.slow
def test_the_warm_start_makes_the_av_read_its_vector(tmp_path: Path, tiny_tokenizer: Any, tiny_model: Any) -> None:
    tokenizer = tiny_tokenizer()
    model = tiny_model(len(tokenizer))
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(2, 32)).astype(np.float32)
    kinds = rng.integers(2, size=64)
    vectors = centres[kinds] + 0.1 * rng.normal(size=(64, 32)).astype(np.float32)
    texts = tuple(("- the report", "- a tool call")[kind] for kind in kinds)
    data = ExplainedActivations(vectors, texts, np.arange(64), tuple((2, len(text)) for text in texts))
    batches = VerbalizerBatches(data, tokenizer, InjectionPrompt((1, 5, 9, 2), 2), injection_norm(vectors), emphasis=3.0)
    held_out = list(range(32))
    before = float(batches.loss(model, held_out).detach())
    warm_start_verbalizer(model, batches, 8, 0, LoopConfig(steps=60, learning_rate=0.01, warmup_steps=5), tmp_path)
    true, swapped = (float(batches.loss(model, held_out, given).detach()) for given in (vectors[:32], centres[1 - kinds[:32]]))
    assert true < before / 4
    assert swapped > 10 * true


def test_emphasis_weighs_the_chosen_characters(tiny_tokenizer: Any) -> None:
    tokenizer = tiny_tokenizer()
    text = "- the report\n- about the numbers"
    data = ExplainedActivations(np.zeros((1, 32), np.float32), (text,), np.zeros(1, int), ((0, 12),))
    batches = VerbalizerBatches(data, tokenizer, InjectionPrompt((1, 2), 1), 1.0, emphasis=3.0)
    heavy = tokenizer.decode([token for token, weight in zip(batches.targets[0], batches.weights[0], strict=True) if weight == 3.0])
    assert heavy.strip().startswith("- the report") and "about" not in heavy
