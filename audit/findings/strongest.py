"""The strongest pieces of evidence: which sites bear a finding out best, each with what a reader needs to judge it."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from audit.findings.tally import aligned
from audit.records import Explanation, ModelCall, Site, Transcript, Verdict

PIECES = 10
"""Kept for each scenario; the report shows as many in all."""
PER_TRANSCRIPT = 2
EXCERPT_TOKENS = 60
"""Tokens of the transcript shown before a site; half as many after it."""

Decode = Callable[[Sequence[int]], str]


def strongest_evidence(
    transcripts: Iterable[Transcript],
    sites: Iterable[Site],
    explanations: Iterable[Explanation],
    verdicts: Iterable[Verdict],
    *,
    scanner: str,
    aware: Collection[str],
    decode: Decode | None,
    examined: Collection[tuple[str, int, int, int]] = (),
    pieces: int = PIECES,
) -> list[dict[str, Any]]:
    """The YES verdicts of ``scanner`` that say most, strongest first: ``pieces`` for each scenario that is no control.

    Order: transcripts above the threshold first, then verdicts that were ``examined`` closely (by transcript, call, position and
    sample), then the scanner's confidence, then how well the explanation carries the activation (cosine). At most two of a transcript,
    and none of a control activation. ``decode`` turns token ids into text for the excerpt; without it the excerpt is ``None``. Goes
    through the tables once and holds one transcript's rows at a time.
    """
    take_sites, take_explanations, take_verdicts = aligned(sites), aligned(explanations), aligned(verdicts)
    best: dict[str, list[tuple[tuple[Any, ...], dict[str, Any]]]] = defaultdict(list)
    for order, transcript in enumerate(transcripts):
        key = transcript.transcript_id
        tokens = {(site.call_index, site.position): site.token for site in take_sites(key)}
        said = {(row.call_index, row.position, row.sample): row for row in take_explanations(key) if row.control == "none"}
        found = []
        for verdict in take_verdicts(key):
            place = (verdict.call_index, verdict.position, verdict.sample)
            if verdict.scanner == scanner and verdict.label == "YES" and verdict.control == "none" and place in said:
                row = said[place]
                rank = (
                    key in aware,
                    (key, *place) in examined,
                    verdict.confidence,
                    -2.0 if row.cosine is None else row.cosine,
                    -order,
                    -place[0],
                    -place[1],
                    -place[2],
                )
                found.append((rank, _piece(transcript, verdict, row, tokens.get(place[:2], ""), decode)))
        if transcript.kind == "deployment":
            continue
        kept = best[transcript.scenario]
        for candidate in heapq.nlargest(PER_TRANSCRIPT, found, key=lambda pair: pair[0]):
            heapq.heappush(kept, candidate)
            if len(kept) > pieces:
                heapq.heappop(kept)
    ranked = sorted((pair for kept in best.values() for pair in kept), key=lambda pair: pair[0], reverse=True)
    return [piece for _, piece in ranked]


def _piece(transcript: Transcript, verdict: Verdict, row: Explanation, token: str, decode: Decode | None) -> dict[str, Any]:
    call = next((call for call in transcript.calls if call.index == verdict.call_index), None)
    return {
        "transcript_id": transcript.transcript_id,
        "scenario": transcript.scenario,
        "kind": transcript.kind,
        "source": transcript.source,
        "message_id": call.message_id if call else None,
        "call_index": verdict.call_index,
        "position": verdict.position,
        "sample": verdict.sample,
        "scanner": verdict.scanner,
        "label": verdict.label,
        "confidence": verdict.confidence,
        "quote": verdict.quote,
        "reason": verdict.reason,
        "token": token,
        "explanation": row.text,
        "status": row.status,
        "cosine": row.cosine,
        "excerpt": excerpt(call, verdict.position, decode) if call and decode else None,
    }


def excerpt(call: ModelCall, position: int, decode: Decode) -> dict[str, str]:
    """The text around a token of a call: ``before``, ``token``, ``after``, each decoded on its own."""
    ids = call.prompt_ids + call.output_ids
    return {
        "before": decode(ids[max(0, position - EXCERPT_TOKENS) : position]),
        "token": decode(ids[position : position + 1]),
        "after": decode(ids[position + 1 : position + 1 + EXCERPT_TOKENS // 2]),
    }
