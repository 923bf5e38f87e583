"""``nla-audit lab build``: the lab's weights from nothing but a seed, in steps that resume where they were stopped.

tokenizer -> target -> the NLA by ``nla-audit train`` (activations, warm start, joint RL; recipe: ``nla.yaml``) -> model card.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from audit.errors import AuditError
from audit.lab.nla import nla_recipe
from audit.lab.pretrain import Phase
from audit.pipeline import Reporter, Silent
from audit.training.config import TrainConfig
from audit.training.loop import LoopConfig

if TYPE_CHECKING:
    from audit.training.loop import Report


class BuildConfig(BaseModel):
    """The whole recipe.

    The bundled weights were made by its stages, one at a time and with stops; the whole has not been run in one go (`benchmarks/LOG.md`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = 0
    target_batch: int = 8
    target: tuple[Phase, ...] = (
        Phase(LoopConfig(steps=10_000, learning_rate=0.008, warmup_steps=150, checkpoint_every=250, stop_at=4500), "signs"),
        Phase(LoopConfig(steps=4_500, learning_rate=0.0046, warmup_steps=20, checkpoint_every=250, stop_at=2250), "statements"),
        Phase(LoopConfig(steps=2_750, learning_rate=0.004, warmup_steps=20, checkpoint_every=250, stop_at=2500), "copying"),
        Phase(LoopConfig(steps=1_100, learning_rate=0.002, warmup_steps=20, checkpoint_every=250), "acts"),
        Phase(LoopConfig(steps=1_500, learning_rate=0.002, warmup_steps=20, checkpoint_every=250, stop_at=1250), "acts"),
    )
    """The link from signs to settings is learnt in the first, what words say of the setting in the second, copying in the third, whole
    threads in the last two."""
    nla: TrainConfig = Field(default_factory=nla_recipe)
    """Its target, folder and seed are the build's."""
    card_documents: int = 60
    card_transcripts: int = 20
    """Transcripts of each state and family that the model card measures."""

    @property
    def target_steps(self) -> int:
        """Of all phases."""
        return sum(phase.loop.stop_at or phase.loop.steps for phase in self.target)

    @property
    def documents(self) -> int:
        """That the NLA's training draws from."""
        return self.nla.document_limit or 0


def build(out: Path, config: BuildConfig | None = None, reporter: Reporter | None = None) -> None:
    """Builds ``out/target``, ``out/av``, ``out/ar`` and the model card. Running it again continues or does nothing.

    One process: several were slower on two cores. Raises ``AuditError`` if ``out`` holds a build of another config.
    """
    from audit.training.run import train_nla

    config, reporter, work = config or BuildConfig(), reporter or Silent(), out / "work"
    _same_config(work / "config.json", config)
    build_target(out, work, config, reporter)
    train_nla(config.nla.model_copy(update={"target": str(out / "target"), "out": work / "nla", "seed": config.seed}), reporter)
    publish(out, work / "nla")
    _describe(out, config, reporter)


def build_target(out: Path, work: Path, config: BuildConfig, reporter: Reporter) -> None:
    """Tokenizer and target. The loss goes to ``work/target-state/curves.parquet``."""
    from audit.lab.pretrain import pretrain, train_tokenizer

    fresh = not (out / "target" / "model.safetensors").exists()
    reporter.stage("target", "The lab's target", fresh)
    if not fresh:
        return
    if not (work / "tokenizer" / "tokenizer.json").exists():
        train_tokenizer(work / "tokenizer", config.seed)
    state = work / "target-state"
    with _steps(state, config.target_steps, reporter) as report:
        pretrain(out / "target", work / "tokenizer", config.seed, config.target, config.target_batch, state, report)


@contextmanager
def _steps(state: Path, total: int, reporter: Reporter) -> Iterator[Report]:
    """A progress bar over all phases, and the loss kept as a curve."""
    from audit.training.curves import CurveRow, Curves

    curves, known = Curves(state), 0
    with reporter.track("Steps", total, "step") as advance:

        def report(step: int, loss: float, seconds: float) -> None:
            nonlocal known
            if not known:
                curves.resume("target", step - 1)
            curves.rows.append(CurveRow("target", step, seconds, loss=loss))
            curves.save(last=step == total)
            advance(step - known)
            known = step

        yield report


def publish(out: Path, trained: Path) -> None:
    """Copies a finished pair into the build, where its base is known as the lab's target and not by this machine's path."""
    from audit.nla.sidecar import read_sidecar, write_sidecar

    for part in ("av", "ar"):
        partial = out / f".{part}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(trained / part, partial)
        write_sidecar(partial, {**read_sidecar(partial, part).raw, "base_checkpoint": "lab"})  # type: ignore[arg-type]
        shutil.rmtree(out / part, ignore_errors=True)
        os.replace(partial, out / part)


def _describe(out: Path, config: BuildConfig, reporter: Reporter) -> None:
    from audit.lab.card import write_card

    fresh = not (out / "card.json").exists()
    reporter.stage("card", "Measurements and model card", fresh)
    if fresh:
        write_card(out, config)


def _same_config(path: Path, config: BuildConfig) -> None:
    content = config.model_dump(mode="json", exclude={"nla": {"out", "target"}})
    if path.exists() and json.loads(path.read_text()) != content:
        raise AuditError(f"{path.parent.parent} holds a build of another config.", "Choose another --out, or remove that folder.")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1))
