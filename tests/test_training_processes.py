"""The processes of a training run: one alone, and weights that are sharded. Replicas: see ``test_training_run``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from audit.errors import AuditError
from audit.training.processes import Processes, gathered_weights, processes


def test_one_process_alone_needs_no_launcher() -> None:
    alone = processes()
    assert (alone.rank, alone.size, alone.is_main) == (0, 1, True)
    assert alone.share([1, 2, 3]) == [1, 2, 3] and alone.gather([4]) == [4] and alone.total(2.5) == 2.5
    module = torch.nn.Linear(2, 2)
    with gathered_weights(module), alone.autocast():
        module(torch.ones(1, 2)).sum().backward()
    gradient = module.weight.grad
    alone.average_gradients(module)
    assert module.weight.grad is gradient


def test_a_batch_that_cannot_be_shared_is_an_error() -> None:
    several = Processes()
    several.size = 3
    with pytest.raises(AuditError, match="A batch of 16 cannot be shared by 3 processes"):
        several.check_batch(16, "A batch")


@pytest.mark.slow
def test_sharded_weights_score_sample_and_resume_like_whole_ones(tmp_path: Path) -> None:
    script = str(Path(__file__).with_name("sharded_training.py"))
    command = (sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--standalone", script, str(tmp_path))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip() == "same"
