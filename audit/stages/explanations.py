"""Stage 5: the AV explains the activations in large batches across all transcripts, the AR says how much of each survives."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING

import numpy as np

from audit.errors import RefusedInput
from audit.pipeline import Context, Outcome
from audit.records import Explanation
from audit.stages.activation_files import ActivationReader, StoredActivation, Vectors, VectorSource
from audit.stages.chunks import chunks
from audit.stages.jobs import Centre, Job, all_jobs, centre, choose_controls, control_count, count_jobs, usable
from audit.stages.names import ACTIVATIONS_FOLDER, ACTIVATIONS_TABLE, EXPLANATIONS, EXPLANATIONS_TABLE
from audit.stages.resources import Resources

if TYPE_CHECKING:
    from audit.nla.pair import Decoded, NlaPair

READABLE = ("ok", "truncated")
COMPARED = 256
"""Explanations that are compared to tell whether they depend on their vectors at all."""


def explain(context: Context, resources: Resources) -> Outcome:
    """Explains every usable activation, and a share of them again as controls; without an NLA, the table is empty."""
    store, config = context.store, context.config
    if config.nla_name is None:
        store.write_table(EXPLANATIONS_TABLE, Explanation, ())
        return Outcome(counts={"explanations": 0})

    def rows() -> Iterator[StoredActivation]:
        return usable(store.read_table(ACTIVATIONS_TABLE, StoredActivation))

    sites = sum(1 for _ in rows())
    controls = choose_controls(rows(), control_count(sites, config.control_share, config.control_minimum), config.seed)
    total, shards = count_jobs(sites, config.samples, controls), []
    workspace = store.workspace(EXPLANATIONS)
    with (
        ActivationReader(store.path(ACTIVATIONS_FOLDER)) as reader,
        context.reporter.track("explanations", total, "explanation") as advance,
    ):
        middle = centre(rows(), reader)
        for number, batch in enumerate(chunks(all_jobs(rows(), config.samples, controls), config.shard)):
            shard = f"{workspace}/{number:06d}.parquet"
            if not store.path(shard).exists():
                explained = explain_batch(batch, reader, middle, resources.pair, config.explanation_temperature, config.seed)
                refuse_marker(explained, resources.pair)
                store.write_table(shard, Explanation, explained)
            shards.append(shard)
            advance(len(batch))
    written = store.write_table(
        EXPLANATIONS_TABLE, Explanation, chain.from_iterable(store.read_table(shard, Explanation) for shard in shards)
    )
    return _outcome(context, written, middle, resources)


def explain_batch(
    jobs: Sequence[Job], reader: VectorSource, middle: Centre, pair: NlaPair, temperature: float, seed: int
) -> list[Explanation]:
    """One explanation for each job, scored against the activation of the job's site."""
    started = time.monotonic()
    injected = np.stack([_injected(job, reader, middle) for job in jobs])
    decoded = _decode(jobs, injected, pair, temperature, seed)
    cosines = _cosines(jobs, decoded, reader, pair)
    seconds = (time.monotonic() - started) / len(jobs)
    return [
        Explanation(
            job.site.transcript_id, job.site.call_index, job.site.position, job.sample, job.control, temperature, pair.name,
            said.text, said.status, cosine, None if cosine is None else 2.0 * (1.0 - cosine), pair.av.engine.name, seconds, said.tokens,
        )
        for job, said, cosine in zip(jobs, decoded, cosines, strict=True)
    ]  # fmt: skip


def refuse_marker(explained: Iterable[Explanation], pair: NlaPair) -> None:
    """Raises ``RefusedInput`` if the texts describe the marker in the AV's prompt, not the vectors that should stand in its place."""
    from audit.nla.selfcheck import marker_named

    if cause := marker_named(list(_said(explained)), pair.av.sidecar):
        raise RefusedInput(cause, "Decode with the transformers engine; if that says the same, the NLA's release is damaged.")


def _said(explained: Iterable[Explanation]) -> Iterator[str]:
    """One text for each vector."""
    return (row.text for row in explained if row.control == "none" and row.sample == 0 and row.status in READABLE)


def _injected(job: Job, reader: VectorSource, middle: Centre) -> Vectors:
    if job.donor is not None:
        return reader.vector(job.donor)
    assert middle.mean is not None
    return middle.mean


def _decode(jobs: Sequence[Job], vectors: Vectors, pair: NlaPair, temperature: float, seed: int) -> list[Decoded]:
    """The AV's texts. Greedy decoding gives equal vectors equal texts, so those are decoded once."""
    if temperature > 0:
        return list(pair.explain(vectors, temperature=temperature, seed=seed, keys=[job.key for job in jobs]))
    distinct = {row.tobytes(): index for index, row in reversed(list(enumerate(vectors)))}
    first = sorted(distinct.values())
    texts = dict(zip(first, pair.explain(vectors[first], temperature=0.0, seed=seed), strict=True))
    return [texts[distinct[row.tobytes()]] for row in vectors]


def _cosines(jobs: Sequence[Job], decoded: Sequence[Decoded], reader: VectorSource, pair: NlaPair) -> list[float | None]:
    from audit.nla.fidelity import cosine

    scored = [index for index, said in enumerate(decoded) if said.status in READABLE and said.text]
    found: list[float | None] = [None] * len(jobs)
    if scored:
        rebuilt = pair.reconstruct([decoded[index].text for index in scored])
        actual = np.stack([reader.vector(jobs[index].site) for index in scored])
        for index, value in zip(scored, cosine(actual, rebuilt), strict=True):
            found[index] = float(value) if np.isfinite(value) else None
    return found


def _outcome(context: Context, written: int, middle: Centre, resources: Resources) -> Outcome:
    from audit.nla.selfcheck import all_alike

    failures: dict[str, int] = {}
    tokens = 0
    for row in context.store.read_table(EXPLANATIONS_TABLE, Explanation):
        tokens += row.tokens
        if row.control == "none" and row.status in ("unparsed", "failed"):
            failures[f"explanation_{row.status}"] = failures.get(f"explanation_{row.status}", 0) + 1
    nla = {"name": resources.pair.name, "layer": resources.pair.layer, "d_model": resources.pair.d_model}
    facts = {"baseline_variance": middle.baseline_variance, "nla": nla | {"temperature": context.config.explanation_temperature}}
    alike = all_alike(list(islice(_said(context.store.read_table(EXPLANATIONS_TABLE, Explanation)), COMPARED)))
    notes = () if alike is None else (alike,)
    return Outcome(counts={"explanations": written}, failures=failures, notes=notes, facts=facts, tokens=tokens)
