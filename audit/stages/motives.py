"""After the verdicts: what the explanations speak of more than a reference set does, found over the whole corpus.

The reference is this audit's own control transcripts (deployment), or the explanations of another audit: the base model's, say, in the
scenarios that both have, so that what a scenario is about cancels out. Only transcripts of the variant ``original`` take part: what a
rewritten prompt or a push on the activations adds would be found again as a theme.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.errors import AuditError
from audit.findings.tally import aligned
from audit.pipeline import Context, Outcome
from audit.records import Explanation, Motive, MotiveQuote, Transcript
from audit.stages.names import EXPLANATIONS_TABLE, MOTIVES_TABLE, TRANSCRIPTS_TABLE
from audit.store import Store

if TYPE_CHECKING:
    from audit.scanners.base import Passage
    from audit.scanners.motives import Theme

MINIMUM_TRANSCRIPTS = 12
"""On each side: with fewer, chance alone deals out transcripts unevenly so often that nothing can stand out."""
MOST_EXPLANATIONS = 20_000
"""Of each side; of more, a sample by the hash of their places, so that memory does not grow with the audit."""
NAMED_WORDS = 5
Keep = Callable[[Transcript], bool]


@dataclass(frozen=True)
class Corpus:
    """The explanations of one side."""

    passages: list[Passage]
    owners: dict[str, str]
    """Transcript ids by the opaque key that passages carry."""
    explanations: int
    """Before sampling."""


@dataclass(frozen=True)
class Sides:
    """What is compared with what."""

    mine: Keep
    theirs: Keep
    store: Store
    """Where the reference is."""
    about: dict[str, Any]


def find(context: Context) -> Outcome:
    """Writes the themes, the most over-represented first; where there is too little to compare, none, and says why."""
    from audit.scanners.motives import find_themes

    store = context.store
    sides = _sides(context)
    mine, theirs = gather(store, sides.mine), gather(sides.store, sides.theirs)
    about = sides.about | {
        "studied": _size(mine),
        "reference": _size(theirs),
    }
    why = too_little(mine, theirs)
    themes = [] if why else find_themes(mine.passages, theirs.passages, _said(store, sides.mine, mine), seed=context.config.seed)
    store.write_table(MOTIVES_TABLE, Motive, (motive(theme, mine) for theme in themes))
    notes = [note for note in (about.pop("note"), why if mine.explanations else "") if note]
    return Outcome(counts={"themes": len(themes)}, notes=tuple(notes), facts=about | {"why_not": why})


def _size(corpus: Corpus) -> dict[str, int]:
    return {"transcripts": len(corpus.owners), "explanations": corpus.explanations, "compared": len(corpus.passages)}


def _sides(context: Context) -> Sides:
    """The transcripts of both sides. Raises ``AuditError`` if the reference is no audit, or this one."""
    store, name = context.store, context.config.reference
    if name is None:
        return Sides(_studied, _control, store, {"compared_with": "controls", "audit": None, "note": ""})
    other = open_reference(name)
    if other.folder.resolve() == store.folder.resolve():
        raise AuditError("An audit cannot be its own reference.", "Name another audit's folder with --reference.")
    shared = _scenarios(store) & _scenarios(other)
    note = "" if shared else f"No scenario is in both audits, so a theme against '{name}' may only tell what the scenarios are about."
    target = other.manifest().get("config", {}).get("target")
    other_audit = {"folder": name, "target": target, "shared_scenarios": sorted(shared)}
    about: dict[str, Any] = {"compared_with": "audit", "audit": other_audit, "note": note}

    def keep(row: Transcript) -> bool:
        return _whole(row) and (not shared or row.scenario in shared)

    return Sides(keep, keep, other, about)


def open_reference(name: str) -> Store:
    """The folder of another audit that holds explanations. Raises ``AuditError`` if it is none, or holds none."""
    other = Store(Path(name).expanduser(), create=False)
    if not all(Path(table).is_file() for table in reference_tables(name)) or other.count_rows(EXPLANATIONS_TABLE) == 0:
        raise AuditError(f"The audit in '{name}' holds no explanations to compare with.", "Name one that was run with an NLA.")
    return other


def reference_tables(name: str | None) -> list[str]:
    """The files of another audit that the themes depend on."""
    return [] if name is None else [str(Path(name).expanduser() / table) for table in (TRANSCRIPTS_TABLE, EXPLANATIONS_TABLE)]


def _whole(row: Transcript) -> bool:
    return row.error is None and row.variant == "original"


def _studied(row: Transcript) -> bool:
    return _whole(row) and row.kind != "deployment"


def _control(row: Transcript) -> bool:
    return _whole(row) and row.kind == "deployment"


def _scenarios(store: Store) -> set[str]:
    return {row.scenario for row in store.read_table(TRANSCRIPTS_TABLE, Transcript) if _whole(row)}


def gather(store: Store, keep: Keep, most: int = MOST_EXPLANATIONS) -> Corpus:
    """The explanations of real activations of the transcripts that are kept, in order; at most ``most`` of them."""
    from audit.scanners.base import explanation_passages, group_key

    take = aligned(store.read_table(EXPLANATIONS_TABLE, Explanation))
    owners: dict[str, str] = {}
    drawn: list[tuple[int, int, Passage]] = []
    count = 0
    for transcript in store.read_table(TRANSCRIPTS_TABLE, Transcript):
        rows = take(transcript.transcript_id)
        if not keep(transcript):
            continue
        for passage in explanation_passages(row for row in rows if row.control == "none"):
            owners[group_key(transcript.transcript_id)] = transcript.transcript_id
            count += 1
            entry = (-_lot(passage), count, passage)
            if len(drawn) < most:
                heapq.heappush(drawn, entry)
            else:
                heapq.heappushpop(drawn, entry)
    return Corpus([passage for _, _, passage in sorted(drawn, key=lambda entry: entry[1])], owners, count)


def _lot(passage: Passage) -> int:
    place = f"{passage.group}/{passage.call_index}/{passage.position}/{passage.sample}"
    return int.from_bytes(hashlib.sha256(place.encode()).digest()[:7], "big")


def too_little(mine: Corpus, theirs: Corpus) -> str:
    """In words why nothing can be compared; empty if it can."""
    if not mine.explanations:
        return "Motives were not looked for: there is no explanation of a transcript that is no control."
    counts = len(mine.owners), len(theirs.owners)
    if min(counts) >= MINIMUM_TRANSCRIPTS:
        return ""
    return (
        f"Motives were not looked for: {counts[0]} transcripts with explanations stand against {counts[1]} of the reference, and each "
        f"side needs {MINIMUM_TRANSCRIPTS}. Run more samples, bring controls with --controls LOGS, or name another audit with --reference."
    )


def _said(store: Store, keep: Keep, corpus: Corpus) -> Iterator[Passage]:
    """The target's own turns of the transcripts that were studied, one transcript in memory at a time."""
    from audit.scanners.base import turn_passages

    for transcript in store.read_table(TRANSCRIPTS_TABLE, Transcript):
        if keep(transcript):
            yield from (turn for turn in turn_passages(transcript) if turn.group in corpus.owners)


def motive(theme: Theme, corpus: Corpus) -> Motive:
    """A theme as a record, with the transcripts' own ids."""
    quotes = tuple(
        MotiveQuote(quote.text, corpus.owners[quote.group], quote.call_index, quote.position, quote.sample) for quote in theme.quotes
    )
    return Motive(
        theme=", ".join(theme.terms[:NAMED_WORDS]), words=theme.terms, log_odds=theme.log_odds, z=theme.z, p=theme.p,
        explanations=theme.explanations, explanations_of=theme.explanations_of,
        transcripts=theme.transcripts, transcripts_of=theme.transcripts_of, transcripts_ci=theme.transcripts_interval,
        reference_transcripts=theme.reference_transcripts, reference_of=theme.reference_of,
        said_transcripts=theme.said_transcripts, quotes=quotes,
    )  # fmt: skip
