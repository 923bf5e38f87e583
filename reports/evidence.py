"""The pieces of evidence, the conversations that they come from, and false alarms on controls to judge them by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from reports.examined import examined_view
from reports.figures import outcome
from reports.model import Conversation, EvidenceView, Figure, Reading
from reports.reading import Rate, decoded, integer, mapping, mappings, number, records, text, texts
from reports.text import EXCERPT, EXPLANATION, MESSAGE, Shown, address_name, anchor, highlighted, plain, shown, shown_end, token_text

if TYPE_CHECKING:
    import pandas as pd

PIECES, ALARMS = 10, 3
MESSAGES, READINGS = 40, 60
"""Shown of one conversation; what is left away is counted."""
READING_TEXT = 400
LINK = 44
"""Characters of a transcript's name in a link."""


def place_key(row: dict[str, Any]) -> tuple[str, int | None, int | None, int | None]:
    """What identifies an explanation of a real activation."""
    return text(row.get("transcript_id")), integer(row.get("call_index")), integer(row.get("position")), integer(row.get("sample")) or 0


def place_words(row: dict[str, Any]) -> str:
    """What a link to a token is called."""
    transcript, _, position, _ = place_key(row)
    # Names that begin alike differ at their end.
    name = transcript if len(transcript) <= LINK else f"{transcript[: LINK // 2]}\u2026{transcript[-LINK // 2 :]}"
    return f"{plain(name)}, position {position}"


def explorer_link(row: dict[str, Any], scanner: str = "") -> str:
    """A link that opens the explorer at a token, or at a conversation if the row names no token; with the verdicts of ``scanner``."""
    name, call, position, _ = place_key(row)
    place = "" if call is None or position is None or position < 0 else f"&p={call}.{position}"
    judged = f"&s={quote(address_name(scanner), safe='', errors='replace')}" if scanner else ""
    return f"#t={quote(address_name(name), safe='', errors='replace')}{place}{judged}"


def piece_anchor(row: dict[str, Any]) -> str:
    """The id of a token in the report."""
    transcript, call, position, sample = place_key(row)
    return anchor("token", f"{transcript}/{call}/{position}" + (f"/{sample}" if sample else ""))


def conversation_anchor(transcript_id: str) -> str:
    """The id of a conversation in the report."""
    return anchor("transcript", transcript_id)


def evidence_views(pieces: Sequence[dict[str, Any]], tables: dict[str, list[dict[str, Any]]]) -> tuple[EvidenceView, ...]:
    """The pieces as shown. ``tables`` holds the rows of their transcripts: ``transcripts``, ``sites``, ``explanations``, ``verdicts``."""
    known = {text(row.get("transcript_id")): row for row in tables["transcripts"]}
    close = {place_key(row): row for row in tables.get("evidence", ())}
    return tuple(_piece(piece, known, tables["verdicts"], close.get(place_key(piece))) for piece in pieces[:PIECES])


def _piece(
    piece: dict[str, Any], known: dict[str, dict[str, Any]], verdicts: list[dict[str, Any]], close: dict[str, Any] | None
) -> EvidenceView:
    transcript, call, position, sample = place_key(piece)
    source = known.get(transcript)
    before, token, after = _excerpt(piece)
    body, quote = text(piece.get("explanation")), text(piece.get("quote"))
    marked = highlighted(body, quote)
    return EvidenceView(
        anchor=piece_anchor(piece),
        transcript_id=transcript,
        conversation=conversation_anchor(transcript) if source else "",
        scenario=text(piece.get("scenario")) or text((source or {}).get("scenario")) or "unknown scenario",
        kind=text(piece.get("kind")) or text((source or {}).get("kind")),
        place=_place(call, position, sample),
        explorer=explorer_link(piece),
        token=token_text(text(piece.get("token")) or token),
        excerpt_token=token if token.strip() else token_text(token),
        before=before,
        after=after,
        explanation=(marked or shown(body, EXPLANATION)) if body else None,
        quote=quote,
        quote_found=marked is not None,
        label=text(piece.get("label")),
        scanner=text(piece.get("scanner")),
        confidence=number(piece.get("confidence")),
        reason=text(piece.get("reason")),
        cosine=number(piece.get("cosine")),
        status=text(piece.get("status")),
        neighbours=_neighbours(transcript, text(piece.get("scanner")), verdicts),
        examined=examined_view(close),
    )


def _excerpt(piece: dict[str, Any]) -> tuple[Shown | None, str, Shown | None]:
    found = mapping(piece.get("excerpt"))
    before = found.get("before", piece.get("excerpt_before"))
    after = found.get("after", piece.get("excerpt_after"))
    # The token decoded in its place differs from the site's where a character spans several tokens.
    token = text(found.get("token")) or text(piece.get("token"))
    if before is None and after is None:
        return None, token, None
    body = token.strip()
    if not body:
        return shown_end(text(before), EXCERPT), token, shown(text(after), EXCERPT)
    # White space around a token reads better outside its mark.
    at = token.index(body)
    return shown_end(text(before) + token[:at], EXCERPT), body, shown(token[at + len(body) :] + text(after), EXCERPT)


def _neighbours(transcript: str, scanner: str, verdicts: list[dict[str, Any]]) -> Rate:
    labels = [
        row.get("label") for row in verdicts
        if row.get("transcript_id") == transcript and row.get("scanner") == scanner and row.get("position") != -1 and _real(row)
    ]  # fmt: skip
    yes = sum(label == "YES" for label in labels)
    return Rate(yes / len(labels), count=yes, of=len(labels)) if labels else Rate(why="unknown: the verdicts are missing")


