"""Charts as inline SVG: dots with intervals, one row for each rate.

Colours are CSS variables and text is text, so a chart follows the page's light or dark scheme and its fonts. Series differ in
shape as well as in colour (the palette is Okabe and Ito's). The same input always gives the same bytes.
"""

from __future__ import annotations

import io
import re
import textwrap
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from reports.reading import Rate
from reports.words import percent

TEXT, GRID, MUTED = "#a0000a", "#a0000b", "#a0000c"
SERIES = ("#a00001", "#a00002", "#a00003", "#a00004", "#a00005")
FLOOR = "#a0000d"
_STYLES = {
    TEXT: "currentColor",
    GRID: "var(--grid)",
    MUTED: "var(--muted)",
    FLOOR: "var(--floor)",
    **{colour: f"var(--series-{index})" for index, colour in enumerate(SERIES, 1)},
}
MARKERS = ("o", "s", "D", "^", "P")
AWARE, ALOUD, TEXT_ONLY, UNAWARE, ALL = range(5)
PROBE = UNAWARE
"""Never in one chart with it."""
ROW, GAP = 19, 15
"""Height of a row and the space between groups, in pixels at full size."""
WIDE, NARROW = 760, 340
_LABELS = 222


@dataclass(frozen=True)
class Series:
    """One rate for each group."""

    name: str
    rates: tuple[Rate, ...]
    look: int
    """Which colour and shape, from 0: the same thing looks the same in every chart."""


@dataclass(frozen=True)
class Chart:
    """A chart in two widths, its text alternative, and its data."""

    id: str
    title: str
    description: str
    unit: str
    """``percent``, ``plain`` for figures from 0 to 1, or ``points`` for differences of shares, from -1 to 1."""
    groups: tuple[str, ...]
    series: tuple[Series, ...]
    wide: Markup
    narrow: Markup


@dataclass(frozen=True)
class Line:
    """A vertical line for reference, with its interval as a band."""

    name: str
    rate: Rate


def dot_chart(
    name: str, title: str, groups: Sequence[str], series: Sequence[Series], axis: str, line: Line | None = None, unit: str = "percent"
) -> Chart | None:
    """The rates of ``groups`` by series; ``None`` if no rate is known. ``name`` becomes part of the ids."""
    if not any(rate.known for one in series for rate in one.rates):
        return None
    description = _describe(groups, series, line, unit)
    drawn = {}
    for width in (WIDE, NARROW):
        own = f"{name}-{width}"
        drawn[width] = inline(_draw(groups, series, axis, line, width, own, unit), own, title, description)
    return Chart(name, title, description, unit, tuple(groups), tuple(series), drawn[WIDE], drawn[NARROW])


def _describe(groups: Sequence[str], series: Sequence[Series], line: Line | None, unit: str) -> str:
    parts = []
    for index, group in enumerate(groups):
        parts.append(f"{group}: " + ", ".join(f"{one.name} {_value(one.rates[index], unit)}" for one in series))
    if line is not None:
        parts.append(f"{line.name}: {_value(line.rate, unit)}")
    return "; ".join(parts) + "."


def amount(value: float | None, unit: str) -> str:
    """A figure of a chart, as text."""
    if unit == "percent" or value is None:
        return percent(value)
    return f"{value:.2f}" if unit == "plain" else f"{round(100 * value):+d}" if round(100 * value) else "0"


def _value(rate: Rate, unit: str) -> str:
    if not rate.known:
        return "not measured"
    return amount(rate.value, unit) + (f" ({amount(rate.low, unit)} to {amount(rate.high, unit)})" if rate.low is not None else "")


def style(salt: str) -> dict[str, Any]:
    """Matplotlib's settings: text stays text, and ids follow from ``salt``."""
    return {
        "svg.fonttype": "none", "svg.hashsalt": salt, "text.parse_math": False, "font.family": "sans-serif", "font.size": 13,
        "text.color": TEXT, "axes.edgecolor": GRID, "axes.labelcolor": TEXT, "xtick.color": GRID, "xtick.labelcolor": TEXT,
        "ytick.color": GRID, "ytick.labelcolor": TEXT,
    }  # fmt: skip


def as_svg(figure: Any) -> str:
    """The drawing, without anything that depends on the day or the program's version."""
    target = io.StringIO()
    figure.savefig(target, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return target.getvalue()


def _draw(groups: Sequence[str], series: Sequence[Series], axis: str, line: Line | None, width: int, salt: str, unit: str) -> str:
    import matplotlib
    from matplotlib.figure import Figure

    narrow = width < WIDE
    header = ROW if narrow else 0
    body = len(groups) * (len(series) * ROW + GAP + header)
    entries = len(series) + (line is not None)
    legend = ROW * entries + 8 if narrow else 34 + ROW * (entries > 4)
    height = body + legend + 48
    with matplotlib.rc_context(style(salt)), warnings.catch_warnings():
        # A letter that the measuring font lacks is drawn by the reader's own font.
        warnings.filterwarnings("ignore", message="Glyph")
        figure = Figure(figsize=(width / 72, height / 72), dpi=72)
        figure.patch.set_alpha(0)
        left = 12 if narrow else _LABELS
        axes = figure.add_axes((left / width, 48 / height, (width - left - 58) / width, body / height))
        _frame(axes, body, axis, unit)
        if line is not None:
            _reference(axes, line)
        _rows(axes, groups, series, header, unit)
        axes.legend(
            loc="lower left", bbox_to_anchor=(-0.04 if narrow else -0.01, 1.0), ncols=1 if narrow else 3 + (entries < 5), frameon=False,
            borderaxespad=0.2, handletextpad=0.4, columnspacing=1.6, labelspacing=0.35, borderpad=0.1,
        )  # fmt: skip
        return as_svg(figure)


def _frame(axes: Any, body: int, axis: str, unit: str) -> None:
    axes.patch.set_alpha(0)
    axes.set_xlim(-1.01 if unit == "points" else -0.01, 1.01)
    axes.set_ylim(body, 0)
    axes.set_yticks([])
    ticks = [-1, -0.5, 0, 0.5, 1] if unit == "points" else [0, 0.25, 0.5, 0.75, 1]
    axes.set_xticks(ticks, [str(tick) if unit == "plain" else f"{tick:.0%}" if unit == "percent" else amount(tick, unit) for tick in ticks])
    axes.set_xlabel(axis)
    axes.grid(axis="x", color=GRID, linewidth=1)
    axes.set_axisbelow(True)
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)


