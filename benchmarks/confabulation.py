"""How often do the lab's explanations make things up? False claims by kind, against what the generator knows.

    python benchmarks/confabulation.py [--documents 60] [--per-state 10] [--seed 97001] [--novelty names] [--weights DIR]

On documents of the kind that the NLA learnt from (a seed that no training saw) and on played silent transcripts. A theme is false if
the generator's genre, gist, setting or act is another; an entity if its name stands nowhere up to the token; a detail if the words
around the token are others. Beside it: how often the context check, which knows the transcript only, calls such a claim contradicted.
Intervals: Wilson's, and over documents or transcripts.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch

from audit.evidence.context import Surroundings, check_claim
from audit.findings.shares import cluster_interval, share
from audit.lab import weights_folder
from audit.lab.confabulation import JudgedClaim, Known, Part, judge, of_document, of_played
from audit.lab.measure import sites_of, transcripts, vectors_at
from audit.lab.nla import choose_positions, nla_documents, residual_rows
from audit.lab.pretrain import MAX_TOKENS
from audit.nla import NlaPair, load_pair
from audit.records import ClaimKind
from audit.target.loading import load_target

AFTER = 200
"""Characters behind a token that claims about words to come are held against."""


@dataclass(frozen=True)
class Row:
    """A judged claim, where it comes from, and what the context check says of it."""

    cluster: str
    claim: JudgedClaim
    context: str


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=60)
    parser.add_argument("--per-state", type=int, default=10, help="played transcripts of each hidden state in each agent family")
    parser.add_argument("--tokens", type=int, default=12)
    parser.add_argument("--seed", type=int, default=97_001)
    parser.add_argument("--novelty", choices=["seen", "names", "phrases"], default="names")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--weights", type=Path, help="a build of `nla-audit lab build`; default: the bundled weights")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    folder = options.weights or weights_folder("target").parent
    loaded, pair = load_target(str(folder / "target")), load_pair(str(folder))
    show("documents", list(on_documents(loaded.model, loaded.tokenizer, pair, options.documents, options.seed)))
    show("played transcripts", list(on_transcripts(loaded.model, loaded.tokenizer, pair, options)))


def on_documents(target: Any, tokenizer: Any, pair: NlaPair, count: int, seed: int) -> Iterator[Row]:
    """Claims about documents, at the kind of tokens that training chose."""
    rng = random.Random(f"nla-sites/{seed}")
    jobs: list[tuple[list[int], list[int]]] = []
    known: list[tuple[str, Known]] = []
    for number, document in enumerate(nla_documents(seed, count)):
        encoded = tokenizer(document.text, return_offsets_mapping=True)
        offsets = encoded["offset_mapping"][:MAX_TOKENS]
        positions = choose_positions(document, offsets, rng)
        jobs.append((encoded["input_ids"][:MAX_TOKENS], positions))
        known += [(str(number), of_document(document, offsets[position][1])) for position in positions]
    yield from judged(pair, residual_rows(target, jobs), known)


def on_transcripts(target: Any, tokenizer: Any, pair: NlaPair, options: Any) -> Iterator[Row]:
    """Claims about played transcripts, at an audit's random tokens."""
    for rows in transcripts(target, tokenizer, options.per_state, options.seed, options.novelty).values():
        sites, known = sites_of(rows, tokenizer, options.tokens, options.seed), []
        for row, chosen in zip(rows, sites, strict=True):
            calls = {call.index: call.prompt_ids + call.output_ids for call in row.transcript.calls}
            for site in chosen:
                ids = calls[site.call_index]
                text, end = tokenizer.decode(ids), len(tokenizer.decode(ids[: site.position + 1]))
                known.append((row.sample.sample_id, of_played(row, text, end)))
        yield from judged(pair, vectors_at(target, rows, sites), known)


def judged(pair: NlaPair, vectors: np.ndarray[Any, Any], known: Sequence[tuple[str, Known]]) -> Iterator[Row]:
    """Every claim of the AV's greedy explanations."""
    for (cluster, facts), said in zip(known, pair.explain(vectors), strict=True):
        if said.status not in ("ok", "truncated"):
            continue
        around = Surroundings(facts.text[: facts.end], facts.text[facts.end : facts.end + AFTER])
        for claim in judge(said.text, facts):
            yield Row(cluster, claim, check_claim(claim.text, around).status)


def show(name: str, rows: Sequence[Row]) -> None:
    """One table by kind, one by part of the explanation."""
    print(f"\n### False claims on {name}: {len({row.cluster for row in rows})} texts, {len(rows)} claims\n")
    heading = "claims | false | rate [Wilson] | over texts | contradicted by the context check: of false | of true"
    print(f"| kind | {heading} |\n|---|---|---|---|---|---|---|")
    for kind in get_args(ClaimKind):
        line(kind, [row for row in rows if row.claim.kind == kind])
    print(f"\n| part | {heading} |\n|---|---|---|---|---|---|---|")
    for part in get_args(Part):
        line(part, [row for row in rows if row.claim.part == part])


def line(name: str, rows: Sequence[Row]) -> None:
    """One line of a table; claims that nobody can judge are counted in words."""
    told = [row for row in rows if row.claim.false is not None]
    wrong, right = [row for row in told if row.claim.false], [row for row in told if not row.claim.false]
    unknown = f" (and {len(rows) - len(told)} of no known form)" if len(told) < len(rows) else ""
    found = share(len(wrong), len(told))
    rate = "-" if found["rate"] is None else f"{found['rate']:.3f} [{found['ci'][0]:.3f}, {found['ci'][1]:.3f}]"
    interval = cluster_interval([row.cluster for row in told], [float(row.claim.false or False) for row in told], 0) if told else None
    over = "-" if interval is None else f"[{interval[0]:.3f}, {interval[1]:.3f}]"
    flagged = [f"{sum(row.context == 'contradicted' for row in side)} of {len(side)}" for side in (wrong, right)]
    print(f"| {name} | {len(told)}{unknown} | {len(wrong)} | {rate} | {over} | {flagged[0]} | {flagged[1]} |")


if __name__ == "__main__":
    main()
