"""What the transcript explorer shows, as plain data: an index of all conversations, and each conversation when it is asked for.

A pure function of an audit's tables. Texts are raw, cut to ``Limits``; the page makes them harmless where it shows them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from reports.evidence import place_key
from reports.explorer_talk import places_of, turns_of
from reports.explorer_token import cut, examined_of, named, said_of, verdicts_of
from reports.reading import decoded, integer, mapping, mappings, number, text
from reports.text import CLAIM, EXPLANATION, MESSAGE, address_name, anchor

if TYPE_CHECKING:
    import pandas as pd

    from reports.view import AuditTables

LEVELS = ("observed", "corroborated", "causal")
"""The weakest first."""
LETTERS = {"YES": "Y", "UNCLEAR": "U", "NO": "N"}
UNJUDGED = "-"
STEPS = (0.2, 0.4, 0.6, 0.8)

Place = tuple[int, int]
"""Call index and position of a token."""


@dataclass(frozen=True)
class Limits:
    """How much of an audit the page takes in."""

    explanation: int = EXPLANATION
    """Characters of an explanation."""
    message: int = MESSAGE
    texts: int | None = None
    """How many tokens keep their explanation, the most interesting first; ``None``: all."""
    transcripts: int | None = None


class Rows:
    """A table's rows by transcript, read from its columns without a copy of each row."""

    def __init__(self, table: pd.DataFrame | None) -> None:
        usable = table is not None and "transcript_id" in table.columns
        self.columns: dict[str, list[Any]] = {} if table is None or not usable else {str(key): table[key].tolist() for key in table.columns}
        self.places: dict[str, list[int]] = {}
        for at, name in enumerate(self.columns.get("transcript_id", ())):
            self.places.setdefault(text(name), []).append(at)

    def of(self, name: str) -> list[dict[str, Any]]:
        """The rows of one transcript, in their order."""
        return [{key: column[at] for key, column in self.columns.items()} for at in self.places.get(name, ())]


