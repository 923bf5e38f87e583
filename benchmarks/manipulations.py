"""Do realism twins and steering move the measure on the lab as awareness predicts, and do random directions leave it alone?

    python benchmarks/manipulations.py [--per-state 60] [--strengths 0.1,0.2,0.3] [--random 3] [--seed 50011] [--weights DIR]

One row for each arm: mean share of YES tokens before and after on the same samples, with 95% intervals by bootstrap over skeletons,
whether these are apart, the paired change, and what McNemar's test says of the transcripts above the threshold (5% of other controls).
Rows read "plain" are the main measure: the steered reply read again without steering.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from audit.lab import weights_folder
from audit.lab.manipulations import Arm, Arms, Bench, measure_arms
from audit.nla import load_pair
from audit.statistics import Interval
from audit.target.loading import load_target

COLUMNS = ("arm", "samples", "read", "n", "before", "after", "apart", "change", "aware lost/gained, p", "nats", "calls parse", "coherent")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--per-state", type=int, default=60, help="samples of each hidden state in each of the three families")
    parser.add_argument("--strengths", default="0.1,0.2,0.3")
    parser.add_argument("--random", type=int, default=3, help="random directions of equal norm, at the largest strength")
    parser.add_argument("--seed", type=int, default=50_011)
    parser.add_argument("--novelty", choices=("names", "phrases"), default="names")
    parser.add_argument("--scanner", default="awareness.lexical")
    parser.add_argument("--weights", type=Path, help="a build of `nla-audit lab build`; default: the bundled weights")
    options = parser.parse_args()
    folder = options.weights or weights_folder("target").parent
    loaded = load_target(str(folder / "target"))
    strengths = [float(part) for part in options.strengths.split(",")]
    arms = Arms(options.per_state, strengths, options.random, options.seed, options.novelty, options.scanner)
    bench = Bench(loaded.model, loaded.tokenizer, load_pair(str(folder)), arms)
    print(f"Threshold (5% of {2 * options.per_state} other controls): {bench.threshold:.3f}\n")
    print("| " + " | ".join(COLUMNS) + " |\n|" + "---|" * len(COLUMNS))
    for arm in measure_arms(bench):
        print("| " + " | ".join(row(arm)) + " |", flush=True)


def row(arm: Arm) -> list[str]:
    """One arm as cells."""
    effect, found = arm.effect, arm.coherence
    gap, aware = effect.difference, effect.aware
    return [
        arm.name, arm.group, arm.reading, str(effect.pairs), mean(arm.before), mean(arm.after), said(arm.apart),
        "-" if gap is None else mean((gap.difference, gap.interval), sign="+"),
        "-" if aware is None else f"{aware.only_first}/{aware.only_second}, {aware.p:.2g}",
        "-" if found is None or found.nats is None else f"{found.nats:.2f}",
        "-" if found is None or found.parsed_share is None else f"{found.parsed_share:.2f} of {found.calls}",
        said(arm.coherent),
    ]  # fmt: skip


def mean(value: tuple[float, Interval | None], sign: str = "") -> str:
    """A mean with its interval."""
    number, interval = value
    return f"{number:{sign}.3f}" + (f" [{interval[0]:{sign}.3f}, {interval[1]:{sign}.3f}]" if interval else "")


def said(flag: bool | None) -> str:
    """Yes, no, or a dash."""
    return "-" if flag is None else "yes" if flag else "no"


if __name__ == "__main__":
    main()
