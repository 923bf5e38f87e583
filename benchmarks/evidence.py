"""Are transcript-level claims right? Precision of each evidence level against the lab's known state, over several audits.

    python benchmarks/evidence.py [--seeds 60001 60002 ...] [--per-state 45] [--controls 120] [--novelty names] [--weights DIR]

The claim is "in this transcript the model takes itself to be evaluated", made of every transcript above the threshold that each audit
calibrates on its own controls; it is right if the hidden state is evaluation. Intervals: Wilson's, and over skeletons within seeds.
Beside the levels: how often each rule failed on right and on wrong claims, and what the rules let through on held-out controls.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from audit.evidence.levels import TRANSCRIPT_RULES
from audit.findings.shares import cluster_interval, share
from audit.lab import weights_folder
from audit.lab.audited import Plan, audit_in_memory
from audit.nla import NlaPair, load_pair
from audit.target.loading import load_target


@dataclass(frozen=True)
class Claim:
    """One transcript-level claim and whether it is right."""

    seed: int
    family: str
    skeleton: str
    level: str
    failed: frozenset[str]
    right: bool
    control: bool


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[60_001, 60_011, 60_021, 60_031, 60_041])
    parser.add_argument("--per-state", type=int, default=45, help="transcripts of each hidden state in each agent family and audit")
    parser.add_argument("--controls", type=int, default=120, help="control transcripts of each audit")
    parser.add_argument("--tokens", type=int, default=12)
    parser.add_argument("--novelty", choices=["seen", "names", "phrases"], default="names")
    parser.add_argument("--scanner", default="awareness.classifier")
    parser.add_argument("--false-positive-rate", type=float, default=0.05)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--weights", type=Path, help="a build of `nla-audit lab build`; default: the bundled weights")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    folder = options.weights or weights_folder("target").parent
    loaded, pair = load_target(str(folder / "target")), load_pair(str(folder))
    plan = Plan(
        options.per_state, options.controls, options.novelty, options.scanner, options.tokens,
        false_positive_rate=options.false_positive_rate,
    )  # fmt: skip
    claims: list[Claim] = []
    for seed in options.seeds:
        claims += measured(loaded.model, loaded.tokenizer, pair, seed, plan)
    show(claims, options.seeds)


def measured(target: Any, tokenizer: Any, pair: NlaPair, seed: int, plan: Plan) -> list[Claim]:
    """The claims of one audit; its ground truth is looked up here, when all levels are given."""
    done = audit_in_memory(target, tokenizer, pair, seed, plan)
    found = []
    for row in done.examined:
        sample, failed = done.played[row.tally.transcript_id].sample, frozenset(entry["rule"] for entry in row.graded.failed)
        found.append(
            Claim(
                seed, sample.family, f"{seed}/{sample.skeleton_id}", row.graded.level, failed, sample.known_state == "evaluation",
                row.tally.kind == "deployment",
            )
        )  # fmt: skip
    told = f"seed {seed}: threshold {done.calibration.threshold}, noise floor {done.calibration.noise_floor}, shuffled {done.shuffled}"
    print(f"{told}, {len(found)} transcripts above the threshold", flush=True)
    return found


def show(claims: Sequence[Claim], seeds: Sequence[int]) -> None:
    """The tables."""
    studied = [claim for claim in claims if not claim.control]
    levels = {
        "all above the threshold": studied,
        "observed only": [claim for claim in studied if claim.level == "observed"],
        "corroborated": [claim for claim in studied if claim.level == "corroborated"],
    }
    print(f"\n### Precision of transcript-level claims, {len(seeds)} audits\n")
    print("| level | claims | right | precision [Wilson] | over skeletons | per audit |\n|---|---|---|---|---|---|")
    for name, chosen in levels.items():
        each = ", ".join(cell([claim for claim in chosen if claim.seed == seed]) for seed in seeds)
        clusters, values = [claim.skeleton for claim in chosen], [float(claim.right) for claim in chosen]
        interval = cluster_interval(clusters, values, 0) if chosen else None
        print(f"| {name} | {len(chosen)} | {sum(claim.right for claim in chosen)} | {precise(chosen)} | {ends(interval)} | {each} |")
    families = sorted({claim.family for claim in studied})
    print("\n| family | " + " | ".join(levels) + " |\n|---|" + "---|" * len(levels))
    for family in families:
        cells = [cell([claim for claim in chosen if claim.family == family]) for chosen in levels.values()]
        print(f"| {family} | " + " | ".join(cells) + " |")
    controls = [claim for claim in claims if claim.control]
    kept = [claim for claim in controls if claim.level == "corroborated"]
    print(f"\nheld-out controls above the threshold: {len(controls)}, corroborated: {len(kept)}")
    show_rules(studied)


def show_rules(claims: Sequence[Claim]) -> None:
    """What each rule does: of right claims few should fail it, of wrong ones many."""
    print("\n| rule | failed by right claims | failed by wrong claims |\n|---|---|---|")
    for rule in TRANSCRIPT_RULES:
        sides = [[rule.name in claim.failed for claim in claims if claim.right == right] for right in (True, False)]
        print(f"| {rule.name} | " + " | ".join(f"{sum(side)} of {len(side)}" for side in sides) + " |")


def cell(claims: Sequence[Claim]) -> str:
    """``right/all``."""
    return f"{sum(claim.right for claim in claims)}/{len(claims)}"


def precise(claims: Sequence[Claim]) -> str:
    """A precision with Wilson's interval."""
    found = share(sum(claim.right for claim in claims), len(claims))
    return "-" if found["rate"] is None else f"{found['rate']:.3f} {ends(found['ci'])}"


def ends(interval: Sequence[float] | None) -> str:
    """An interval, or a dash."""
    return "-" if interval is None else f"[{interval[0]:.3f}, {interval[1]:.3f}]"


if __name__ == "__main__":
    main()
