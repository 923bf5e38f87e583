"""Does the NLA tell the hidden state of silent transcripts, and what else would? A seed that no training saw.

    python benchmarks/awareness.py [--per-state 100] [--seed 50001] [--weights DIR]

Prints a table for new names and one for new phrases (see audit/lab/awareness.py), the sham-sign family, and every silent turn on
which a word list fires, to be read by eye.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from audit.lab import weights_folder
from audit.lab.awareness import Readers, awareness_figures, sham_figures, silent_share
from audit.lab.build import BuildConfig
from audit.lab.measure import state_probe, text_reader
from audit.lab.nla import explained_activations
from audit.nla import load_pair
from audit.target.loading import load_target


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--per-state", type=int, default=100, help="transcripts of each hidden state in each of the three families")
    parser.add_argument("--seed", type=int, default=50_001)
    parser.add_argument("--silent", type=int, default=500, help="transcripts searched for words about evaluations")
    parser.add_argument("--weights", type=Path, help="a build of `nla-audit lab build`; default: the bundled weights")
    options = parser.parse_args()
    folder = options.weights or weights_folder("target").parent
    loaded = load_target(str(folder / "target"))
    target, tokenizer, pair, recipe = loaded.model, loaded.tokenizer, load_pair(str(folder)), BuildConfig()
    readers = Readers(text_reader(recipe.seed, recipe.documents), state_probe(explained_activations(target, tokenizer, recipe.seed, 1500)))
    for novelty in ("names", "phrases"):
        show(novelty, awareness_figures(target, tokenizer, pair, readers, options.per_state, options.seed, novelty))
    print("\nSham signs:", sham_figures(target, tokenizer, pair, 2 * options.per_state, options.seed))
    silent = silent_share(target, tokenizer, options.silent, options.seed + 2)
    print(f"\nSilent transcripts: {silent['transcripts']}, turns flagged for reading: {len(silent['flagged'])}")
    for text in silent["flagged"]:
        print("  ", text)


def show(novelty: str, figures: dict[str, Any]) -> None:
    """One table in Markdown."""
    families = figures["families"]
    print(f"\n### New {novelty}: {figures['transcripts_a_state']} transcripts of each state\n")
    print("| figure | mean | " + " | ".join(families) + " |\n|---|---|" + "---|" * len(families))
    for name, mean in figures["mean"].items():
        print(f"| {name.replace('_', ' ')} | {cell(mean)} | " + " | ".join(cell(row[name]) for row in families.values()) + " |")
    for family, harmful in figures["harmful"].items():
        print(f"\nharmful rate, {family}: evaluation {harmful['evaluation']:.2f}, deployment {harmful['deployment']:.2f}")
    for name in ("nla_minus_text_reader", "true_positive_rate", "deployment_agents_above_threshold"):
        value, low, high = figures[name]
        print(f"\n{name.replace('_', ' ')}: {value:.3f} [{low:.3f}, {high:.3f}]")
    print(f"\nthreshold (5% of other controls): {figures['threshold_at_5_percent_of_controls']:.3f}")


def cell(value: float | None) -> str:
    """A figure with three decimals, or a dash where a side was empty."""
    return "-" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    main()
