"""How fast the lab's AR reads explanations back, against one text at a time.

python benchmarks/reconstruct.py [--texts 512] [--of av] [--runs 5] [--clock cpu]

`--of av`: what the AV writes of that many activations of held-out documents, 8 a document, as in an audit. `--of summaries`: the lab's
own summaries, one a document, which have little in common. What equal texts and shared beginnings save is printed.
"""

from __future__ import annotations

import argparse
import random

import numpy as np
import torch
from timing import add_options, apart, interleaved, show

from audit.lab.nla import explained_activations, nla_documents
from audit.lab.summaries import summary
from audit.nla import NlaPair, load_pair
from audit.target.loading import load_target

OURS = "reconstruct"
SITES_A_DOCUMENT = 8


def main() -> None:
    """Measures, compares the vectors and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument("--texts", type=int, default=512)
    parser.add_argument("--of", choices=("av", "summaries"), default="av")
    parser.add_argument("--alone", type=int, default=64, help="texts read one at a time")
    parser.add_argument("--seed", type=int, default=95_001)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    pair = load_pair("lab")
    texts = (written if options.of == "av" else summaries)(options.texts, options.seed, pair)
    few = texts[: options.alone]
    seconds = interleaved(
        {OURS: lambda: pair.reconstruct(texts), "one text at a time": lambda: [pair.reconstruct([text]) for text in few]},
        options.runs,
        options.clock,
    )
    whole, needed = sum(map(len, rows := pair.ar.encode(texts))), len({tuple(row[: n + 1]) for row in rows for n in range(len(row))})
    print(f"{options.texts} texts, {len(set(texts))} distinct, {whole} tokens, {needed} of them after a beginning of their own")
    print(f"{options.threads} threads, {options.clock} clock, {options.runs} runs\n")
    show(seconds, OURS, {"one text at a time": options.texts / options.alone})
    print(apart(pair.reconstruct(texts)[: options.alone], np.concatenate([pair.reconstruct([text]) for text in few])))


def written(count: int, seed: int, pair: NlaPair) -> list[str]:
    """What the AV writes greedily of activations of documents that no training saw; in random order."""
    target = load_target("lab")
    vectors = explained_activations(target.model, target.tokenizer, seed, count // SITES_A_DOCUMENT + 4).vectors[:count]
    texts = [row.text for row in pair.explain(vectors)]
    random.Random(seed).shuffle(texts)
    return texts


def summaries(count: int, seed: int, pair: NlaPair) -> list[str]:
    """Summaries of documents that no training saw, each cut at a random place."""
    rng = random.Random(f"reconstruct/{seed}")
    return [summary(document, rng.randrange(len(document.text)), rng) for document in nla_documents(seed, count)]


if __name__ == "__main__":
    main()
