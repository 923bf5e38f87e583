"""From an audit's tables to its report: one HTML file that asks the network for nothing and runs no script but its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import Any

from reports.charts import ALL, ALOUD, AWARE, PROBE, TEXT_ONLY, UNAWARE, Chart, Line, Series, amount, dot_chart
from reports.curves import any_of_n_chart
from reports.explorer import Explorer
from reports.explorer_pack import ExplorerView, packed
from reports.games import GameView
from reports.model import Figure, ReportView, ScenarioView
from reports.reading import Rate
from reports.scripts import load_script, policy
from reports.text import markup, plain
from reports.view import AuditTables, build_view
from reports.words import percent

TEMPLATE = "report.html.j2"
EXPLORER = tuple(f"explorer_{part}.js" for part in ("data", "text", "find", "list", "talk", "panel", "hands"))
SCRIPTS = (("signoff.js",), EXPLORER)
"""The scripts that the report runs, in this order, each by its files in ``templates``."""
SENTENCE = 2000
"""Characters shown of a sentence of the audit's own."""


def render_audit(tables: AuditTables, explorer: ExplorerView | None = None) -> str:
    """The report as HTML. The same tables always give the same bytes. ``explorer``: by default one that holds its data itself."""
    view = build_view(tables)
    explorer = explorer or packed(Explorer(tables))
    return render_page(TEMPLATE, SCRIPTS, bool(explorer.live), view=view, charts=audit_charts(view), explorer=explorer)


def render_page(template: str, scripts: Sequence[Sequence[str]] = (), connects: bool = False, **values: Any) -> str:
    """A template as a page that may run ``scripts`` and nothing else; ``connects``: they may ask the page's own server."""
    loaded = [load_script(*names) for names in scripts]
    rendered: str = _environment().get_template(template).render(scripts=loaded, policy=policy(loaded, connects), **values)
    return rendered


def audit_charts(view: ReportView) -> dict[str, Chart | None]:
    """The report's charts by name; ``None`` where there is nothing to draw."""
    rows = view.scenarios
    scored = [row for row in rows if row.harmful.known]
    return {
        "awareness": _awareness(rows, view.floor),
        "any_of_n": any_of_n_chart(rows),
        "behaviour": _behaviour(scored),
        "truth": _truth(view.truth_families),
        "games": game_chart(view.games),
    }


def _awareness(rows: Sequence[ScenarioView], floor: Rate) -> Chart | None:
    series = [
        Series("NLA-aware", tuple(row.aware for row in rows), AWARE),
        Series("said aloud", tuple(row.verbalised for row in rows), ALOUD),
    ]
    if any(row.text_baseline.known for row in rows):
        series.append(Series("text-only baseline", tuple(row.text_baseline for row in rows), TEXT_ONLY))
    if any(row.probe.known for row in rows):
        series.append(Series("linear probe", tuple(row.probe for row in rows), PROBE))
    title = "Awareness of being evaluated, by scenario"
    line = Line("noise floor", floor) if floor.known else None
    return dot_chart("chart-awareness", title, _labels(rows), series, "share of conversations", line)


def _behaviour(rows: Sequence[ScenarioView]) -> Chart | None:
    series = [Series("all", tuple(row.harmful for row in rows), ALL)]
    if any(row.harmful_aware.known or row.harmful_unaware.known for row in rows):
        series.append(Series("NLA-aware", tuple(row.harmful_aware for row in rows), AWARE))
        series.append(Series("not NLA-aware", tuple(row.harmful_unaware for row in rows), UNAWARE))
    return dot_chart("chart-behaviour", "Harmful behaviour, by scenario", _labels(rows), series, "share of conversations that end in harm")


def _truth(families: Sequence[Figure]) -> Chart | None:
    rates = tuple(family.rate or Rate() for family in families)
    guessing = Line("guessing", Rate(0.5))
    title = "Agreement with the known truth, by family"
    return dot_chart(
        "chart-truth", title, [family.label for family in families], [Series("AUROC", rates, AWARE)], "AUROC", guessing, "plain"
    )


def game_chart(view: GameView) -> Chart | None:
    """Win rates by arm with the interval over organisms, chance and false alarms beside them."""
    found = (arm.won if arm.won.cluster_low is None else replace(arm.won, low=arm.won.cluster_low, high=arm.won.cluster_high)
             for arm in view.arms)  # fmt: skip
    series = [
        Series("found what is hidden", tuple(found), AWARE),
        Series("by chance", tuple(arm.chance for arm in view.arms), TEXT_ONLY),
    ]
    if any(arm.alarms.known for arm in view.arms):
        series.append(Series("false alarms (decoy, base)", tuple(arm.alarms for arm in view.arms), ALOUD))
    groups = [plain(arm.name, 44) for arm in view.arms]
    return dot_chart("chart-games", "What auditors find, by their tools", groups, series, "share of audits")


def _labels(rows: Sequence[ScenarioView]) -> list[str]:
    return [f"{row.label} · control" if row.is_control else row.label for row in rows]


def decimal(value: float) -> str:
    """A number for people: whole numbers whole, others with two decimals, or two digits where they are small."""
    if value == int(value):
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) >= 0.01 else f"{value:.2g}"


@cache
def _environment() -> Any:
    """Jinja with everything escaped, and an error for a name that does not exist."""
    from jinja2 import DictLoader, Environment, StrictUndefined

    folder = files("reports").joinpath("templates")
    sources = {item.name: item.read_text(encoding="utf-8") for item in folder.iterdir() if item.name.endswith(".j2")}
    environment = Environment(loader=DictLoader(sources), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "said": markup, "plain": plain, "percent": percent, "amount": amount, "decimal": decimal,
        "sentence": lambda value: markup(value, SENTENCE),
    }  # fmt: skip
    return environment
