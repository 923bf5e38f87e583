"""Steering a target while it reads and answers: a direction added to the residual stream after chosen blocks, at every token.

Paper, section on evaluation awareness: at every layer, scaled so that strength 1.0 is the mean norm of the residual stream at the middle
layer. What is added stays in the stream, so pushes of many blocks add up; here each of n steered blocks adds an n-th of that norm along
its own direction, and strength 1.0 means that norm in all, whatever the depth and the choice of blocks. (The paper does not say how
it shared the push out. The whole norm after each block adds up to several times what the two settings differ by.)

A file of directions (safetensors) holds ``directions`` ``[blocks, d]`` (or ``[d]``: the same after each block), rows of any length, and
``norm`` (one number), with ``name`` and ``source`` in its metadata.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from audit.errors import AuditError, RefusedInput

if TYPE_CHECKING:
    import torch

Array = NDArray[np.float32]

STRONGEST = 10.0
"""Larger strengths are refused: ten times the residual stream's own length leaves nothing of it."""


@dataclass(frozen=True, eq=False)
class Directions:
    """One direction for each block of a target."""

    rows: Array
    """``[blocks, d]``, each of length one."""
    norm: float
    """What strength 1.0 adds over all steered blocks together: mean norm of the residual stream after the middle block."""
    name: str = ""
    """Empty for awareness of being evaluated; ``random-1``, ... for controls."""
    source: str = ""
    """What the direction was made from, for people."""

    @property
    def sha(self) -> str:
        """Tells one set of directions from another."""
        return hashlib.sha256(self.rows.tobytes() + np.float32(self.norm).tobytes()).hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class Steering:
    """Directions at a strength, after all blocks or some."""

    directions: Directions
    strength: float
    """In units of ``directions.norm``; negative steers away."""
    layers: tuple[int, ...] | None = None

    @property
    def variant(self) -> str:
        """``steered:+0.1``, ``steered:random-1:-0.2``: what transcripts made so are called."""
        name = f"{self.directions.name}:" if self.directions.name else ""
        return f"steered:{name}{self.strength:+g}"

    def description(self) -> dict[str, Any]:
        """What a log keeps; plain JSON."""
        return {
            "variant": self.variant, "strength": self.strength, "layers": list(self.layers) if self.layers is not None else "all",
            "norm": self.directions.norm, "sha": self.directions.sha,
        }  # fmt: skip


_VARIANT = re.compile(r"steered:(?:([\w.-]{1,40}):)?([+-]?\d+(?:\.\d+)?(?:e-?\d+)?)")


def parse_variant(variant: str) -> tuple[str, float] | None:
    """Name of the directions and strength of a steered variant; ``None`` for any other variant."""
    found = _VARIANT.fullmatch(variant)
    return (found[1] or "", float(found[2])) if found else None


def load_directions(path: str | Path) -> Directions:
    """Reads a file of directions. Raises ``AuditError`` if there is none, ``RefusedInput`` if it holds something else."""
    from safetensors import SafetensorError, safe_open

    file = Path(path).expanduser()
    if not file.is_file():
        raise AuditError(f"There is no file of steering directions at '{path}'.", "Check the path.")
    try:
        with safe_open(file, framework="numpy") as content:
            tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118 (it is no mapping)
            about = content.metadata() or {}
    except (SafetensorError, ValueError, TypeError) as error:
        raise RefusedInput(f"'{path}' is no readable safetensors file.", "Write one with safetensors, not with torch.save.") from error
    rows, norm = tensors.get("directions"), tensors.get("norm")
    if rows is None or norm is None or rows.ndim not in (1, 2) or norm.size != 1:
        raise RefusedInput(f"'{path}' holds no steering directions.", "It needs 'directions' [blocks, d] or [d], and 'norm' [1].")
    return unit(np.atleast_2d(rows), float(norm.reshape(-1)[0]), about.get("name", ""), about.get("source", ""))


def save_directions(path: Path, directions: Directions) -> None:
    """Writes a file of directions."""
    from safetensors.numpy import save_file

    tensors = {"directions": np.ascontiguousarray(directions.rows), "norm": np.array([directions.norm], dtype=np.float32)}
    save_file(tensors, path, {"name": directions.name, "source": directions.source})


def unit(rows: NDArray[Any], norm: float, name: str = "", source: str = "") -> Directions:
    """Directions of length one from rows of any. Raises ``RefusedInput`` where a row has none, or the norm is no positive number."""
    wide = np.asarray(rows, dtype=np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    if not np.isfinite(wide).all() or not (lengths > 0).all() or not (np.isfinite(norm) and norm > 0):
        raise RefusedInput("Steering directions must be finite and not zero, their norm a positive number.", "Make the file again.")
    return Directions((wide / lengths).astype(np.float32), float(norm), re.sub(r"[^\w.-]", "-", name)[:40], source)


@contextmanager
def steered(model: Any, steering: Steering | None) -> Iterator[None]:
    """Steers every forward pass of a model, at every token, while the context lasts.

    ``None`` and strength 0 change nothing, to the bit. Raises ``AuditError`` if directions or layers do not fit the model.
    """
    if steering is None or steering.strength == 0:
        yield
        return
    with changed_after(model, additions(model, steering)):
        yield


def additions(model: Any, steering: Steering) -> dict[int, Callable[[torch.Tensor], torch.Tensor]]:
    """What steering does to the output of each block that it touches. Raises ``AuditError`` for what does not fit the model."""
    import torch

    from audit.target.loading import decoder_of

    blocks, rows = len(decoder_of(model).layers), steering.directions.rows
    width = model.config.get_text_config().hidden_size
    if rows.shape[1] != width or len(rows) not in (1, blocks):
        found = f"{len(rows)} of width {rows.shape[1]}"
        raise AuditError(f"The steering directions ({found}) are not for this target ({blocks} blocks of width {width}).")
    if not np.isfinite(steering.strength) or abs(steering.strength) > STRONGEST:
        raise AuditError(f"A steering strength of {steering.strength} makes no sense.", "Take one between -1 and 1, such as 0.1.")
    chosen = steering.layers if steering.layers is not None else tuple(range(blocks))
    if not chosen or len(set(chosen)) < len(chosen) or not 0 <= min(chosen) <= max(chosen) < blocks:
        raise AuditError(f"Steering after the blocks {list(chosen)} is impossible: the target has blocks 0 to {blocks - 1}, each once.")
    length = steering.strength * steering.directions.norm / len(chosen)
    vectors = {layer: torch.from_numpy(length * rows[layer if len(rows) > 1 else 0]) for layer in chosen}
    return {layer: partial(added, vector) for layer, vector in vectors.items()}


def added(vector: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
    """``hidden`` plus ``vector``, summed in float32: half precision would round small pushes away before they are added."""
    return (hidden.float() + vector.to(hidden.device).float()).to(hidden.dtype)


@contextmanager
def changed_after(model: Any, changes: Mapping[int, Callable[[torch.Tensor], torch.Tensor]]) -> Iterator[None]:
    """Lets each function change what its block puts out (``[batch, tokens, d]``) before the next block reads it."""
    from audit.target.loading import decoder_of

    blocks = decoder_of(model).layers
    handles = []
    try:
        for layer, change in changes.items():
            handles.append(blocks[layer].register_forward_hook(partial(_change, change)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _change(change: Callable[[torch.Tensor], torch.Tensor], module: Any, inputs: Any, output: Any) -> Any:
    if isinstance(output, tuple):
        return (change(output[0]), *output[1:])
    return change(output)
