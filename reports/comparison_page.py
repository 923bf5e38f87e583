"""The page of a comparison: one HTML file in the manner of the report, without any script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from reports.charts import ALL, ALOUD, AWARE, TEXT_ONLY, UNAWARE, Chart, Line, Series, dot_chart
from reports.comparison import MEASURES, ComparisonView, RateRow, comparison_view
from reports.reading import Rate
from reports.render import render_page
from reports.text import plain

TEMPLATE = "comparison.html.j2"
LOOKS = {"nla_aware": AWARE, "verbalised": ALOUD, "harmful": ALL}


def render_comparison(found: dict[str, Any]) -> str:
    """The content of ``comparison.json`` as HTML. The same content always gives the same bytes."""
    view = comparison_view(found)
    return render_page(TEMPLATE, view=view, charts={"differences": _differences(view.main), "rates": _rates(view)})


def _differences(rows: Sequence[RateRow]) -> Chart | None:
    """The difference of each main rate of each scenario, with its interval over origins, about the line of no difference."""
    places = list(dict.fromkeys((row.place, row.kind) for row in rows if row.change.known and row.kind != "deployment"))
    series = []
    for measure, look in LOOKS.items():
        known = {(row.place, row.kind): _clustered(row.change) for row in rows if row.measure == measure}
        if any(rate.known for rate in known.values()):
            series.append(Series(MEASURES[measure], tuple(known.get(place, Rate()) for place in places), look))
    labels = [_label(place, kind) for place, kind in places]
    line = Line("no difference", Rate(0.0))
    return dot_chart("chart-differences", "What rose and what fell", labels, series, "B minus A, in percentage points", line, "points")


def _clustered(change: Rate) -> Rate:
    """With the interval that the direction was judged by, where there is one."""
    return change if change.cluster_low is None else replace(change, low=change.cluster_low, high=change.cluster_high, cluster_low=None)


def _rates(view: ComparisonView) -> Chart | None:
    """The rates themselves, A and B beside each other."""
    rows = [row for row in view.main if row.measure in LOOKS and (row.first.known or row.second.known)]
    labels = [f"{_label(row.place, row.kind)}: {row.label}" for row in rows]
    series = [Series("A", tuple(row.first for row in rows), TEXT_ONLY), Series("B", tuple(row.second for row in rows), UNAWARE)]
    return dot_chart("chart-rates", "The rates in both audits", labels, series, "share of conversations")


def _label(place: str, kind: str) -> str:
    return plain(place, 40) + (" \u00b7 control" if kind == "deployment" else "")