class Explorer:
    """An audit to be explored. ``index`` names every conversation and its verdicts; ``conversation`` gives one in full."""

    def __init__(self, tables: AuditTables) -> None:
        findings = mapping(tables.findings)
        self.transcripts, self.sites = Rows(tables.transcripts), Rows(tables.sites)
        self.explanations, self.verdicts, self.evidence = Rows(tables.explanations), Rows(tables.verdicts), Rows(tables.evidence)
        self.names = list(self.transcripts.places)
        self.findings = mappings(findings.get("findings"))
        self.awareness = text(mapping(findings.get("awareness")).get("scanner"))
        self.pointed = _pointed(self.findings)
        self.quoted = _quoted(findings)

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def scanners(self) -> list[str]:
        """Scanners of explanations, the one that awareness is measured by first."""
        columns = self.verdicts.columns
        found = {text(name) for name, at in zip(columns.get("scanner", ()), columns.get("position", ()), strict=False) if at != -1}
        return sorted(found, key=lambda name: (name != self.awareness, name))

    @cached_property
    def labels(self) -> dict[str, dict[Place, dict[str, str]]]:
        """Labels of real activations by transcript, place and scanner; of several samples the one nearest to YES."""
        columns, found = self.verdicts.columns, {}
        wanted = ("transcript_id", "call_index", "position", "scanner", "label")
        controls = columns.get("control") or ["none"] * len(columns.get("label", ()))
        found = {name: dict[Place, dict[str, str]]() for name in self.names}
        for name, call, position, scanner, label, control in zip(*(columns.get(key, ()) for key in wanted), controls, strict=False):
            if position == -1 or (control not in (None, "none") and control == control) or name not in found:
                continue
            at = found[name].setdefault((call, position), {})
            at[text(scanner)] = max(at.get(text(scanner), UNJUDGED), LETTERS.get(text(label), UNJUDGED), key="-NUY".index)
        return found

    def places(self, name: str) -> list[Place]:
        """The tokens that were read in a transcript, in their order."""
        found: set[Place] = set()
        for table in (self.sites, self.explanations):
            calls, positions = table.columns.get("call_index"), table.columns.get("position")
            if calls and positions:
                found.update((calls[at], positions[at]) for at in table.places.get(name, ()))
        return sorted(place for place in found if None not in (integer(place[0]), integer(place[1])))

    def index(self, limits: Limits | None = None) -> dict[str, Any]:
        """All conversations with what the list and its filters need."""
        scenarios: dict[tuple[str, ...], int] = {}
        rows = [self._entry(name, scenarios) for name in self.kept(limits or Limits())]
        return {
            "scanners": [named(name) for name in self.scanners],
            "scenarios": [{"name": name, "kind": kind, "variant": variant} for name, kind, variant in scenarios],
            "steps": self._steps(),
            "findings": [_finding(row) for row in self.findings],
            "transcripts": rows,
        }

    def kept(self, limits: Limits) -> list[str]:
        """The transcripts that are shown; where not all are, those that findings rest on or the report quotes before the others."""
        if limits.transcripts is None or limits.transcripts >= len(self.names):
            return self.names
        chosen = set(sorted(self.names, key=lambda name: (name not in self.pointed, name not in self.quoted))[: limits.transcripts])
        return [name for name in self.names if name in chosen]

    def _entry(self, name: str, scenarios: dict[tuple[str, ...], int]) -> dict[str, Any]:
        row = self.transcripts.of(name)[0]
        key = (named(row.get("scenario")) or "unknown", named(row.get("kind")) or "unknown", named(row.get("variant")) or "original")
        labels, places = self.labels.get(name, {}), self.places(name)
        pointing = {one for found in self.pointed.get(name, {}).values() for one in found}
        entry = {
            "id": address_name(name),
            "scenario": scenarios.setdefault(key, len(scenarios)),
            "tokens": len(places),
            "labels": ["".join(labels.get(place, {}).get(scanner, UNJUDGED) for place in places) for scanner in self.scanners],
            "level": max((_level(self.findings[one]) for one in pointing), default=0),
            "findings": sorted(pointing),
            "state": named(row.get("known_state")),
            "scores": {named(key): number(value) for key, value in mapping(decoded(row.get("scores"))).items()},
            "error": cut(text(row.get("error")), CLAIM)["text"],
        }
        return {key: value for key, value in entry.items() if value not in ("", [], {})}

    def _steps(self) -> list[float]:
        """The cosines that divide the audit's explanations into fifths; empty if none was measured."""
        columns = self.explanations.columns
        controls = columns.get("control") or ["none"] * len(columns.get("cosine", ()))
        known = sorted(
            value for cosine, control in zip(columns.get("cosine", ()), controls, strict=False)
            if control in (None, "none") and (value := number(cosine)) is not None
        )  # fmt: skip
        return [round(known[int(step * len(known))], 4) for step in STEPS] if known else []

    def ranked(self) -> list[tuple[str, Place]]:
        """Every token that was read, the most interesting first: what findings rest on, what is quoted or examined, YES, UNCLEAR, others.

        Within a rank all transcripts have their turn, so that none is left bare.
        """
        order = []
        for name in self.names:
            pointed, labels = self.pointed.get(name, {}), self.labels.get(name, {})
            examined = {place_key(row)[1:3] for row in self.evidence.of(name)} | self.quoted.get(name, set())
            for turn, place in enumerate(self.places(name)):
                found = set(labels.get(place, {}).values())
                rank = 0 if place in pointed else 1 if place in examined else 2 if found & {"Y", "U"} else 3
                order.append((rank, turn, name, place))
        return [(name, place) for _, _, name, place in sorted(order, key=lambda entry: entry[:2])]

    def conversation(self, name: str, limits: Limits | None = None, kept: set[tuple[str, Place]] | None = None) -> dict[str, Any]:
        """One transcript: its turns, and the tokens that were read with all that is known of each.

        ``kept``: the tokens whose explanations are wanted; ``None`` for all.
        """
        limits = limits or Limits()
        places = self.places(name)
        sites = {(row.get("call_index"), row.get("position")): row for row in self.sites.of(name)}
        verdicts, said = verdicts_of(self.verdicts.of(name)), _by_place(self.explanations.of(name))
        examined = _by_place(self.evidence.of(name))
        tokens = []
        for place in places:
            site = sites.get(place, {})
            token = {"call": place[0], "position": place[1], "token": text(site.get("token"))[:80], "role": named(site.get("role"))}
            wanted = limits.explanation if kept is None or (name, place) in kept else 0
            token["said"] = [said_of(row, verdicts, wanted) for row in said.get(place, [])]
            token["examined"] = [examined_of(row, wanted) for row in examined.get(place, [])]
            token["findings"] = self.pointed.get(name, {}).get(place, [])
            tokens.append({key: value for key, value in token.items() if value not in ("", [])})
        known = places_of(sites.values())
        return {"tokens": tokens, **turns_of(self.transcripts.of(name)[0], tokens, verdicts, limits.message, known)}

    def search(self, query: str) -> dict[str, list[int]]:
        """The tokens whose explanation holds the words, whatever their case: by transcript's number, numbers of its tokens."""
        columns, wanted = self.explanations.columns, query.lower()
        numbers = {name: at for at, name in enumerate(self.names)}
        found: dict[str, set[Place]] = {}
        controls = columns.get("control") or ["none"] * len(columns.get("text", ()))
        keys = ("text", "transcript_id", "call_index", "position")
        for body, name, call, position, control in zip(*(columns.get(key, ()) for key in keys), controls, strict=False):
            if control in (None, "none") and name in numbers and isinstance(body, str) and wanted in body.lower():
                found.setdefault(name, set()).add((call, position))
        return {str(numbers[name]): [at for at, place in enumerate(self.places(name)) if place in places] for name, places in found.items()}


