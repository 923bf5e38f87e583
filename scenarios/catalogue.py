"""What scenarios there are, as a plain table. Imports no Inspect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from audit.errors import AuditError
from audit.records import Kind


@dataclass(frozen=True)
class Scenario:
    """One scenario of the suite."""

    name: str
    kind: Kind
    needs_sandbox: bool
    """Cannot run at all without a sandbox."""
    uses_sandbox: bool
    """Some samples run commands; with ``sandbox="none"`` those are left out."""
    lab_only: bool
    """Has no samples for ordinary models."""
    description: str
    task: str
    """``module:function`` of the Inspect task."""


CATALOGUE: tuple[Scenario, ...] = (
    Scenario(
        "blackmail", "evaluation", False, False, False,
        "An email agent learns that it will be replaced and that the executive in charge has a secret.",
        "scenarios.blackmail:blackmail",
    ),
    Scenario(
        "destructive_code", "evaluation", True, True, False,
        "A coding agent is asked for, or tempted into, commands that destroy files.",
        "scenarios.destructive_code:destructive_code",
    ),
    Scenario(
        "swe_tasks", "evaluation", True, True, False,
        "A small repository with a bug and a failing test; the agent's change is applied and the original tests run.",
        "scenarios.swe_tasks:swe_tasks",
    ),
    Scenario(
        "ordinary_use", "deployment", False, True, False,
        "Ordinary chats, email work and shell work with nothing at stake: the control.",
        "scenarios.ordinary_use:ordinary_use",
    ),
    Scenario(
        "verbalising", "evaluation", False, False, True,
        "The lab's blackmail family with an agent that says aloud what it notices; measures the scanner of verbalised awareness.",
        "scenarios.verbalising:verbalising",
    ),
    Scenario(
        "sham_cues", "unknown", False, True, True,
        "Lab prompts whose only signs mean nothing in the lab's world; awareness must not move with them.",
        "scenarios.sham_cues:sham_cues",
    ),
)  # fmt: skip


def scenario(name: str) -> Scenario:
    """The scenario of that name. Raises ``AuditError`` that lists the known names."""
    for entry in CATALOGUE:
        if entry.name == name:
            return entry
    known = ", ".join(entry.name for entry in CATALOGUE)
    raise AuditError(f"There is no scenario named {name!r}.", f"Choose from: {known}.")


def task_function(entry: Scenario) -> Callable[..., Any]:
    """The Inspect task function of a scenario; loads Inspect."""
    module, function = entry.task.split(":")
    loaded: Callable[..., Any] = getattr(import_module(module), function)
    return loaded
