"""Documents to read activations from: JSONL, parquet or text files of the user's, or the lab's generator."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from audit.errors import AuditError

LAB = "lab"
_SUFFIXES = (".jsonl", ".parquet", ".txt", ".md")


@dataclass(frozen=True)
class Text:
    """A document as the target reads it."""

    text: str
    is_chat: bool = False
    """Whether it was written out by the chat template, special tokens included."""


class Documents(Protocol):
    """A numbered set of documents."""

    writes_summaries: bool
    """Whether ``summary`` can say what stands in a document."""
    skipped: dict[str, int]
    """Rows that are no documents, by reason."""

    def __len__(self) -> int: ...

    def text(self, number: int) -> Text:
        """Document ``number``."""

    def positions(self, number: int, offsets: Sequence[tuple[int, int]], count: int, first: int, rng: random.Random) -> list[int]:
        """``count`` token positions (or as many as there are) from ``first`` on, for tokens with these character spans; ascending."""

    def summary(self, number: int, end: int, rng: random.Random) -> str:
        """What stands in document ``number`` up to character ``end``, if ``writes_summaries``."""


@dataclass
class FileDocuments:
    """Documents from files."""

    texts: list[Text]
    skipped: dict[str, int] = field(default_factory=dict)
    writes_summaries = False

    def __len__(self) -> int:
        return len(self.texts)

    def text(self, number: int) -> Text:
        return self.texts[number]

    def positions(self, number: int, offsets: Sequence[tuple[int, int]], count: int, first: int, rng: random.Random) -> list[int]:
        usable = [position for position in range(first, len(offsets)) if offsets[position][1] > offsets[position][0]]
        return sorted(rng.sample(usable, min(count, len(usable))))

    def summary(self, number: int, end: int, rng: random.Random) -> str:
        raise NotImplementedError("Files hold texts, not summaries.")


class LabDocuments:
    """Documents of the lab's world, whose generator knows what stands in them."""

    writes_summaries = True

    def __init__(self, count: int, seed: int) -> None:
        from audit.lab.nla import nla_documents

        self.documents = nla_documents(seed, count)
        self.skipped: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.documents)

    def text(self, number: int) -> Text:
        # Chats of the lab are written out by its generator; its tokenizer adds no special tokens of its own.
        return Text(self.documents[number].text)

    def positions(self, number: int, offsets: Sequence[tuple[int, int]], count: int, first: int, rng: random.Random) -> list[int]:
        """Five in eight of them in the assistant's own text, where audits look."""
        from audit.lab.nla import choose_positions

        return choose_positions(self.documents[number], offsets, rng, count, first)

    def summary(self, number: int, end: int, rng: random.Random) -> str:
        from audit.lab.summaries import summary

        return summary(self.documents[number], end, rng)


def read_documents(source: str, text_field: str, limit: int | None, tokenizer: Any) -> FileDocuments:
    """The documents of a file or of all files in a folder, in their order, at most ``limit``.

    A row of a ``.jsonl`` or ``.parquet`` file is one document: a text in ``text_field``, or a conversation in ``messages`` (a list of
    ``role`` and ``content``), which the target's chat template writes out. A ``.txt`` or ``.md`` file is one document. Rows that hold
    neither are counted, not used. Raises ``AuditError`` if nothing can be read.
    """
    texts: list[Text] = []
    skipped: Counter[str] = Counter()
    for file in _files(Path(source).expanduser()):
        for row in _rows(file):
            if limit is not None and len(texts) >= limit:
                return FileDocuments(texts, dict(skipped))
            text, problem = _text(row, text_field, tokenizer)
            if text is None:
                skipped[problem] += 1
            else:
                texts.append(text)
    if not texts:
        found = ", ".join(f"{count} with {reason}" for reason, count in skipped.items()) or "no rows"
        raise AuditError(f"'{source}' holds no documents ({found}).", f"Give rows with a '{text_field}' or with 'messages'.")
    return FileDocuments(texts, dict(skipped))


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix in _SUFFIXES)
    else:
        files = [path] if path.is_file() and path.suffix in _SUFFIXES else []
    if not files:
        problem = "holds no documents" if path.exists() else "does not exist"
        raise AuditError(f"'{path}' {problem}.", f"Name a file or a folder of files: {', '.join(_SUFFIXES)}.")
    return files


def _rows(file: Path) -> Iterator[Any]:
    """The rows of a file; what is no row of any kind is ``None``."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if file.suffix == ".parquet":
            with pq.ParquetFile(file) as table:
                for batch in table.iter_batches(batch_size=256):
                    yield from batch.to_pylist()
        elif file.suffix == ".jsonl":
            with file.open(encoding="utf-8", errors="replace") as stream:
                for line in stream:
                    if line.strip():
                        yield _parsed(line)
        else:
            yield file.read_text(encoding="utf-8", errors="replace")
    except (OSError, pa.ArrowException) as error:
        raise AuditError(f"'{file}' cannot be read: {str(error).splitlines()[0]}.", "Check the file.") from None


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _text(row: Any, text_field: str, tokenizer: Any) -> tuple[Text | None, str]:
    """A row's document, or why it has none."""
    if isinstance(row, str):
        row = {text_field: row}
    if not isinstance(row, dict):
        return None, "no JSON object"
    text = row.get(text_field)
    if isinstance(text, str) and text.strip():
        return Text(_encodable(text)), ""
    messages = row.get("messages")
    if not isinstance(messages, list) or not messages:
        return None, f"neither a '{text_field}' nor 'messages'"
    try:
        return Text(_encodable(tokenizer.apply_chat_template(messages, tokenize=False)), is_chat=True), ""
    except Exception:  # what a chat template raises is its own choice
        return None, "messages that the chat template cannot write out"


def _encodable(text: str) -> str:
    """A text without lone surrogates, which JSON can hold and no tokenizer reads."""
    return text.encode("utf-8", "replace").decode("utf-8")
