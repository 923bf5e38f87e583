"""The causal check of an explanation: edit it, and push the target by what the edit changed in the AR's reading of it.

Paper, the section on steering with edited explanations: ``delta = AR(edited) - AR(original)``, averaged over several explanations of
the token; ``alpha |h| delta / |delta|`` is added to the residual stream after block K at that token only, and what the target then
says stands beside what it says undisturbed and beside what random directions of the same norm make it say.

Departure: the paper judges many continuations; this shows the greedy ones and how far each push moves the next token's distribution.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from audit.errors import AuditError

if TYPE_CHECKING:
    import torch

Vectors = NDArray[np.float32]

ARROW = "=>"
_SMALLEST = 1e-12


class ReadsTexts(Protocol):
    """The part of an NLA that steering needs."""

    def reconstruct(self, texts: Sequence[str]) -> Vectors:
        """One vector for each text, ``[n, d]``."""
        ...


@dataclass(frozen=True)
class Edit:
    """Words of an explanation and what replaces them; an empty ``new`` deletes the claim."""

    old: str
    new: str

    @classmethod
    def parse(cls, text: str) -> Edit:
        """Reads ``old=>new``. Raises ``AuditError`` if there is no arrow or nothing before it."""
        old, arrow, new = (part.strip() for part in text.partition(ARROW))
        if not arrow or not old:
            raise AuditError(f"The edit '{text}' does not say what to replace by what.", "Write it as: --steer 'old words=>new words'.")
        if old == new:
            raise AuditError(f"The edit '{text}' changes nothing.", "Write different words on both sides of the arrow.")
        return cls(old, new)

    def __call__(self, explanation: str) -> str:
        """The explanation with every ``old`` replaced."""
        return explanation.replace(self.old, self.new)


@dataclass(frozen=True)
class Continuation:
    """What the target says after one push."""

    text: str
    tokens: int
    kl: float
    """Kullback-Leibler divergence, in nats, of the next token's distribution from that without any push."""


def edit_direction(ar: ReadsTexts, explanations: Sequence[str], edit: Edit) -> Vectors:
    """``AR(edited) - AR(original)``, the mean over the explanations, ``[d]``.

    Raises ``AuditError`` if the AR reads original and edit alike, for there is then no direction.
    """
    originals, edited = list(explanations), [edit(text) for text in explanations]
    read = np.asarray(ar.reconstruct(originals + edited), dtype=np.float64)
    delta: Vectors = (read[len(originals) :] - read[: len(originals)]).mean(axis=0).astype(np.float32)
    if not np.isfinite(delta).all() or np.linalg.norm(delta) < _SMALLEST:
        raise AuditError("The AR reads the edited explanation exactly as the original, so there is no direction.", "Edit other words.")
    return delta


def random_directions(width: int, count: int, seed: int) -> Vectors:
    """Directions ``[count, d]`` of norm one, uniform on the sphere; the first ones do not depend on how many there are."""
    drawn = np.stack([np.random.default_rng((seed % 2**63, number)).normal(size=width) for number in range(count)])
    directions: Vectors = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)
    return directions


def pushes(directions: Vectors, norm: float, alpha: float) -> Vectors:
    """``alpha * norm * direction / |direction|`` for each row of ``directions`` ``[n, d]``; ``norm`` is that of the activation."""
    wide = np.asarray(directions, dtype=np.float64)
    scaled: Vectors = (alpha * norm * wide / np.linalg.norm(wide, axis=1, keepdims=True)).astype(np.float32)
    return scaled


@contextmanager
def pushed(model: Any, layer: int, position: int, additions: torch.Tensor) -> Iterator[None]:
    """Adds ``additions`` ``[batch, d]`` to the residual stream after block ``layer`` (K) at one token of each sequence.

    Holds for one forward pass, or for one generation with a cache, of ``batch`` sequences of equal length without padding:
    ``position`` counts the tokens since the block was entered, so no step behind it is touched.
    Raises ``AuditError`` for a layer that does not exist.
    """
    from audit.target.loading import decoder_of
    from audit.target.steered import added, changed_after

    blocks = decoder_of(model).layers
    if not 0 <= layer < len(blocks):
        raise AuditError(f"Layer {layer} does not exist: the target has blocks 0 to {len(blocks) - 1}.")
    seen = 0

    def add(hidden: torch.Tensor) -> torch.Tensor:
        nonlocal seen
        at, seen = position - seen, seen + hidden.shape[1]
        if not 0 <= at < hidden.shape[1]:
            return hidden
        changed = hidden.clone()
        changed[:, at] = added(additions, hidden[:, at])
        return changed

    with changed_after(model, {layer: add}):
        yield


def continuations(
    model: Any, tokenizer: Any, ids: Sequence[int], layer: int, position: int, additions: Vectors, new_tokens: int
) -> list[Continuation]:
    """Greedy continuations of one text: the first without any push, then one for each row of ``additions`` ``[n, d]``.

    The push is on token ``position`` of ``ids`` after block ``layer``. All continue in one batch.
    """
    import torch
    from transformers import GenerationConfig

    from audit.target.loading import stop_ids

    stops = sorted(stop_ids(model, tokenizer))
    # Spelt out, because what is left open is taken from the checkpoint, and a repetition penalty is not greedy.
    greedy = GenerationConfig(
        max_new_tokens=new_tokens, do_sample=False, num_beams=1, repetition_penalty=1.0, eos_token_id=stops or None,
        pad_token_id=stops[0] if stops else 0, output_logits=True, return_dict_in_generate=True,
    )  # fmt: skip
    none_first = torch.from_numpy(np.concatenate([np.zeros_like(additions[:1]), additions]))
    prompts = torch.tensor([list(ids)], device=model.device).expand(len(none_first), -1)
    with torch.inference_mode(), pushed(model, layer, position, none_first):
        made = model.generate(prompts, attention_mask=torch.ones_like(prompts), generation_config=greedy)
    shares = made.logits[0].float().log_softmax(-1)
    # A token that is impossible on both sides gives 0 times NaN, which counts nothing.
    divergence = (shares[0].exp() * (shares[0] - shares)).nansum(-1).tolist()
    return [_said(tokenizer, row[len(ids) :].tolist(), stops, kl) for row, kl in zip(made.sequences, divergence, strict=True)]


def _said(tokenizer: Any, ids: list[int], stops: Sequence[int], kl: float) -> Continuation:
    ends = [place for place, token in enumerate(ids) if token in stops]
    kept = ids[: ends[0]] if ends else ids
    return Continuation(tokenizer.decode(kept, skip_special_tokens=False), len(kept), max(kl, 0.0))