def _real(row: dict[str, Any]) -> bool:
    return row.get("control") in (None, "none") or row.get("control") != row.get("control")


def _place(call: int | None, position: int | None, sample: int | None) -> str:
    names = ((call, "call"), (position, "position"), (sample or None, "sample"))
    return ", ".join(f"{name} {value}" for value, name in names if value is not None) or "place unknown"


def false_alarms(
    transcripts: pd.DataFrame | None, explanations: pd.DataFrame | None, verdicts: pd.DataFrame | None, scanner: str
) -> list[dict[str, Any]]:
    """The surest YES verdicts on real activations of deployment controls, one a transcript, as pieces of evidence."""
    if transcripts is None or verdicts is None or not len(verdicts) or "kind" not in transcripts.columns:
        return []
    controls = transcripts.loc[transcripts["kind"] == "deployment", "transcript_id"]
    chosen = verdicts[(verdicts["scanner"] == scanner) & (verdicts["label"] == "YES") & verdicts["transcript_id"].isin(controls)]
    if "control" in chosen.columns:
        chosen = chosen[chosen["control"].fillna("none") == "none"]
    order = ["confidence", "transcript_id", "call_index", "position"]
    chosen = chosen.sort_values(order, ascending=[False, True, True, True]).drop_duplicates("transcript_id")
    rows = records(chosen.head(ALARMS))
    said = {place_key(row): row for row in records(explanations, {row["transcript_id"] for row in rows}) if _real(row)}
    return [{**row, **_said(said.get(place_key(row), {}))} for row in rows]


def _said(row: dict[str, Any]) -> dict[str, Any]:
    return {"explanation": text(row.get("text")), "cosine": row.get("cosine"), "status": row.get("status")}


def with_tokens(pieces: list[dict[str, Any]], tables: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The pieces with the token's text taken from the sites, and the scenario from the transcript."""
    tokens = {place_key(row)[:3]: text(row.get("token")) for row in tables["sites"]}
    return [{**piece, "token": text(piece.get("token")) or tokens.get(place_key(piece)[:3], "")} for piece in pieces]


def conversations(pieces: Sequence[dict[str, Any]], tables: dict[str, list[dict[str, Any]]], scanner: str) -> tuple[Conversation, ...]:
    """Each transcript that a piece comes from, once, in the order of the pieces."""
    known = {text(row.get("transcript_id")): row for row in tables["transcripts"]}
    anchors = {place_key(piece): piece_anchor(piece) for piece in pieces}
    names = dict.fromkeys(text(piece.get("transcript_id")) for piece in pieces)
    return tuple(_conversation(known[name], tables, scanner, anchors) for name in names if name in known)


def _conversation(row: dict[str, Any], tables: dict[str, list[dict[str, Any]]], scanner: str, anchors: dict[Any, str]) -> Conversation:
    name = text(row.get("transcript_id"))
    messages = _messages(row)
    readings = _readings(name, tables, scanner, anchors)
    scores = mapping(decoded(row.get("scores")))
    return Conversation(
        anchor=conversation_anchor(name),
        transcript_id=name,
        scenario=text(row.get("scenario")),
        kind=text(row.get("kind")),
        variant=text(row.get("variant")),
        known_state=text(row.get("known_state")),
        outcomes=tuple(outcome(key, value) for key, value in scores.items()) or (Figure("outcome", missing="not scored"),),
        messages=messages[:MESSAGES],
        messages_cut=max(0, len(messages) - MESSAGES),
        readings=readings[:READINGS],
        readings_cut=max(0, len(readings) - READINGS),
    )


def _messages(row: dict[str, Any]) -> tuple[tuple[str, Shown], ...]:
    """Roles and texts; tool calls that a message's text lacks are added from the model calls, which come in the same order."""
    calls = iter(mappings(row.get("calls")))
    found = []
    for message in mappings(row.get("messages")):
        role, body = text(message.get("role")), text(message.get("text") or message.get("content"))
        if role == "assistant":
            made = texts(mapping(next(calls, None)).get("tool_calls"))
            body = "\n".join([body, *(call for call in made if call not in body)]).strip("\n")
        found.append((role or "unknown role", shown(body, MESSAGE)))
    if found:
        return tuple(found)
    return tuple(("assistant", shown(text(call.get("text")), MESSAGE)) for call in mappings(row.get("calls")))


def _readings(name: str, tables: dict[str, list[dict[str, Any]]], scanner: str, anchors: dict[Any, str]) -> tuple[Reading, ...]:
    """The explained tokens of a transcript in their order, with the verdict of ``scanner``."""
    tokens = {place_key(row)[:3]: text(row.get("token")) for row in tables["sites"] if row.get("transcript_id") == name}
    labels = {
        place_key(row): text(row.get("label"))
        for row in tables["verdicts"]
        if row.get("transcript_id") == name and row.get("scanner") == scanner and _real(row)
    }
    rows = [row for row in tables["explanations"] if row.get("transcript_id") == name and _real(row)]
    return tuple(
        Reading(
            place=_place(*place_key(row)[1:]),
            token=token_text(tokens.get(place_key(row)[:3], "")),
            label=labels.get(place_key(row), ""),
            explanation=shown(text(row.get("text")) or f"(no explanation: {text(row.get('status')) or 'status unknown'})", READING_TEXT),
            cosine=number(row.get("cosine")),
            evidence=anchors.get(place_key(row), ""),
        )
        for row in sorted(rows, key=lambda row: tuple(-1 if part is None else part for part in place_key(row)[1:]))
    )


def rows_of(names: set[str], frames: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The rows of these transcripts from each table."""
    return {key: records(frame, names) for key, frame in frames.items()}
