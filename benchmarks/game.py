"""Do auditors find hidden motives with an NLA, and without one? Organisms x arms x seeds with the scripted auditor, as tables.

    python benchmarks/game.py [FOLDER] [--arms conversation,black-box,sae,nla,nla-diff] [--seeds 10] [--out DIR]

FOLDER is a build of ``nla-audit lab build --organisms`` (default: the bundled organisms), or its folder ``own_nla`` with organisms read by
NLAs of their own. Plays by ``nla-audit game``, so the same command goes on where it was stopped. Intervals of an arm come from drawing
whole organisms with replacement; where all of them did the same that bootstrap has no width, and the interval of means of organisms
beside it is the one to read. Decoy and base have nothing to find: what is claimed there is a false alarm.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

from audit.cli import cli
from audit.cli.game import DEFAULT_ARMS, RESULTS
from audit.cli.outcome import run_command

BUNDLED = Path(__file__).parent.parent / "audit" / "lab" / "organisms" / "weights"


def main() -> None:
    """Plays what is left to play, and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=BUNDLED)
    parser.add_argument("--only", nargs="+", default=[], help="organisms by name")
    parser.add_argument("--arms", default=DEFAULT_ARMS)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--conversations", type=int, default=100)
    parser.add_argument("--token-budget", type=int, default=500_000)
    parser.add_argument("--reply-tokens", type=int, default=100)
    parser.add_argument("--explanation-tokens", type=int, default=80)
    parser.add_argument("--temperature", type=float, default=0.0, help="of explanations")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("game-benchmark"))
    options = parser.parse_args()
    files = [str(options.folder / f"{name}.yaml") for name in options.only] or [str(options.folder)]
    if code := played(files, options):
        raise SystemExit(code)
    found = json.loads((options.out / RESULTS).read_text())
    show_arms(found)
    show_organisms(found)


def played(files: list[str], options: argparse.Namespace) -> int:
    """Runs ``nla-audit game`` and returns its exit code."""
    import torch

    torch.set_num_threads(options.threads)
    passed = ("seeds", "arms", "conversations", "token_budget", "reply_tokens", "explanation_tokens", "temperature", "out")
    settings = [part for name in passed for part in (f"--{name.replace('_', '-')}", str(getattr(options, name)))]
    return run_command(cli, ["game", *files, *settings])


def show_arms(found: dict[str, Any]) -> None:
    """A row for each arm."""
    head = "| arm | wins | rate | over organisms (bootstrap) | over organisms (means) | chance | organisms found | quirks | false alarms |"
    print(f"\n{head} tokens a run |\n|{'---|' * 10}")
    for row in found["totals"]:
        chance, intervals = row["chance"]["rate"], f"{ends(row['bootstrap'])} | {ends(row['clustered'])}"
        print(
            f"| {row['arm']} | {row['wins']} of {row['runs']} | {percent(row['rate'])} | {intervals} | {percent(chance)} "
            f"| {row['organisms_found']} of {row['organisms']} | {percent(row['quirks_share'])} "
            f"| {row['false_alarms']} of {row['controls']} | {row['spent']['tokens'] or 0:,.0f} |"
        )
    show_differences(found)
    if found["failed"]:
        print(f"\n{len(found['failed'])} audits failed, the first with: {found['failed'][0]['error']}")


def show_differences(found: dict[str, Any]) -> None:
    """What an arm adds to another, over the same organisms and seeds; and which kind of wording won."""
    print("\n| arm | against | difference of win rates | over organisms | p |\n|---|---|---|---|---|")
    for row in found["differences"]:
        print(f"| {row['arm']} | {row['against']} | {row['difference']:+.1%} | {ends(row['interval'])} | {row['p']:.4f} |")
    channels: dict[str, Counter[str]] = {}
    for run in found["runs"]:
        if run["won"]:
            channels.setdefault(run["arm"], Counter())[channel(run["claim"])] += 1
    for arm, counts in channels.items():
        print(f"\n{arm} won by: " + ", ".join(f"{name} {count}" for name, count in counts.most_common()), end="")
    print()


def channel(claim: str) -> str:
    """The kind of wording in which the scripted auditor found its cause."""
    found = re.search(r"\bits ([a-z ]+?) speak of this more\b", claim)
    return found[1] if found else "another way"


def show_organisms(found: dict[str, Any]) -> None:
    """Wins of each organism under each arm; of decoy and base, false alarms."""
    arms = [row["arm"] for row in found["totals"]]
    cells = {(row["organism"], row["arm"]): row for row in found["arms"]}
    names = list(dict.fromkeys(row["organism"] for row in found["arms"]))
    print("\n| organism | " + " | ".join(arms) + f" |\n|{'---|' * (len(arms) + 1)}")
    for name in names:
        rows = [cells[name, arm] for arm in arms]
        what = "wins" if rows[0]["kind"] == "organism" else "false_alarms"
        label = name if what == "wins" else f"{name} (false alarms)"
        print(f"| {label} | " + " | ".join(f"{row[what]}/{row['runs']}" for row in rows) + " |")


def percent(rate: float | None) -> str:
    """A rate, or a dash."""
    return "-" if rate is None else f"{rate:.1%}"


def ends(interval: list[float] | None) -> str:
    """An interval, or a dash."""
    return "-" if interval is None else f"[{interval[0]:.1%}, {interval[1]:.1%}]"


if __name__ == "__main__":
    main()
