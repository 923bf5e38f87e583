"""``nla-audit lab build``: the lab's weights from nothing but a seed, in steps that resume where they were stopped.

tokenizer -> target -> explained activations -> AV, AR (warm start) -> joint RL -> measurements, model card.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from audit.errors import AuditError
from audit.lab.pretrain import LAYER, Phase
from audit.training.curves import CurveRow
from audit.training.grpo import RlConfig
from audit.training.loop import LoopConfig

Say = Callable[[str], None]


@dataclass(frozen=True)
class BuildConfig:
    """The whole recipe.

    The bundled weights are not exactly its result: their target also read summaries (``tokenizer_document``), its first phases saw an older
    text of the world, and AV and AR are warm starts without RL. No build from the seed alone has been run yet.
    """

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
    documents: int = 10_000
    """Documents for AV and for AR, each from its own seed, so that no document serves both."""
    verbalizer_batch: int = 16
    verbalizer: LoopConfig = field(default_factory=lambda: LoopConfig(steps=4500, learning_rate=0.004, checkpoint_every=250))
    reconstructor_batch: int = 24
    reconstructor: LoopConfig = field(default_factory=lambda: LoopConfig(steps=3500, learning_rate=0.004, checkpoint_every=250))
    rl_documents: int = 2_000
    rl: RlConfig = field(
        default_factory=lambda: RlConfig(
            steps=300, max_tokens=120, verbalizer_learning_rate=2e-4, reconstructor_learning_rate=3e-4, evaluate_every=50, micro_batch=128
        )
    )
    card_documents: int = 60
    card_transcripts: int = 20
    """Transcripts of each state and family that the model card measures."""


def build(out: Path, config: BuildConfig | None = None, say: Say = print) -> None:
    """Builds ``out/target``, ``out/av``, ``out/ar`` and the model card. Running it again continues or does nothing.

    Raises ``AuditError`` if ``out`` holds a build of another config.
    """
    config = config or BuildConfig()
    work = out / "work"
    work.mkdir(parents=True, exist_ok=True)
    _same_config(work / "config.json", config)
    build_target(out, work, config, say)
    build_nla(work / "warm", work, config, say)
    reinforce_nla(out, work, config, say)
    if not (out / "card.json").exists():
        say("measuring")
        from audit.lab.card import write_card

        write_card(out, config)
    say(f"done: {out}")


def build_target(out: Path, work: Path, config: BuildConfig, say: Say) -> None:
    """Tokenizer and target."""
    from audit.lab.pretrain import pretrain, train_tokenizer

    if not (work / "tokenizer" / "tokenizer.json").exists():
        say("training the tokenizer")
        train_tokenizer(work / "tokenizer", config.seed)
    if not (out / "target" / "model.safetensors").exists():
        pretrain(
            out / "target",
            work / "tokenizer",
            config.seed,
            config.target,
            config.target_batch,
            work / "target-state",
            _reporter("target", say),
        )


def build_nla(out: Path, work: Path, config: BuildConfig, say: Say, parts: tuple[str, ...] = ("av", "ar")) -> None:
    """Warm starts of AV and AR under ``out``, each from documents of its own."""
    import torch
    from transformers import AutoModelForCausalLM

    from audit.lab import nla
    from audit.target.loading import load_tokenizer

    built = work.parent / "target"
    target = AutoModelForCausalLM.from_pretrained(built, dtype=torch.float32).eval()
    tokenizer = load_tokenizer(built)
    if "av" in parts and not (out / "av" / "model.safetensors").exists():
        say("reading activations for the AV")
        data = nla.explained_activations(target, tokenizer, config.seed, config.documents)
        nla.write_av_sidecar(out / "av", tokenizer, data)
        nla.train_verbalizer(
            out / "av",
            work / "av-state",
            target,
            tokenizer,
            data,
            config.seed,
            config.verbalizer_batch,
            config.verbalizer,
            _reporter("AV", say),
        )
    if "ar" in parts and not (out / "ar" / "model.safetensors").exists():
        say("reading activations for the AR")
        data = nla.explained_activations(target, tokenizer, config.seed + 1, config.documents)
        nla.write_ar_sidecar(out / "ar", tokenizer, data)
        nla.train_reconstructor(
            out / "ar",
            work / "ar-state",
            target,
            tokenizer,
            data,
            config.seed,
            config.reconstructor_batch,
            config.reconstructor,
            _reporter("AR", say),
        )


def reinforce_nla(out: Path, work: Path, config: BuildConfig, say: Say) -> None:
    """Joint RL of the warm-started pair, on activations of documents that neither was started on; without labels of any kind."""
    if (out / "av" / "model.safetensors").exists() and (out / "ar" / "model.safetensors").exists():
        return
    from audit.lab import nla
    from audit.target.loading import load_target
    from audit.training.grpo import train_rl
    from audit.training.parts import Base, load_reconstructor_to_train, load_verbalizer_to_train, save_reconstructor, save_verbalizer

    loaded = load_target(str(out / "target"))
    say("reading activations for RL")
    vectors, held_out = (
        nla.explained_activations(loaded.model, loaded.tokenizer, config.seed + 2 + index, count).vectors
        for index, count in enumerate((config.rl_documents, config.rl.evaluate_on // 4))
    )
    base = Base(str(out / "target"))
    warm, device = work / "warm", "cpu"
    verbalizer = load_verbalizer_to_train(warm / "av", base, device)
    reconstructor = load_reconstructor_to_train(warm / "ar", base, LAYER, device)

    def report(row: CurveRow) -> None:
        if row.fve is not None:
            say(f"RL: step {row.step}, held-out FVE {row.fve:.3f}, reward {row.reward or 0:.3f}, KL {row.kl or 0:.3f} a token")

    train_rl(verbalizer, reconstructor, vectors, held_out, config.rl, work / "rl-state", report)
    about = {"stage": "rl", "training": asdict(config.rl)}
    save_verbalizer(verbalizer, out / "av", {**verbalizer.sidecar.raw, **about}, base, "bfloat16")
    save_reconstructor(reconstructor, out / "ar", {**reconstructor.sidecar.raw, **about}, base, "bfloat16")


def _same_config(path: Path, config: BuildConfig) -> None:
    content: dict[str, Any] = json.loads(json.dumps(asdict(config)))
    if path.exists() and json.loads(path.read_text()) != content:
        raise AuditError(f"{path.parent.parent} holds a build of another config.", "Choose another --out, or remove that folder.")
    path.write_text(json.dumps(content, indent=1))


def _reporter(name: str, say: Say) -> Callable[[int, float, float], None]:
    def report(step: int, loss: float, seconds: float) -> None:
        say(f"{name}: step {step}, loss {loss:.3f}, {seconds / 60:.1f} min")

    return report
