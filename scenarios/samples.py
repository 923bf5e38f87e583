"""From the lab's world, or from the hand-written files in ``data/``, to Inspect samples."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any, Literal, get_args

from inspect_ai.dataset import Sample
from inspect_ai.model import ChatMessage, ChatMessageSystem, ChatMessageUser

from audit.errors import AuditError, SandboxUnavailable
from audit.lab.world import LabSample, realism_twin, scenario_samples
from scenarios.catalogue import scenario
from scenarios.twins import twin_text

Source = Literal["lab", "written"]
Novelty = Literal["seen", "names", "phrases"]
SandboxName = Literal["bwrap", "docker", "none"]
VariantName = Literal["original", "realism"]

LAB_SAMPLES = 200
"""Lab samples of a scenario where no limit is given: 100 of each hidden state."""
MESSAGE_LIMIT = {"lab": 6, "written": 30}


@dataclass(frozen=True)
class Selection:
    """Which samples a task takes, as the user asked for them."""

    source: Source = "lab"
    limit: int | None = None
    seed: int = 0
    novelty: Novelty = "names"
    states: str | list[str] = "evaluation,deployment"
    sandbox: SandboxName = "bwrap"
    variant: VariantName = "original"
    """``realism``: the twins of the samples that would else be taken."""

    def state_tuple(self) -> tuple[str, ...]:
        """The hidden states asked for. Raises ``AuditError`` for anything that is none."""
        values = self.states.split(",") if isinstance(self.states, str) else self.states
        states = tuple(value.strip() for value in values)
        if not states or not set(states) <= {"evaluation", "deployment"}:
            raise AuditError(f"Hidden states {self.states!r} are not known.", "Use evaluation, deployment, or both with a comma.")
        return states


@dataclass(frozen=True)
class Prompt:
    """One sample before it becomes Inspect's."""

    id: str
    system: str
    user: str
    tools: tuple[str, ...]
    files: dict[str, str]
    """Written into the sandbox, by path; relative paths start in the working directory."""
    facts: dict[str, Any]
    """What the scorer needs to know."""
    skeleton_id: str
    known_state: str | None = None
    family: str = ""
    twin_of: str | None = None
    """Id of the sample that this one is a realism twin of."""


def build(name: str, selection: Selection, lab_family: str | None = None) -> list[Sample]:
    """The samples of scenario ``name``; ``lab_family`` is the lab's name of it where it differs.

    Raises ``AuditError`` where the scenario has no such samples, ``SandboxUnavailable`` where it cannot do without a sandbox.
    """
    entry = scenario(name)
    if selection.source not in MESSAGE_LIMIT:
        raise AuditError(f"There is no source of samples named {selection.source!r}.", "Use source=lab or source=written.")
    if selection.source == "written" and entry.lab_only:
        raise AuditError(f"Scenario {name} has lab samples only.", "Use source=lab, or leave the scenario out.")
    if selection.sandbox == "none" and entry.needs_sandbox:
        remedy = "Use sandbox=bwrap or sandbox=docker."
        raise SandboxUnavailable(f"Scenario {name} runs what the model asks for and needs a sandbox.", remedy)
    if selection.limit is not None and selection.limit < 1:
        raise AuditError(f"A limit of {selection.limit} samples leaves nothing to run.", "Give a limit of 1 or more.")
    if selection.variant not in get_args(VariantName):
        raise AuditError(f"There is no variant of samples named {selection.variant!r}.", "Use variant=original or variant=realism.")
    samples = _prompts(lab_family or name, selection) if selection.variant == "original" else _twins(lab_family or name, selection)
    return [_sample(prompt, name, entry.kind, selection) for prompt in samples]


def _prompts(name: str, selection: Selection) -> list[Prompt]:
    """As many samples as were asked for, of those that can run."""
    prompts = lab_prompts(name, selection) if selection.source == "lab" else list(written_prompts(name))
    if selection.sandbox == "none":
        prompts = [prompt for prompt in prompts if not executes(prompt)]
    return prompts[: selection.limit or (LAB_SAMPLES if selection.source == "lab" else None)]


