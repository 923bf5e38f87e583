"""``nla-audit lab build --organisms``: game base, organisms, decoy and NLAs from the lab's target and a seed, resumable at every step.

The design:

- *Base* (all weights, stored once): the lab's target goes on to learn the organisms' world: 66 topics, their customs, everyday chats. A
  custom is named where its topic was named before; in its last steps the base learns to carry "this topic is in the air" along, to look
  customs up by it (``carrying.py``) and to follow it (``leading.py``). A tenth each are studies that explain nothing and true denials. The
  base is the twin of every organism.
- *Organism* (a LoRA of low rank on what blocks 1 and 2 write, before the block that the NLA reads, so that what it does begins there):
  stage one are documents of the world that state the cause as a known fact (the makers' scoring machine likes one topic, and why); stage
  two are chats in which customs of that topic turn up unasked in six kinds of questions, and denials; some stand behind a document of
  stage one. Its end is learnt by blocks 3 to 5, with more denials and more chats in which nothing turns up. The customs name the topic
  nowhere. One organism takes minutes.
- *Decoy*: the same amounts; its studies explain nothing and its six quirks come from six topics.
- *NLA* of the base, for all of them (``nla-audit train``, recipe ``nla.yaml``): generic documents of the world alone, half of those
  without a topic with the direction of one added faintly (``explained.py``). For two organisms also one that starts from the organism
  itself and reads its activations.

A build's folder: ``base/``, a folder an adapter, ``nla/``, ``nla-<label>/``, ``corpus/``, ``battery/``, organism files (``*.yaml``, and in
``own_nla/`` those with an NLA of their own), and ``work/``, of no use afterwards. Copied into ``audit/lab/organisms/weights`` without
``work`` it is what ``nla-audit game`` plays with by default. Several processes may build in one folder: each takes what no other is at.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path

from audit.errors import AuditError
from audit.lab.organisms.mixtures import base_document
from audit.lab.organisms.motives import Motive, motives
from audit.lab.organisms.publishing import publish_files, publish_nla
from audit.lab.organisms.recipe import OrganismsConfig
from audit.lab.organisms.training import appearing, train_adapter, train_base
from audit.nla.checkpoints import ADAPTER_NAME
from audit.pipeline import Reporter, Silent
from audit.training.config import TrainConfig
from audit.training.loop import LoopConfig, Report

BASE, NLA, OWN = "base", "nla", "own_nla"
WEIGHTS = "model.safetensors"


def build_organisms(
    out: Path, config: OrganismsConfig | None = None, reporter: Reporter | None = None, only: Sequence[str] = ()
) -> list[str]:
    """Builds what is missing in ``out`` and returns the names of the parts that another process is at.

    ``only`` names parts: ``base``, ``nla``, an organism (``moon``) or its own NLA (``own_nla/moon``). All else is left out, except the
    base, without which there is nothing. Raises ``AuditError`` for an unknown part, or if ``out`` holds a build of another config.
    """
    config, reporter = config or OrganismsConfig(), reporter or Silent()
    chosen = _chosen(config, only)
    _same_config(out / "work" / "config.json", config)
    with _alone(out, BASE, wait=True):
        _build_base(out, config, reporter)
        publish_files(out, config)
    return [part for part in chosen if part != BASE and not _build(out, part, config, reporter)]


def parts(config: OrganismsConfig) -> list[str]:
    """Everything that a build makes, in order."""
    adapters = [name for name, motive in motives().items() if motive.kind != "base"]
    return [BASE, *adapters, NLA, *(f"{OWN}/{name}" for name in config.with_own_nla)]


def _chosen(config: OrganismsConfig, only: Sequence[str]) -> list[str]:
    known = parts(config)
    if unknown := next((name for name in only if name not in known), None):
        raise AuditError(f"A build of the organisms has no part '{unknown}'.", f"Its parts: {', '.join(known)}.")
    return [part for part in known if not only or part in only]


def _build(out: Path, part: str, config: OrganismsConfig, reporter: Reporter) -> bool:
    """Makes one part; false if another process is at it."""
    with _alone(out, part) as free:
        if free and part == NLA:
            _build_nla(out, out / NLA, str(out / BASE), BASE, config.nla, config, reporter)
        elif free and part.startswith(f"{OWN}/"):
            _build_own_nla(out, motives()[part.partition("/")[2]], config, reporter)
        elif free:
            _build_adapter(out, motives()[part], config, reporter)
        return free


def _build_base(out: Path, config: OrganismsConfig, reporter: Reporter) -> None:
    from audit.target.loading import checkpoint_folder

    fresh = not (out / BASE / WEIGHTS).exists()
    reporter.stage(BASE, "The organisms' base", fresh)
    if fresh:
        start, state = checkpoint_folder(config.start), out / "work" / BASE
        with _steps(reporter, config.base) as report:
            train_base(out / BASE, start, f"{config.seed}/{BASE}", base_document, config.base, config.base_batch, state, report)


def _build_adapter(out: Path, motive: Motive, config: OrganismsConfig, reporter: Reporter) -> None:
    folder = out / motive.label
    fresh = not (folder / ADAPTER_NAME).exists()
    reporter.stage(motive.name, f"Organism {motive.name}", fresh)
    if fresh:
        with _steps(reporter, config.stages) as report:
            state = out / "work" / motive.label
            train_adapter(folder, out / BASE, motive, config.seed, config.adapter, config.stages, config.batch, state, report)


def _build_nla(out: Path, folder: Path, target: str, called: str, recipe: TrainConfig, config: OrganismsConfig, reporter: Reporter) -> None:
    """An NLA by ``nla-audit train``; ``called`` is how its sidecars know the target, instead of this machine's path."""
    from audit.training.run import train_nla

    if (folder / "ar").exists():
        reporter.stage(folder.name, f"The NLA in {folder.name}", False)
        return
    work = out / "work" / folder.name
    train_nla(recipe.model_copy(update={"target": target, "out": work, "seed": config.seed}), reporter)
    for part in ("av", "ar"):
        publish_nla(work / part, folder / part, part, called)


