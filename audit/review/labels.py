"""Labels that people gave explanations: one JSON object a line in ``labels.jsonl`` of an audit's folder."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from typing import get_args

from audit.errors import AuditError
from audit.records import Label
from audit.store import Store, StoreError

LABELS_FILE = "labels.jsonl"
LABELS: tuple[Label, ...] = get_args(Label)
TRIES, PAUSE = 20, 0.1
"""How often, and how many seconds apart, a label is saved again where somebody else is saving one."""


@dataclass(frozen=True)
class HumanLabel:
    """What one person says about one explanation."""

    transcript_id: str
    call_index: int
    position: int
    sample: int
    label: Label
    reviewer: str
    text_sha256: str
    """Of the explanation that was read: a label does not outlive the wording that it is about."""
    stratum: Label
    """The deciding scanner's verdict when the explanation was drawn; the reviewer did not see it."""
    labelled: str
    """When, in UTC."""

    @property
    def place(self) -> tuple[str, int, int, int]:
        """Which explanation it is about."""
        return self.transcript_id, self.call_index, self.position, self.sample


def text_hash(text: str) -> str:
    """SHA-256 of an explanation's text."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def now() -> str:
    """The time as a label states it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def read_labels(store: Store) -> tuple[list[HumanLabel], int]:
    """The labels of an audit in the order in which they were given, and how many lines are none."""
    if not store.path(LABELS_FILE).is_file():
        return [], 0
    lines = store.path(LABELS_FILE).read_text(encoding="utf-8", errors="replace").splitlines()
    found = [_label(line) for line in lines if line.strip()]
    return [label for label in found if label is not None], sum(label is None for label in found)


def _label(line: str) -> HumanLabel | None:
    try:
        label = HumanLabel(**json.loads(line))
    except (ValueError, TypeError):
        return None
    texts = (label.transcript_id, label.reviewer, label.text_sha256, label.labelled)
    numbers = (label.call_index, label.position, label.sample)
    whole = all(isinstance(text, str) for text in texts) and all(isinstance(number, int) for number in numbers)
    return label if whole and label.label in LABELS and label.stratum in LABELS else None


def add_labels(store: Store, labels: Sequence[HumanLabel]) -> None:
    """Saves labels; one of the same reviewer for the same explanation takes the place of the earlier one."""
    changed = {(label.reviewer, label.place) for label in labels}
    with _alone(store):
        kept = [label for label in _whole(store) if (label.reviewer, label.place) not in changed]
        _write(store, [*kept, *labels])


def remove_label(store: Store, label: HumanLabel) -> None:
    """Takes a label back."""
    with _alone(store):
        _write(store, [other for other in _whole(store) if (other.reviewer, other.place) != (label.reviewer, label.place)])


def _whole(store: Store) -> list[HumanLabel]:
    """All labels; a file that holds anything else is not written over. Raises ``AuditError``."""
    labels, damaged = read_labels(store)
    if damaged:
        file = store.path(LABELS_FILE)
        raise AuditError(f"{damaged} lines of '{file}' are no labels.", "Mend or move the file; nothing was written over.")
    return labels


def _write(store: Store, labels: Iterable[HumanLabel]) -> None:
    store.write_text(LABELS_FILE, "".join(json.dumps(asdict(label), ensure_ascii=True) + "\n" for label in labels))


@contextmanager
def _alone(store: Store) -> Iterator[None]:
    """The audit's lock, waited for a moment: two people may label at once."""
    with ExitStack() as held:
        for attempt in range(TRIES):
            try:
                held.enter_context(store.lock())
                break
            except StoreError:
                if attempt == TRIES - 1:
                    raise
                time.sleep(PAUSE)
        yield
