"""The pipeline on a table of small stages with real files: what runs again, what does not, and what a kill costs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from audit.config import AuditConfig
from audit.errors import AuditError
from audit.pipeline import Context, Outcome, Silent, Stage, run_pipeline
from audit.records import Site
from audit.store import MANIFEST, Store

RAN: list[str] = []


def sites(count: int) -> list[Site]:
    return [Site(f"t/{number}/1", 0, number, "x", "response", "random") for number in range(count)]


def first(context: Context) -> Outcome:
    RAN.append("first")
    context.store.write_table("first.parquet", Site, sites(context.config.tokens))
    return Outcome(counts={"sites": context.config.tokens}, notes=("something was left out",))


def second(context: Context) -> Outcome:
    RAN.append("second")
    rows = list(context.store.read_table("first.parquet", Site))
    context.store.write_json("second.json", [row.position for row in rows])
    return Outcome(facts={"notes": context.stages["first"]["notes"]})


def apart(context: Context) -> Outcome:
    RAN.append("apart")
    context.store.write_json("apart.json", context.config.seed)
    return Outcome(failures={"odd": 1})


def table(external: Any = None) -> list[Stage]:
    return [
        Stage("first", "First", first, ("first.parquet",), settings=("tokens",), external=external),
        Stage("second", "Second", second, ("second.json",), inputs=("first",)),
        Stage("apart", "Apart", apart, ("apart.json",), settings=("seed",)),
    ]


def run(store: Store, stages: list[Stage] | None = None, **settings: Any) -> list[str]:
    RAN.clear()
    run_pipeline(stages or table(), store, AuditConfig(**settings))
    return list(RAN)


def test_only_what_depends_on_a_change_runs_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert run(store, tokens=3) == ["first", "second", "apart"]
    assert run(store, tokens=3) == []
    assert run(store, tokens=4) == ["first", "second"]
    assert store.read_json("second.json") == [0, 1, 2, 3]
    assert run(store, tokens=4, seed=1) == ["apart"]
    assert run(store, tokens=4, seed=1, limit=7) == []


def test_a_lost_or_changed_output_is_made_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    run(store)
    store.path("second.json").unlink()
    assert run(store) == ["second"]
    store.path("apart.json").write_text("99")
    assert run(store) == ["apart"]
    assert store.read_json("apart.json") == 0


def test_what_lies_outside_the_folder_counts(tmp_path: Path) -> None:
    store = Store(tmp_path)
    run(store, table(lambda config: "weights 1"))
    assert run(store, table(lambda config: "weights 1")) == []
    # The outputs are the same, so nothing behind the first stage has changed.
    assert run(store, table(lambda config: "weights 2")) == ["first"]


def test_the_manifest_tells_what_was_done(tmp_path: Path) -> None:
    store = Store(tmp_path)
    run(store, tokens=3)
    manifest = store.manifest()
    assert manifest["config"]["tokens"] == 3 and manifest["versions"]["python"]
    entry = manifest["stages"]["first"]
    assert entry["status"] == "done" and entry["counts"] == {"sites": 3} and entry["notes"] == ["something was left out"]
    assert len(entry["outputs"]["first.parquet"]) == 64 and entry["seconds"] >= 0
    assert manifest["stages"]["second"]["facts"] == {"notes": ["something was left out"]}
    created = manifest["created"]
    run(store, tokens=4)
    assert store.manifest()["created"] == created


def test_an_error_is_noted_and_the_next_run_goes_on(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def broken(context: Context) -> Outcome:
        raise AuditError("The file is not there.", "Bring it.")

    stages = table()
    with pytest.raises(AuditError, match="not there"):
        run(store, [stages[0], Stage("second", "Second", broken, ("second.json",), inputs=("first",))])
    assert store.manifest()["stages"]["second"]["status"] == "failed"
    assert store.manifest()["stages"]["second"]["reason"] == "The file is not there."
    assert run(store) == ["second", "apart"]


def test_shards_of_other_inputs_are_not_used(tmp_path: Path) -> None:
    store = Store(tmp_path)
    seen = []

    def stop_half_way(context: Context) -> Outcome:
        folder = context.store.workspace("first")
        seen.append(sorted(path.name for path in context.store.path(folder).iterdir()))
        context.store.write_json(f"{folder}/shard.json", 1)
        raise AuditError("stopped")

    stage = Stage("first", "First", stop_half_way, ("first.parquet",), settings=("seed",))
    for seed in (0, 0, 1):
        with pytest.raises(AuditError):
            run_pipeline([stage], store, AuditConfig(seed=seed), Silent())
    assert seen == [[], ["shard.json"], []]


WORKER = """
import sys, time
from audit.config import AuditConfig
from audit.pipeline import Outcome, Stage, run_pipeline
from audit.records import Site
from audit.store import Store

def shards(context):
    folder = context.store.workspace("shards")
    names = []
    for number in range(12):
        names.append(f"{folder}/{number}.parquet")
        if not context.store.path(names[-1]).exists():
            with open(sys.argv[2], "a") as log:
                log.write(f"{number}\\n")
            context.store.write_table(names[-1], Site, [Site("t", 0, number * 100 + row, "x", "response", "all") for row in range(100)])
            time.sleep(0.02)
    rows = (row for name in names for row in context.store.read_table(name, Site))
    return Outcome(counts={"rows": context.store.write_table("sites.parquet", Site, rows)})

def total(context):
    rows = context.store.read_table("sites.parquet", Site)
    context.store.write_json("total.json", sum(row.position for row in rows))
    return Outcome()

store = Store(sys.argv[1])
stages = [
    Stage("shards", "", shards, ("sites.parquet",), settings=("seed",)),
    Stage("total", "", total, ("total.json",), inputs=("shards",)),
]
with store.lock():
    print("begun", flush=True)
    run_pipeline(stages, store, AuditConfig())
"""


@pytest.mark.slow
def test_killed_at_ten_moments_it_ends_as_if_undisturbed(tmp_path: Path) -> None:
    worker, done = tmp_path / "worker.py", tmp_path / "shards-made"
    worker.write_text(WORKER)

    def start(folder: str, log: Path) -> subprocess.Popen[str]:
        return subprocess.Popen([sys.executable, str(worker), str(tmp_path / folder), str(log)], stdout=subprocess.PIPE, text=True)

    calm = start("calm", tmp_path / "calm-made")
    assert calm.wait(120) == 0
    kills = 0
    for number in range(10):
        process = start("killed", done)
        assert process.stdout is not None and process.stdout.readline() == "begun\n"
        time.sleep(0.01 + 0.035 * (number % 5))
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.wait(60)
    last = start("killed", done)
    assert last.wait(120) == 0
    assert kills >= 3
    for name in ("sites.parquet", "total.json"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "calm" / name).read_bytes()
    assert not list((tmp_path / "killed").glob(".work")) and not list((tmp_path / "killed").rglob("*.partial*"))
    # No kill costs more than the one shard that was being made.
    assert len(done.read_text().split()) <= 12 + kills
    assert (tmp_path / "killed" / MANIFEST).is_file()
