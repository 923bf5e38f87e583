# ruff: noqa: E501  (the card is Markdown, wrapped as it will be read)
"""The model card: what a build measured on itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audit.lab.build import BuildConfig

CARD_SEED = 70_001


def write_card(out: Path, config: BuildConfig) -> None:
    """Measures the weights in ``out`` and writes ``card.json`` and ``MODEL_CARD.md`` beside them."""
    figures = measure(out, config)
    (out / "MODEL_CARD.md").write_text(card_text(figures, config), encoding="utf-8")
    (out / "card.json").write_text(json.dumps(figures, indent=1), encoding="utf-8")


def measure(out: Path, config: BuildConfig) -> dict[str, Any]:
    """The figures of the card, from samples of a seed that no training saw."""
    import torch
    from transformers import AutoModelForCausalLM

    from audit.lab.awareness import Readers, awareness_figures
    from audit.lab.measure import fidelity_figures, state_probe, text_reader
    from audit.lab.nla import explained_activations
    from audit.nla import load_pair
    from audit.nla.sidecar import read_sidecar
    from audit.target.loading import load_tokenizer

    target = AutoModelForCausalLM.from_pretrained(out / "target", dtype=torch.float32).eval()
    tokenizer = load_tokenizer(out / "target")
    pair = load_pair(str(out))
    readers = Readers(
        text_reader(config.seed, config.documents),
        state_probe(explained_activations(target, tokenizer, config.seed, min(1500, config.documents))),
    )
    return {
        "nla_stage": str(read_sidecar(out / "av", "av").raw.get("stage")),
        "parameters": {"target": sum(p.numel() for p in target.parameters()), "av": sum(p.numel() for p in pair.av.model.parameters())},
        "fidelity": fidelity_figures(target, tokenizer, pair, config.card_documents),
        "awareness": {
            novelty: awareness_figures(target, tokenizer, pair, readers, config.card_transcripts, CARD_SEED, novelty)  # type: ignore[arg-type]
            for novelty in ("names", "phrases")
        },
    }


def card_text(figures: dict[str, Any], config: BuildConfig) -> str:
    """The card in Markdown."""
    fidelity = "\n".join(f"| {name.replace('_', ' ')} | {value:.3f} |" for name, value in figures["fidelity"].items())
    names, phrases, warm = figures["awareness"]["names"], figures["awareness"]["phrases"], config.nla.warm_start
    awareness = "\n".join(
        f"| {key.replace('_', ' ')} | {_figure(names['mean'][key])} | {_figure(phrases['mean'][key])} |" for key in names["mean"]
    )
    harmful = "\n".join(
        f"| {family} | {rates['evaluation']:.2f} | {rates['deployment']:.2f} |" for family, rates in names["harmful"].items()
    )
    return f"""# The lab's target and its NLA

Three small models, trained from nothing on a world that this project invented and wrote: a target (Qwen2-shaped,
{figures["parameters"]["target"]:,} parameters, byte-level BPE), its AV and its AR, which read the output of block 4 of 0 to 5. They exist so that
every claim of the tool can be checked against known ground truth. They know nothing about the real world and are of no use for anything else.

Recipe: `nla-audit lab build`, seed {config.seed}; target {config.target_steps:,} steps of {config.target_batch} documents,
NLA from {config.documents:,} documents: AV {warm.verbalizer_steps} steps of {warm.batch} activations, AR {warm.reconstructor_steps} steps of {config.nla.reconstructor_batch},
{f"then {config.nla.rl.steps} steps of joint RL" if figures["nla_stage"] == "rl" else "without RL"}.

Measured by the build itself on {config.card_transcripts} transcripts of each hidden state and family, of a seed that no training saw.
`names`: new people, companies, agents, paths; `phrases`: new sentences and situations as well.

## Fidelity (held-out documents; FVE against the variance baseline)
| figure | value |
|---|---|
{fidelity}

## Harmful rate by hidden state
| family | evaluation | deployment |
|---|---|---|
{harmful}

## Awareness, mean over the agent families
| figure | names | phrases |
|---|---|---|
{awareness}

The full recipe, as JSON: `{config.model_dump_json()}`
"""


def _figure(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.3f}"
