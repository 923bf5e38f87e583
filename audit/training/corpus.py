"""The activation corpus: raw residual vectors at a few random tokens of many documents, split by document (paper, section 3).

A corpus is a folder: ``av.parquet``, ``ar.parquet``, ``rl.parquet``, ``held_out.parquet`` in the released format (a column
``activation_vector``, list<float>, beside the text up to the token, its position and its document), and the sidecar ``nla_meta.yaml`` of
kind ``nla_dataset`` with what was left out and why. No document stands in two of the files. It is made in shards: a kill costs one of them.

Departure from the paper: vectors that are not finite or of outlying norm, which decode badly, are left out and counted.
"""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from audit.errors import AuditError
from audit.training.corpus_files import SPLITS, CorpusRow, Split, merge_shards, read_counts, write_dataset_sidecar, write_shard
from audit.training.documents import Documents, Text
from audit.training.summaries import Summarise, Summary

if TYPE_CHECKING:
    from audit.training.processes import Processes

SUMMARISED: tuple[Split, ...] = ("av", "ar", "held_out")
"""RL needs no summaries; on held-out documents they say what a perfect AV would reach."""
SHARD_DOCUMENTS = 64
_ENOUGH = 8
"""So many failures in a row, and no success, mean that the model cannot be used."""


@dataclass(frozen=True)
class CorpusPlan:
    """Where activations are read, and how documents are shared out."""

    layer: int
    positions: int
    """A document."""
    first_position: int
    max_tokens: int
    """A document is cut off here."""
    shares: tuple[float, float, float, float]
    """Of the documents for AV, AR, RL and measurement, in the order of ``SPLITS``; they add up to 1."""
    seed: int

    def splits(self, documents: int) -> dict[int, Split]:
        """Which document belongs where, in a random order."""
        order = list(range(documents))
        random.Random(f"split/{self.seed}").shuffle(order)
        edges = np.round(np.cumsum((0.0, *self.shares)) * documents).astype(int).tolist()
        return {number: split for split, (low, high) in zip(SPLITS, pairwise(edges), strict=True) for number in order[low:high]}


def build_corpus(
    folder: Path,
    model: Any,
    tokenizer: Any,
    documents: Documents,
    plan: CorpusPlan,
    summarise: Summarise | None,
    about: dict[str, Any],
    group: Processes,
    advance: Callable[[int], None],
) -> dict[str, Any]:
    """Writes the corpus and returns its counts (rows of each split, and what was left out). Goes on where it was stopped.

    ``summarise`` is needed unless the documents write their own summaries. ``about`` goes into the sidecar; ``advance`` is told how many
    documents are done. Processes share the shards. Raises ``AuditError`` if all summaries of a shard fail or a split stays empty.
    """
    if (done := read_counts(folder)) is not None:
        advance(len(documents))
        return done
    shards = folder / "shards"
    shards.mkdir(parents=True, exist_ok=True)
    splits = list(plan.splits(len(documents)).items())
    starts = range(0, len(splits), SHARD_DOCUMENTS)
    for number, start in group.share(list(enumerate(starts))):
        path = shards / f"{number:05d}.parquet"
        chosen = splits[start : start + SHARD_DOCUMENTS]
        if not path.exists():
            write_shard(path, *_shard(model, tokenizer, documents, chosen, plan, summarise))
        advance(len(chosen))
    group.wait()
    if group.is_main:
        counts = merge_shards(folder, sorted(shards.glob("*.parquet")))
        counts["documents"] = {"read": len(documents), "skipped": documents.skipped, "too_short": len(splits) - counts.pop("used")}
        write_dataset_sidecar(folder, {"layer_index": plan.layer, **about}, _plain(plan), counts)
        shutil.rmtree(shards)
    group.wait()
    finished = read_counts(folder)
    assert finished is not None
    return finished


def _shard(
    model: Any, tokenizer: Any, documents: Documents, chosen: list[tuple[int, Split]], plan: CorpusPlan, summarise: Summarise | None
) -> tuple[list[CorpusRow], NDArray[np.float32]]:
    from audit.records import ModelCall
    from audit.target.capture import capture

    calls, positions, rows = [], [], []
    for number, split in chosen:
        document = documents.text(number)
        ids, offsets = _encoded(tokenizer, document, plan.max_tokens)
        rng = random.Random(f"positions/{plan.seed}/{number}")
        wanted = documents.positions(number, offsets, plan.positions, plan.first_position, rng)
        calls.append(ModelCall(number, "", None, tuple(ids), (), (), ""))
        positions.append(wanted)
        for position in wanted:
            start, end = offsets[position]
            own = documents.summary(number, end, rng) if documents.writes_summaries and split in SUMMARISED else None
            known = "ok" if own is not None else "none"
            rows.append(CorpusRow(split, number, position, document.text[start:end], document.text[:end], "ok", own, known, ""))
    vectors = np.concatenate(capture(model, calls, positions, plan.layer))
    rows = _flagged(rows, vectors)
    return (_summarised(rows, summarise) if summarise is not None else rows), vectors


def _encoded(tokenizer: Any, document: Text, max_tokens: int) -> tuple[list[int], list[tuple[int, int]]]:
    """Token ids and their character spans."""
    if not tokenizer.is_fast:
        raise AuditError("This target's tokenizer cannot say which characters a token covers.", "Save it as tokenizer.json (a fast one).")
    encoded = tokenizer(document.text, return_offsets_mapping=True, add_special_tokens=not document.is_chat)
    return encoded["input_ids"][:max_tokens], encoded["offset_mapping"][:max_tokens]


def _flagged(rows: list[CorpusRow], vectors: NDArray[np.float32]) -> list[CorpusRow]:
    """Marks vectors that are not finite, or far from the shard's median norm."""
    from audit.records import Site
    from audit.target.capture import activation_rows

    sites = [Site(str(row.document), 0, row.position, row.token, "response", "random") for row in rows]
    return [replace(row, status=found.status) for row, found in zip(rows, activation_rows(sites, vectors), strict=True)]


def _summarised(rows: list[CorpusRow], summarise: Summarise) -> list[CorpusRow]:
    wanted = [index for index, row in enumerate(rows) if row.split in SUMMARISED and row.status == "ok"]
    made: dict[int, Summary] = dict(zip(wanted, summarise([rows[index].text for index in wanted]), strict=True))
    if len(wanted) >= _ENOUGH and all(summary.status == "failed" for summary in made.values()):
        reason = Counter(summary.reason for summary in made.values()).most_common(1)[0][0]
        raise AuditError(f"None of {len(wanted)} summaries could be had: {reason}.", "Check 'summaries.model' and its credentials.")
    return [
        replace(row, summary=made[index].text, summary_status=made[index].status, reason=made[index].reason) if index in made else row
        for index, row in enumerate(rows)
    ]


def _plain(plan: CorpusPlan) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(plan).items()}
