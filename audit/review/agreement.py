"""How far scanners and people agree, weighed back from the sample that people saw to all explanations.

People see as many YES as NO, while most explanations may be NO: unweighted figures would hold for the sample only. A row of the
sample therefore counts as many explanations as its label of the deciding scanner has in the audit, divided by how many of these were
labelled (post-stratification). Kappa's interval is a bootstrap within the strata; those of precision and recall are Wilson's with the
effective number of rows (Kish). Rows count as independent, though some come from one transcript.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

from audit.records import Label
from audit.review.labels import LABELS, HumanLabel, read_labels, text_hash
from audit.review.sample import Judged, Place, deciding_scanner, judged_explanations
from audit.statistics import Kappa, WeightedShare, cohens_kappa, weighted_share
from audit.store import Store

AGREEMENT_FILE = "agreement.json"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Row:
    """One explanation that people labelled."""

    people: Mapping[str, Label]
    """By reviewer."""
    scanners: Mapping[str, Label]
    stratum: Label
    moved: bool
    """Whether the deciding scanner says something else now than when the row was drawn."""

    @property
    def consensus(self) -> Label:
        """What most of its reviewers say; without a majority UNCLEAR."""
        (label, count), *_ = Counter(self.people.values()).most_common()
        return label if 2 * count > len(self.people) else "UNCLEAR"


def agreement_of(store: Store, seed: int = 0) -> dict[str, Any] | None:
    """The content of ``agreement.json``; ``None`` where nobody has labelled anything."""
    labels, damaged = read_labels(store)
    if not labels and not damaged:
        return None
    scanner = deciding_scanner(store)
    population, rows, found = _gather(judged_explanations(store), labels, scanner)
    weights = stratum_weights(population, rows)
    reviewers = Counter(label.reviewer for label in labels)
    people = weighted_share([row.consensus == "YES" for row in rows], [weights[row.stratum] for row in rows])
    names = sorted({name for row in rows for name in row.scanners})
    return {
        "schema_version": SCHEMA_VERSION,
        "scanner": scanner,
        "labels": len(labels),
        "rows": len(rows),
        "stale": len(labels) - found,
        "damaged_lines": damaged,
        "population": {label: population[label] for label in LABELS},
        "labelled": {label: sum(row.stratum == label for row in rows) for label in LABELS},
        "reviewers": [{"reviewer": name, "labels": count} for name, count in sorted(reviewers.items())],
        "people_yes": _share(people),
        "scanners": [_against(name, rows, weights, seed) for name in names],
        "between_reviewers": [_between(pair, rows, weights, seed) for pair in combinations(sorted(reviewers), 2)],
        "notes": _notes(population, rows, scanner),
    }


def _gather(judged: Iterable[Judged], labels: Sequence[HumanLabel], scanner: str) -> tuple[Counter[Label], list[Row], int]:
    """How often the scanner says what, the labelled rows, and how many labels are about wording that is still there."""
    wanted: dict[Place, list[HumanLabel]] = defaultdict(list)
    for label in labels:
        wanted[label.place].append(label)
    population: Counter[Label] = Counter()
    rows, found = [], 0
    for row in judged:
        if scanner not in row.labels:
            continue
        population[row.labels[scanner]] += 1
        own = [label for label in wanted.get(row.place, ()) if label.text_sha256 == text_hash(row.text)]
        if own:
            found += len(own)
            people = {label.reviewer: label.label for label in own}
            stratum = row.labels[scanner]
            rows.append(Row(people, row.labels, stratum, any(label.stratum != stratum for label in own)))
    return population, rows, found


def stratum_weights(population: Mapping[Label, int], rows: Sequence[Row]) -> dict[Label, float]:
    """How many explanations each labelled row of a stratum stands for."""
    labelled = Counter(row.stratum for row in rows)
    return {label: population[label] / count for label, count in labelled.items()}


def _against(name: str, rows: Sequence[Row], weights: Mapping[Label, float], seed: int) -> dict[str, Any]:
    """One scanner against people. UNCLEAR is no YES, on either side."""
    both = [row for row in rows if name in row.scanners]
    share = [weights[row.stratum] for row in both]
    people, scanner = [row.consensus for row in both], [row.scanners[name] for row in both]
    said_yes = [(mine == "YES", weight) for mine, its, weight in zip(people, scanner, share, strict=True) if its == "YES"]
    truly_yes = [(its == "YES", weight) for mine, its, weight in zip(people, scanner, share, strict=True) if mine == "YES"]
    kappa = cohens_kappa(people, scanner, weights=share, strata=[row.stratum for row in both], seed=seed) if both else None
    return {
        "scanner": name,
        "rows": len(both),
        **_kappa(kappa),
        "precision": _share(weighted_share(*_columns(said_yes))),
        "recall": _share(weighted_share(*_columns(truly_yes))),
        "confusion": _confusion(people, scanner),
    }


def _columns(pairs: Sequence[tuple[bool, float]]) -> tuple[list[bool], list[float]]:
    return [value for value, _ in pairs], [weight for _, weight in pairs]


def _confusion(people: Sequence[Label], scanner: Sequence[Label]) -> dict[str, dict[str, int]]:
    """Rows by people's label, then by the scanner's; unweighted."""
    counts = Counter(zip(people, scanner, strict=True))
    return {mine: {its: counts[mine, its] for its in LABELS} for mine in LABELS}


def _between(pair: tuple[str, str], rows: Sequence[Row], weights: Mapping[Label, float], seed: int) -> dict[str, Any]:
    """Two reviewers on the rows that both labelled."""
    both = [row for row in rows if pair[0] in row.people and pair[1] in row.people]
    labels = [[row.people[name] for row in both] for name in pair]
    share, strata = [weights[row.stratum] for row in both], [row.stratum for row in both]
    kappa = cohens_kappa(labels[0], labels[1], weights=share, strata=strata, seed=seed) if both else None
    return {"first": pair[0], "second": pair[1], "rows": len(both), **_kappa(kappa)}


def _kappa(found: Kappa | None) -> dict[str, Any]:
    if found is None:
        return {"kappa": None, "kappa_ci": None, "agreement": None}
    return {"kappa": found.value, "kappa_ci": list(found.interval) if found.interval else None, "agreement": found.agreement}


def _share(found: WeightedShare | None) -> dict[str, Any]:
    if found is None:
        return {"count": 0, "of": 0, "rate": None, "ci": None}
    values = asdict(found)
    return {"count": values["count"], "of": values["of"], "rate": found.rate, "ci": list(found.interval)}


def _notes(population: Mapping[Label, int], rows: Sequence[Row], scanner: str) -> list[str]:
    notes = []
    for label in LABELS:
        if population[label] and not any(row.stratum == label for row in rows):
            notes.append(
                f"Nobody has labelled any of the {population[label]} explanations that {scanner} calls {label}: no figure covers them."
            )
    moved = sum(row.moved for row in rows)
    if moved:
        notes.append(f"{scanner} now says something else of {moved} rows than when they were drawn; weights follow what it says now.")
    return notes
