"""What the explorer shows of one token: its explanations, what scanners say of them, and what close examination says."""

from __future__ import annotations

from typing import Any

from reports.evidence import place_key
from reports.reading import integer, mappings, number, text
from reports.text import CLAIM, EXPLANATION, NAME

Verdicts = dict[tuple[Any, ...], list[dict[str, Any]]]
"""A transcript's verdicts by call, position, sample and control."""


def cut(body: str, limit: int) -> dict[str, Any]:
    """The beginning of a text, and how many characters were left away."""
    return {"text": body} if len(body) <= limit else {"text": body[:limit], "cut": len(body) - limit}


def named(value: Any) -> str:
    """A name that somebody gave, cut where nobody would read on."""
    return text(value)[:NAME]


def rounded(value: Any) -> float | None:
    """A number with the digits that a reader can use; ``None`` for anything else."""
    found = number(value)
    return None if found is None else round(found, 4)


def control_of(row: dict[str, Any]) -> str:
    """The control that an explanation or a verdict belongs to: ``none`` for a real activation."""
    return text(row.get("control")) or "none"


def verdicts_of(rows: list[dict[str, Any]]) -> Verdicts:
    """A transcript's verdicts by what they judged."""
    found: Verdicts = {}
    for row in rows:
        found.setdefault((*place_key(row)[1:], control_of(row)), []).append(row)
    return found


def said_of(row: dict[str, Any], verdicts: Verdicts, limit: int) -> dict[str, Any]:
    """An explanation with what every scanner says of it; without its text where the limit is 0."""
    status, control, body = named(row.get("status")), control_of(row), text(row.get("text"))
    judged = verdicts.get((*place_key(row)[1:], control), [])
    found = {
        **(cut(body, limit) if limit else {"left_out": bool(body)}),
        "status": "" if status == "ok" else status or "status unknown",
        "control": "" if control == "none" else named(control),
        "sample": integer(row.get("sample")) or "",
        "cosine": rounded(row.get("cosine")),
        "verdicts": [verdict_of(one, bool(limit)) for one in judged],
    }
    return {key: value for key, value in found.items() if value not in ("", None, [])}


def verdict_of(row: dict[str, Any], in_full: bool = True) -> dict[str, Any]:
    """A verdict as the page shows it; its quote and reason only if what it judged is shown ``in_full``."""
    found = {"scanner": named(row.get("scanner")), "label": named(row.get("label")), "confidence": rounded(row.get("confidence"))}
    if in_full:
        found |= {"quote": cut(text(row.get("quote")), EXPLANATION)["text"], "reason": cut(text(row.get("reason")), CLAIM)["text"]}
    return {key: value for key, value in found.items() if value not in ("", None)}


def examined_of(row: dict[str, Any], limit: int) -> dict[str, Any]:
    """What close examination says: the tokens read again nearby, and each claim of the explanation."""
    near = [
        {"call": integer(one.get("call_index")), "position": integer(one.get("position")), "token": text(one.get("token"))[:80],
         "label": named(one.get("label")), **cut(text(one.get("text")), limit)}
        for one in mappings(row.get("neighbours"))
    ]  # fmt: skip
    claims = [
        {"bears": bool(one.get("bears_verdict")), "recurs": integer(one.get("recurs")), "context": named(one.get("context")),
         "error": rounded(one.get("error_change")), "control": rounded(one.get("control_change")), **cut(text(one.get("text")), CLAIM)}
        for one in mappings(row.get("claims"))
    ]  # fmt: skip
    return {"scanner": named(row.get("scanner")), "near": near, "claims": claims}