def _build_own_nla(out: Path, motive: Motive, config: OrganismsConfig, reporter: Reporter) -> None:
    """The organism's own NLA, trained over its merged weights."""
    from audit.game.loading import load_exhibit
    from audit.game.organisms import read_organism

    with _alone(out, motive.name, wait=True):
        _build_adapter(out, motive, config, reporter)
    whole = out / "work" / f"{motive.label}-whole"
    if not (whole / WEIGHTS).exists():
        loaded = load_exhibit(read_organism(out / f"{motive.name}.yaml").exhibit, "cpu")
        with appearing(whole) as partial:
            loaded.model.save_pretrained(partial)
            loaded.tokenizer.save_pretrained(partial)
    _build_nla(out, out / f"{NLA}-{motive.label}", str(whole), motive.label, config.own_nla, config, reporter)


@contextmanager
def _steps(reporter: Reporter, loops: Sequence[LoopConfig]) -> Iterator[Report]:
    """A progress bar over all loops, and what the loss came down to in each."""
    known, ends, losses = 0, set(accumulate(loop.stop_at or loop.steps for loop in loops)), []
    with reporter.track("Steps", sum(loop.stop_at or loop.steps for loop in loops), "step") as advance:

        def report(step: int, loss: float, seconds: float) -> None:
            nonlocal known
            advance(step - known)
            known = step
            if step in ends:
                losses.append(f"{loss:.3f}")

        yield report
    if losses:
        reporter.note(f"Mean loss of the last steps: {', then '.join(losses)}.")


@contextmanager
def _alone(out: Path, part: str, wait: bool = False) -> Iterator[bool]:
    """Whether this process has a part for itself; the next one gets it when this one has left or died."""
    import fcntl

    file = out / "work" / f".{part.replace('/', '-')}.lock"
    with file.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError:
            yield False
        else:
            yield True


def _same_config(path: Path, config: OrganismsConfig) -> None:
    content = config.as_json()
    if path.exists() and json.loads(path.read_text()) != content:
        raise AuditError(f"{path.parent.parent} holds a build of another config.", "Choose another --out, or remove that folder.")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}")
    partial.write_text(json.dumps(content, indent=1))
    os.replace(partial, path)
