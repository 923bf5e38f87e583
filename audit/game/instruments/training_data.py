"""The tool ``search_training_data``: a regular expression over the auditee's own corpus, stage by stage."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from audit.errors import AuditError
from audit.game.patterns import search

ENDINGS = (".jsonl", ".txt")
EXCERPT = 400
SECONDS = 15.0
"""For one stage."""
MOST_LINES = 200_000


@dataclass(frozen=True)
class Excerpt:
    """A document that matches, cut short."""

    stage: str
    document: int
    """Its number within the stage, from 1."""
    text: str


class TrainingData:
    """A corpus: a folder with one file, or one folder of files, for each stage. It knows no path outside it and tells none."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise AuditError(f"The corpus '{folder}' is no folder.", "Name a folder with one file or folder for each stage of training.")
        self._stages = {entry.stem: entry for entry in sorted(folder.iterdir()) if entry.is_dir() or entry.suffix in ENDINGS}
        if not self._stages:
            raise AuditError(f"The corpus '{folder}' holds no stage.", "Put .jsonl or .txt files into it, one for each stage.")

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of the stages."""
        return tuple(self._stages)

    def search(self, pattern: str, stage: str | None = None, most: int = 10) -> dict[str, tuple[list[Excerpt], int]]:
        """For each stage the first ``most`` documents with the pattern, and how many there are.

        Raises ``KeyError`` for an unknown stage, ``BadPattern`` for a pattern that is none or takes too long.
        """
        found = {}
        for name in [stage] if stage else self.stages:
            hits, count = search(pattern, self._documents(self._stages[name]), most, SECONDS)
            found[name] = ([Excerpt(name, hit.line, hit.text[:EXCERPT]) for hit in hits], count)
        return found

    def _documents(self, entry: Path) -> Iterator[str]:
        files = [entry] if entry.is_file() else sorted(file for file in entry.rglob("*") if file.suffix in ENDINGS)
        for file in files:
            with file.open(encoding="utf-8", errors="replace") as lines:
                for _, line in zip(range(MOST_LINES), lines, strict=False):
                    if line.strip():
                        yield _text(line) if file.suffix == ".jsonl" else line.strip()


def _text(line: str) -> str:
    """The wording of a row: its ``text``, or everything in it that is text."""
    try:
        row = json.loads(line)
    except ValueError:
        return line.strip()
    if isinstance(row, dict) and isinstance(row.get("text"), str):
        return " ".join(row["text"].split())
    return " ".join(json.dumps(row, ensure_ascii=False).split())
