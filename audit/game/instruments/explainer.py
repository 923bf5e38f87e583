"""The tool ``nla``: what the AV says about the activations of an exchange.

Paper, auditing game: the auditor dumps the explanations of the last exchange to a file and reads or searches it. The assistant's
control token is among the sites, where words of a root cause showed most.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from audit.game.instruments.reading import Array, Sites, activations, located, sites_of
from audit.game.tree import Exchange
from audit.records import ExplanationStatus

if TYPE_CHECKING:
    from audit.game.voices import Voice
    from audit.nla.pair import Decoded, NlaPair

EXPLANATION_TOKENS = 100
AMPLIFICATION = 2.0
"""How often what sets an activation apart from another model's is added to it once more (chosen on two of the lab's organisms)."""
Key = tuple[str, ...]


@dataclass(frozen=True)
class TokenExplanation:
    """What the AV says about one token of an exchange."""

    position: int
    token: str
    text: str
    status: ExplanationStatus


@dataclass(frozen=True)
class SharedPair:
    """An NLA that several audits use at once, and what it has said so far: equal activations are explained once."""

    pair: NlaPair
    temperature: float
    lock: threading.Lock
    known: dict[Key, Decoded]

    def explain(self, vectors: Array, keys: Sequence[Key], max_tokens: int) -> list[Decoded]:
        """One text for each row of ``vectors`` ``[n, d]``; ``keys`` tells rows apart and fixes what is sampled."""
        with self.lock:
            new = [row for row, key in enumerate(keys) if key not in self.known]
            if new:
                numbers = [int.from_bytes(hashlib.sha256("/".join(keys[row]).encode()).digest()[:6], "big") for row in new]
                said = self.pair.explain(
                    np.ascontiguousarray(vectors[new]), temperature=self.temperature, max_tokens=max_tokens, keys=numbers
                )
                self.known.update(zip((keys[row] for row in new), said, strict=True))
            return [self.known[key] for key in keys]

    def forget(self, model: str) -> None:
        """Drops what was said about one model."""
        with self.lock:
            for key in [key for key in self.known if key[0] == model]:
                del self.known[key]


class Explainer:
    """Explains exchanges of one model with one NLA.

    ``pooled``: the mean activation of an exchange, an idea that the paper's authors name and leave open. ``apart_from``: another model
    that reads the same text; what sets the activations apart from its own is amplified before they are explained (a departure from the
    paper, which explains activations as they are).
    """

    def __init__(
        self,
        voice: Voice,
        shared: SharedPair,
        max_tokens: int = EXPLANATION_TOKENS,
        apart_from: Voice | None = None,
        pooled: bool = False,
    ) -> None:
        self.voice, self.shared, self.max_tokens, self.apart_from, self.pooled = voice, shared, max_tokens, apart_from, pooled

    async def explain(self, exchanges: Sequence[Exchange], most: int | None = None) -> list[tuple[TokenExplanation, ...]]:
        """The explanations of each exchange, at ``most`` tokens of it; pooled: one, of the mean over all tokens, at its last prompt token.

        Raises ``OverBudget`` before anything is decoded.
        """
        import anyio.to_thread

        chosen = [sites_of(self.voice, exchange, None if self.pooled else most) for exchange in exchanges]
        shown = [located(self.voice, sites.exchange, sites.positions[:1]) for sites in chosen] if self.pooled else chosen
        count = sum(len(sites.positions) for sites in shown)
        if not count:
            return [() for _ in exchanges]
        with self.voice.meter.reserve(tokens=count * self.max_tokens) as reservation:
            vectors = await self._vectors(chosen)
            keys = [key for sites in shown for key in self._keys(sites)]
            said = await anyio.to_thread.run_sync(lambda: self.shared.explain(vectors, keys, self.max_tokens))
            reservation.settle(sum(one.tokens for one in said))
        rows = iter(said)
        return [
            tuple(_explanation(position, token, next(rows)) for position, token in zip(sites.positions, sites.tokens, strict=True))
            for sites in shown
        ]

    async def _vectors(self, chosen: Sequence[Sites]) -> Array:
        layer = self.shared.pair.layer
        read = await activations(self.voice, chosen, layer)
        if self.apart_from is not None:
            others = await activations(self.apart_from, chosen, layer)
            read = [own + AMPLIFICATION * (own - other) for own, other in zip(read, others, strict=True)]
        return np.stack([rows.mean(axis=0) for rows in read]) if self.pooled else np.concatenate(read)

    def _keys(self, sites: Sites) -> list[Key]:
        call = sites.exchange.call
        ids = hashlib.sha256(repr((call.prompt_ids, call.output_ids)).encode()).hexdigest()[:24]
        how = ("" if self.apart_from is None else self.apart_from.api.model_name, "mean" if self.pooled else "")
        return [(self.voice.api.model_name, ids, str(position), str(self.max_tokens), *how) for position in sites.positions]


def _explanation(position: int, token: str, said: Decoded) -> TokenExplanation:
    return TokenExplanation(position, token, said.text, said.status)


def as_lines(explanations: Sequence[TokenExplanation]) -> str:
    """The explanations as an auditor's file: a line a token, with place and token; what failed says so."""
    return "\n".join(f"[{one.position}] {one.token!r}: {_flat(one)}" for one in explanations) + "\n"


def _flat(one: TokenExplanation) -> str:
    text = " | ".join(line.strip() for line in one.text.splitlines() if line.strip())
    return text if one.status == "ok" else f"({one.status}) {text}".rstrip()
