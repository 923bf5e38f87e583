"""How good the lab's NLA is as an NLA: fidelity with controls, hidden codes, copying, and whether its AR reads the setting.

    python benchmarks/fidelity.py [--documents 60] [--samples 4] [--seed 96001] [--weights DIR] [--before DIR]

All on documents of a seed that no training saw. "AV" rows are texts that the AV wrote, "gold" rows the lab's own summaries of the
same activations, which can hide nothing: a rewrite that costs both the same costs because the AR does not know the words. With
``--before`` the round trip is also compared, activation by activation, with that of an earlier pair: a warm start, say.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from audit.lab import weights_folder
from audit.lab.nla import choose_positions, explained_activations, nla_documents
from audit.lab.pretrain import MAX_TOKENS
from audit.lab.rewording import reword_setting, swap_setting, synonyms, trained_wordings
from audit.lab.summaries import summary
from audit.nla import load_pair
from audit.nla.copying import fve_by_length, ngram_overlap
from audit.nla.fidelity import Fve, Scale, Score, measure_fidelity, mse_nrm
from audit.nla.rewrites import rewrite_costs, shuffle_lines, swap_test, without_quotes
from audit.target.loading import load_target

READABLE = ("ok", "truncated")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=60)
    parser.add_argument("--samples", type=int, default=4, help="explanations sampled at temperature 1 for best-of-N; 0 for none")
    parser.add_argument("--seed", type=int, default=96_001)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--weights", type=Path, help="a build of `nla-audit lab build`; default: the bundled weights")
    parser.add_argument("--before", type=Path, help="an earlier pair (a folder with av and ar) to compare with")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    folder = options.weights or weights_folder("target").parent
    loaded, pair = load_target(str(folder / "target")), load_pair(str(folder))
    data = explained_activations(loaded.model, loaded.tokenizer, options.seed, options.documents)
    written = pair.explain(data.vectors)
    kept = [row for row, said in enumerate(written) if said.status in READABLE and said.text]
    vectors, clusters = data.vectors[kept], data.documents[kept].tolist()
    texts, gold = [written[row].text for row in kept], [data.summaries[row] for row in kept]
    sampled = [[] for _ in kept] if options.samples else []  # type: list[list[str]]
    for sample in range(options.samples):
        for row, said in zip(sampled, pair.explain(vectors, temperature=1.0, seed=options.seed + sample), strict=True):
            row.append(said.text)
    print(f"{len(kept)} activations of {options.documents} documents; {len(written) - len(kept)} without a readable explanation")
    show_fidelity("AV, greedy", measure_fidelity(vectors, texts, pair.reconstruct, clusters, sampled))
    if options.before:
        show_gain(data.vectors, written, pair, load_pair(str(options.before)), data.documents.tolist())
    show_fidelity("gold", measure_fidelity(vectors, gold, pair.reconstruct, clusters))
    for name, said_texts in (("AV", texts), ("gold", gold)):
        show_rewrites(name, vectors, said_texts, pair, clusters)
    show_copying(vectors, texts, [contexts(loaded.tokenizer, options.seed, data.summaries)[row] for row in kept], pair, clusters)
    show_swaps(vectors, gold, pair, clusters)


def contexts(tokenizer: Any, seed: int, summaries: Sequence[str]) -> list[str]:
    """The text up to each activation's token, chosen as ``explained_activations`` chooses."""
    rng, found, again = random.Random(f"nla-sites/{seed}"), [], []  # type: random.Random, list[str], list[str]
    for document in nla_documents(seed, len(summaries)):
        if len(again) == len(summaries):
            break
        offsets = tokenizer(document.text, return_offsets_mapping=True)["offset_mapping"][:MAX_TOKENS]
        for position in choose_positions(document, offsets, rng):
            found.append(document.text[: offsets[position][1]])
            again.append(summary(document, offsets[position][1], rng))
    assert tuple(again) == tuple(summaries), "the lab chooses its sites differently by now"
    return found


