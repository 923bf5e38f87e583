"""The lab from nothing: a recipe of a few steps, built with every part of the real one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from audit.errors import AuditError
from audit.lab import weights_folder
from audit.lab.build import BuildConfig, build
from audit.lab.nla import nla_recipe
from audit.lab.pretrain import Phase
from audit.nla import load_pair
from audit.nla.sidecar import read_sidecar
from audit.target.loading import load_target
from audit.training.loop import LoopConfig

pytestmark = pytest.mark.slow
STEPS = 6


def tiny(**over: Any) -> BuildConfig:
    """Every stage, a few steps of each."""
    bundled = nla_recipe()
    nla = bundled.model_copy(
        update={
            "documents": bundled.documents.model_copy(update={"limit": 40}),
            "warm_start": bundled.warm_start.model_copy(update={"verbalizer_steps": 10, "reconstructor_steps": 10, "checkpoint_every": 10}),
            "rl": type(bundled.rl)(steps=1, batch=2, group=2, max_tokens=16, evaluate_on=4),
        }
    )
    phase = LoopConfig(steps=STEPS, learning_rate=0.004, checkpoint_every=2, stop_at=STEPS // 2)
    return BuildConfig(target=(Phase(phase, "signs"), Phase(phase, "acts")), nla=nla, **over)


class Killed(Exception):
    """Stands for a kill."""


def test_a_lab_built_from_a_seed_is_an_audit_ready_lab_and_goes_on_after_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "lab"
    # What takes long and is the same as in the bundled lab comes from there: the tokenizer, and the figures of the card.
    bundled = weights_folder("target")
    shutil.copytree(bundled, out / "work" / "tokenizer", ignore=shutil.ignore_patterns("model*", "config.json", "generation*"))
    figures = json.loads((bundled.parent / "card.json").read_text())
    monkeypatch.setattr("audit.lab.card.measure", lambda out, config: figures)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr("audit.training.run.train_nla", _killed)
        build(out, tiny())
    weights = (out / "target" / "model.safetensors").read_bytes()
    build(out, tiny())
    assert (out / "target" / "model.safetensors").read_bytes() == weights
    assert read_sidecar(out / "av", "av").raw["stage"] == "rl"
    written = [path for path in out.glob("a?/*") if path.suffix in (".yaml", ".json")]
    assert written and not [path for path in written if str(tmp_path) in path.read_text()], "a build names no path of the machine"
    target, pair = load_target(str(out / "target")), load_pair(str(out))
    assert target.model.config.num_hidden_layers == 6
    assert pair.reconstruct(["- a thread"]).shape == (1, target.model.config.hidden_size)
    assert "Awareness" in (out / "MODEL_CARD.md").read_text()
    made = (out / "card.json").stat().st_mtime_ns
    build(out, tiny())
    assert (out / "card.json").stat().st_mtime_ns == made
    with pytest.raises(AuditError, match="another config"):
        build(out, tiny(seed=1))


def _killed(*args: Any) -> None:
    raise Killed
