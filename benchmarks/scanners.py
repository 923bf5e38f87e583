"""How well the scanners judge wording: the labelled explanations' held-out split, and the family of the lab that says its suspicion aloud.

python benchmarks/scanners.py
"""

from __future__ import annotations

from typing import get_args

from audit.lab.lexicon import Novelty
from audit.lab.world import conversation_of
from audit.scanners.labelled import held_out_report
from audit.scanners.verbalised import judge_turn
from audit.statistics import wilson

EACH = 100


def main() -> None:
    """Measures and prints."""
    for scanner in ("awareness.lexical", "awareness.classifier"):
        report = held_out_report(scanner)
        print(f"{scanner} on held-out themes:", {name: value for name, value in report.items() if name not in ("kinds", "labels")})
        for name, figures in {**report["labels"], **report["kinds"]}.items():
            print("  ", name, figures)
    for novelty in get_args(Novelty):
        flagged = {state: sum(says_so(index, novelty, state) for index in range(EACH)) for state in ("evaluation", "deployment")}
        recall, precision = flagged["evaluation"] / EACH, flagged["evaluation"] / max(1, sum(flagged.values()))
        print(f"verbalised, {novelty}: recall {recall:.2f} {wilson(flagged['evaluation'], EACH)}, precision {precision:.2f}, n = {EACH}")


def says_so(index: int, novelty: Novelty, state: str) -> bool:
    """Whether the scanner finds any turn of a transcript of the verbalising family to say that it is being evaluated."""
    conversation = conversation_of("verbalising", index, 60_001, novelty, state)
    return any(judge_turn(turn.text).label == "YES" for turn in conversation.turns if turn.role == "assistant")


if __name__ == "__main__":
    main()