def show_fidelity(name: str, figures: Any) -> None:
    """The round trip and its controls."""
    print(f"\n### Fidelity, {name}: {figures.rows} rows, {figures.left_out} left out\n")
    print("| | cosine | centred | mse_nrm | FVE (variance) | FVE (mean direction) |\n|---|---|---|---|---|---|")
    rows = {"round trip": figures.round_trip, "shuffled": figures.shuffled, "mean direction": figures.mean_direction}
    rows |= {"unrelated text": figures.unrelated} | {f"best of {size}, sampled": score for size, score in figures.best_of.items()}
    for label, score in rows.items():
        print(f"| {label} | {cells(score)} |")


def show_gain(vectors: Any, written: Sequence[Any], pair: Any, before: Any, clusters: Sequence[int]) -> None:
    """Round trip now minus round trip before, on the activations that both put into readable words."""
    earlier = before.explain(vectors)
    kept = [row for row, both in enumerate(zip(written, earlier, strict=True)) if all(s.status in READABLE and s.text for s in both)]
    now = mse_nrm(vectors[kept], pair.reconstruct([written[row].text for row in kept]))
    then = mse_nrm(vectors[kept], before.reconstruct([earlier[row].text for row in kept]))
    scale = Scale(vectors[kept], [clusters[row] for row in kept])
    # FVE is one minus error by baseline, so one minus the FVE of the spared error is the gain.
    spared = scale.fve(then - now)
    print(f"\n### Gain over the earlier pair, {len(kept)} rows\n")
    print(f"FVE (variance) {scale.fve(then).value:.3f} before, {scale.fve(now).value:.3f} now: ", end="")
    print(f"gain {span(Fve('variance', 1.0 - spared.value, 1.0 - spared.high, 1.0 - spared.low))}")


def cells(score: Score) -> str:
    """A score's row of a table."""
    return f"{score.cosine:.3f} | {score.cosine_centred:.3f} | {score.mse_nrm:.3f} | {span(score.variance)} | {span(score.mean_direction)}"


def span(fve: Fve) -> str:
    """A value with its interval."""
    return f"{fve.value:.3f} [{fve.low:.3f}, {fve.high:.3f}]"


def show_rewrites(name: str, vectors: Any, texts: Sequence[str], pair: Any, clusters: Sequence[int]) -> None:
    """What rewrites cost."""
    rewrites = {
        "lines shuffled": shuffle_lines,
        "setting in another trained wording": trained_wordings(),
        "other words": synonyms(),
        "quotations removed": lambda text, rng: without_quotes(text),
    }
    print(f"\n### Rewrites of {name} texts (FVE: variance baseline)\n")
    print("| rewrite | changed | unchanged | failed | before | after | cost |\n|---|---|---|---|---|---|---|")
    for row in rewrite_costs(vectors, texts, rewrites, pair.reconstruct, clusters):
        counts = f"{row.rows} | {row.unchanged} | {row.failed}"
        print(f"| {row.name} | {counts} | {row.before.value:.3f} | {row.after.value:.3f} | {span(row.cost)} |")


def show_copying(vectors: Any, texts: Sequence[str], read: Sequence[str], pair: Any, clusters: Sequence[int]) -> None:
    """How much is copied, and FVE by length."""
    print("\n### Copying\n\n| n-gram | rows | share found in the own context | in another |\n|---|---|---|---|")
    for row in ngram_overlap(texts, read, clusters):
        print(f"| {row.n} | {row.rows} | {row.own:.3f} | {row.other:.3f} |")
    print("\n| words | rows | FVE (variance) |\n|---|---|---|")
    for part in fve_by_length(vectors, texts, pair.reconstruct, clusters=clusters):
        print(f"| {part.shortest} to {part.longest} | {part.rows} | {span(part.fve)} |")


def show_swaps(vectors: Any, gold: Sequence[str], pair: Any, clusters: Sequence[int]) -> None:
    """Whether the AR prefers gold summaries to ones with the setting reversed."""
    print("\n### Does the AR read the setting? Gold summaries that state one\n")
    print("| the true text against | pairs | preferred | margin in cosine |\n|---|---|---|---|")
    for name, swap in (("the other setting", swap_setting), ("the same in other trained words (control)", reword_setting)):
        if found := swap_test(vectors, gold, swap, pair.reconstruct, clusters):
            print(f"| {name} | {found.pairs} | {found.preferred:.3f} [{found.low:.3f}, {found.high:.3f}] | {found.margin:+.4f} |")


if __name__ == "__main__":
    main()
