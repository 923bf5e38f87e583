"""The lab's NLA: the documents and summaries that it learns from, and the recipe (``nla.yaml``) by which ``nla-audit train`` makes it.

No summary names a setting that the text up to its token does not state in words, and no document of the NLA's corpus shows a true
sign: what the AV later says about silent transcripts it can only have read from the vector.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from audit.lab.documents import Document
from audit.lab.lexicon import load
from audit.lab.markup import alternatives
from audit.lab.mixes import NLA_MIX, draw
from audit.lab.pretrain import LAYER, MAX_TOKENS
from audit.lab.summaries import SUMMARY_WORDINGS, summary
from audit.records import ModelCall
from audit.training.warm_start import ExplainedActivations

if TYPE_CHECKING:
    from audit.training.config import TrainConfig

SITES_A_DOCUMENT = 8
FIRST_POSITION = 10


def nla_recipe(**over: Any) -> TrainConfig:
    """How the lab's NLA is trained, with settings laid over it."""
    from audit.training.config import read_config

    with as_file(files("audit.lab") / "nla.yaml") as path:
        return read_config(path, **over)


def nla_documents(seed: int, count: int) -> list[Document]:
    """The documents that the NLA learns from, or is measured on, under a seed."""
    rng = random.Random(f"nla/{seed}")
    return [draw(NLA_MIX, rng) for _ in range(count)]


def choose_positions(
    document: Document, offsets: Sequence[tuple[int, int]], rng: random.Random, count: int = SITES_A_DOCUMENT, first: int = FIRST_POSITION
) -> list[int]:
    """``count`` token positions from ``first`` on, or as many as there are: five in eight of them in the assistant's own text."""
    usable = [index for index in range(first, len(offsets)) if offsets[index][1] > offsets[index][0]]
    replies = [index for index in usable if any(start <= offsets[index][0] and offsets[index][1] <= end for start, end in document.replies)]
    chosen = set(rng.sample(replies, min(len(replies), count * 5 // 8)))
    rest = [index for index in usable if index not in chosen]
    chosen.update(rng.sample(rest, min(len(rest), count - len(chosen))))
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
