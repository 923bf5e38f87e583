"""Training in several processes: replicas that share the batches through the launcher, and weights that are sharded."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from audit.errors import AuditError
from audit.training.processes import Processes, gathered_weights, processes

pytest.importorskip("accelerate")
ROOT = Path(__file__).resolve().parent


def free_port() -> str:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def launched(*command: str) -> subprocess.CompletedProcess[str]:
    """Runs a command in two processes on the CPU, one thread each."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900, check=False)


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
def test_two_processes_train_on_the_curves_of_one(tmp_path: Path, tiny_target: Any) -> None:
    settings = {
        "target": str(tiny_target.folder), "documents": {"source": "lab", "limit": 140},
        "positions": {"per_document": 2, "max_tokens": 48}, "shares": {"av": 0.4, "ar": 0.3, "rl": 0.2, "held_out": 0.1},
        "prompts": {"av": "Read {injection_char}", "ar": "{explanation} is:", "injection_char": "="},
        "warm_start": {"verbalizer_steps": 20, "reconstructor_steps": 20, "batch": 4, "checkpoint_every": 20},
        "rl": {"steps": 2, "batch": 4, "group": 2, "max_tokens": 8, "evaluate_on": 7, "checkpoint_every": 1},
        "save_dtype": "float32",
    }  # fmt: skip
    launcher = ("-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", "--num_machines", "1", "--mixed_precision", "no")
    launcher += ("--dynamo_backend", "no", "--main_process_port", free_port(), "-m", "audit.cli")
    curves = []
    for name, how in (("one", ("-m", "audit.cli")), ("two", launcher)):
        config = tmp_path / f"{name}.yaml"
        config.write_text(json.dumps({**settings, "out": str(tmp_path / name)}))
        done = launched(sys.executable, *how, "train", str(config), "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["stages"]["rl"]["steps"] == 2
        curves.append(pd.read_parquet(tmp_path / name / "curves.parquet").drop(columns=["seconds", "tokens_per_second"]))
    one, two = curves
    assert list(one.stage) == list(two.stage) and list(one.step) == list(two.step)
    for column in ("loss", "reward", "mse_nrm", "kl", "fve", "length"):
        assert np.allclose(one[column], two[column], rtol=1e-3, atol=1e-5, equal_nan=True), column


@pytest.mark.slow
def test_sharded_weights_score_sample_and_resume_like_whole_ones(tmp_path: Path) -> None:
    how = ("-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", free_port())
    done = launched(sys.executable, *how, str(ROOT / "sharded_training.py"), str(tmp_path))
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip() == "same"
