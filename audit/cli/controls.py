"""The controls of ``nla-audit score``: what should say nothing about an activation, and what rewrites of an explanation cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from audit.errors import AuditError

if TYPE_CHECKING:
    from audit.nla.fidelity import Fve
    from audit.nla.pair import NlaPair
    from audit.nla.rewrites import Rewrite, RewriteCost
    from audit.nla.vectors import Vectors

FEWEST = 10
"""Scored rows below which an interval says nothing."""


def show_controls(
    pair: NlaPair, vectors: Vectors, texts: Sequence[str | None], cosines: Sequence[float | None], paraphrase: str | None
) -> None:
    """Prints FVE (variance baseline) of the explanations beside that of the controls, and the cost of each rewrite.

    Each row counts as independent: a file of vectors does not say which of them share a document. Raises ``AuditError`` where there
    are too few rows.
    """
    from rich.console import Console

    from audit.nla.fidelity import measure_fidelity
    from audit.nla.rewrites import rewrite_costs

    kept = [row for row, value in enumerate(cosines) if value is not None]
    if len(kept) < FEWEST:
        raise AuditError(f"Controls need {FEWEST} scored explanations; there are {len(kept)}.", "Give more, or leave out --controls.")
    given, said = vectors[kept], [texts[row] or "" for row in kept]
    figures = measure_fidelity(given, said, pair.reconstruct)
    scores = {
        "these explanations": figures.round_trip,
        "explanations of other activations": figures.shuffled,
        "the mean direction, no words": figures.mean_direction,
        "an unrelated text": figures.unrelated,
    }
    rewrites = _rewrites(said, paraphrase)
    costs = {cost.name: cost for cost in rewrite_costs(given, said, rewrites, pair.reconstruct)}
    console = Console(highlight=False)
    rows = [(name, _cell(score.variance), f"{score.cosine:.3f}") for name, score in scores.items()]
    console.print(_table("", ("FVE (variance)", "cosine"), rows))
    rows = [(name, *_row(costs.get(name))) for name in rewrites]
    console.print(_table("rewrite", ("FVE lost", "rows"), rows))


def _row(cost: RewriteCost | None) -> tuple[str, str]:
    if cost is None:
        return "-", "none changed: there was nothing to change, or every rewriting failed"
    return _cell(cost.cost), f"{cost.rows} changed, {cost.unchanged} unchanged, {cost.failed} failed"


def _rewrites(texts: Sequence[str], paraphrase: str | None) -> dict[str, Rewrite]:
    from audit.nla.rewrites import by_model, shuffle_lines, without_quotes

    rewrites: dict[str, Rewrite] = {"lines shuffled": shuffle_lines, "quotations removed": lambda text, rng: without_quotes(text)}
    if paraphrase:
        from inspect_ai.model import Model, get_model

        import audit.registry  # noqa: F401  (makes targets of ours available to Inspect by name)

        def make() -> Model:
            return get_model(paraphrase, memoize=False)

        rewrites["in other words"] = by_model(make, texts)
    return rewrites


def _cell(fve: Fve) -> str:
    return f"{fve.value:.3f} [{fve.low:.3f}, {fve.high:.3f}]"


def _table(first: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> object:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column(first)
    for column in columns:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*row)
    return table
