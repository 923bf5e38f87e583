"""How fast the lab's AR reads explanations back: in batches of similar length, against one text at a time.

python benchmarks/reconstruct.py [--texts 512] [--runs 5] [--clock cpu]
"""

from __future__ import annotations

import argparse
import random

import numpy as np
import torch
from timing import add_options, apart, interleaved, show

from audit.lab.nla import nla_documents
from audit.lab.summaries import summary
from audit.nla import load_pair

OURS = "reconstruct"


def main() -> None:
    """Measures, compares the vectors and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument("--texts", type=int, default=512)
    parser.add_argument("--alone", type=int, default=32, help="texts read one at a time")
    parser.add_argument("--seed", type=int, default=95_001)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    pair, texts = load_pair("lab"), explanations(options.texts, options.seed)
    few = texts[: options.alone]
    seconds = interleaved(
        {OURS: lambda: pair.reconstruct(texts), "one text at a time": lambda: [pair.reconstruct([text]) for text in few]},
        options.runs,
        options.clock,
    )
    print(f"{options.texts} texts, {options.threads} threads, {options.clock} clock, {options.runs} runs\n")
    show(seconds, OURS, {"one text at a time": options.texts / options.alone})
    print(apart(pair.reconstruct(texts)[: options.alone], np.concatenate([pair.reconstruct([text]) for text in few])))


def explanations(count: int, seed: int) -> list[str]:
    """Summaries of documents that no training saw, each cut at a random place."""
    rng = random.Random(f"reconstruct/{seed}")
    return [summary(document, rng.randrange(len(document.text)), rng) for document in nla_documents(seed, count)]


if __name__ == "__main__":
    main()
