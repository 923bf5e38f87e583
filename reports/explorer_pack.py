"""The explorer as a page carries it: compressed, in pieces that a browser opens when they are needed, and below a size."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass, replace
from typing import Any

from reports.explorer import Explorer, Limits

PAGE = 15_000_000
"""Bytes that a report with its explorer stays below."""
BUDGET = 13_000_000
"""Bytes of it for the explorer's data."""
PART = 8
"""Conversations in one piece."""
SPARSE = 0.02
"""Below this share of explanations it is messages that take the room."""
SHORTEST = 200
"""Characters that every message keeps."""


@dataclass(frozen=True)
class ExplorerView:
    """The explorer as the template sees it."""

    conversations: int
    index: str
    """Base64 of deflated JSON, as are the parts; nothing in it can end a script element."""
    parts: tuple[str, ...]
    live: str
    """The revision of the audit that a server serves part by part; empty if the page holds everything."""
    left_out: tuple[str, ...]


def packed(explorer: Explorer, budget: int = BUDGET) -> ExplorerView:
    """The explorer inside one page. What does not fit is left out, the least interesting first, and ``left_out`` says so."""
    limits = Limits()
    ranked = explorer.ranked()
    while True:
        index, parts = _pieces(explorer, limits, ranked)
        size = len(index) + sum(map(len, parts))
        if size <= budget or not parts:
            break
        limits = _tighter(limits, len(ranked), len(explorer), 0.95 * budget / size)
    return ExplorerView(len(explorer.kept(limits)), index, parts, "", _left_out(explorer, limits, len(ranked)))


def served(explorer: Explorer, revision: str) -> ExplorerView:
    """The explorer of a page whose conversations a server gives one by one."""
    index = deflated(explorer.index() | {"part": 1, "count": len(explorer)})
    return ExplorerView(len(explorer), index, (), revision, ())


def deflated(value: Any) -> str:
    """JSON, deflated, in base64."""
    data = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return base64.b64encode(zlib.compress(data, 6)).decode()


def _pieces(explorer: Explorer, limits: Limits, ranked: list[Any]) -> tuple[str, tuple[str, ...]]:
    kept = None if limits.texts is None else set(ranked[: limits.texts])
    names = explorer.kept(limits)
    parts = tuple(
        deflated([explorer.conversation(name, limits, kept) for name in names[start : start + PART]])
        for start in range(0, len(names), PART)
    )
    return deflated(explorer.index(limits) | {"part": PART, "count": len(names)}), parts


def _tighter(limits: Limits, tokens: int, transcripts: int, ratio: float) -> Limits:
    """Less of the explanations; when hardly any is left, shorter messages; then fewer conversations."""
    texts = tokens if limits.texts is None else limits.texts
    if texts > SPARSE * tokens:
        return replace(limits, texts=int(texts * ratio))
    if limits.message > SHORTEST:
        return replace(limits, message=max(SHORTEST, limits.message // 2))
    return replace(limits, transcripts=int((transcripts if limits.transcripts is None else limits.transcripts) * ratio))


def _left_out(explorer: Explorer, limits: Limits, tokens: int) -> tuple[str, ...]:
    """What is not in the page, in words."""
    found = []
    if limits.texts is not None and limits.texts < tokens:
        found.append(
            f"The explanations of {tokens - limits.texts:,} of {tokens:,} tokens: those that no finding rests on and that scanners "
            "called NO come last."
        )
    if limits.message < Limits().message:
        found.append(f"Of each message, what follows its first {limits.message:,} characters.")
    if limits.transcripts is not None and limits.transcripts < len(explorer):
        found.append(f"{len(explorer) - limits.transcripts:,} of {len(explorer):,} conversations.")
    return tuple(found)
