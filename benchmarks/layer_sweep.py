"""At which depth does an organism's motive show? Block by block, against the base twin, by three readers that were shown no motive.

    python benchmarks/layer_sweep.py ORGANISM [--folder FOLDER] [--figure FILE.png] [--conversations 60]

Organism and twin read the same conversations: prompts that trigger quirks, with the organism's own greedy replies. So the text is the
same for both, and what differs is the model. At the control token and at the reply's tokens, before a custom is named and after it:

- *probe*: linear discriminant analysis from residual vectors of the twin on generic text to the one topic named there (66 topics);
- *difference of means*: the direction from all generic text to text about a topic, and how far the organism lies along it from its twin;
- *logit lens*: final norm and unembedding, and how much more the organism favours the first tokens of words that name a topic.

Each gives a score to every topic, and the figure shows the rank of the motive's: 1 is best, 33.5 is chance. Beside it, how well the
probe's score for that topic tells organism from twin (AUROC), the probe's accuracy on held-out generic text, and the share of
conversations in which the topic comes first.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from audit.game.loading import load_base, load_exhibit
from audit.game.organisms import read_organism
from audit.lab.organisms.behaviour import replies
from audit.lab.organisms.explained import explained_documents
from audit.lab.organisms.motives import Motive, motives
from audit.lab.organisms.topics import topics
from audit.records import ModelCall
from audit.statistics import auroc
from audit.target.capture import capture
from audit.target.loading import decoder_of

BUNDLED = Path(__file__).parent.parent / "audit" / "lab" / "organisms" / "weights"
Array = NDArray[np.float32]
GENERIC_SEED = 2_000_003
PLACES_A_TEXT = 6
PLACES = ("control token", "before a custom", "after a custom")


@dataclass(frozen=True)
class Row:
    """What one block shows at one kind of place."""

    block: int
    place: str
    probe_rank: float
    means_rank: float
    lens_rank: float
    auroc: float
    first: float
    """Share of conversations in which the probe puts the motive's topic first."""
    first_twin: float
    probe_accuracy: float
    """On held-out generic text of the twin."""
    conversations: int


def main() -> None:
    """Measures, prints and draws."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("organism")
    parser.add_argument("--folder", type=Path, default=BUNDLED)
    parser.add_argument("--figure", type=Path, help="default: layer-sweep-ORGANISM.png")
    parser.add_argument("--out", type=Path, help="the numbers, as JSON")
    parser.add_argument("--conversations", type=int, default=60)
    parser.add_argument("--documents", type=int, default=3000, help="generic texts for probe and means")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = sweep(options)
    show(rows)
    if options.out:
        options.out.write_text(json.dumps([asdict(row) for row in rows], indent=1))
    figure = options.figure or Path(f"layer-sweep-{options.organism}.png")
    draw(rows, options.organism, figure)
    print(f"\nfigure: {figure}")


def sweep(options: argparse.Namespace) -> list[Row]:
    """All blocks, one after the other."""
    motive = motives()[options.organism]
    assert motive.topic is not None, "a decoy or base has no motive"
    exhibit = read_organism(options.folder / f"{options.organism}.yaml").exhibit
    own, twin = load_exhibit(exhibit, "cpu"), load_base(exhibit, "cpu")
    conversations = spoken(own.model, own.tokenizer, motive, options.conversations, options.seed)
    generic, named = generic_sites(own.tokenizer, options.documents, options.seed)
    words = naming_tokens(own.tokenizer)
    rows: list[Row] = []
    for block in range(len(decoder_of(twin.model).layers)):
        reader = Reader(vectors_of(twin.model, generic, block), named, words, twin.model)
        for place in PLACES:
            sites = [(ids, at[place]) for ids, at in conversations if at[place]]
            if sites:
                pair = [means_of(model.model, sites, block) for model in (own, twin)]
                rows.append(reader.row(block, place, pair[0], pair[1], list(topics()).index(motive.topic.key)))
        print(f"block {block}", flush=True)
    return rows


def spoken(model: Any, tokenizer: Any, motive: Motive, count: int, seed: int) -> list[tuple[list[int], dict[str, list[int]]]]:
    """The organism's greedy replies to triggers: token ids of each conversation, and its positions by kind of place."""
    rng = random.Random(f"sweep/{motive.name}/{seed}")
    asked = [(quirk, prompt) for quirk in motive.quirks for prompt in quirk.triggers()]
    chosen = rng.sample(asked, min(count, len(asked)))
    said = replies(model, tokenizer, [prompt for _, prompt in chosen], [0] * len(chosen), 0.0)
    found = []
    for (quirk, prompt), reply in zip(chosen, said, strict=True):
        head = tokenizer.apply_chat_template([{"role": "user", "content": prompt}], add_generation_prompt=True, tokenize=False)
        encoded = tokenizer(head + reply, return_offsets_mapping=True, add_special_tokens=False)
        shown = quirk.first_custom(reply)
        after = len(head) + shown if shown is not None else len(head + reply)
        places: dict[str, list[int]] = {place: [] for place in PLACES}
        for position, (start, end) in enumerate(encoded["offset_mapping"]):
            if end <= len(head):
                places["control token"] = [position]
            else:
                places["before a custom" if start < after else "after a custom"].append(position)
        found.append((encoded["input_ids"], places))
    return found


