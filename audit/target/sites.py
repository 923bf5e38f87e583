"""Choosing which tokens of a transcript are explained."""

from __future__ import annotations

import random
from collections.abc import Collection
from typing import Any

from audit.errors import AuditError
from audit.records import ModelCall, Role, Site, Transcript

SITES = 50
RESPONSE: tuple[Role, ...] = ("response",)
SKIP_FIRST = 10
"""The first positions of a sequence decode badly (Fraser-Taliente et al., 2026)."""


def choose_sites(
    transcript: Transcript,
    tokenizer: Any,
    how: str = "random",
    n: int = SITES,
    seed: int = 0,
    skip_first: int = SKIP_FIRST,
    roles: Collection[Role] = RESPONSE,
) -> list[Site]:
    """Sites of a transcript in reading order.

    ``how`` is ``random`` (``n`` tokens of the whole transcript, all if there are fewer), ``all``, ``every:k`` or ``last:k`` (of each
    call). Only output tokens of the given ``roles`` count; add ``thinking`` to include it. Chance is fixed by ``seed`` and the
    transcript's id, so no choice depends on other transcripts. Raises ``AuditError`` for an unknown ``how``.
    """
    mode, number = _parse(how)
    by_call = [(call, _candidates(call, roles, skip_first)) for call in transcript.calls]
    if mode == "every":
        by_call = [(call, found[::number]) for call, found in by_call]
    elif mode == "last":
        by_call = [(call, found[-number:]) for call, found in by_call]
    chosen = [(call, position, role) for call, found in by_call for position, role in found]
    if mode == "random" and n < len(chosen):
        rng = random.Random(f"{seed}/{transcript.transcript_id}")
        chosen = [chosen[index] for index in sorted(rng.sample(range(len(chosen)), n))]
    return [_site(transcript.transcript_id, call, position, role, how, tokenizer) for call, position, role in chosen]


def _parse(how: str) -> tuple[str, int]:
    mode, _, number = how.partition(":")
    if how in ("random", "all"):
        return how, 0
    if mode in ("every", "last") and number.isdecimal() and int(number) > 0:
        return mode, int(number)
    raise AuditError(f"Unknown choice of sites: {how!r}.", "Use random, all, every:k or last:k, with k a positive number.")


def _candidates(call: ModelCall, roles: Collection[Role], skip_first: int) -> list[tuple[int, Role]]:
    first = len(call.prompt_ids)
    offsets = ((offset, span.role) for span in call.spans if span.role in roles for offset in range(span.start, span.end))
    return [(first + offset, role) for offset, role in offsets if first + offset >= skip_first]


def _site(transcript_id: str, call: ModelCall, position: int, role: Role, how: str, tokenizer: Any) -> Site:
    token = tokenizer.decode([call.output_ids[position - len(call.prompt_ids)]], clean_up_tokenization_spaces=False)
    return Site(transcript_id, call.index, position, token, role, how)
