"""Runs a table of stages over an audit's folder, each only when something that it depends on has changed.

The table is an argument: this module knows no stage. A stage is done when the manifest says so, its settings and inputs hash
to what they did then, and its outputs are on disk as they were left. The manifest is written when a stage starts and when it
ends, so a killed run tells which shards lie in the folder and whose they are.
"""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any, Protocol

from audit.config import AuditConfig
from audit.errors import AuditError
from audit.store import Store, content_hash

PACKAGES = ("nla-audit", "torch", "transformers", "inspect-ai", "inspect-scout", "scikit-learn", "safetensors", "pandas", "pyarrow")
READ_BY_OTHERS = ("outputs", "facts", "notes", "failures")
"""The parts of a stage's entry that later stages may read, and therefore depend on."""


class Reporter(Protocol):
    """Tells the user how a run goes on."""

    def stage(self, name: str, description: str, fresh: bool) -> None:
        """A stage starts; ``fresh`` is false if it was done before and is skipped."""

    def track(self, description: str, total: int | None, unit: str) -> AbstractContextManager[Callable[[int], None]]:
        """A progress bar; the function it gives is called with the number of units just finished."""

    def note(self, text: str) -> None:
        """Something that the user should know, in one sentence."""


class Silent:
    """A reporter that says nothing."""

    def stage(self, name: str, description: str, fresh: bool) -> None: ...

    @contextmanager
    def track(self, description: str, total: int | None, unit: str) -> Iterator[Callable[[int], None]]:
        yield lambda count: None

    def note(self, text: str) -> None: ...


@dataclass(frozen=True)
class Outcome:
    """What a stage leaves in the manifest beside its outputs."""

    counts: dict[str, int] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    """Records that could not be made, by reason."""
    notes: tuple[str, ...] = ()
    """What the user and the report must know: what was left out, and how to get it."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What later stages need and no table holds; plain JSON."""
    tokens: int = 0
    """Generated."""


@dataclass(frozen=True)
class Context:
    """What a stage's function gets."""

    store: Store
    config: AuditConfig
    reporter: Reporter
    stages: dict[str, dict[str, Any]]
    """The manifest's entries of the stages that it depends on."""
    created: str
    """When the audit was begun."""


@dataclass(frozen=True)
class Stage:
    """One row of the stage table."""

    name: str
    description: str
    """For the progress display: ``Explaining activations``."""
    run: Callable[[Context], Outcome]
    outputs: tuple[str, ...]
    """Files or folders in the audit's folder."""
    inputs: tuple[str, ...] = ()
    """Names of the stages whose outputs or facts it reads."""
    settings: tuple[str, ...] = ()
    """Fields of the configuration that it depends on."""
    external: Callable[[AuditConfig], Any] | None = None
    """What it depends on outside the folder, as JSON: hashes of the user's files, of a model's weights."""
    resumes: bool = False
    """Whether the function itself finds out what is left to do in outputs that changed since (Inspect's logs)."""
    version: int = 1
    """Raised when the function changes what it writes."""


def run_pipeline(stages: Sequence[Stage], store: Store, config: AuditConfig, reporter: Reporter | None = None) -> dict[str, Any]:
    """Brings every stage up to date, in order, and returns the manifest.

    An error of a stage is recorded in the manifest and raised again; the same call later goes on from there.
    """
    reporter = reporter or Silent()
    manifest = store.manifest()
    manifest.setdefault("created", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    manifest.update(config=config.model_dump(mode="json"), versions=versions())
    known = {stage.name for stage in stages}
    manifest["stages"] = {name: entry for name, entry in manifest["stages"].items() if name in known}
    for stage in stages:
        fingerprint, inputs = _fingerprint(stage, config, manifest)
        entry = manifest["stages"].get(stage.name, {})
        same = entry.get("fingerprint") == fingerprint
        if same and entry.get("status") == "done" and _intact(store, entry):
            reporter.stage(stage.name, stage.description, fresh=False)
            continue
        _prepare(stage, store, entry, same)
        reporter.stage(stage.name, stage.description, fresh=True)
        manifest["stages"][stage.name] = {"status": "running", "fingerprint": fingerprint, "inputs": inputs}
        store.write_manifest(manifest)
        manifest["stages"][stage.name] |= _run(stage, store, config, reporter, manifest)
        store.write_manifest(manifest)
    return manifest


def _run(stage: Stage, store: Store, config: AuditConfig, reporter: Reporter, manifest: dict[str, Any]) -> dict[str, Any]:
    """Runs one stage and returns its manifest entry; on an error the manifest is written before it is raised again."""
    started = time.monotonic()
    upstream = {name: manifest["stages"][name] for name in stage.inputs}
    try:
        outcome = stage.run(Context(store, config, reporter, upstream, manifest["created"]))
    except Exception as error:  # noted, and raised again
        reason = error.message if isinstance(error, AuditError) else f"{type(error).__name__}: {error}"
        manifest["stages"][stage.name] |= {"status": "failed", "reason": reason[:2000]}
        store.write_manifest(manifest)
        raise
    for note in outcome.notes:
        reporter.note(note)
    store.discard_workspace(stage.name)
    return {
        "status": "done",
        "outputs": {name: content_hash(store.path(name)) for name in stage.outputs},
        "counts": outcome.counts,
        "failures": outcome.failures,
        "notes": list(outcome.notes),
        "facts": outcome.facts,
        "tokens": outcome.tokens,
        "seconds": round(time.monotonic() - started, 2),
    }


def _prepare(stage: Stage, store: Store, entry: dict[str, Any], same: bool) -> None:
    """Clears what an earlier run with other inputs left; shards of an interrupted run with the same inputs stay."""
    if same and (stage.resumes or entry.get("status") in ("running", "failed")):
        return
    store.discard_workspace(stage.name)
    for name in stage.outputs:
        store.remove(name)


def _intact(store: Store, entry: dict[str, Any]) -> bool:
    return all(content_hash(store.path(name)) == digest for name, digest in entry["outputs"].items())


def _fingerprint(stage: Stage, config: AuditConfig, manifest: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """The hash of all that a stage depends on, and the hashes of its inputs by stage."""
    values = config.model_dump(mode="json")
    inputs = {name: _digest([manifest["stages"][name][part] for part in READ_BY_OTHERS]) for name in stage.inputs}
    parts = {
        "version": stage.version,
        "settings": {name: values[name] for name in stage.settings},
        "inputs": inputs,
        "external": stage.external(config) if stage.external else None,
    }
    return _digest(parts), inputs


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode("utf-8", "replace")).hexdigest()


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that can change a result; absent ones are left out."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def total_failures(entries: Iterable[dict[str, Any]]) -> dict[str, int]:
    """Failures of all stages by reason."""
    totals: dict[str, int] = {}
    for entry in entries:
        for reason, count in entry.get("failures", {}).items():
            totals[reason] = totals.get(reason, 0) + count
    return totals
