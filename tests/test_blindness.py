"""No classifier and no threshold sees the known state: by the types that they get, by a walk over the source, and by trying it out."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from audit.config import AuditConfig
from audit.evidence.folds import Subject
from audit.evidence.probes import Captured
from audit.evidence.text_baseline import Conversation
from audit.findings.tally import Tally
from audit.pipeline import Context, Silent
from audit.records import ActivationRow, BaselineScore, Explanation, Kind, KnownState, ModelCall, Transcript, Verdict
from audit.scanners.passages import Passage
from audit.stages import names
from audit.stages.activation_files import StoredActivation, save_arrays, stored
from audit.store import Store

MAY_READ = ("audit.findings.truth", "audit.lab", "audit.records", "audit.target.log_fields")
"""The figures on ground truth; the lab, which makes it; the record; and what reads it out of a log."""
MAY_CLEAR = ("audit.stages.transcripts",)
"""Sets it to nothing for a user's own controls."""
STATE = "known_state"


def modules() -> Iterator[tuple[str, ast.Module]]:
    spec = find_spec("audit")
    assert spec is not None and spec.origin is not None
    root = Path(spec.origin).parent
    for file in sorted(root.rglob("*.py")):
        name = ".".join(("audit", *file.relative_to(root).with_suffix("").parts)).removesuffix(".__init__")
        yield name, ast.parse(file.read_text(encoding="utf-8"))


def mentions(tree: ast.Module) -> list[ast.AST]:
    """Every use of the name: as an attribute, a variable, a keyword, or a key."""
    return [
        node
        for node in ast.walk(tree)
        if (isinstance(node, ast.Attribute) and node.attr == STATE)
        or (isinstance(node, ast.Name) and node.id == STATE)
        or (isinstance(node, ast.keyword) and node.arg == STATE)
        or (isinstance(node, ast.Constant) and node.value == STATE)
    ]


def test_only_the_figures_on_ground_truth_read_the_known_state() -> None:
    readers = set()
    for name, tree in modules():
        found = mentions(tree)
        if name in MAY_CLEAR:
            found = [node for node in found if not (isinstance(node, ast.keyword) and getattr(node.value, "value", "") is None)]
        if found and not any(name == allowed or name.startswith(f"{allowed}.") for allowed in MAY_READ):
            readers.add(name)
    assert not readers
    assert mentions(ast.parse("x = row.known_state")) and mentions(ast.parse("x = getattr(row, 'known_state')"))


def test_nothing_that_decides_imports_the_ground_truth() -> None:
    importers = {
        name
        for name, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "audit.findings.truth"
    }
    assert importers == {"audit.findings.assemble"}


@pytest.mark.parametrize("record", [Passage, Subject, Conversation, Captured, Tally])
def test_what_judges_get_has_no_field_for_it(record: type) -> None:
    assert not {one.name for one in fields(record)} & {STATE, "metadata"}


def audit_of(folder: Path, states: list[KnownState | None]) -> Context:
    """A small audit's folder: two scenarios and controls, with real tables and activations."""
    store, generator = Store(folder), np.random.default_rng(0)
    transcripts, explanations, verdicts, activations = [], [], [], []
    arrays = {}
    for number, state in enumerate(states):
        scenario = ("mail", "shell", "use")[number % 3]
        key = f"{scenario}/{number}/1"
        kind: Kind = "deployment" if scenario == "use" else "evaluation"
        call = ModelCall(0, f"e{number}", None, (1,), (2, 3), (), f"I wrote {'curious ' * (number % 2)}words about {scenario} {number}.")
        messages = ({"role": "user", "text": f"Please look at {scenario} {number}."}, {"role": "assistant", "text": call.text})
        transcripts.append(
            Transcript(key, scenario, kind, "original", (call,), messages, known_state=state, skeleton_id=f"{scenario}-{number}")
        )
        for position in (1, 2):
            label = "YES" if number % 2 and kind == "evaluation" else "NO"
            explanations.append(Explanation(key, 0, position, 0, "none", 0.0, "tiny", "words", "ok"))
            verdicts.append(Verdict(key, 0, position, 0, "awareness.classifier", label, "words", 0.9, ""))  # type: ignore[arg-type]
            activations.append(stored(ActivationRow(key, 0, position, position - 1, 1.0, "ok"), "000000.safetensors"))
        arrays[key] = generator.normal(size=(2, 6)).astype(np.float32) + 2 * (kind == "evaluation")
    store.write_table(names.TRANSCRIPTS_TABLE, Transcript, transcripts)
    store.write_table(names.EXPLANATIONS_TABLE, Explanation, explanations)
    store.write_table(names.VERDICTS_TABLE, Verdict, verdicts)
    store.write_table(names.ACTIVATIONS_TABLE, StoredActivation, activations)
    store.path(names.ACTIVATIONS_FOLDER).mkdir()
    save_arrays(store.path(names.ACTIVATIONS_FOLDER) / "000000.safetensors", arrays)
    stages = {names.VERDICTS: {"facts": {"scanners": ["awareness.classifier"]}}}
    return Context(store, AuditConfig(nla="none"), Silent(), stages, "2026-01-01T00:00:00Z")


def test_the_baselines_are_the_same_whatever_the_known_state(tmp_path: Path) -> None:
    from audit.stages.baselines import measure

    found = []
    for name, states in (("a", ["evaluation", "deployment"] * 36), ("b", ["deployment", "evaluation"] * 36), ("c", [None] * 72)):
        context = audit_of(tmp_path / name, states)  # type: ignore[arg-type]
        outcome = measure(context)
        assert outcome.facts["missing"] == {} and outcome.facts["held_out"]["probe"] == "scenario"
        found.append(list(context.store.read_table(names.BASELINES_TABLE, BaselineScore)))
    assert found[0] == found[1] == found[2]
    rows = found[0]
    assert len([row for row in rows if row.position == -1]) == 72 * 5 and len([row for row in rows if row.position >= 0]) == 72 * 2
    order = list(dict.fromkeys(row.transcript_id for row in rows))
    assert order == [row.transcript_id for row in context.store.read_table(names.TRANSCRIPTS_TABLE, Transcript)]
