"""A training run's folder and what is known of it: its config, its finished stages, its curves, and who works in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from audit.errors import AuditError
from audit.pipeline import Reporter, Silent
from audit.store import Store
from audit.training.config import TrainConfig
from audit.training.curves import CurveRow, Curves
from audit.training.parts import Base
from audit.training.processes import Processes
from audit.training.state import read_metadata

MANIFEST = "train.json"


class Session:
    """One run, seen from one of its processes. Only the main process writes and reports."""

    def __init__(self, config: TrainConfig, group: Processes, reporter: Reporter | None = None) -> None:
        self.config, self.group = config, group
        self.reporter: Reporter = reporter if reporter is not None and group.is_main else Silent()
        self.store = Store(config.out)
        self.stages: dict[str, dict[str, Any]] = {}
        """The figures of the stages that are done."""
        self.base = Base(config.target, config.revision, config.dtype, config.lora, config.seed, config.gradient_checkpointing)
        self.curves = Curves(config.out)

    def path(self, name: str) -> Path:
        """Where something of that relative name stands in the run's folder."""
        return self.store.path(name)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keeps a second run out of the folder, and reads what an earlier one has done.

        Raises ``AuditError`` if another process is at work there, or the folder holds something else or a run of another config.
        """
        import fcntl

        with self.path(".lock").open("a") as handle:
            if self.group.is_main:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    raise AuditError(f"Another process trains in '{self.config.out}'.", "Wait for it, or choose another --out.") from None
            self._open()
            yield

    def _open(self) -> None:
        settings = self.config.model_dump(mode="json", exclude={"out"})
        if not self.path(MANIFEST).is_file():
            if any(not file.name.startswith(".") for file in self.store.folder.iterdir()):
                raise AuditError(
                    f"'{self.config.out}' holds other files and no training run.", "Choose a new or an empty folder with --out."
                )
            self.group.wait()
            self._write(settings)
            return
        found = self.store.read_json(MANIFEST)
        if changed := [key for key, value in settings.items() if found["config"].get(key) != value]:
            remedy = "Choose another --out, or restore the setting."
            raise AuditError(f"'{self.config.out}' holds a run with another '{changed[0]}'.", remedy)
        self.stages = found["stages"]

    def _write(self, settings: dict[str, Any]) -> None:
        if self.group.is_main:
            self.store.write_json(MANIFEST, {"config": settings, "stages": self.stages})
        self.group.wait()

    def stage(self, name: str, description: str, work: Callable[[Session], dict[str, Any]]) -> None:
        """Does a stage unless it was done before, and keeps its figures."""
        fresh = name not in self.stages
        self.reporter.stage(name, description, fresh)
        if fresh:
            self.stages[name] = work(self)
            self._write(self.config.model_dump(mode="json", exclude={"out"}))

    @contextmanager
    def curve(self, stage: str, folder: Path, steps: int) -> Iterator[Callable[[CurveRow], None]]:
        """A progress bar, and a function that takes the stage's rows as they come; ``folder`` holds the stage's state."""
        metadata = read_metadata(folder)
        done = int(metadata["step"]) if metadata else 0
        self.curves.resume(stage, done)
        with self.reporter.track("Steps", steps, "step") as advance:
            advance(done)

            def take(row: CurveRow) -> None:
                nonlocal done
                self.curves.rows.append(row)
                advance(row.step - done)
                done = row.step
                if self.group.is_main and (row.fve is not None or row.stage != "rl"):
                    self.curves.save()

            yield take
