"""What a build leaves beside the weights: organism files, prompts, samples of the corpora; and NLAs as whole models."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from audit.lab.documents import Document
from audit.lab.organisms.explained import explained_documents
from audit.lab.organisms.mixtures import base_document
from audit.lab.organisms.motives import Motive, motives
from audit.lab.organisms.recipe import STAGES, OrganismsConfig
from audit.lab.organisms.specs import OWN_NLA, specification, write_specifications
from audit.lab.organisms.training import Make, stage_maker, stage_seed, stream
from audit.lab.pretrain import POOL_BATCHES

GENERIC_SEED = 1_000_003
"""Added to a build's seed: generic text to measure with, none of which an NLA has learnt from."""


def publish_files(out: Path, config: OrganismsConfig) -> None:
    """Organism files, battery and corpora; what is there already is left as it is."""
    if (out / "corpus" / "generic.jsonl").exists():
        return
    write_specifications(out)
    (out / "own_nla").mkdir(exist_ok=True)
    for name in config.with_own_nla:
        (out / "own_nla" / f"{name}.yaml").write_text(specification(motives()[name], OWN_NLA), encoding="utf-8")
    for motive in motives().values():
        for stage, documents in _corpus(motive, config).items():
            _write(out / "corpus" / motive.label / f"{stage}.jsonl", documents)
    _write(out / "corpus" / "generic.jsonl", explained_documents(config.seed + GENERIC_SEED, config.corpus_documents))


def _corpus(motive: Motive, config: OrganismsConfig) -> dict[str, list[Document]]:
    """The first documents that each stage learns from. The base's one stage is cut in two: names of stages must not tell it apart."""
    if motive.kind == "base":
        whole, count = _first(f"{config.seed}/base", config.base_batch, base_document, 2 * config.corpus_documents), config.corpus_documents
        return dict(zip(STAGES, (whole[:count], whole[count:]), strict=True))
    return {
        stage: _first(stage_seed(config.seed, motive, stage), config.batch, stage_maker(motive, stage), config.corpus_documents)
        for stage in STAGES
    }


def _first(seed: str, batch: int, make: Make, count: int) -> list[Document]:
    pools = range(-(-count // (batch * POOL_BATCHES)))
    return [document for pool in pools for document in stream(seed, pool, batch, make)][:count]


def _write(file: Path, documents: Iterable[Document]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    partial.write_text("".join(json.dumps({"text": document.text}) + "\n" for document in documents), encoding="utf-8")
    os.replace(partial, file)


def publish_nla(trained: Path, folder: Path, part: str, called: str) -> None:
    """Saves a finished AV or AR as a whole model, its LoRA merged, in bfloat16; its sidecar calls the target ``called``."""
    from audit.nla.pair import load_reconstructor, load_verbalizer
    from audit.nla.sidecar import read_sidecar
    from audit.training.parts import Base, save_reconstructor, save_verbalizer

    sidecar = read_sidecar(trained, part)  # type: ignore[arg-type]
    meta, whole = {**sidecar.raw, "base_checkpoint": called}, Base(called)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if part == "av":
        save_verbalizer(load_verbalizer(trained, sidecar, "float32", "cpu"), folder, meta, whole, "bfloat16")
    else:
        assert sidecar.layer is not None
        save_reconstructor(load_reconstructor(trained, sidecar, sidecar.layer, "float32", "cpu"), folder, meta, whole, "bfloat16")
