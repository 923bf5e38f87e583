"""A whole training run in one folder: corpus, warm start of AV and AR, joint RL. The same call goes on where it was stopped.

The folder: ``corpus/`` (parquet), ``warm/av`` and ``warm/ar`` (the warm-started pair), ``av`` and ``ar`` (the finished one),
``curves.parquet`` and ``curves.png``, ``train.json`` (config, and the figures of each stage), ``work/`` (states; of no use afterwards).
Every stage starts from the pair as it was saved, so that it starts from the same numbers however often it is resumed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from audit.errors import AuditError
from audit.nla.fidelity import fve
from audit.nla.sidecar import Sidecar, read_sidecar, write_sidecar
from audit.pipeline import Reporter
from audit.training import parts
from audit.training.config import ORGANISMS, REPORT_EVERY, TrainConfig
from audit.training.corpus_files import Emphasised, corpus_vectors, explained_rows
from audit.training.curves import CurveRow, Curves
from audit.training.loop import LoopConfig, Report
from audit.training.processes import processes
from audit.training.reading import read_corpus
from audit.training.session import Session
from audit.training.warm_start import (
    ExplainedActivations,
    Machinery,
    VerbalizerBatches,
    injection_norm,
    warm_start_reconstructor,
    warm_start_verbalizer,
)

_CHECKED_ROWS = 200
"""At most so many held-out summaries are used to measure a warm start."""


def train_nla(config: TrainConfig, reporter: Reporter | None = None) -> dict[str, Any]:
    """Trains an NLA for ``config.target`` in ``config.out`` and returns the figures of all stages.

    Raises ``AuditError`` if the folder holds another run or another process is at work in it, and for all that the stages refuse. Under
    ``accelerate launch`` every process calls it (``processes``).
    """
    session = Session(config, processes(), reporter)
    with session.alone():
        session.stage("corpus", f"Activations of {config.target}", read_corpus)
        session.stage("av", "Warm start of the AV", warm_start_av)
        session.stage("ar", "Warm start of the AR", warm_start_ar)
        session.stage("rl", "Joint RL", joint_rl)
    return session.stages


def warm_start_av(session: Session) -> dict[str, Any]:
    """The AV learns to write the summaries. Its loss with activations of other texts is the control: the gap is what it reads."""
    from audit.target.loading import load_tokenizer
    from audit.training.prompts import verbalizer_meta

    config = session.config
    data = _with_faint(config, _rows_for(session, "av", config.warm_start.batch))
    scale = injection_norm(data.vectors)
    tokenizer = load_tokenizer(session.base.folder)
    meta = verbalizer_meta(tokenizer, config.prompts.av, session.stages["corpus"]["sign"], scale, _common(session, "av"))
    verbalizer = parts.new_verbalizer(session.base, _sidecar(session, "av", meta), session.group.device)
    batches = VerbalizerBatches(data, tokenizer, verbalizer.prompt, scale, config.warm_start.emphasis)
    loop = _loop(config, config.warm_start.verbalizer_steps, config.verbalizer_learning_rate)
    with _reporting(session, "av", loop.steps) as report:
        folder = session.path("work/av")
        warm_start_verbalizer(verbalizer.model, batches, config.warm_start.batch, config.seed, loop, folder, report, _machinery(session))
    main = session.group.is_main
    parts.save_verbalizer(verbalizer, session.path("warm/av"), meta, session.base, config.save_dtype, main)
    return {"steps": loop.steps, "injection_scale": scale, **(_av_figures(session) if main else {})}


def _av_figures(session: Session) -> dict[str, float]:
    """The saved AV's loss on held-out summaries, in nats a token, with their own activations and with those of others."""
    import torch

    verbalizer = parts.load_verbalizer_to_train(session.path("warm/av"), session.base, session.group.device)
    held_out = explained_rows(session.path("corpus"), "held_out")
    batches = VerbalizerBatches(held_out, verbalizer.tokenizer, verbalizer.prompt, verbalizer.sidecar.injection_scale or 0.0, 1.0)
    rows = list(range(min(_CHECKED_ROWS, len(held_out.summaries))))
    others = np.roll(held_out.vectors[rows], len(rows) // 2, axis=0)
    true = shuffled = 0.0
    with torch.no_grad():
        for start in range(0, len(rows), 16):
            piece = rows[start : start + 16]
            true += float(batches.loss(verbalizer.model, piece)) * len(piece)
            shuffled += float(batches.loss(verbalizer.model, piece, others[piece])) * len(piece)
    return {"held_out_loss": true / len(rows), "held_out_loss_shuffled": shuffled / len(rows)}


def warm_start_ar(session: Session) -> dict[str, Any]:
    """The AR learns to read the summaries back."""
    from audit.target.loading import load_tokenizer
    from audit.training.prompts import reconstructor_meta

    config, layer = session.config, session.stages["corpus"]["layer"]
    data = _rows_for(session, "ar", config.reconstructor_batch)
    meta = reconstructor_meta(load_tokenizer(session.base.folder), config.prompts.ar, layer, _common(session, "ar"))
    reconstructor = parts.new_reconstructor(session.base, _sidecar(session, "ar", meta), layer, session.group.device)
    loop = _loop(config, config.warm_start.reconstructor_steps, config.reconstructor_learning_rate)
    with _reporting(session, "ar", loop.steps) as report:
        folder = session.path("work/ar")
        settings = (config.reconstructor_batch, config.seed, loop, folder, report, _machinery(session), config.warm_start.reorder)
        warm_start_reconstructor(reconstructor, data, *settings)
    main = session.group.is_main
    parts.save_reconstructor(reconstructor, session.path("warm/ar"), meta, session.base, config.save_dtype, main)
    return {"steps": loop.steps, **(_ar_figures(session, layer) if main else {})}


def _ar_figures(session: Session, layer: int) -> dict[str, float]:
    """The saved AR's FVE on held-out summaries, and on those of others."""
    reconstructor = parts.load_reconstructor_to_train(session.path("warm/ar"), session.base, layer, session.group.device)
    held_out = explained_rows(session.path("corpus"), "held_out")
    count = min(_CHECKED_ROWS, len(held_out.summaries))
    made, given = reconstructor.reconstruct(held_out.summaries[:count]), held_out.vectors[:count]
    return {"fve_summaries": fve(given, made), "fve_summaries_shuffled": fve(given, np.roll(made, count // 2, axis=0))}


def joint_rl(session: Session) -> dict[str, Any]:
    """Joint RL from the saved warm start, and the finished pair."""
    from audit.training.grpo import train_rl

    config, base, device = session.config, session.base, session.group.device
    verbalizer = parts.load_verbalizer_to_train(session.path("warm/av"), base, device)
    reconstructor = parts.load_reconstructor_to_train(session.path("warm/ar"), base, session.stages["corpus"]["layer"], device)
    vectors, held_out = (corpus_vectors(session.path("corpus"), split) for split in ("rl", "held_out"))
    folder, rl = session.path("work/rl"), config.seeded_rl
    gold = explained_rows(session.path("corpus"), "ar") if rl.replay else None
    with session.curve("rl", folder, rl.steps) as take:
        train_rl(verbalizer, reconstructor, vectors, held_out, rl, folder, take, session.group, gold)
    about: dict[str, Any] = {"stage": "warm_start", "parent_checkpoints": {"av": "warm/av", "ar": "warm/ar"}}
    if rl.steps:
        about |= {"stage": "rl", "training": asdict(rl)}
    main, dtype = session.group.is_main, config.save_dtype
    parts.save_verbalizer(verbalizer, session.path("av"), {**verbalizer.sidecar.raw, **about}, base, dtype, main)
    parts.save_reconstructor(reconstructor, session.path("ar"), {**reconstructor.sidecar.raw, **about}, base, dtype, main)
    return {"steps": rl.steps, **(_rl_figures(session, folder) if main else {})}


def _rl_figures(session: Session, folder: Path) -> dict[str, Any]:
    """What the held-out round trip said before and after; completes the run's curves."""
    curves = Curves(folder)
    curves.resume("rl", session.config.rl.steps)
    session.curves.rows = [row for row in session.curves.rows if row.stage != "rl"] + curves.rows
    session.curves.save(last=True)
    measured = [row for row in curves.rows if row.fve is not None]
    return {"before": _figures(measured[0]), "after": _figures(measured[-1])}


def _figures(row: CurveRow) -> dict[str, float | None]:
    return {name: getattr(row, name) for name in ("fve", "fve_shuffled", "fve_reordered", "cosine", "held_out_unparsed", "held_out_length")}


def _rows_for(session: Session, part: Any, batch: int) -> ExplainedActivations:
    data = explained_rows(session.path("corpus"), part, _emphasised(session.config))
    session.group.check_batch(batch, "A batch")
    if len(data.summaries) < batch:
        problem = f"The corpus has {len(data.summaries)} summaries for the {part.upper()}, fewer than a batch of {batch}."
        raise AuditError(problem, "Lower 'warm_start.batch', or give more documents.")
    return data


def _with_faint(config: TrainConfig, data: ExplainedActivations) -> ExplainedActivations:
    if not config.warm_start.faint or config.documents.source != ORGANISMS:
        return data
    from audit.lab.organisms.explained import with_faint_topics

    return with_faint_topics(data, config.warm_start.faint, config.seed)


def _emphasised(config: TrainConfig) -> Emphasised:
    if config.warm_start.emphasis == 1:
        return lambda summary: None
    if config.documents.source == ORGANISMS:
        from audit.lab.organisms.explained import topic_span

        return topic_span
    from audit.lab.nla import setting_span

    return setting_span


def _common(session: Session, part: str) -> dict[str, Any]:
    config, facts = session.config, session.stages["corpus"]
    return {
        "stage": "warm_start", "base_checkpoint": config.target, "base_revision": facts["revision"], "d_model": facts["d_model"],
        "extraction_layer_index": facts["layer"],
        "trained_on": {"documents": config.documents.source, "rows": facts["rows"][part], "seed": config.seed},
        "training": {**config.warm_start.model_dump(mode="json"), "lora": asdict(config.lora) if config.lora else None},
    }  # fmt: skip


def _sidecar(session: Session, part: str, meta: dict[str, Any]) -> Sidecar:
    folder = session.path(f"work/{part}")
    if session.group.is_main:
        write_sidecar(folder, meta)
    session.group.wait()
    return read_sidecar(folder, part)


def _loop(config: TrainConfig, steps: int, rate: float) -> LoopConfig:
    settings = config.warm_start
    return LoopConfig(steps, rate, settings.warmup_steps, settings.weight_decay, checkpoint_every=settings.checkpoint_every)


def _machinery(session: Session) -> Machinery:
    settings = session.config.warm_start

    def halved(size: int) -> None:
        session.reporter.note(f"Memory ran out: from here on {size} sequences at a time.")

    return Machinery(settings.optimizer, settings.micro_batch, REPORT_EVERY, session.group, halved)


@contextmanager
def _reporting(session: Session, stage: Any, steps: int) -> Iterator[Report]:
    """Makes rows of the curves of what the training loop reports."""
    with session.curve(stage, session.path(f"work/{stage}"), steps) as take:
        yield lambda step, loss, seconds: take(CurveRow(stage, step, seconds, loss=loss))
