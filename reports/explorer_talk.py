"""A transcript's turns for the explorer, and where in their text the tokens stand that were read.

The table of sites holds a token's place among its call's characters, and where that text stands in a turn is looked up. Tables of
older audits hold its text and number only. Tokens follow each other as their numbers do, so the earliest and the latest arrangement
bound where each can stand; where both agree the place is certain, elsewhere it is estimated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from reports.explorer_token import Verdicts, cut, named, verdict_of
from reports.reading import decoded, integer, mappings, text, texts

MESSAGES = 200
"""Turns shown of one conversation; what is left away is counted."""
WINDOW = 200_000
"""Characters of a text in which tokens are looked for."""

Places = dict[tuple[int, int], tuple[int, int]]
Mark = tuple[int, int, int, bool]
"""Number of the token, start and end in the text (in UTF-16 units, as a browser counts), whether the place is certain."""


def places_of(sites: Iterable[dict[str, Any]]) -> Places:
    """Where a transcript's sites stand in their calls' texts, as far as that is known."""
    found: Places = {}
    for row in sites:
        call, position, start, end = (integer(row.get(key)) for key in ("call_index", "position", "start", "end"))
        if call is not None and position is not None and start is not None and end is not None:
            found[call, position] = start, end
    return found


def turns_of(
    row: dict[str, Any], tokens: Sequence[dict[str, Any]], verdicts: Verdicts, limit: int, known: Places | None = None
) -> dict[str, Any]:
    """A transcript's turns; those of the target in parts (thinking, response, tool calls) with the tokens that were read in each.

    ``known``: by call and position, where tokens stand in their call's text.
    """
    calls = mappings(row.get("calls"))
    pending = iter(calls)
    turns: list[dict[str, Any]] = []
    messages = mappings(row.get("messages")) or [{"role": "assistant", "text": text(call.get("text"))} for call in calls]
    for message in messages[:MESSAGES]:
        role = named(message.get("role")) or "unknown role"
        turn: dict[str, Any] = {"role": role}
        call = next(pending, None) if role == "assistant" else None
        parts = _parts(text(message.get("text") or message.get("content")), message, call or {})
        if call is not None:
            turn["call"] = integer(call.get("index"))
            turn["verdicts"] = _of_turn(verdicts, turn["call"])
            _mark(parts, call, tokens, known or {})
        turn["parts"] = [_fitted(part, limit) for part in parts]
        turns.append({key: value for key, value in turn.items() if value not in (None, [])})
    more = max(0, len(messages) - MESSAGES)
    return {"turns": turns, **({"turns_cut": more} if more else {})}


def _parts(body: str, message: dict[str, Any], call: dict[str, Any]) -> list[dict[str, Any]]:
    """The text of a turn by what it is. A model's thinking stands in the call only."""
    own = text(call.get("text"))
    at = -1 if not body.strip() else len(own) - len(body) if own.endswith(body) else own.find(body)
    parts: list[dict[str, Any]] = []
    if at > 0 and own[:at].strip():
        thinking = own[:at]
        parts.append({"kind": "thinking", "text": thinking.strip(), "begin": len(thinking) - len(thinking.lstrip())})
    if body or not call:
        parts.append({"kind": "response", "text": body, **({"begin": at} if at >= 0 else {})})
    made = texts(call.get("tool_calls")) or [text(one) for one in mappings(decoded(message.get("tool_calls")))]
    parts += [{"kind": "tool_call", "text": one} for one in made if one not in body]
    return parts or [{"kind": "response", "text": own, "begin": 0}]


def _of_turn(verdicts: Verdicts, call: int | None) -> list[dict[str, Any]]:
    """What scanners of turns found in one; silence says nothing."""
    rows = verdicts.get((call, -1, 0, "none"), [])
    return [verdict_of(row) for row in rows if text(row.get("label")) != "NO"]


def _mark(parts: list[dict[str, Any]], call: dict[str, Any], tokens: Sequence[dict[str, Any]], known: Places) -> None:
    """Adds to each part the tokens that were read in it: where they are known to stand, else among the parts of their kind."""
    mine = [(at, token) for at, token in enumerate(tokens) if token["call"] == integer(call.get("index"))]
    found = any("begin" in part for part in parts)
    placed = {at: known[place] for at, token in mine if found and (place := (token["call"], token["position"])) in known}
    for part in parts:
        part["marks"] = list(_exact(part, placed)) if "begin" in part else []
    _estimate(parts, call, [(at, token) for at, token in mine if at not in placed])


def _exact(part: dict[str, Any], placed: dict[int, tuple[int, int]]) -> Iterator[Mark]:
    """The tokens that lie in a part, without their outer white space."""
    body, begin = part["text"], part["begin"]
    for at, (first, last) in placed.items():
        inside = body[max(0, first - begin) : max(0, last - begin)]
        if inside.strip():
            start = max(0, first - begin) + len(inside) - len(inside.lstrip())
            yield at, start, start + len(inside.strip()), True


