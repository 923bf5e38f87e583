"""Judges explanations made elsewhere: ``scan FILE.jsonl``, rows with ``text``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from audit.errors import AuditError
from audit.records import Explanation, Verdict

VERDICTS_NAME = "verdicts.parquet"


def judge_file(file: Path, scanners: tuple[str, ...], out: Path | None, as_json: bool) -> int:
    """Prints what each scanner of explanations says about each row, and writes ``verdicts.parquet`` where ``out`` is given."""
    from audit.scanners.base import registered, scan_explanations
    from audit.scanners.user import load_user_scanner

    for path in scanners:
        load_user_scanner(path)
    rows = list(read_rows(file))
    verdicts = [verdict for scanner in registered("explanation") for verdict in scan_explanations(rows, scanner)]
    if out is not None:
        from audit.store import Store

        Store(out).write_table(VERDICTS_NAME, Verdict, verdicts)
    if as_json:
        click.echo(json.dumps([asdict(verdict) for verdict in verdicts], ensure_ascii=True))
    else:
        _print(rows, verdicts)
    return 0


def read_rows(file: Path) -> Iterator[Explanation]:
    """The rows as explanations; ``transcript_id``, ``call_index``, ``position``, ``sample`` are taken where a row has them.

    Raises ``AuditError`` naming the first line that is no JSON object with a ``text``.
    """
    try:
        with file.open(encoding="utf-8") as stream:
            for number, line in enumerate(stream):
                if line.strip():
                    yield _row(line, number, file)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise AuditError(f"'{file}' cannot be read: {reason}.", "Give a text file in UTF-8 with one JSON object a line.") from None


def _row(line: str, number: int, file: Path) -> Explanation:
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    if not isinstance(row, dict) or not isinstance(row.get("text"), str):
        raise AuditError(f"Line {number + 1} of '{file}' is no JSON object with a 'text'.", 'Write rows such as {"text": "..."}.')

    def number_in(key: str, default: int) -> int:
        value = row.get(key)
        return value if isinstance(value, int) else default

    return Explanation(
        transcript_id=str(row.get("transcript_id", file.name)),
        call_index=number_in("call_index", 0),
        position=number_in("position", number),
        sample=number_in("sample", 0),
        control="none",
        temperature=0.0,
        nla=str(row.get("nla", "")),
        text=row["text"],
        status="ok",
    )


def _print(rows: list[Explanation], verdicts: list[Verdict]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from audit.cli.terminal import clean

    texts: dict[Any, str] = {(row.transcript_id, row.call_index, row.position, row.sample): row.text for row in rows}
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("row", "scanner", "label", "confidence", "text"):
        table.add_column(name)
    for verdict in verdicts:
        text = texts[verdict.transcript_id, verdict.call_index, verdict.position, verdict.sample]
        cells = (str(verdict.position), verdict.scanner, verdict.label, f"{verdict.confidence:.2f}", clean(text, keep="")[:120])
        table.add_row(*map(Text, cells))
    Console(highlight=False).print(table)