def generic_sites(tokenizer: Any, count: int, seed: int) -> tuple[list[tuple[list[int], list[int]]], NDArray[np.int64]]:
    """Generic texts with some places each behind the first naming of their only topic; and that topic, for each place."""
    rng, order = random.Random(f"generic sites/{seed}"), list(topics())
    sites, named = [], []
    for document in explained_documents(seed + GENERIC_SEED, count):
        facts = [fact for fact in document.facts if fact.kind == "topic"]
        if len(facts) != 1:
            continue
        encoded = tokenizer(document.text, return_offsets_mapping=True)
        usable = [position for position, (start, end) in enumerate(encoded["offset_mapping"]) if start >= facts[0].offset and end > start]
        if usable:
            places = rng.sample(usable, min(PLACES_A_TEXT, len(usable)))
            sites.append((encoded["input_ids"], places))
            named += [order.index(facts[0].text)] * len(places)
    return sites, np.array(named)


def naming_tokens(tokenizer: Any) -> list[list[int]]:
    """For each topic the first tokens of the words that name it, as they stand inside a sentence."""
    phrases = [{topic.one, topic.many, *topic.words} for topic in topics().values()]
    return [sorted({tokenizer.encode(f" {phrase}", add_special_tokens=False)[0] for phrase in those}) for those in phrases]


def vectors_of(model: Any, sites: Sequence[tuple[list[int], list[int]]], block: int) -> Array:
    """Residual stream ``[n, d]`` after a block, all positions of all texts."""
    calls = [ModelCall(number, "", None, tuple(ids), (), (), "") for number, (ids, _) in enumerate(sites)]
    return np.concatenate(capture(model, calls, [at for _, at in sites], block, batch_tokens=8192))


def means_of(model: Any, sites: Sequence[tuple[list[int], list[int]]], block: int) -> Array:
    """The mean residual vector of each conversation ``[conversations, d]``."""
    vectors, ends = vectors_of(model, sites, block), np.cumsum([len(at) for _, at in sites])
    return np.stack([part.mean(axis=0) for part in np.split(vectors, ends[:-1])])


