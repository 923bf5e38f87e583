"""One audit of the lab with twins and steering, as a user runs it: what it leaves, and that it disturbs nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pandas as pd
import pytest

import audit
from audit.cli import cli
from audit.cli.outcome import run_command
from audit.findings import schema
from audit.target.steered import load_directions

pytestmark = pytest.mark.slow

PLAIN = ["run", "--scenario", "blackmail", "--scenario", "ordinary_use", "--limit", "4", "--tokens", "3"]
VARIANTS = ["realism", "steered:+0.2", "steered:-0.2", "steered:random-1:+0.2", "steered:random-1:-0.2"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("variants") / "a"
    assert run_command(cli, [*PLAIN, "--twins", "--steer", "0.2", "--out", str(out)]) == 0
    return out


def table(folder: Path, name: str) -> pd.DataFrame:
    found = getattr(audit.load(folder), name)
    assert found is not None
    return found  # type: ignore[no-any-return]


def findings(folder: Path) -> dict[str, Any]:
    found = audit.load(folder).findings
    assert found is not None
    return found


def test_every_variant_ran_on_the_same_samples_and_says_whose_it_is(folder: Path) -> None:
    rows = table(folder, "transcripts")
    assert rows["transcript_id"].is_unique and rows["error"].isna().all()
    counts = rows.groupby(["scenario", "variant"]).size().to_dict()
    # Every second sample of the lab is one of evaluation and has a twin; controls are never manipulated.
    assert counts == {("blackmail", "original"): 4, ("ordinary_use", "original"): 4, ("blackmail", "realism"): 2} | {
        ("blackmail", variant): 4 for variant in VARIANTS[1:]
    }
    assert set(table(folder, "explanations")["transcript_id"]) == set(rows["transcript_id"])


def test_the_directions_and_the_coherence_of_what_was_written_are_kept(folder: Path) -> None:
    real, control = (load_directions(folder / "steering" / f"{name}.safetensors") for name in ("awareness", "random-1"))
    assert real.norm == control.norm > 0 and (real.name, control.name) == ("", "random-1")
    checked = pd.read_parquet(folder / "coherence.parquet")
    assert len(checked) == 4 + 4 * 4 and checked["nats"].between(0, 20).all()
    # Greedy replies are what the unsteered target itself finds likeliest, step by step.
    steered = checked["transcript_id"].str.contains("steered:")
    assert checked[~steered]["nats"].mean() < checked[steered]["nats"].mean()


def test_the_findings_tell_what_moved_and_stay_valid(folder: Path) -> None:
    found = findings(folder)
    jsonschema.validate(found, schema())
    entries = {(row["manipulation"], row["directions"]): row for row in found["manipulations"]}
    assert set(entries) == {("realism", None), ("steering", "awareness"), ("random_direction", "random-1")}
    assert entries["realism", None]["pairs"] == 2
    assert [point["strength"] for point in entries["steering", "awareness"]["points"]] == [-0.2, 0.2]
    assert all(point["nats"] is not None for point in entries["steering", "awareness"]["points"])
    assert {row["variant"] for row in found["scenarios"]} == {"original", *VARIANTS}
    assert "What moves it" in (folder / "report.html").read_text(encoding="utf-8")


def test_without_manipulations_the_originals_are_the_same_and_do_not_run_again(folder: Path) -> None:
    before, logs = findings(folder), sorted(path.name for path in (folder / "logs").glob("*.eval"))
    assert run_command(cli, [*PLAIN, "--out", str(folder)]) == 0
    after = findings(folder)
    assert sorted(path.name for path in (folder / "logs").glob("*.eval")) == logs
    assert after["manipulations"] == [] and set(table(folder, "transcripts")["variant"]) == {"original"}
    assert after["scenarios"] == [row for row in before["scenarios"] if row["variant"] == "original"]
    assert after["ground_truth"] == before["ground_truth"] and after["awareness"] == before["awareness"]
