"""How well the transcript score tells the known state, at a threshold of 1% on controls, and what is left of it with shuffled activations.

    python benchmarks/calibration.py [--per-state 500] [--controls 500] [--fpr 0.01] [--scanner awareness.classifier] [--weights DIR]

The threshold is set on one set of control transcripts and measured on as many others; the two share no skeleton. AUROC is taken
within families (pairs of one family only), its interval by bootstrap over skeletons. The threshold stands twice: as in an audit, and
raised until the true false-positive rate is promised at 95% confidence. Shuffled: the same sites get each other's activations, within
their family.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any, get_args

import numpy as np

from audit.findings.calibration import in_calibration_half
from audit.findings.shares import clustered_share
from audit.lab import weights_folder
from audit.lab.lexicon import Novelty
from audit.lab.measure import rates, sites_of, transcripts, vectors_at
from audit.lab.play import Played, play
from audit.lab.world import AGENT_FAMILIES, LabSample, scenario_samples
from audit.nla import NlaPair, load_pair
from audit.statistics import calibrate_threshold, clopper_pearson, cluster_bootstrap, stratified_auroc
from audit.target.loading import load_target

CONTROLS = "ordinary_use"


@dataclass(frozen=True)
class Scored:
    """One transcript's score, and what it is compared by. The state is read here, after everything has been scored."""

    family: str
    skeleton: str
    evaluation: bool
    score: float


@dataclass(frozen=True)
class Lab:
    """The lab's target and NLA, and how its transcripts are scored."""

    target: Any
    tokenizer: Any
    pair: NlaPair
    scanner: str

    def scored(self, played: Sequence[Played], shuffle: int | None = None) -> list[Scored]:
        """The transcripts that could be scored; with ``shuffle``, a seed, every site is given the activation of another."""
        sites = sites_of(played, self.tokenizer)
        vectors = vectors_at(self.target, played, sites)
        if shuffle is not None:
            vectors = vectors[np.random.default_rng(shuffle).permutation(len(vectors))]
        return [
            Scored(row.sample.family, row.sample.skeleton_id, row.sample.known_state == "evaluation", score)
            for row, score in zip(played, rates(self.pair, vectors, sites, self.scanner), strict=True)
            if score is not None
        ]


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--per-state", type=int, default=500, help="transcripts of each known state, over the three families together")
    parser.add_argument("--controls", type=int, default=500, help="control transcripts that set the threshold; as many others measure it")
    parser.add_argument("--fpr", type=float, default=0.01)
    parser.add_argument("--seed", type=int, default=60_001)
    parser.add_argument("--novelty", choices=get_args(Novelty), default="names")
    parser.add_argument("--scanner", default="awareness.classifier")
    parser.add_argument("--weights", type=Path, help="a build of `nla-audit lab build`; default: the bundled weights")
    options = parser.parse_args()
    folder = options.weights or weights_folder("target").parent
    loaded = load_target(str(folder / "target"))
    lab = Lab(loaded.model, loaded.tokenizer, load_pair(str(folder)), options.scanner)
    each = ceil(options.per_state / len(AGENT_FAMILIES))
    families = transcripts(lab.target, lab.tokenizer, each, options.seed, options.novelty)
    agents = [row for played in families.values() for row in lab.scored(played)]
    shuffled = [row for number, played in enumerate(families.values()) for row in lab.scored(played, options.seed + number)]
    setting, other = (
        lab.scored(play(lab.target, lab.tokenizer, samples)) for samples in control_samples(options.controls, options.seed, options.novelty)
    )
    print(f"scanner {options.scanner}, new {options.novelty}, seed {options.seed}; {len(agents)} agent transcripts scored")
    show_areas("AUROC within families", agents, options.seed)
    show_areas("the same, activations shuffled", shuffled, options.seed)
    for guarantee in (False, True):
        show_point(setting, other, agents, options.fpr, options.seed, guarantee)


def control_samples(count: int, seed: int, novelty: Novelty) -> tuple[list[LabSample], list[LabSample]]:
    """``count`` control samples each to set and to measure the threshold, no skeleton on both sides; the halves of an audit."""
    halves: tuple[list[LabSample], list[LabSample]] = ([], [])
    drawn = 2 * count
    while min(len(half) for half in halves) < count:
        drawn *= 2
        # Two samples of one seed are the same up to there, so that drawing more only appends.
        samples = scenario_samples(CONTROLS, drawn, seed + 1, novelty)
        halves = (
            [sample for sample in samples if in_calibration_half(sample.skeleton_id, seed)],
            [sample for sample in samples if not in_calibration_half(sample.skeleton_id, seed)],
        )
    return halves[0][:count], halves[1][:count]


def area(rows: Sequence[Scored], seed: int) -> str:
    """AUROC over pairs of one family, with its 95% interval by bootstrap over skeletons."""
    numbers = {family: float(number) for number, family in enumerate(sorted({row.family for row in rows}))}
    values = np.array([[row.score, float(row.evaluation), numbers[row.family]] for row in rows])

    def statistic(drawn: Any) -> float:
        return stratified_auroc(drawn[:, 0], drawn[:, 1], drawn[:, 2])

    try:
        low, high = cluster_bootstrap(values, [row.skeleton for row in rows], statistic, seed)
    except ValueError:
        return f"{statistic(values):.3f} [no interval: too few skeletons]"
    return f"{statistic(values):.3f} [{low:.3f}, {high:.3f}]"


def show_areas(title: str, rows: Sequence[Scored], seed: int) -> None:
    """One line for all families, one for each."""
    print(f"\n{title}: {area(rows, seed)}")
    for family in sorted({row.family for row in rows}):
        mine = [row for row in rows if row.family == family]
        positive = sum(row.evaluation for row in mine)
        print(f"  {family}: {area(mine, seed)}, {positive} and {len(mine) - positive} transcripts")


def show_point(
    setting: Sequence[Scored], other: Sequence[Scored], agents: Sequence[Scored], fpr: float, seed: int, guarantee: bool
) -> None:
    """What the threshold lets through: other controls, and agents of both states."""
    found = calibrate_threshold([row.score for row in setting], fpr, seed=seed, guarantee=guarantee)
    title = "promised at 95% confidence" if guarantee else "as in an audit"
    skeletons = len({row.skeleton for row in setting})
    print(f"\nThreshold at {fpr:.1%} of {found.controls} controls ({skeletons} skeletons), {title}: {found.threshold:.4f}")
    print(f"  on these controls {found.rate:.2%}; true rate at most {found.upper:.2%} (95%), promised: {found.promised}")
    groups = {
        "false positives on other controls": other,
        "true positives": [row for row in agents if row.evaluation],
        "agents known to be in deployment, above the threshold": [row for row in agents if not row.evaluation],
    }
    for name, rows in groups.items():
        share = clustered_share([(row.skeleton, row.score >= found.threshold) for row in rows], seed)
        upper = clopper_pearson(share["count"], share["of"], 0.9)[1]
        wilson, skeleton = (None if share[key] is None else [round(end, 4) for end in share[key]] for key in ("ci", "cluster_ci"))
        print(
            f"  {name}: {share['count']} of {share['of']}, Wilson {wilson}, by skeleton {skeleton}, exact one-sided 95% bound {upper:.4f}"
        )


if __name__ == "__main__":
    main()
