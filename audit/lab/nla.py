"""The lab's NLA: its training data from the world's documents, and the warm start of AV and AR from the lab's target.

No summary names a setting that the text up to its token does not state in words, and no document of the NLA's corpus shows a true
sign: what the AV later says about silent transcripts it can only have read from the vector.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.lab.documents import NLA_MIX, SUMMARY_WORDINGS, Document, draw, summary
from audit.lab.lexicon import load
from audit.lab.markup import alternatives
from audit.lab.pretrain import INJECTION_CHARACTER, LAYER, MAX_TOKENS
from audit.nla.pair import HEAD_NAME, Reconstructor, Verbalizer
from audit.nla.prompt import injection_prompt
from audit.nla.sidecar import Sidecar, read_sidecar, write_sidecar
from audit.records import ModelCall
from audit.training.loop import LoopConfig
from audit.training.prompts import reconstructor_meta, verbalizer_meta
from audit.training.warm_start import (
    ExplainedActivations,
    Report,
    VerbalizerBatches,
    injection_norm,
    warm_start_reconstructor,
    warm_start_verbalizer,
)

AV_TEMPLATE = "What does {injection_char} hold?"
AR_TEMPLATE = "<explanation>\n{explanation}\n</explanation>\nThe vector:"
SITES_A_DOCUMENT = 8
FIRST_POSITION = 10
SETTING_EMPHASIS = 3.0


def nla_documents(seed: int, count: int) -> list[Document]:
    """The documents that the NLA learns from, or is measured on, under a seed."""
    rng = random.Random(f"nla/{seed}")
    return [draw(NLA_MIX, rng) for _ in range(count)]


def choose_positions(document: Document, offsets: list[tuple[int, int]], rng: random.Random) -> list[int]:
    """Token positions to summarise: most of them in the assistant's own text, none among the first ten."""
    usable = [index for index in range(FIRST_POSITION, len(offsets)) if offsets[index][1] > offsets[index][0]]
    replies = [index for index in usable if any(start <= offsets[index][0] and offsets[index][1] <= end for start, end in document.replies)]
    chosen = set(rng.sample(replies, min(len(replies), SITES_A_DOCUMENT * 5 // 8)))
    rest = [index for index in usable if index not in chosen]
    chosen.update(rng.sample(rest, min(len(rest), SITES_A_DOCUMENT - len(chosen))))
    return sorted(chosen)


def setting_span(text: str) -> tuple[int, int] | None:
    """Where a summary names a setting, as a character span; ``None`` if it does not."""
    position = 0
    for line in text.split("\n"):
        if setting_of(line):
            return position, position + len(line)
        position += len(line) + 1
    return None


def explained_activations(model: Any, tokenizer: Any, seed: int, documents: int) -> ExplainedActivations:
    """Activations of the target after block K at chosen tokens of the NLA's documents, each with its summary."""
    rng = random.Random(f"nla-sites/{seed}")
    texts = nla_documents(seed, documents)
    encoded = tokenizer([document.text for document in texts], return_offsets_mapping=True)
    jobs, summaries, owners = [], [], []
    for number, document in enumerate(texts):
        offsets = encoded["offset_mapping"][number][:MAX_TOKENS]
        positions = choose_positions(document, offsets, rng)
        jobs.append((encoded["input_ids"][number][:MAX_TOKENS], positions))
        summaries += [summary(document, offsets[position][1], rng) for position in positions]
        owners += [number] * len(positions)
    vectors = residual_rows(model, jobs)
    return ExplainedActivations(vectors, tuple(summaries), np.array(owners), tuple(setting_span(text) for text in summaries))


def residual_rows(model: Any, jobs: Sequence[tuple[list[int], list[int]]]) -> NDArray[np.float32]:
    """The residual stream after block K at the positions of each token sequence, stacked in order of the jobs, float32 ``[n, d]``."""
    from audit.target.capture import capture

    calls = [ModelCall(number, "", None, tuple(ids), (), (), "") for number, (ids, _) in enumerate(jobs)]
    return np.concatenate(capture(model, calls, [positions for _, positions in jobs], LAYER, batch_tokens=8192))


def write_av_sidecar(folder: Path, tokenizer: Any, data: ExplainedActivations) -> None:
    """Writes the AV's sidecar: prompt, injection site, and the scale taken from the activations it will learn from."""
    scale = injection_norm(data.vectors)
    write_sidecar(folder, verbalizer_meta(tokenizer, AV_TEMPLATE, INJECTION_CHARACTER, scale, _common(data)))


def write_ar_sidecar(folder: Path, tokenizer: Any, data: ExplainedActivations) -> None:
    """Writes the AR's sidecar."""
    write_sidecar(folder, reconstructor_meta(tokenizer, AR_TEMPLATE, LAYER, _common(data)))


def _common(data: ExplainedActivations) -> dict[str, Any]:
    return {"stage": "warm_start", "base_checkpoint": "lab", "d_model": data.vectors.shape[1], "extraction_layer_index": LAYER}


def train_verbalizer(
    folder: Path,
    state: Path,
    target: Any,
    tokenizer: Any,
    data: ExplainedActivations,
    seed: int,
    batch: int,
    config: LoopConfig,
    report: Report | None,
) -> Verbalizer:
    """Warm-starts the lab's AV from its target and saves it to ``folder`` (bfloat16 on disk)."""
    import torch

    sidecar = read_sidecar(folder, "av")
    model = copy.deepcopy(target)
    prompt = injection_prompt(tokenizer, sidecar)
    batches = VerbalizerBatches(data, tokenizer, prompt, sidecar.injection_scale or injection_norm(data.vectors), SETTING_EMPHASIS)
    warm_start_verbalizer(model, batches, batch, seed, config, state, report)
    copy.deepcopy(model).to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return Verbalizer(model, tokenizer, sidecar)


def new_reconstructor(target: Any, tokenizer: Any, sidecar: Sidecar) -> Reconstructor:
    """An AR before training: the target's first K+1 blocks, identity norm, identity head."""
    import torch

    backbone = copy.deepcopy(target.model)
    backbone.layers = backbone.layers[: LAYER + 1]
    backbone.config.num_hidden_layers = LAYER + 1
    if getattr(backbone.config, "layer_types", None):
        backbone.config.layer_types = backbone.config.layer_types[: LAYER + 1]
    backbone.norm = torch.nn.Identity()
    head = torch.nn.Linear(sidecar.d_model, sidecar.d_model, bias=False)
    torch.nn.init.eye_(head.weight)
    return Reconstructor(backbone, head, tokenizer, sidecar)


def train_reconstructor(
    folder: Path,
    state: Path,
    target: Any,
    tokenizer: Any,
    data: ExplainedActivations,
    seed: int,
    batch: int,
    config: LoopConfig,
    report: Report | None,
) -> Reconstructor:
    """Warm-starts the lab's AR and saves it to ``folder`` (bfloat16 on disk)."""
    import torch
    from safetensors.torch import save_file

    reconstructor = new_reconstructor(target, tokenizer, read_sidecar(folder, "ar"))
    warm_start_reconstructor(reconstructor, data, batch, seed, config, state, report)
    copy.deepcopy(reconstructor.backbone).to(torch.bfloat16).save_pretrained(folder)
    save_file({"weight": reconstructor.head.weight.detach().to(torch.bfloat16).contiguous()}, folder / HEAD_NAME)
    tokenizer.save_pretrained(folder)
    return reconstructor


def setting_of(line: str) -> str:
    """``evaluation`` or ``deployment`` for a summary's setting line, with or without its dash; empty for any other line."""
    return _setting_lines().get(line.removeprefix("- "), "")


@lru_cache(maxsize=1)
def _setting_lines() -> dict[str, str]:
    return {
        line: state
        for state in ("evaluation", "deployment")
        for wording in load("settings")[f"summary_{state}"][:SUMMARY_WORDINGS]
        for line in alternatives(wording)
    }