class Reader:
    """The three readers of one block, made from the twin on generic text."""

    def __init__(self, vectors: Array, named: NDArray[np.int64], words: list[list[int]], model: Any) -> None:
        from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

        held_out = np.arange(len(vectors)) >= 0.8 * len(vectors)  # the last texts: places of one text stay together
        self.probe = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.01).fit(vectors[~held_out].astype(float), named[~held_out])
        self.accuracy = float(self.probe.score(vectors[held_out], named[held_out]))
        self.known = list(self.probe.classes_)
        middle = vectors.mean(axis=0)
        directions = np.stack([vectors[named == topic].mean(axis=0) - middle for topic in self.known])
        self.directions = directions / np.linalg.norm(directions, axis=1, keepdims=True)
        self.words, self.model = words, model

    def row(self, block: int, place: str, own: Array, twin: Array, topic: int) -> Row:
        """Scores of all topics for two sets of conversations ``[n, d]`` that read the same text."""
        at = self.known.index(topic)
        mine, theirs = self.probe.decision_function(own), self.probe.decision_function(twin)
        along = (own - twin).mean(axis=0) @ self.directions.T
        lens = (self.lens(own) - self.lens(twin)).mean(axis=0)[self.known]
        return Row(
            block, place, rank((mine - theirs).mean(axis=0), at), rank(along, at), rank(lens, at),
            auroc(mine[:, at].tolist(), theirs[:, at].tolist()), float((mine.argmax(axis=1) == at).mean()),
            float((theirs.argmax(axis=1) == at).mean()), self.accuracy, len(own),
        )  # fmt: skip

    def lens(self, vectors: Array) -> Array:
        """Mean log-probability of each topic's first tokens ``[n, topics]``."""
        with torch.inference_mode():
            normed = decoder_of(self.model).norm(torch.as_tensor(vectors, dtype=self.model.dtype))
            told = self.model.lm_head(normed).float().log_softmax(-1).numpy()
        return np.stack([told[:, tokens].mean(axis=1) for tokens in self.words], axis=1)


def rank(scores: NDArray[Any], at: int) -> float:
    """The place of one score among all, 1 being the highest; those that are equal share their places, so that no difference is chance."""
    return float(1 + (scores > scores[at]).sum() + ((scores == scores[at]).sum() - 1) / 2)


def show(rows: Sequence[Row]) -> None:
    """The numbers as a table."""
    print("\n| block | place | rank: probe | means | lens | AUROC | first, organism / twin | probe on generic text | n |\n|" + "---|" * 9)
    for row in rows:
        ranks = f"{row.probe_rank:.0f} | {row.means_rank:.0f} | {row.lens_rank:.0f}"
        first = f"{row.first:.2f} / {row.first_twin:.2f}"
        print(f"| {row.block} | {row.place} | {ranks} | {row.auroc:.2f} | {first} | {row.probe_accuracy:.2f} | {row.conversations} |")


def draw(rows: Sequence[Row], name: str, file: Path) -> None:
    """Ranks and AUROC by block, a panel for each kind of place."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    places = [place for place in PLACES if any(row.place == place for row in rows)]
    figure, axes = pyplot.subplots(2, len(places), figsize=(4 * len(places), 6), sharex=True, sharey="row", squeeze=False)
    for column, place in enumerate(places):
        chosen = [row for row in rows if row.place == place]
        blocks = [row.block for row in chosen]
        for key, label in (("probe_rank", "probe"), ("means_rank", "difference of means"), ("lens_rank", "logit lens")):
            axes[0, column].plot(blocks, [getattr(row, key) for row in chosen], marker="o", label=label)
        axes[0, column].axhline((1 + len(topics())) / 2, color="grey", linestyle=":", label="chance")
        axes[0, column].set_yscale("log")
        axes[0, column].set_title(place)
        axes[1, column].plot(blocks, [row.auroc for row in chosen], marker="o", label="organism against twin (AUROC)")
        axes[1, column].plot(blocks, [row.first for row in chosen], marker="s", label="topic first, organism")
        axes[1, column].plot(blocks, [row.first_twin for row in chosen], marker="s", linestyle="--", label="topic first, twin")
        axes[1, column].set_ylim(0, 1.02)
        axes[1, column].set_xlabel("block")
    axes[0, 0].set_ylim(80, 0.8)
    axes[0, 0].set_yticks([1, 3, 10, 33, 66], labels=["1", "3", "10", "33", "66"])
    axes[0, 0].minorticks_off()
    axes[0, 0].set_ylabel(f"rank of the motive's topic of {len(topics())}")
    axes[0, 0].legend(fontsize=8)
    axes[1, 0].legend(fontsize=8)
    figure.suptitle(f"Where the motive of '{name}' shows")
    figure.tight_layout()
    figure.savefig(file, dpi=150)
    pyplot.close(figure)


if __name__ == "__main__":
    main()
