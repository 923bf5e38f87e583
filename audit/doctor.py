"""Looks at this machine and says what works, what does not, and what to do about it."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from audit.errors import AuditError

State = Literal["ok", "note", "problem"]
DISTRIBUTION = "nla-audit"
OPTIONAL = {"vllm": "vllm", "ray": "ray", "inspect_evals": "evals", "peft": "train", "sae_lens": "sae"}
ENOUGH_MEMORY = 2.0
"""GiB: the quick audit of the lab needs at most 1.5."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    state: State
    """``note``: something optional is missing."""
    found: str
    remedy: str = ""


def diagnose(target: str | None = None, nla: str | None = None) -> list[Check]:
    """All checks; with an NLA also whether it belongs to the target. Loads no weights."""
    checks = [python(), torch_build(), memory(), sandbox(), installation(), lab_weights(), *extras()]
    return checks + ([nla_of_target(target or "lab", nla)] if nla is not None else [])


def python() -> Check:
    """Python's version."""
    return Check("Python", "ok", platform.python_version())


def torch_build() -> Check:
    """PyTorch, and the accelerator that it sees."""
    if find_spec("torch") is None:
        return Check("PyTorch", "problem", "not installed", "Install it with: pip install torch")
    import torch

    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        return Check(
            "PyTorch", "ok", f"{torch.__version__}, {torch.cuda.get_device_name()}, {free / 2**30:.0f} of {total / 2**30:.0f} GiB free"
        )
    return Check("PyTorch", "ok", f"{torch.__version__}, no accelerator: {torch.get_num_threads()} threads")


def memory() -> Check:
    """Memory that is free."""
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
        free = int(lines["MemAvailable"].split()[0]) / 2**20
    except (OSError, KeyError, ValueError):
        return Check("Memory", "note", "unknown on this system")
    cores = len(os.sched_getaffinity(0))
    # A parameter takes two bytes on disk and four in memory; target, AV and AR need about two and a half times the target.
    fits = free / 4 / 2.5 * 1.07
    found = f"{free:.1f} GiB free, {cores} cores; targets of up to about {fits:.1f} billion parameters fit with their NLA in float32"
    return Check("Memory", "ok" if free >= ENOUGH_MEMORY else "problem", found, "" if free >= ENOUGH_MEMORY else "Close other programs.")


def sandbox() -> Check:
    """Whether commands of a model can run."""
    from audit.bubblewrap import sandbox_status

    works, reason = sandbox_status()
    return (
        Check("Sandbox", "ok", "bubblewrap works")
        if works
        else Check("Sandbox", "note", "scenarios that run commands are left out", reason)
    )


def installation() -> Check:
    """Whether Inspect can find the package's names."""
    try:
        distribution = metadata.distribution(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return Check(
            "Installation", "problem", "not installed, only on the path", "Install it with: pip install . (Inspect finds names so)"
        )
    groups = {entry.name for entry in distribution.entry_points if entry.group == "inspect_ai"}
    if not {"audit", "scenarios"} <= groups:
        return Check("Installation", "problem", "entry points for Inspect are missing", "Install the package again: pip install .")
    if '"editable": true' in (distribution.read_text("direct_url.json") or ""):
        return Check(
            "Installation", "note", f"{distribution.version}, editable",
            "Inspect looks names of editable installs up by the distribution's name, so `inspect eval scenarios/blackmail` may not be "
            "found. Install without -e to use names.",
        )  # fmt: skip
    return Check("Installation", "ok", f"{distribution.version}, with Inspect's entry points")


def lab_weights() -> Check:
    """Whether the lab's three checkpoints are there."""
    from audit.lab import weights_folder

    try:
        for part in ("target", "av", "ar"):
            weights_folder(part)
    except AuditError as error:
        return Check("Lab", "problem", error.message, error.remedy)
    return Check("Lab", "ok", "target, AV and AR are there")


def extras() -> list[Check]:
    """Optional packages."""
    checks = []
    for module, extra in OPTIONAL.items():
        if find_spec(module) is None:
            checks.append(Check(module, "note", "not installed (optional)", f"pip install '{DISTRIBUTION}[{extra}]'"))
        else:
            checks.append(Check(module, "ok", "installed"))
    return checks


def nla_of_target(target: str, nla: str) -> Check:
    """Whether an NLA belongs to a target, by their configurations."""
    from audit.stages.preflight import check_nla
    from audit.target.loading import checkpoint_folder

    try:
        found = check_nla(nla, target, checkpoint_folder(target))
        return Check("NLA", "ok", f"{nla} fits {target}: block {found['layer']}, width {found['d_model']}")
    except AuditError as error:
        return Check("NLA", "problem", error.message, error.remedy)
