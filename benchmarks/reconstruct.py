"""How fast the lab's AR reads explanations back, against one text at a time.

python benchmarks/reconstruct.py [--texts 2048] [--of audit] [--runs 5] [--clock cpu]

`--of audit`: explanations of an audit's tokens, 10 of each conversation that the target has in the four scenarios. `--of documents`: of
held-out documents of the NLA's kind, 8 tokens each. `--of summaries`: the lab's own summaries, one a document, which have little in
common. What equal texts and shared beginnings save depends on them, and is printed. Rivals: the released recipe (tokenizer, forward pass,
last token, head) text by text, and ours given one text at a time.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from timing import add_options, apart, interleaved, show

from audit.lab.families import AGENT_FAMILIES
from audit.lab.measure import sites_of, transcripts, vectors_at
from audit.lab.nla import explained_activations, nla_documents
from audit.lab.summaries import summary
from audit.nla import NlaPair, load_pair
from audit.nla.reconstructor import Reconstructor
from audit.target.loading import load_target

OURS = "reconstruct"
SITES, SITES_A_DOCUMENT = 10, 8


def main() -> None:
    """Measures, compares the vectors and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument("--texts", type=int, default=2048)
    parser.add_argument("--of", choices=sorted(SOURCES), default="audit")
    parser.add_argument("--alone", type=int, default=64, help="texts read one at a time")
    parser.add_argument("--seed", type=int, default=95_001)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    pair = load_pair("lab")
    texts = SOURCES[options.of](options.texts, options.seed, pair)
    few = texts[: options.alone]
    seconds = interleaved(
        {
            OURS: lambda: pair.reconstruct(texts),
            "text by text, the released recipe": lambda: by_recipe(pair.ar, few),
            "text by text, ours": lambda: [pair.reconstruct([text]) for text in few],
        },
        options.runs,
        options.clock,
    )
    whole, needed = sum(map(len, rows := pair.ar.encode(texts))), len({tuple(row[: n + 1]) for row in rows for n in range(len(row))})
    print(f"{options.texts} texts, {len(set(texts))} distinct, {whole} tokens, {needed} of them after a beginning of their own")
    print(f"{options.threads} threads, {options.clock} clock, {options.runs} runs\n")
    show(seconds, OURS, dict.fromkeys((name for name in seconds if name != OURS), options.texts / options.alone))
    print(apart(pair.reconstruct(texts)[: options.alone], by_recipe(pair.ar, few)))


def by_recipe(ar: Reconstructor, texts: Sequence[str]) -> np.ndarray[Any, Any]:
    """What people write who follow the format's description; ``[n, d]``."""
    made = []
    with torch.no_grad():
        for text in texts:
            prompt = ar.sidecar.prompt_template.format(explanation=text)
            ids = ar.tokenizer(prompt, return_tensors="pt", return_token_type_ids=False)
            made.append(ar.head(ar.backbone(**ids).last_hidden_state[:, -1]).numpy())
    return np.concatenate(made)


def of_audit(count: int, seed: int, pair: NlaPair) -> list[str]:
    """What the AV writes greedily of random tokens of conversations that the target has, in random order."""
    target = load_target("lab")
    families = (*AGENT_FAMILIES, "ordinary_use")
    wanted = -(-count // (SITES * len(families) * 2)) + 1
    vectors = []
    for rows in transcripts(target.model, target.tokenizer, wanted, seed, "names", families).values():
        vectors.append(vectors_at(target.model, rows, sites_of(rows, target.tokenizer, SITES, seed)))
    return shuffled([row.text for row in pair.explain(np.concatenate(vectors))], count, seed)


def of_documents(count: int, seed: int, pair: NlaPair) -> list[str]:
    """What the AV writes greedily of documents that no training saw, in random order."""
    target = load_target("lab")
    vectors = explained_activations(target.model, target.tokenizer, seed, count // SITES_A_DOCUMENT + 4).vectors
    return shuffled([row.text for row in pair.explain(vectors[:count])], count, seed)


def shuffled(texts: list[str], count: int, seed: int) -> list[str]:
    """``count`` of the texts. Raises ``SystemExit`` if there are fewer."""
    if len(texts) < count:
        raise SystemExit(f"There are {len(texts)} texts, fewer than {count}.")
    return random.Random(seed).sample(texts, count)


def summaries(count: int, seed: int, pair: NlaPair) -> list[str]:
    """Summaries of documents that no training saw, each cut at a random place."""
    rng = random.Random(f"reconstruct/{seed}")
    return [summary(document, rng.randrange(len(document.text)), rng) for document in nla_documents(seed, count)]


SOURCES = {"audit": of_audit, "documents": of_documents, "summaries": summaries}

if __name__ == "__main__":
    main()
