"""Reading the residual stream: forward passes that end after block K and keep the chosen rows only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from audit.errors import AuditError
from audit.records import ActivationRow, ModelCall, Site
from audit.target.loading import decoder_of
from audit.target.memory import free_memory, is_out_of_memory

Array = NDArray[np.float32]

BATCH_TOKENS = 4096
OUTLIER = 5.0
"""A norm this many times the transcript's median (or below its inverse) is an outlier; such positions decode badly."""


class _StopForward(Exception):
    """Ends a forward pass once the wanted block has run."""


def capture(
    model: Any,
    calls: Sequence[ModelCall],
    positions: Sequence[Sequence[int]],
    layer: int,
    batch_tokens: int = BATCH_TOKENS,
    on_halving: Callable[[], None] | None = None,
) -> list[Array]:
    """The raw residual stream after block ``layer`` (K) at chosen positions: for each call an array ``[n, d]``, float32.

    ``positions[i]`` are offsets into ``prompt_ids + output_ids`` of call ``i``, in any order. Equals ``hidden_states[K + 1]`` of
    ``transformers``, except at the last block, where that entry has passed the final norm and this does not. A batch holds at
    most ``batch_tokens`` tokens, padding included, or one sequence. Where memory runs out the batch is halved and ``on_halving``
    called. Raises ``AuditError`` for a layer or position that does not exist, or if one sequence alone does not fit.
    """
    decoder = decoder_of(model)
    if not 0 <= layer < len(decoder.layers):
        raise AuditError(f"Layer {layer} does not exist: the target has blocks 0 to {len(decoder.layers) - 1}.")
    sequences = [_sequence(call, wanted) for call, wanted in zip(calls, positions, strict=True)]
    host = _hosts(sequences)
    needed: dict[int, set[int]] = {}
    for index, wanted in enumerate(positions):
        if wanted:
            needed.setdefault(host[index], set()).update(wanted)
    rows: dict[int, dict[int, Array]] = {}
    for batch in _batches({index: len(sequences[index]) for index in needed}, batch_tokens):
        items = [(sequences[index], sorted(needed[index])) for index in batch]
        for index, (_, at), values in zip(batch, items, _forward(decoder, items, layer, on_halving), strict=True):
            rows[index] = dict(zip(at, values, strict=True))
    width = model.config.get_text_config().hidden_size
    empty = np.zeros((0, width), dtype=np.float32)
    return [np.stack([rows[host[index]][position] for position in wanted]) if wanted else empty for index, wanted in enumerate(positions)]


def activation_rows(sites: Sequence[Site], activations: Array, typical_norm: float | None = None) -> list[ActivationRow]:
    """Bookkeeping of a transcript's activations ``[n, d]``, one row for each site: norm, and whether the vector can be used.

    ``typical_norm`` replaces the median of the transcript's own norms, which is a poor guide for a handful of sites.
    """
    norms = np.linalg.norm(activations.astype(np.float64), axis=1)
    finite = np.asarray(np.isfinite(activations).all(axis=1))
    middle = typical_norm if typical_norm is not None else float(np.median(norms[finite])) if finite.any() else 0.0
    rows = []
    for row, (site, norm) in enumerate(zip(sites, norms.tolist(), strict=True)):
        outlier = norm > OUTLIER * middle or norm < middle / OUTLIER or norm == 0
        status: Any = "not_finite" if not finite[row] else "outlier_norm" if outlier else "ok"
        rows.append(ActivationRow(site.transcript_id, site.call_index, site.position, row, norm, status))
    return rows


def _sequence(call: ModelCall, wanted: Sequence[int]) -> tuple[int, ...]:
    """The call's ids up to the last position that is wanted: no block looks ahead."""
    ids = call.prompt_ids + call.output_ids
    if wanted and not 0 <= min(wanted) <= max(wanted) < len(ids):
        raise AuditError(f"Call {call.index} has positions 0 to {len(ids) - 1}; {min(wanted)} to {max(wanted)} were asked for.")
    return ids[: max(wanted) + 1] if wanted else ()


def _hosts(sequences: Sequence[tuple[int, ...]]) -> list[int]:
    """For each sequence the index of the one whose forward pass serves it: a later turn mostly begins with the earlier one."""
    host = list(range(len(sequences)))
    for index in range(len(sequences) - 2, -1, -1):
        ids, following = sequences[index], host[index + 1]
        if sequences[following][: len(ids)] == ids:
            host[index] = following
    return host


def _batches(lengths: dict[int, int], batch_tokens: int) -> Iterator[list[int]]:
    batch: list[int] = []
    for index in sorted(lengths, key=lambda index: (lengths[index], index)):
        if batch and (len(batch) + 1) * lengths[index] > batch_tokens:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


_Item = tuple[tuple[int, ...], list[int]]


def _forward(decoder: Any, items: Sequence[_Item], layer: int, on_halving: Callable[[], None] | None) -> list[Array]:
    try:
        return _pass(decoder, items, layer)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        if len(items) == 1:
            problem = f"A sequence of {len(items[0][0])} tokens does not fit into memory."
            raise AuditError(problem, "Use a smaller dtype or shorter transcripts.") from error
    free_memory()
    if on_halving is not None:
        on_halving()
    middle = (len(items) + 1) // 2
    return [array for half in (items[:middle], items[middle:]) for array in _forward(decoder, half, layer, on_halving)]


def _pass(decoder: Any, items: Sequence[_Item], layer: int) -> list[Array]:
    width = max(len(ids) for ids, _ in items)
    # Padding stands on the right, where no real position looks, so any id serves.
    inputs = torch.zeros(len(items), width, dtype=torch.long)
    mask = torch.zeros(len(items), width, dtype=torch.long)
    for row, (ids, _) in enumerate(items):
        inputs[row, : len(ids)] = torch.tensor(ids)
        mask[row, : len(ids)] = 1
    device = decoder.embed_tokens.weight.device
    padded = not bool(mask.all())
    with torch.inference_mode(), _stop_after(decoder.layers[layer]) as seen, suppress(_StopForward):
        decoder(input_ids=inputs.to(device), attention_mask=mask.to(device) if padded else None, use_cache=False)
    hidden = seen[0]
    return [hidden[row, at].float().cpu().numpy() for row, (_, at) in enumerate(items)]


@contextmanager
def _stop_after(block: Any) -> Iterator[list[torch.Tensor]]:
    """Collects a block's output and ends the forward pass there: later blocks, the final norm and the head never run."""
    seen: list[torch.Tensor] = []

    def hook(module: Any, inputs: Any, output: Any) -> None:
        seen.append(output[0] if isinstance(output, tuple) else output)
        raise _StopForward

    handle = block.register_forward_hook(hook)
    try:
        yield seen
    finally:
        handle.remove()
