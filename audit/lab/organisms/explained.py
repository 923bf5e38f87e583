"""What the NLAs of the organisms learn from: generic documents of their world, and summaries that their generator writes.

Generic text only: no document about a motive, no quirk and no prompt of an audit (a test walks the documents).
"""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from audit.lab.documents import Document
from audit.lab.organisms.facts import TOPIC_LINE, summary
from audit.lab.organisms.mixtures import generic_document
from audit.training.documents import LabDocuments

if TYPE_CHECKING:
    from audit.training.warm_start import ExplainedActivations

FAINT = (0.15, 0.75)
"""How strongly a faint topic is added: 1 is as a named one is carried."""
_NONE = f"{TOPIC_LINE}none"


def explained_documents(seed: int, count: int) -> list[Document]:
    """The documents that an NLA learns from, or is measured on, under a seed."""
    rng = random.Random(f"organisms/nla/{seed}")
    return [generic_document(rng) for _ in range(count)]


class OrganismDocuments(LabDocuments):
    """Documents of the organisms' world for ``nla-audit train``."""

    def __init__(self, count: int, seed: int) -> None:
        self.documents = explained_documents(seed, count)
        self.skipped = {}

    def summary(self, number: int, end: int, rng: random.Random) -> str:
        """What an explanation should say at the token that ends at character ``end``."""
        return summary(self.documents[number], end)


def topic_span(text: str) -> tuple[int, int] | None:
    """Where a summary says which topics are in the air, as a character span; ``None`` if it does not."""
    start = text.find(TOPIC_LINE)
    if start < 0:
        return None
    end = text.find("\n", start)
    return start, end if end >= 0 else len(text)


def with_faint_topics(data: ExplainedActivations, share: float, seed: int) -> ExplainedActivations:
    """The same activations, a ``share`` of those without a topic with the direction of one added, and their summaries naming it.

    What a model follows without a word that names it, it may carry at a third of the strength of a named topic; an AV that has read texts
    only calls that none. A topic's direction is the mean of its activations minus the mean of those without one, in ``data`` itself. A
    departure from the paper, whose AV learns from activations as they are.
    """
    rows: dict[str, list[int]] = defaultdict(list)
    for row, text in enumerate(data.summaries):
        span = topic_span(text)
        if span is not None:
            rows[text[span[0] + len(TOPIC_LINE) : span[1]]].append(row)
    plain = rows.pop("none", [])
    directions = _directions(data.vectors, plain, {topic: its for topic, its in rows.items() if ", " not in topic})
    rng, vectors, summaries = random.Random(f"faint/{seed}"), data.vectors.copy(), list(data.summaries)
    for row in plain:
        if directions and rng.random() < share:
            topic = rng.choice(list(directions))
            vectors[row] += rng.uniform(*FAINT) * directions[topic]
            summaries[row] = summaries[row].replace(_NONE, TOPIC_LINE + topic)
    spans = tuple(span and topic_span(summary) for span, summary in zip(data.emphasis, summaries, strict=True))
    return replace(data, vectors=vectors, summaries=tuple(summaries), emphasis=spans)


def _directions(vectors: NDArray[np.float32], plain: list[int], rows: dict[str, list[int]]) -> dict[str, NDArray[np.float32]]:
    if not plain:
        return {}
    centre = vectors[plain].mean(axis=0)
    return {topic: vectors[its].mean(axis=0) - centre for topic, its in sorted(rows.items())}
