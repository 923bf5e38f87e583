"""The palette of the charts: seen on every background and by every kind of colour vision, and never alone."""

from __future__ import annotations

import math
import re
from importlib.resources import files
from itertools import combinations

import pytest

from reports.charts import MARKERS, SERIES

Colour = tuple[float, float, float]
STYLE = files("reports").joinpath("templates", "style.css.j2").read_text(encoding="utf-8")
LIGHT, DARK, PRINT = (
    STYLE.split("@media (prefers-color-scheme: dark)")[0],
    STYLE.split("@media (prefers")[1],
    STYLE.split("@media print")[1],
)
VISION = {
    "full": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "no red": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "no green": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881)),
    "no blue": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.3039)),
}
"""What of linear red, green and blue is left to an eye (Machado, Oliveira and Fernandes 2009, severity 1)."""


def palette(block: str) -> dict[str, str]:
    """The colours of a scheme; what it does not name is as in the light one."""
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})", LIGHT)) | dict(
        re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})", block.split("* {")[0])
    )


def linear(colour: str) -> Colour:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    shares = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)
    return red, green, blue


def contrast(first: str, second: str) -> float:
    """As WCAG 2 defines it."""
    low, high = sorted(0.2126 * red + 0.7152 * green + 0.0722 * blue for red, green, blue in map(linear, (first, second)))
    return (high + 0.05) / (low + 0.05)


def lab(colour: str, vision: str) -> Colour:
    """CIELAB (D65) of what an eye is left with."""
    seen = [min(1.0, max(0.0, sum(map(math.prod, zip(row, linear(colour), strict=True))))) for row in VISION[vision]]
    rows = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
    white = (0.95047, 1.0, 1.08883)
    x, y, z = (sum(map(math.prod, zip(row, seen, strict=True))) / one for row, one in zip(rows, white, strict=True))
    x, y, z = (value ** (1 / 3) if value > 0.008856 else 7.787 * value + 16 / 116 for value in (x, y, z))
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


@pytest.mark.parametrize("scheme", [LIGHT, DARK, PRINT], ids=["light", "dark", "print"])
def test_every_series_stands_out_from_the_page_and_from_every_other(scheme: str) -> None:
    colours = palette(scheme)
    series = [colours[f"series-{number}"] for number in range(1, len(SERIES) + 1)]
    assert min(contrast(colour, colours["card"]) for colour in [*series, colours["floor"], colours["muted"]]) >= 4.5
    for vision in VISION:
        nearest = min(math.dist(lab(one, vision), lab(other, vision)) for one, other in combinations(series, 2))
        assert nearest > 9, vision
    assert len(set(MARKERS)) == len(series), "shapes tell them apart without any colour"
