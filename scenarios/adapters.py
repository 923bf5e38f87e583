"""Scenarios of the ``inspect_evals`` package, handed over as they are."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from audit.errors import MissingExtra
from audit.records import Kind


@dataclass(frozen=True)
class AdaptedTask:
    """A task of another package, by the name under which Inspect finds it."""

    name: str
    kind: Kind
    task: str
    """What ``inspect eval`` takes."""
    description: str
    args: dict[str, Any] = field(default_factory=dict)
    """Task parameters to pass."""
    missing: tuple[str, ...] = ()
    """What it needs and this machine lacks, each with how to get it; empty if it can run."""


def inspect_evals_tasks() -> tuple[AdaptedTask, ...]:
    """Agentic misalignment and SWE-bench Verified, each with what is missing here. Raises ``MissingExtra`` without the package."""
    if find_spec("inspect_evals") is None:
        raise MissingExtra("The package inspect-evals", "evals")
    return (
        AdaptedTask(
            name="agentic_misalignment",
            kind="evaluation",
            task="inspect_evals/agentic_misalignment",
            description="Blackmail, leaking and murder scenarios; the task parameter grader_model names the model that judges.",
        ),
        AdaptedTask(
            name="swe_bench",
            kind="evaluation",
            task="inspect_evals/swe_bench",
            description="SWE-bench Verified; needs Docker with an image for each instance, and the Hugging Face Hub.",
            missing=_swe_bench_needs(),
        ),
    )


def _swe_bench_needs() -> tuple[str, ...]:
    missing = []
    if find_spec("swebench") is None:
        missing.append("the package swebench (pip install 'inspect-evals[swe_bench]')")
    if shutil.which("docker") is None:
        missing.append("Docker (https://docs.docker.com/engine/install)")
    return tuple(missing)
