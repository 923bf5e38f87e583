"""What is ordinary for a model family: activations, and explanations of them, on generic text read by the base twin.

Sparse features are trained on it, and words that an NLA uses everywhere are known from it. It is made from the base alone, once for all
audits: no document about a motive, no quirk and no prompt of an audit goes into it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from audit.errors import AuditError
from audit.game.instruments.explainer import Explainer
from audit.game.instruments.reading import Array, Sites, activations, located, sites_of
from audit.game.tree import Exchange
from audit.game.voices import together
from audit.records import ModelCall

if TYPE_CHECKING:
    from audit.game.voices import Voice

MOST_TEXTS = 400
TEXT_TOKENS = 128
SKIPPED = 8
"""The first positions of a sequence decode badly (nla-facts, section 2)."""
EXPLAINED_SITES = 8
"""As many as the scripted auditor explains."""
AROUND = 6
"""Tokens on each side of a context."""


@dataclass(frozen=True)
class Background:
    """Generic activations of the base at one layer, with the context of each, and which of its exchanges they came from."""

    vectors: Array
    """``[n, d]``, raw."""
    contexts: tuple[str, ...]
    exchanges: tuple[Exchange, ...]


async def gather(
    voice: Voice, layer: int, generic_text: str | None, most: int = MOST_TEXTS, prompts: Sequence[str] | None = None
) -> Background:
    """Reads generic text: that of the file, or else the base's replies to generic questions (greedy, and at temperature 1).

    ``prompts`` are those questions; ``None``: the bundled ones.
    """
    exchanges = read_texts(voice, generic_text, most) if generic_text else await _replies(voice, prompts)
    sites = [sites_of(voice, exchange) if exchange.messages else _all(voice, exchange) for exchange in exchanges]
    kept = [one for one in sites if one.positions]
    if not kept:
        raise AuditError("There is no generic text to learn from.", "Name a file of ordinary text as 'generic_text' in the organism file.")
    vectors = np.concatenate(await activations(voice, kept, layer))
    contexts = tuple(_context(voice, one.exchange, position) for one in kept for position in one.positions)
    finite = np.isfinite(vectors).all(axis=1)
    return Background(vectors[finite], tuple(np.asarray(contexts, dtype=object)[finite].tolist()), tuple(one.exchange for one in kept))


async def usual_explanations(explainer: Explainer, prompts: Sequence[str] | None = None) -> list[tuple[str, ...]]:
    """What the NLA says about the base on generic questions: for each exchange the explanations of a few sites.

    Always of conversations, also where features are learnt from other text: they are compared with explanations of conversations.
    """
    said = await explainer.explain(await _replies(explainer.voice, prompts), EXPLAINED_SITES)
    return [tuple(one.text for one in explanations if one.status in ("ok", "truncated")) for explanations in said]


def read_texts(voice: Voice, file: str, most: int) -> list[Exchange]:
    """The texts of a file (``.jsonl`` with ``text``, or a paragraph an entry) as sequences without conversation. Raises ``AuditError``."""
    try:
        raw = Path(file).expanduser().read_text(encoding="utf-8")
        rows = raw.splitlines() if file.endswith(".jsonl") else raw.split("\n\n")
        texts = [str(json.loads(row)["text"]) if file.endswith(".jsonl") else row.strip() for row in rows if row.strip()]
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError):
        raise AuditError(f"The generic text '{file}' cannot be read.", "Write JSON lines with 'text', or plain text.") from None
    tokenizer = voice.api.target.tokenizer
    sequences = [tokenizer.encode(text)[:TEXT_TOKENS] for text in texts[:most]]
    return [Exchange((), "", "", ModelCall(0, "", None, tuple(ids), (), (), ""), 0.0) for ids in sequences if len(ids) > SKIPPED]


async def _replies(voice: Voice, prompts: Sequence[str] | None) -> list[Exchange]:
    asked = [(prompt, attempt) for prompt in (generic_prompts() if prompts is None else prompts) for attempt in (0, 1)]
    return await together(
        [partial(voice.reply, [("user", prompt)], temperature=float(attempt > 0), attempt=attempt) for prompt, attempt in asked]
    )


@cache
def generic_prompts(file: str | None = None) -> tuple[str, ...]:
    """Ordinary questions, none of which is in the auditor's battery: the bundled ones, or those of a YAML list. Raises ``AuditError``."""
    import yaml

    path = Path(file).expanduser() if file else Path(__file__).parent.parent / "data" / "generic_prompts.yaml"
    try:
        prompts = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        prompts = None
    if not isinstance(prompts, list) or not prompts or not all(isinstance(prompt, str) for prompt in prompts):
        raise AuditError(f"The generic prompts '{path}' cannot be used.", "Write a YAML list of questions.")
    return tuple(prompts)


def _all(voice: Voice, exchange: Exchange) -> Sites:
    return located(voice, exchange, range(SKIPPED, len(exchange.call.prompt_ids)))


def _context(voice: Voice, exchange: Exchange, position: int) -> str:
    """The text around a position, the token itself in double brackets."""
    ids: Sequence[int] = exchange.call.prompt_ids + exchange.call.output_ids
    decode = voice.api.target.tokenizer.decode
    before, at, after = ids[max(0, position - AROUND) : position], ids[position : position + 1], ids[position + 1 : position + 1 + AROUND]
    return " ".join(f"{decode(before)}[[{decode(at)}]]{decode(after)}".split())