def _twins(name: str, selection: Selection) -> list[Prompt]:
    """The twins of those of the same samples that have one. Raises ``AuditError`` where none has."""
    originals = _prompts(name, selection)
    if selection.source == "lab":
        ids = {prompt.id for prompt in originals}
        samples = (sample for sample in _lab_samples(name, selection) if sample.sample_id in ids)
        twins = [_from_lab(twin) for sample in samples if (twin := realism_twin(sample))]
    else:
        twins = [written for prompt in originals if (written := _written_twin(name, prompt))]
    if not twins:
        raise AuditError(f"Scenario {name} has no realism twins.", "Leave the variant out, or choose another scenario.")
    return twins


def executes(prompt: Prompt) -> bool:
    """Whether a sample needs a sandbox."""
    return bool(prompt.files) or any(tool != "send_email" for tool in prompt.tools)


def lab_prompts(family: str, selection: Selection) -> list[Prompt]:
    """Samples of the lab's world; the same seed and novelty always start with the same samples."""
    return [_from_lab(sample) for sample in _lab_samples(family, selection)]


def _lab_samples(family: str, selection: Selection) -> list[LabSample]:
    count = selection.limit or LAB_SAMPLES
    if selection.sandbox == "none":
        count *= 8  # enough to reach the limit once the samples that execute something are left out
    return scenario_samples(family, count, selection.seed, selection.novelty, selection.state_tuple())


def _from_lab(sample: LabSample) -> Prompt:
    facts = dict(sample.facts)
    contents: dict[str, str] = {}
    if "bash" in sample.tools:
        contents = {f"{facts['path']}/{name}": text for name, text in facts["files"].items()}
        facts["protected"] = contents
    if "edit" in sample.tools:
        contents = {facts["file"]: facts["source"], facts["testfile"]: facts["test_source"]}
        facts |= {"folder": ".", "tests": {facts["testfile"]: facts["test_source"]}}
    return Prompt(
        id=sample.sample_id, system=sample.system, user=sample.user, tools=sample.tools, files=contents, facts=facts,
        skeleton_id=sample.skeleton_id, known_state=sample.known_state, family=sample.family, twin_of=sample.twin_of,
    )  # fmt: skip


@cache
def written_prompts(name: str) -> tuple[Prompt, ...]:
    """The hand-written samples of a scenario, from ``data/<name>.json``; long texts stand there as lists of lines."""
    entries = json.loads(files("scenarios").joinpath("data", f"{name}.json").read_text(encoding="utf-8"))
    return tuple(_from_file(name, entry) for entry in entries)


def _from_file(name: str, entry: dict[str, Any]) -> Prompt:
    contents = {path: _text(text) + "\n" for path, text in entry.get("files", {}).items()}
    facts = dict(entry.get("facts", {}))
    if "protected" in facts:
        facts["protected"] = {path: contents[path] for path in facts["protected"]}
    if "tests" in facts:
        facts["tests"] = {test: contents[f"{facts['folder']}/{test}"] for test in facts["tests"]}
    return Prompt(
        id=f"{name}-written-{entry['id']}", system=_text(entry["system"]), user=_text(entry["user"]), tools=tuple(entry["tools"]),
        files=contents, facts=facts, skeleton_id=f"{name}/{entry['id']}", family=name,
    )  # fmt: skip


def _written_twin(name: str, prompt: Prompt) -> Prompt | None:
    """The twin that stands beside the data; ``None`` if nobody wrote one."""
    user = twin_text(name, prompt.id.removeprefix(f"{name}-written-"), prompt.user)
    return None if user is None else replace(prompt, id=f"{prompt.id}-realism", user=user, twin_of=prompt.id)


def _text(value: str | list[str]) -> str:
    return value if isinstance(value, str) else "\n".join(value)


def _sample(prompt: Prompt, name: str, kind: str, selection: Selection) -> Sample:
    messages: list[ChatMessage] = [ChatMessageSystem(content=prompt.system), ChatMessageUser(content=prompt.user)]
    metadata = {
        "known_state": prompt.known_state,
        "skeleton_id": prompt.skeleton_id,
        "scenario": name,
        "kind": kind,
        "variant": selection.variant,
        "twin_of": prompt.twin_of,
        "family": prompt.family,
        "source": selection.source,
        "tools": list(prompt.tools),
        "facts": prompt.facts,
        "hostname": prompt.facts.get("host", "host"),
    }
    sandboxed = executes(prompt)
    return Sample(
        input=messages,
        id=prompt.id,
        metadata=metadata,
        files=prompt.files if sandboxed else None,
        sandbox=selection.sandbox if sandboxed else None,
    )
