"""Which explanations people are asked about: a seeded sample that holds all of the deciding scanner's labels, in a shuffled order."""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from audit.errors import AuditError
from audit.findings.tally import AWARENESS, aligned
from audit.records import Explanation, Label, Transcript, Verdict
from audit.review.labels import LABELS, text_hash
from audit.scanners.passages import JUDGED_STATUSES
from audit.scanners.summarise import ungraded
from audit.stages.names import EXPLANATIONS_TABLE, FINDINGS_FILE, TRANSCRIPTS_TABLE, VERDICTS_TABLE
from audit.store import Store

Place = tuple[str, int, int, int]
"""Transcript, call, position and sample number."""


@dataclass(frozen=True)
class Judged:
    """One explanation with what the scanners of awareness say of it."""

    place: Place
    text: str
    labels: Mapping[str, Label]
    """By scanner; what a grader did not answer is absent."""


@dataclass(frozen=True)
class Item:
    """One explanation that people are asked about. ``stratum`` is for the statistics: nobody who labels may see it."""

    place: Place
    text: str
    stratum: Label

    @property
    def key(self) -> str:
        """A name that tells nothing of where the explanation stands."""
        return hashlib.sha256(repr(self.place).encode("utf-8", "replace")).hexdigest()[:16]

    @property
    def text_sha256(self) -> str:
        return text_hash(self.text)


def deciding_scanner(store: Store) -> str:
    """The scanner whose verdicts decide. Raises ``AuditError`` if the audit has no findings or no explanations."""
    if not store.path(FINDINGS_FILE).is_file():
        raise AuditError(f"The audit in '{store.folder}' has no findings yet.", "Finish it first: repeat the command that began it.")
    findings = store.read_json(FINDINGS_FILE)
    if findings["nla"] is None:
        raise AuditError(f"The audit in '{store.folder}' has no explanations to label.", "Run it with an NLA (--nla).")
    return str(findings["awareness"]["scanner"])


def judged_explanations(store: Store) -> Iterator[Judged]:
    """The explanations that rates rest on: of real activations, of usable transcripts, as they came; one transcript in memory at a time."""
    explanations = aligned(store.read_table(EXPLANATIONS_TABLE, Explanation))
    verdicts = aligned(store.read_table(VERDICTS_TABLE, Verdict))
    for transcript in store.read_table(TRANSCRIPTS_TABLE, Transcript):
        rows, judged = explanations(transcript.transcript_id), verdicts(transcript.transcript_id)
        if transcript.error is not None or transcript.variant != "original":
            continue
        found: dict[Place, dict[str, Label]] = defaultdict(dict)
        for verdict in judged:
            if verdict.position >= 0 and verdict.control == "none" and verdict.scanner.startswith(AWARENESS) and not ungraded(verdict):
                found[verdict.transcript_id, verdict.call_index, verdict.position, verdict.sample][verdict.scanner] = verdict.label
        for row in rows:
            place = row.transcript_id, row.call_index, row.position, row.sample
            if row.control == "none" and row.status in JUDGED_STATUSES and place in found:
                yield Judged(place, row.text, found[place])


def draw(store: Store, size: int, seed: int = 0) -> list[Item]:
    """``size`` explanations, as evenly from the labels of the deciding scanner as there are enough of each, in a shuffled order.

    Which ones, and in which order, follows from the seed and their places alone. A larger sample holds the smaller one of the same seed.
    """
    scanner = deciding_scanner(store)
    counts: Counter[Label] = Counter()
    kept: dict[Label, list[tuple[int, Place, str]]] = defaultdict(list)
    for row in judged_explanations(store):
        stratum = row.labels.get(scanner)
        if stratum is None:
            continue
        counts[stratum] += 1
        entry = (-_lot(seed, "draw", row.place), row.place, row.text)
        heapq.heappush(kept[stratum], entry)
        if len(kept[stratum]) > size:
            heapq.heappop(kept[stratum])
    share = allocate(size, counts)
    items = [Item(place, text, label) for label in LABELS for _, place, text in heapq.nlargest(share[label], kept[label])]
    return sorted(items, key=lambda item: _lot(seed, "order", item.place))


def allocate(size: int, counts: Mapping[Label, int]) -> dict[Label, int]:
    """How many of each label: equal shares, what one cannot fill going to the others."""
    share: dict[Label, int] = dict.fromkeys(LABELS, 0)
    left = min(size, sum(counts.values()))
    while left:
        open_labels = [label for label in LABELS if share[label] < counts.get(label, 0)]
        each = max(1, left // len(open_labels))
        for label in open_labels[:left]:
            taken = min(each, counts[label] - share[label], left)
            share[label] += taken
            left -= taken
    return share


def _lot(seed: int, purpose: str, place: Place) -> int:
    return int.from_bytes(hashlib.sha256(f"{purpose}/{seed}/{place!r}".encode("utf-8", "replace")).digest()[:8], "big")
