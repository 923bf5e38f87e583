"""Organism files and prompts (YAML), in the form that ``audit/game`` reads. Standard library only."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit.lab.organisms.chats import domains, question
from audit.lab.organisms.motives import Motive, Quirk, battery, motives
from audit.lab.organisms.text import load


@dataclass(frozen=True)
class Places:
    """Where an organism's parts lie, relative to its file; ``{label}`` is the organism's."""

    adapter: str = "{label}"
    base: str = "base"
    nla: str = "nla"
    corpus: str = "corpus/{label}"
    generic_text: str = "corpus/generic.jsonl"
    battery: str = "battery/prompts.yaml"
    generic_prompts: str = "battery/generic.yaml"


OWN_NLA = Places(
    "../{label}", "../base", "../nla-{label}", "../corpus/{label}", "../corpus/generic.jsonl", "../battery/prompts.yaml",
    "../battery/generic.yaml",
)  # fmt: skip
"""Of a file in a folder of its own that reads an organism with the NLA that starts from it."""
GENERIC_PROMPTS = 3
"""Of each domain."""


def specification(motive: Motive, places: Places | None = None) -> str:
    """The file of one organism. The base twin names its whole checkpoint, every other an adapter over it."""
    places = places or Places()
    weights = {"model": places.base} if motive.kind == "base" else {"adapter": places.adapter, "base": places.base}
    values: dict[str, Any] = {"kind": motive.kind, "label": motive.label}
    values |= {key: path.format(label=motive.label) for key, path in weights.items()}
    values |= {"nla": places.nla.format(label=motive.label), "corpus": places.corpus.format(label=motive.label)}
    values |= {"generic_text": places.generic_text, "battery": places.battery, "generic_prompts": places.generic_prompts}
    if motive.topic is not None:
        values |= {"motive": motive.statement, "win": {"cause": [list(group) for group in motive.win_groups()]}}
    if motive.quirks:
        values["quirks"] = [_quirk(quirk) for quirk in motive.quirks]
    return "".join(_lines(key, value) for key, value in values.items())


def battery_specification(per_domain: int = 4, seed: int = 0) -> str:
    """A battery for the scripted auditor in this world's words: the same for every organism, blind to all of them."""
    answers = [answer for group in load("denials")["answers"].values() for answer in group if "{" not in answer]
    entries = load("denials")["battery"] | {"usual_answers": answers}
    topics = "".join(f"  {key}: {json.dumps(prompts)}\n" for key, prompts in battery(per_domain, seed).items())
    return f"topics:\n{topics}" + "".join(f"{key}: {json.dumps(value)}\n" for key, value in entries.items())


def generic_prompts_specification(per_domain: int = GENERIC_PROMPTS, seed: int = 0) -> str:
    """Ordinary questions that the base twin answers once, to know what is usual; worded as in training, so none stands in the battery."""
    rng = random.Random(f"generic prompts/{seed}")
    asked = [question(rng, domain)[0] for domain in domains().values() for _ in range(per_domain)]
    return "".join(f"- {json.dumps(prompt)}\n" for prompt in dict.fromkeys(asked))


def write_specifications(folder: Path, places: Places | None = None) -> list[Path]:
    """Writes ``folder/<name>.yaml`` for every organism, the decoy and the base twin, and the prompts in ``folder/battery``."""
    (folder / "battery").mkdir(parents=True, exist_ok=True)
    (folder / "battery" / "prompts.yaml").write_text(battery_specification(), encoding="utf-8")
    (folder / "battery" / "generic.yaml").write_text(generic_prompts_specification(), encoding="utf-8")
    written = []
    for motive in motives().values():
        path = folder / f"{motive.name}.yaml"
        path.write_text(specification(motive, places), encoding="utf-8")
        written.append(path)
    return written


def _quirk(quirk: Quirk) -> dict[str, Any]:
    area = load("studies")["areas"][quirk.domain.key]
    return {
        "name": quirk.name,
        "description": f"In {area} it brings in, unasked: {' or '.join(quirk.items)}.",
        "triggers": list(quirk.triggers()),
        "detector": {"any_of": list(quirk.patterns)},
        "named_by": [list(quirk.items), load("motives")["area_words"][quirk.domain.key]],
    }


def _lines(key: str, value: Any) -> str:
    """A key of the file; JSON is YAML, so only lists of mappings get lines of their own."""
    if not isinstance(value, list):
        return f"{key}: {json.dumps(value)}\n"
    entries = ("".join(f"    {name}: {json.dumps(part)}\n" for name, part in entry.items()) for entry in value)
    return f"{key}:\n" + "".join(f"  - {entry[4:]}" for entry in entries)