def _estimate(parts: list[dict[str, Any]], call: dict[str, Any], tokens: Sequence[tuple[int, dict[str, Any]]]) -> None:
    """Adds tokens of which only text and number are known. ``tokens``: each with its number among the transcript's."""
    prompt, output = call.get("prompt_ids"), call.get("output_ids")
    start, length = len(prompt if prompt is not None else ()), len(output if output is not None else ())
    for kind in ("thinking", "response", "tool_call"):
        chosen = [(at, text(token.get("token")), token["position"] - start) for at, token in tokens if token.get("role") == kind]
        same = [part for part in parts if part["kind"] == kind]
        if not chosen or not same:
            continue
        whole = "\n".join(part["text"] for part in same)
        spans = [one for one in mappings(call.get("spans")) if one.get("role") == kind]
        begin, end = (integer(spans[0].get("start")) or 0, integer(spans[-1].get("end")) or length) if spans else (0, length)
        found = place(whole, [(token, offset - begin) for _, token, offset in chosen], max(1, end - begin))
        _share(same, [(at, *where) for (at, _, _), where in zip(chosen, found, strict=True) if where is not None])


def _share(parts: list[dict[str, Any]], marks: list[Mark]) -> None:
    """Hands marks in the joined text to the part that each lies in."""
    begin = 0
    for part in parts:
        end = begin + len(part["text"])
        part["marks"] += [(at, start - begin, stop - begin, sure) for at, start, stop, sure in marks if start >= begin and stop <= end]
        begin = end + 1


def _fitted(part: dict[str, Any], limit: int) -> dict[str, Any]:
    """A part cut to its limit, its marks counted as a browser counts."""
    body = part["text"]
    fitted = {"kind": part["kind"], **cut(body, limit)}
    marks = [mark for mark in part.get("marks", ()) if mark[2] <= min(limit, len(body))]
    if marks:
        fitted["marks"] = [[at, _units(body, start), _units(body, end), int(sure)] for at, start, end, sure in marks]
    return fitted


def _units(body: str, at: int) -> int:
    """A place in a text in UTF-16 units."""
    return at if body.isascii() else len(body[:at].encode("utf-16-le", "surrogatepass")) // 2


def place(body: str, tokens: Sequence[tuple[str, int]], length: int) -> list[tuple[int, int, bool] | None]:
    """Where tokens stand in a text, in order: start, end, and whether that is certain; ``None`` for one that has no place.

    ``tokens``: each token's text and its offset among the ``length`` tokens of the whole text, ascending. Outer white space is not
    part of the place. A token that does not occur after those before it and ahead of those after it (a part of a character, blank)
    has no place and does not hinder the others.
    """
    body = body[:WINDOW]
    # A word's leading blank tells it from the same letters inside another word.
    needles = [token if token in body else token.strip() for token, _ in tokens]
    known = [(at, needle, tokens[at][1]) for at, needle in enumerate(needles) if needle.strip() and needle in body]
    early = _earliest(body, known)
    known = [entry for entry in known if entry[0] in early]
    late = _latest(body, known)
    found: list[tuple[int, int, bool] | None] = [None] * len(tokens)
    floor = 0
    for at, needle, offset in known:
        first, last = max(early[at], floor), late.get(at, early[at])
        if offset == 0:
            last = first  # nothing stands before the first token
        start = first if first >= last else _nearest(body, needle, first, last, round(offset / length * len(body)))
        floor = start + len(needle)
        trimmed = start + len(needle) - len(needle.lstrip())
        found[at] = (trimmed, trimmed + len(needle.strip()), early[at] == last)
    return found


def _earliest(body: str, tokens: Sequence[tuple[int, str, int]]) -> dict[int, int]:
    """The leftmost arrangement; one token lies at least as far from the one before as there are tokens between."""
    found, reached, before = {}, 0, None
    for at, token, offset in tokens:
        between = 0 if before is None else max(0, offset - before - 1)
        start = body.find(token, min(reached + between, len(body)))
        if start < 0:
            continue
        found[at], reached, before = start, start + len(token), offset
    return found


def _latest(body: str, tokens: Sequence[tuple[int, str, int]]) -> dict[int, int]:
    """The rightmost arrangement."""
    found, reached, after = {}, len(body), None
    for at, token, offset in reversed(tokens):
        between = 0 if after is None else max(0, after - offset - 1)
        start = body.rfind(token, 0, max(0, reached - between))
        if start < 0:
            continue
        found[at], reached, after = start, start, offset
    return found


def _nearest(body: str, token: str, first: int, last: int, expected: int) -> int:
    """The occurrence between two places that lies nearest to the expected one."""
    best, at = first, body.find(token, first)
    while 0 <= at <= last:
        if abs(at - expected) < abs(best - expected) or body[best : best + len(token)] != token:
            best = at
        if at > expected:
            break
        at = body.find(token, at + 1)
    return best
