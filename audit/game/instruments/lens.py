"""The tools ``logit_lens`` and ``probe``: what a layer would say next, and whether a direction between two sets of texts is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from audit.game.instruments.reading import Array, activations, located, sites_of
from audit.game.tree import Exchange
from audit.records import ModelCall

if TYPE_CHECKING:
    from audit.game.voices import Voice

LEAST_TEXTS = 4
"""On each side of a probe; folds need them."""


@dataclass(frozen=True)
class LensRow:
    """The likeliest next tokens that a layer holds at one position."""

    position: int
    token: str
    next_tokens: tuple[str, ...]


@dataclass(frozen=True)
class ProbeResult:
    """A linear probe between two sets of texts."""

    auroc: float | None
    """On texts held out in turn; ``None`` where a set is constant."""
    scores: tuple[float, ...]
    """Log-odds of the first set at each token of the last exchange."""
    positions: tuple[int, ...]


async def logit_lens(voice: Voice, exchange: Exchange, layer: int, most: int, top: int = 5) -> list[LensRow]:
    """The final norm and the unembedding applied to the residual stream after ``layer`` (nostalgebraist 2020)."""
    import anyio.to_thread

    sites = sites_of(voice, exchange, most)
    [vectors] = await activations(voice, [sites], layer)

    def read() -> list[list[int]]:
        import torch

        from audit.target.loading import decoder_of

        with voice.api.alone() as target, torch.inference_mode():
            head: Any = target.model.get_output_embeddings()
            hidden = torch.from_numpy(vectors).to(head.weight.device, head.weight.dtype)
            best: list[list[int]] = head(decoder_of(target.model).norm(hidden)).topk(top, dim=-1).indices.tolist()
            return best

    best = await anyio.to_thread.run_sync(read)
    tokenizer = voice.api.target.tokenizer
    return [
        LensRow(position, token, tuple(tokenizer.decode([choice], skip_special_tokens=False) for choice in row))
        for position, token, row in zip(sites.positions, sites.tokens, best, strict=True)
    ]


async def probe(voice: Voice, first: Sequence[str], second: Sequence[str], exchange: Exchange, layer: int, most: int) -> ProbeResult:
    """A logistic regression on last-token activations of two sets of texts, read on an exchange. Raises ``ValueError`` for few texts."""
    if min(len(first), len(second)) < LEAST_TEXTS:
        raise ValueError(f"A probe needs at least {LEAST_TEXTS} texts on each side.")
    tokenizer = voice.api.target.tokenizer
    rows = [_sequence(tokenizer.encode(text)) for text in (*first, *second)]
    ends = [located(voice, row, [len(row.call.prompt_ids) - 1]) for row in rows]
    sites = sites_of(voice, exchange, most)
    vectors = await activations(voice, [*ends, sites], layer)
    labels = np.array([True] * len(first) + [False] * len(second))
    model, auroc = _fitted(np.concatenate(vectors[:-1]), labels)
    return ProbeResult(auroc, tuple(float(score) for score in model.decision_function(vectors[-1])), sites.positions)


def _sequence(ids: Sequence[int]) -> Exchange:
    return Exchange((), "", "", ModelCall(0, "", None, tuple(ids) or (0,), (), (), ""), 0.0)


def _fitted(vectors: Array, labels: Any) -> tuple[Any, float | None]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    folds = StratifiedKFold(LEAST_TEXTS)
    held_out = cross_val_predict(model, vectors, labels, cv=folds, method="decision_function")
    auroc = float(roc_auc_score(labels, held_out)) if np.isfinite(held_out).all() else None
    return model.fit(vectors, labels), auroc
