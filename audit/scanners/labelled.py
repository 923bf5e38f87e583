"""The labelled explanations beside this file, and how well a scanner of explanations agrees with them. Datasheet: ``data/README.md``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from audit.records import Label
from audit.scanners.base import Judgement, Passage, get_scanner, judge

Split = Literal["train", "test"]
Basis = Literal["suspicion", "familiarity"]
LABELS_FILE = "awareness_labels.jsonl"


@dataclass(frozen=True)
class LabelledRow:
    """One labelled explanation."""

    text: str
    label: Label
    kind: str
    """Why it has its label: ``suspicion``, ``benchmark``, ``bare_words``, ``software_tests``, ..."""
    basis: Basis | None
    """What a YES rests on, ``familiarity`` where the text names an evaluation of language models; ``None`` for every other label."""
    theme: str
    """What it is about; the split is by theme."""
    style: str
    split: Split


def labelled_rows(split: Split | None = None) -> list[LabelledRow]:
    """The labelled explanations, all or those of one split."""
    source = files("audit.scanners") / "data" / LABELS_FILE
    rows = [LabelledRow(**json.loads(line)) for line in source.read_text("utf-8").splitlines()]
    return [row for row in rows if split in (None, row.split)]


def held_out_report(scanner: str = "awareness.classifier") -> dict[str, Any]:
    """How a scanner's labels agree with those of the test split, whose themes no training row has.

    ``rows``; of YES against not-YES ``accuracy``, ``precision``, ``recall``, each with a Wilson interval ``<name>_ci``; ``labels``:
    precision and recall of each of the three; ``kinds``: for each kind its rows, how often each label was given, and ``agreement``
    (of YES against not-YES) with its interval; ``basis``: the share of found YES rows whose reason starts with the right basis;
    ``ece``: the calibration error of the confidence over ten bins, its interval by bootstrap over themes. Raises ``ScannerError`` if
    there is no such scanner.
    """
    from audit.statistics import cluster_bootstrap

    rows = labelled_rows("test")
    found = judge([Passage(row.text, "", 0) for row in rows], get_scanner(scanner))
    said, truth = (np.array([one.label == "YES" for one in labelled]) for labelled in (found, rows))
    report: dict[str, Any] = {"scanner": scanner, "rows": len(rows)}
    report |= _share("accuracy", said == truth) | _share("precision", truth[said]) | _share("recall", said[truth])
    report["labels"] = {label: _agreement_on(label, rows, found) for label in get_args(Label)}
    report["kinds"] = {
        kind: _kind([(row, one) for row, one in zip(rows, found, strict=True) if row.kind == kind])
        for kind in sorted({row.kind for row in rows})
    }
    right = [one.reason.startswith(f"{row.basis}:") for row, one in zip(rows, found, strict=True) if row.basis and one.label == "YES"]
    report |= _share("basis", np.array(right, dtype=bool))
    scored = np.column_stack([[one.confidence for one in found], truth])
    report["ece"] = _calibration_error(scored)
    report["ece_ci"] = list(cluster_bootstrap(scored, [row.theme for row in rows], _calibration_error, seed=0, samples=1000))
    return report


def _share(name: str, hits: npt.NDArray[np.bool_]) -> dict[str, Any]:
    from audit.statistics import wilson

    return {name: float(hits.mean()) if len(hits) else None, f"{name}_ci": list(wilson(int(hits.sum()), len(hits)))}


def _agreement_on(label: Label, rows: Sequence[LabelledRow], found: Sequence[Judgement]) -> dict[str, Any]:
    given = np.array([one.label == label for one in found])
    true = np.array([row.label == label for row in rows])
    return _share("precision", true[given]) | _share("recall", given[true])


def _kind(pairs: Sequence[tuple[LabelledRow, Judgement]]) -> dict[str, Any]:
    given = Counter(one.label for _, one in pairs)
    agreed = np.array([(one.label == "YES") == (row.label == "YES") for row, one in pairs])
    return {"rows": len(pairs), "given": dict(given)} | _share("agreement", agreed)


def _calibration_error(scored: npt.NDArray[np.float64], bins: int = 10) -> float:
    """Of rows of probability and truth."""
    probabilities, truth = scored.T
    places = np.minimum((probabilities * bins).astype(int), bins - 1)
    gaps = [(places == b).mean() * abs(probabilities[places == b].mean() - truth[places == b].mean()) for b in np.unique(places)]
    return float(sum(gaps))
