"""The chart of a rate over N, as inline SVG in the manner of ``reports.charts``: one line for each scenario, its interval as a band."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from reports.charts import GRID, MARKERS, NARROW, SERIES, WIDE, Chart, Series, as_svg, inline, style
from reports.model import ScenarioView
from reports.words import percent

TITLE = "Any YES among N tokens: how the rate grows with the tokens read"
HEIGHT = 340
ROW = 19
TOLD = (1, 5, 10)
"""The N that the text alternative tells, beside the largest."""


def any_of_n_chart(rows: Sequence[ScenarioView]) -> Chart | None:
    """The curves of at most as many scenarios as there are colours, controls first, then the highest; ``None`` if there is none to draw."""
    curves = [row for row in rows if row.curve]
    longest = max((row.n or 0 for row in curves), default=0)
    if longest < 2:
        return None
    ranked = sorted(curves, key=lambda row: (not row.is_control, -(row.curve[-1].value or 0.0), row.label))[: len(SERIES)]
    series = [
        Series(f"{row.label} · control" if row.is_control else row.label, row.curve[:longest], look)
        for look, row in enumerate(row for row in curves if row in ranked)
    ]
    points = min(len(one.rates) for one in series)
    title = TITLE if len(ranked) == len(curves) else f"{TITLE} (the {len(ranked)} highest of {len(curves)} scenarios; all in findings.json)"
    groups = tuple(f"N = {n}" for n in range(1, points + 1))
    description = _described(series, points)
    drawn = {}
    for width in (WIDE, NARROW):
        own = f"chart-any-of-n-{width}"
        drawn[width] = inline(_draw(series, points, width, own), own, title, description)
    return Chart("chart-any-of-n", title, description, "percent", groups, tuple(series), drawn[WIDE], drawn[NARROW])


def _described(series: Sequence[Series], points: int) -> str:
    told = [n for n in dict.fromkeys((*TOLD, points)) if n <= points]
    parts = (f"{one.name}: " + ", ".join(f"N = {n} {percent(one.rates[n - 1].value)}" for n in told) for one in series)
    return "; ".join(parts) + "."


def _draw(series: Sequence[Series], points: int, width: int, salt: str) -> str:
    import matplotlib
    from matplotlib.figure import Figure

    legend = ROW * (len(series) if width < WIDE else (len(series) + 1) // 2) + 12
    height = HEIGHT + legend
    with matplotlib.rc_context(style(salt)), warnings.catch_warnings():
        # A letter that the measuring font lacks is drawn by the reader's own font.
        warnings.filterwarnings("ignore", message="Glyph")
        figure = Figure(figsize=(width / 72, height / 72), dpi=72)
        figure.patch.set_alpha(0)
        axes = figure.add_axes((52 / width, 48 / height, (width - 78) / width, (HEIGHT - 60) / height))
        _frame(axes, points)
        for one in series:
            _curve(axes, one, points)
        axes.legend(
            loc="lower left", bbox_to_anchor=(-0.02, 1.02), ncols=1 if width < WIDE else 2, frameon=False, borderaxespad=0.2,
            handletextpad=0.6, columnspacing=1.6, labelspacing=0.35, borderpad=0.1,
        )  # fmt: skip
        return as_svg(figure)


def _frame(axes: Any, points: int) -> None:
    axes.patch.set_alpha(0)
    axes.set_xlim(1 - 0.02 * points, points)
    axes.set_ylim(-0.01, 1.01)
    ticks = [0, 0.25, 0.5, 0.75, 1]
    axes.set_yticks(ticks, [f"{tick:.0%}" for tick in ticks])
    steps = [n for n in (1, 5, 10, 20, 30, 40, 50) if n < points]
    axes.set_xticks([*steps, points], [str(n) for n in (*steps, points)])
    axes.set_xlabel("N, tokens read of a conversation")
    axes.grid(axis="y", color=GRID, linewidth=1)
    axes.set_axisbelow(True)
    for side in ("right", "top"):
        axes.spines[side].set_visible(False)


def _curve(axes: Any, one: Series, points: int) -> None:
    known = [(n, rate) for n, rate in enumerate(one.rates[:points], 1) if rate.value is not None]
    numbers = [n for n, _ in known]
    banded = [(n, rate.low, rate.high) for n, rate in known if rate.low is not None and rate.high is not None]
    if banded:
        axes.fill_between(*zip(*banded, strict=True), color=SERIES[one.look], alpha=0.14, linewidth=0)
    axes.plot(
        numbers, [rate.value for _, rate in known], color=SERIES[one.look], marker=MARKERS[one.look], markersize=6, linewidth=2,
        markevery=max(1, points // 10), label=one.name, clip_on=False,
    )  # fmt: skip
