"""Judges explanations made elsewhere: ``scan FILE.jsonl``, rows with ``text``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audit.errors import AuditError
from audit.records import Explanation, Verdict
from audit.stages.chunks import chunks
from audit.stages.identity import file_hashes
from audit.stages.preflight import GRADER_REMEDY, check_api
from audit.stages.verdicts import asking
from audit.store import Store, content_hash

if TYPE_CHECKING:
    from audit.scanners.base import Scanner

VERDICTS_NAME = "verdicts.parquet"
ROWS_AT_ONCE = 256
"""What a kill can cost where a grader is asked."""


def judge_file(file: Path, files: tuple[str, ...], out: Path | None, as_json: bool, grader: str | None = None) -> int:
    """Prints what each scanner of explanations says about each row, and writes ``verdicts.parquet`` where ``out`` is given."""
    from audit.scanners.base import registered
    from audit.scanners.user import load_user_scanner

    for path in files:
        load_user_scanner(path)
    if grader is not None:
        check_api(grader, GRADER_REMEDY)
    rows = list(read_rows(file))
    scanners = registered("explanation", graded=grader is not None)
    with asking(grader):
        if out is None:
            verdicts = [verdict for piece in _judged(rows, scanners) for verdict in piece()]
        else:
            verdicts = _stored(Store(out), _judged(rows, scanners), [content_hash(file), grader, *file_hashes(files).items()])
    if as_json:
        click.echo(json.dumps([asdict(verdict) for verdict in verdicts], ensure_ascii=True))
    else:
        _print(rows, verdicts)
        for note in _notes(scanners, verdicts, grader):
            click.echo(f"Note: {note}", err=True)
    return 0


def _judged(rows: list[Explanation], scanners: Sequence[Scanner]) -> Iterator[Callable[[], list[Verdict]]]:
    """The work, in pieces that can be done or left."""
    from audit.scanners.base import scan_explanations

    for scanner in scanners:
        for piece in chunks(rows, ROWS_AT_ONCE):
            yield partial(scan_explanations, piece, scanner)


def _stored(store: Store, work: Iterable[Callable[[], list[Verdict]]], depends_on: list[Any]) -> list[Verdict]:
    """Does the pieces of work that an interrupted command with the same input has not done, and writes the table."""
    name = "texts-" + hashlib.sha256(json.dumps(depends_on).encode()).hexdigest()[:16]
    workspace = store.workspace(name)
    verdicts: list[Verdict] = []
    for number, piece in enumerate(work):
        shard = f"{workspace}/{number:06d}.parquet"
        if not store.path(shard).exists():
            store.write_table(shard, Verdict, piece())
        verdicts += store.read_table(shard, Verdict)
    store.write_table(VERDICTS_NAME, Verdict, verdicts)
    store.discard_workspace(name)
    return verdicts


def _notes(scanners: Sequence[Scanner], verdicts: Sequence[Verdict], grader: str | None) -> Iterator[str]:
    """What was left out or failed, in words."""
    from audit.scanners.base import registered
    from audit.scanners.summarise import ungraded

    if grader is None:
        silent = [scanner.name for scanner in registered("explanation", graded=True) if scanner.graded]
        yield f"no grader was named (--grader PROVIDER/MODEL), so these were left out: {', '.join(silent)}."
    failed, graded = sum(map(ungraded, verdicts)), {scanner.name for scanner in scanners if scanner.graded}
    if failed:
        asked = sum(verdict.scanner in graded for verdict in verdicts)
        yield f"the grader gave no usable answer to {failed} of {asked} questions; these verdicts are UNCLEAR and say why."


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

    from audit.cli.terminal import brief

    texts: dict[Any, str] = {(row.transcript_id, row.call_index, row.position, row.sample): row.text for row in rows}
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("row", "scanner", "label", "confidence", "text"):
        table.add_column(name)
    for verdict in verdicts:
        text = texts[verdict.transcript_id, verdict.call_index, verdict.position, verdict.sample]
        cells = (str(verdict.position), verdict.scanner, verdict.label, f"{verdict.confidence:.2f}", brief(text, 120))
        table.add_row(*map(Text, cells))
    Console(highlight=False).print(table)
