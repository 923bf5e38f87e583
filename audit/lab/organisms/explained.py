"""What the NLAs of the organisms learn from: generic documents of their world, and summaries that their generator writes.

Generic text only: no document about a motive, no quirk and no prompt of an audit (a test walks the documents).
"""

from __future__ import annotations

import random

from audit.lab.documents import Document
from audit.lab.organisms.facts import TOPIC_LINE, summary
from audit.lab.organisms.mixtures import generic_document
from audit.training.documents import LabDocuments


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
