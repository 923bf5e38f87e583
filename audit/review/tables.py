"""Labels that were given elsewhere, and the sheet on which they can be given: CSV or JSON lines."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit.errors import AuditError, RefusedInput
from audit.records import Label
from audit.review.labels import HumanLabel, now
from audit.review.sample import Item, Place
from audit.spreadsheet import cell

COLUMNS = ("item", "text", "label", "reviewer")
"""Of the sheet. ``item`` names the explanation and tells nothing of where it stands."""
SPELLINGS: dict[str, Label] = {"y": "YES", "yes": "YES", "n": "NO", "no": "NO", "u": "UNCLEAR", "unclear": "UNCLEAR"}


@dataclass(frozen=True)
class Imported:
    """What a file of labels held."""

    labels: tuple[HumanLabel, ...]
    refused: tuple[str, ...]
    """One sentence for each row that could not be used."""
    empty: int
    """Rows without a label: not done yet."""


def sheet(items: Iterable[Item]) -> str:
    """The sample as CSV with an empty column for the label, blind: neither verdict nor scenario nor place is in it."""
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(COLUMNS)
    writer.writerows([item.key, cell(item.text), "", ""] for item in items)
    return stream.getvalue()


def import_labels(file: Path, items: Sequence[Item], reviewer: str | None) -> Imported:
    """The labels in a CSV (with a header) or JSON lines; a row names its explanation by ``item`` or by transcript, call and position.

    ``reviewer`` is for rows that name none. Raises ``AuditError`` if the file cannot be read or has no column ``label``.
    """
    by_key, by_place = {item.key: item for item in items}, {item.place: item for item in items}
    labels: list[HumanLabel] = []
    refused: list[str] = []
    empty = 0
    for number, row in enumerate(_rows(file), 1):
        said = str(row.get("label") or "").strip().lower()
        item = by_key.get(str(row.get("item") or "")) or by_place.get(_place(row) or ("", -1, -1, -1))
        who = str(row.get("reviewer") or reviewer or "").strip()
        if not said:
            empty += 1
        elif said not in SPELLINGS:
            refused.append(f"Row {number}: '{said[:40]}' is no label; write YES, NO or UNCLEAR.")
        elif item is None:
            refused.append(f"Row {number} names no explanation of this audit that the deciding scanner judged.")
        elif not who:
            refused.append(f"Row {number} names no reviewer; add the column, or --reviewer NAME.")
        else:
            labels.append(HumanLabel(*item.place, SPELLINGS[said], who, item.text_sha256, item.stratum, now()))
    return Imported(tuple(labels), tuple(refused), empty)


def _rows(file: Path) -> list[Mapping[str, Any]]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise AuditError(f"'{file}' cannot be read: {reason}.", "Give a CSV file or JSON lines, in UTF-8.") from None
    rows = _json_lines(text) if text.lstrip().startswith("{") else _table(text, file)
    if rows and not any("label" in row for row in rows):
        raise RefusedInput(f"'{file}' has no column 'label'.", f"Write the columns {', '.join(COLUMNS)}, or take --sheet FILE.")
    return rows


def _table(text: str, file: Path) -> list[Mapping[str, Any]]:
    try:
        return list(csv.DictReader(io.StringIO(text)))
    except csv.Error as error:
        raise RefusedInput(f"'{file}' is no CSV: {error}.", "Leave the column 'text' out if it holds very long lines.") from None


def _json_lines(text: str) -> list[Mapping[str, Any]]:
    """One mapping a line; a line that is none is an empty row, which is refused by its number."""
    rows: list[Mapping[str, Any]] = []
    for line in text.splitlines():
        if line.strip():
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            rows.append(row if isinstance(row, dict) else {"label": "no JSON object"})
    return rows


def _place(row: Mapping[str, Any]) -> Place | None:
    try:
        return str(row["transcript_id"]), int(row["call_index"]), int(row["position"]), int(row.get("sample") or 0)
    except (KeyError, TypeError, ValueError):
        return None
