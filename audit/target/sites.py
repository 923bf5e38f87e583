"""Choosing which tokens of a transcript are explained."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Sequence
from itertools import groupby
from typing import Any

from audit.errors import AuditError
from audit.records import ModelCall, Role, Site, Transcript
from audit.target.loading import special_ids
from audit.target.places import token_places

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
    chosen = [(call, (position, role)) for call, found in by_call for position, role in found]
    if mode == "random" and n < len(chosen):
        rng = random.Random(f"{seed}/{transcript.transcript_id}")
        chosen = [chosen[index] for index in sorted(rng.sample(range(len(chosen)), n))]
    special = special_ids(tokenizer)
    return [
        site
        for _, group in groupby(chosen, key=lambda entry: entry[0].index)
        for site in _sites(transcript.transcript_id, list(group), how, tokenizer, special)
    ]


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


def _sites(
    transcript_id: str, chosen: Sequence[tuple[ModelCall, tuple[int, Role]]], how: str, tokenizer: Any, special: Collection[int]
) -> Iterator[Site]:
    """The chosen sites of one call."""
    call = chosen[0][0]
    places = token_places(tokenizer, call, special)
    for _, (position, role) in chosen:
        offset = position - len(call.prompt_ids)
        token = tokenizer.decode([call.output_ids[offset]], clean_up_tokenization_spaces=False)
        yield Site(transcript_id, call.index, position, token, role, how, *places.get(offset, (None, None)))
