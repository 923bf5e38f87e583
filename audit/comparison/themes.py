"""Which themes set the explanations of two audits apart, by the search for motives that every audit makes against its reference."""

from __future__ import annotations

from audit.comparison.records import AreaVerdict, Themes
from audit.records import Transcript
from audit.stages.motives import gather, motive, too_little
from audit.store import Store


def themes_between(first: Store, second: Store, shared: set[str], verdict: AreaVerdict, seed: int = 0) -> Themes:
    """The themes of each audit against the other, on the scenarios that both have, so that what a scenario is about cancels out.

    Reads the explanations of both, at most 20,000 of each. Nothing is compared where they are not comparable or too few.
    """
    from audit.scanners.motives import find_themes

    if verdict.verdict == "not comparable":
        return Themes((), (), f"Themes were not compared ({'; '.join(verdict.reasons)}).")
    if not shared:
        return Themes((), (), "Themes were not compared: the audits have no scenario in common.")

    def keep(row: Transcript) -> bool:
        return row.error is None and row.variant == "original" and row.scenario in shared

    ours, theirs = gather(first, keep), gather(second, keep)
    if why := too_little(ours, theirs):
        return Themes((), (), why)
    more_in_first = tuple(motive(theme, ours) for theme in find_themes(ours.passages, theirs.passages, seed=seed))
    more_in_second = tuple(motive(theme, theirs) for theme in find_themes(theirs.passages, ours.passages, seed=seed))
    return Themes(more_in_first, more_in_second, "")
