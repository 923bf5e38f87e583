"""Muon in float32: the same updates as torch's, but for the rounding of bfloat16."""

from __future__ import annotations

import torch

from audit.training.muon import Muon, orthogonalise


def test_updates_equal_those_of_torch_but_for_rounding() -> None:
    torch.manual_seed(0)
    start = [torch.randn(64, 128), torch.randn(96, 32)]
    ours, theirs = ([torch.nn.Parameter(value.clone()) for value in start] for _ in range(2))
    optimizers = [
        Muon(ours, lr=0.01, weight_decay=0.05),
        torch.optim.Muon(theirs, lr=0.01, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
    ]
    for _ in range(5):
        for own, other in zip(ours, theirs, strict=True):
            own.grad = torch.randn_like(own)
            other.grad = own.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    for own, other, first in zip(ours, theirs, start, strict=True):
        moved = (other - first).norm()
        assert moved > 0.1
        assert (own - other).norm() < 0.02 * moved


def test_orthogonalised_matrices_have_even_singular_values() -> None:
    torch.manual_seed(1)
    values = torch.linalg.svdvals(orthogonalise(torch.randn(3, 40, 20) * torch.tensor([1e-3, 1.0, 1e3])[:, None, None]))
    assert values.min() > 0.5
    assert values.max() < 1.5