def _reference(axes: Any, line: Line) -> None:
    if line.rate.value is None:
        return
    if line.rate.low is not None and line.rate.high is not None:
        axes.axvspan(line.rate.low, line.rate.high, color=FLOOR, alpha=0.18, linewidth=0)
    axes.axvline(line.rate.value, color=FLOOR, linewidth=1.8, linestyle=(0, (4, 3)), label=line.name)


def _rows(axes: Any, groups: Sequence[str], series: Sequence[Series], header: int, unit: str) -> None:
    """Draws every rate, the group's name beside its rows, or above them where ``header`` leaves room."""
    points: list[list[tuple[float, float]]] = [[] for _ in series]
    top = 0.0
    for index, group in enumerate(groups):
        if index:
            axes.axhline(top, color=GRID, linewidth=1)
        top += GAP / 2
        middle = top + ROW / 2 if header else top + len(series) * ROW / 2
        label = (
            textwrap.shorten(group, 44, placeholder="…") if header else "\n".join(textwrap.wrap(group, 23, max_lines=2, placeholder="…"))
        )
        axes.annotate(
            label, (0, middle), xycoords=("axes fraction", "data"), xytext=(2 if header else -12, 0), textcoords="offset points",
            ha="left" if header else "right", va="center", fontweight="bold",
        )  # fmt: skip
        top += header
        for order, one in enumerate(series):
            _row(axes, one.rates[index], one.look, top + ROW / 2, points[order], unit)
            top += ROW
        top += GAP / 2
    for order, one in enumerate(series):
        xs, ys = ([point[axis] for point in points[order]] for axis in (0, 1))
        axes.plot(
            xs, ys, MARKERS[one.look], color=SERIES[one.look], markersize=8, linestyle="none", label=one.name, clip_on=False, zorder=3
        )


def _row(axes: Any, rate: Rate, look: int, y: float, points: list[tuple[float, float]], unit: str) -> None:
    if rate.value is None:
        axes.annotate("not measured", (0.01, y), va="center", fontsize=11.5, fontstyle="italic", color=MUTED)
        return
    points.append((rate.value, y))
    if rate.low is not None and rate.high is not None:
        axes.plot([rate.low, rate.high], [y, y], color=SERIES[look], linewidth=2.4, solid_capstyle="butt", zorder=2)
    axes.annotate(
        amount(rate.value, unit).replace("under ", "<").replace("over ", ">"), (1, y), xycoords=("axes fraction", "data"), xytext=(8, 0),
        textcoords="offset points", va="center", fontsize=12,
    )  # fmt: skip


def inline(svg: str, name: str, title: str, description: str) -> Markup:
    """The drawing as an element of the page: no prolog, ids of its own, colours and fonts from the page, and a text alternative."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", body, flags=re.DOTALL)
    # Inside tags only: outside stands text that others wrote.
    body = re.sub(r"<[^>]*>", lambda tag: _tag(tag[0], name), body)
    size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', body)
    assert size is not None
    opening = Markup('<svg {} width="{}" height="{}" role="img" aria-labelledby="{}-title {}-desc">').format(
        Markup(size[0]), size[1], size[2], name, name
    )
    label = Markup('<title id="{}-title">{}</title><desc id="{}-desc">{}</desc>').format(name, title, name, description)
    # Matplotlib escapes the text that it draws.
    return opening + label + Markup(re.sub(r"^<svg[^>]*>", "", body))


def _tag(tag: str, name: str) -> str:
    tag = re.sub(r"\bid=\"", f'id="{name}-', tag)
    tag = re.sub(r"url\(#", f"url(#{name}-", tag)
    tag = re.sub(r'xlink:href="#', f'href="#{name}-', tag)
    # The order of the parts, and whether they come as one shorthand, depends on matplotlib's version.
    tag = re.sub(r"font: ((?:[\w.]+ )*?)([\d.]+)px [^;\"]*", _font, tag)
    tag = re.sub(r"font-family: [^;\"]*;? ?", "", tag)
    for colour, style in _STYLES.items():
        tag = tag.replace(colour, style)
    return tag


def _font(match: re.Match[str]) -> str:
    style = f"font-size: {match[2]}px"
    if "bold" in match[1] or "700" in match[1]:
        style += "; font-weight: 600"
    return style + ("; font-style: italic" if "italic" in match[1] else "")