def _pointed(findings: Iterable[dict[str, Any]]) -> dict[str, dict[Place, list[int]]]:
    """By transcript and place, the findings (by number) that rest on it."""
    found: dict[str, dict[Place, list[int]]] = {}
    for at, row in enumerate(findings):
        for piece in mappings(row.get("evidence")):
            name, call, position, _ = place_key(piece)
            place = (-1 if call is None else call, -1 if position is None else position)
            pointing = found.setdefault(name, {}).setdefault(place, [])
            if at not in pointing:
                pointing.append(at)
    return found


def _quoted(findings: dict[str, Any]) -> dict[str, set[tuple[int | None, int | None]]]:
    """By transcript, the places that the report quotes beside its findings and links to: of themes, and of scanners."""
    rows = [quote for theme in mappings(mapping(findings.get("motives")).get("themes")) for quote in mappings(theme.get("quotes"))]
    rows += [piece for row in mappings(findings.get("scanner_rates")) for piece in mappings(row.get("strongest"))]
    found: dict[str, set[tuple[int | None, int | None]]] = {}
    for row in rows:
        name, call, position, _ = place_key(row)
        found.setdefault(name, set()).add((call, position))
    return found


def _finding(row: dict[str, Any]) -> dict[str, Any]:
    name = text(row.get("id")) or text(row.get("claim"))
    return {"anchor": anchor("finding", name), "claim": cut(text(row.get("claim")), CLAIM)["text"], "level": _level(row)}


def _level(row: dict[str, Any]) -> int:
    """1 for observed, 2 for corroborated, 3 for causal; 0 for none."""
    level = text(row.get("level"))
    return LEVELS.index(level) + 1 if level in LEVELS else 0


def _by_place(rows: list[dict[str, Any]]) -> dict[Place, list[dict[str, Any]]]:
    found: dict[Place, list[dict[str, Any]]] = {}
    for row in rows:
        call, position = integer(row.get("call_index")), integer(row.get("position"))
        if call is not None and position is not None:
            found.setdefault((call, position), []).append(row)
    return found
