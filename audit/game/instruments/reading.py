"""Activations of exchanges, at the tokens that an auditor may read: the assistant's control token and those of the reply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from audit.game.tree import Exchange
from audit.records import ModelCall

if TYPE_CHECKING:
    from audit.game.voices import Voice

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Sites:
    """Positions of one exchange in ``prompt_ids + output_ids``, and the tokens there."""

    exchange: Exchange
    positions: tuple[int, ...]
    tokens: tuple[str, ...]


async def activations(voice: Voice, sites: Sequence[Sites], layer: int) -> list[Array]:
    """The raw residual stream after block ``layer`` at the sites: ``[n, d]`` for each exchange. No tokens are generated."""
    import anyio.to_thread

    def read() -> list[Array]:
        from audit.target.capture import capture

        with voice.api.alone() as target:
            return capture(target.model, [one.exchange.call for one in sites], [one.positions for one in sites], layer)

    return await anyio.to_thread.run_sync(read)


def sites_of(voice: Voice, exchange: Exchange, most: int | None = None) -> Sites:
    """The last token of the prompt (the assistant's control token, or the end of a prefill) and the tokens of the reply.

    Where ``most`` is smaller than that: the last prompt token, and tokens of the reply at equal distances. Tokens that a template
    writes at the end of the reply are left out.
    """
    call, template = exchange.call, voice.api.template_ids
    begin = len(call.prompt_ids)
    reply = [begin + at for at, token in enumerate(call.output_ids) if token not in template]
    if most is not None and len(reply) > most - 1:
        chosen = np.linspace(0, len(reply) - 1, max(1, most - 1)).round().astype(int).tolist() if most > 1 else []
        reply = [reply[at] for at in dict.fromkeys(chosen)]
    return located(voice, exchange, [begin - 1, *reply])


def located(voice: Voice, exchange: Exchange, positions: Sequence[int]) -> Sites:
    """Sites at given positions."""
    call: ModelCall = exchange.call
    ids, tokenizer = call.prompt_ids + call.output_ids, voice.api.target.tokenizer
    return Sites(exchange, tuple(positions), tuple(tokenizer.decode([ids[at]], skip_special_tokens=False) for at in positions))
