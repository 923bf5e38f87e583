"""Training of the game base (all weights) and of the organisms over it (LoRA, peft), resumable at every checkpoint."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.errors import MissingExtra
from audit.lab.documents import Document
from audit.lab.organisms.carrying import carrying_loss, with_heads
from audit.lab.organisms.leading import directions, leading_loss, led_chat
from audit.lab.organisms.mixtures import refining, stage_one, stage_two
from audit.lab.organisms.motives import Motive
from audit.lab.organisms.recipe import REFINING, STAGES, AdapterSettings
from audit.lab.pretrain import POOL_BATCHES, TextBatches, next_token_loss
from audit.nla.checkpoints import ADAPTER_NAME
from audit.training.loop import LoopConfig, Report, train

if TYPE_CHECKING:
    import torch

Make = Callable[[random.Random], Document]


def stream(seed: str, pool: int, size: int, make: Make) -> list[Document]:
    """The documents of ``POOL_BATCHES`` steps of ``size``, in the order in which they are written."""
    rng = random.Random(f"organisms/{seed}/{pool}")
    return [make(rng) for _ in range(size * POOL_BATCHES)]


class Batches(TextBatches):
    """The lab's batches, of documents of ``make``."""

    def __init__(self, tokenizer: Any, seed: str, size: int, make: Make) -> None:
        super().__init__(tokenizer, seed, size)
        self.make = make

    def documents(self, pool: int, rng: random.Random) -> list[Document]:
        return stream(str(self.seed), pool, self.size, self.make)


def train_base(
    folder: Path, start: Path, seed: str, make: Make, loops: Sequence[LoopConfig], batch: int, state: Path, report: Report
) -> None:
    """Trains all weights of the checkpoint ``start`` on documents of ``make`` and saves it to ``folder`` (bfloat16 on disk).

    The second of the three ``loops`` also teaches it to carry topics along (``carrying.py``), the last to follow them (``leading.py``).
    """
    import torch

    model, tokenizer = _loaded(start)
    reading, carrying, leading = loops
    train(model, _loss_of(model, Batches(tokenizer, seed, batch, make)), reading, state, report)
    batches, done = Batches(tokenizer, f"{seed}/carrying", batch, make), reading.stop_at or reading.steps
    module = with_heads(model, random.Random(seed).randrange(2**31))
    train(module, carrying_loss(module, batches), carrying, state / "carrying", _after(done, report))
    done += carrying.stop_at or carrying.steps
    added = directions(model, tokenizer, seed, state / "leading")
    batches, led = Batches(tokenizer, f"{seed}/leading", batch, make), Batches(tokenizer, f"{seed}/led", batch // 2, led_chat)
    train(module, leading_loss(module, batches, led, added), leading, state / "leading", _after(done, report))
    with appearing(folder) as partial:
        model.to(torch.bfloat16).save_pretrained(partial)
        tokenizer.save_pretrained(partial)


def stage_seed(seed: int, motive: Motive, stage: str) -> str:
    """What fixes the documents of a stage."""
    return f"{seed}/{motive.name}/{stage}"


def stage_maker(motive: Motive, stage: str) -> Make:
    """Makes the documents of a stage, or of the end of the second."""
    write = {STAGES[0]: stage_one, STAGES[1]: stage_two, REFINING: refining}[stage]
    return lambda rng: write(rng, motive)


def train_adapter(
    folder: Path,
    base: Path,
    motive: Motive,
    seed: int,
    settings: AdapterSettings,
    loops: Sequence[LoopConfig],
    batch: int,
    state: Path,
    report: Report,
) -> None:
    """Trains a LoRA over ``base`` in two stages and saves it to ``folder`` (float16). ``report`` counts the steps of all loops.

    The last of the three ``loops`` is the end of stage two, where later blocks learn and those that lead stay as they are.
    """
    model, tokenizer = _loaded(base)
    _add_adapter(model, settings, f"{seed}/{motive.name}")
    done = 0
    for part, loop in zip((*STAGES, REFINING), loops, strict=True):
        _choose_trained(model, settings, refining=part == REFINING)
        batches = Batches(tokenizer, stage_seed(seed, motive, part), batch, stage_maker(motive, part))
        train(model, _loss_of(model, batches), loop, state / part, _after(done, report), optimizer="adamw")
        done += loop.stop_at or loop.steps
    with appearing(folder) as partial:
        _save_adapter(model, partial)


def _choose_trained(model: Any, settings: AdapterSettings, refining: bool) -> None:
    """Trains the part of the adapter that leads, or the part that refines."""
    blocks = settings.refined_blocks if refining else settings.blocks
    modules = settings.refined_modules if refining else settings.modules
    for name, parameter in model.named_parameters():
        inside = any(f"layers.{block}." in name for block in blocks) and any(f".{module}.lora_" in name for module in modules)
        parameter.requires_grad_(inside)


def _loss_of(model: Any, batches: Batches) -> Callable[[int], torch.Tensor]:
    return lambda step: next_token_loss(model, *batches.at(step))


def _after(done: int, report: Report) -> Report:
    return lambda step, loss, seconds: report(done + step, loss, seconds)


def _loaded(folder: Path) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForCausalLM

    from audit.target.loading import load_tokenizer

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, use_safetensors=True), load_tokenizer(folder)


def _add_adapter(model: Any, settings: AdapterSettings, seed: str) -> None:
    """A fresh LoRA on some matrices of some blocks."""
    import torch

    try:
        from peft import LoraConfig
    except ImportError:
        raise MissingExtra("peft, which LoRA needs,", "train") from None
    model.requires_grad_(False)
    torch.manual_seed(random.Random(seed).randrange(2**31))
    model.add_adapter(
        LoraConfig(
            r=settings.rank, lora_alpha=settings.alpha, target_modules=settings.target_modules, lora_dropout=0.0, task_type="CAUSAL_LM",
        )
    )  # fmt: skip


def _save_adapter(model: Any, folder: Path) -> None:
    """In half precision; what it was trained over is named by its place beside it."""
    import torch
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    tensors = get_peft_model_state_dict(model, adapter_name="default", save_embedding_layers=False)
    halves = {f"base_model.model.{name}": value.detach().to(torch.float16).contiguous() for name, value in tensors.items()}
    save_file(halves, folder / ADAPTER_NAME)
    config = model.peft_config["default"]
    config.base_model_name_or_path, config.revision = "base", None
    config.save_pretrained(folder)


@contextmanager
def appearing(folder: Path) -> Iterator[Path]:
    """A folder to fill; it takes its place when it is complete."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    yield partial
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(partial, folder)
