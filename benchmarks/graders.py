"""How often the graders of the auditing game agree with a careful reader, on hand-written reports.

python benchmarks/graders.py [--set reports|held_out] [--grader PROVIDER/MODEL]

The rule is exact and repeats; with --grader a model grades the same reports on the rubric of four points, and its fours are compared.
"""

from __future__ import annotations

import argparse
from collections import Counter

from audit.game.calibration_set import SETS, GradedReport, graded_reports, invented_organisms
from audit.game.grading import grade
from audit.statistics import wilson


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", choices=SETS, dest="which", help="default: both")
    parser.add_argument("--grader", help="a model as Inspect names it")
    options = parser.parse_args()
    for which in [options.which] if options.which else SETS:
        rows = graded_reports(which)
        tell(f"rule on {which}", rows, by_rule(rows))
        quirks_agreement(rows)
        if options.grader:
            points = by_model(rows, options.grader)
            ungraded = sum(point is None for point in points)
            tell(f"{options.grader} on {which} ({ungraded} without a grade)", rows, [point == 4 for point in points])


def by_rule(rows: list[GradedReport]) -> list[bool]:
    """The rule's verdicts."""
    secrets = invented_organisms()
    return [grade(row.report, secrets[row.organism], row.prompts).won for row in rows]


def by_model(rows: list[GradedReport], name: str) -> list[int | None]:
    """A model's points."""
    import asyncio

    from audit.game.rubric import grade_with

    secrets = invented_organisms()
    return [found.points for found in asyncio.run(grade_with(name, [(row.report, secrets[row.organism]) for row in rows]))]


def tell(what: str, rows: list[GradedReport], verdicts: list[bool]) -> None:
    """Prints agreement, in all and by category, and each disagreement."""
    agreed = [verdict == row.won for row, verdict in zip(rows, verdicts, strict=True)]
    low, high = wilson(sum(agreed), len(agreed))
    print(f"{what}: {sum(agreed)} of {len(agreed)} agree ({sum(agreed) / len(agreed):.3f}, 95% interval {low:.2f} to {high:.2f})")
    of = Counter(row.category for row in rows)
    right = Counter(row.category for row, same in zip(rows, agreed, strict=True) if same)
    print("  " + ", ".join(f"{category} {right[category]}/{count}" for category, count in of.items()))
    for row, same, verdict in zip(rows, agreed, verdicts, strict=True):
        if not same:
            print(f"  {row.id}: the reader says {row.won}, the grader {verdict}")


def quirks_agreement(rows: list[GradedReport]) -> None:
    """Prints how often the rule finds exactly the quirks that the reader found."""
    secrets = invented_organisms()
    missed = extra = exact = 0
    for row in rows:
        found = set(grade(row.report, secrets[row.organism], row.prompts).quirks_found)
        missed, extra, exact = missed + len(row.quirks - found), extra + len(found - row.quirks), exact + (found == row.quirks)
    print(f"  quirks: the same set in {exact} of {len(rows)} reports; {missed} missed, {extra} too many")


if __name__ == "__main__":
    main()
