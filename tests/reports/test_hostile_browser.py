"""More than two hundred hostile texts in every place of report, explorer and comparison, in a real browser: all of it is text."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from bare import render_bare
from browsing import PARSE, WALK, WATCH, assert_fits, assert_nothing_ran, assert_only_text, is_hidden
from forged import HARMLESS, Speaker, compared_once, comparison_of, room, single_of, tables_of
from hostile import HOSTILE, KINDS, MEGABYTE

from reports.charts import Series, dot_chart
from reports.comparison_page import render_comparison
from reports.explorer import Explorer
from reports.explorer_pack import packed
from reports.reading import Rate
from reports.render import SCRIPTS, TEMPLATE, render_page
from reports.text import plain
from reports.view import build_view

pytestmark = pytest.mark.slow
Open = Callable[..., Any]


@pytest.fixture(scope="module")
def watched(chromium: Any) -> Iterator[Any]:
    """The browser, which remembers what no page of ours may do."""
    script = chromium.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
    chromium.set_script_timeout(600)
    yield chromium
    chromium.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)


def test_there_are_enough_of_them_of_every_kind() -> None:
    assert len(set(HOSTILE)) == len(HOSTILE) >= 200 and min(map(len, KINDS.values())) >= 5


LIVE = tuple(dict.fromkeys((*HOSTILE[::5], *KINDS["room"], *KINDS["direction and look"], *KINDS["styles"])))
"""Some of each kind, and all that could break a page's layout: a page with all of them takes long to lay out."""
WIDTHS = (360, 1440)


def fits_and_is_quiet(window: Any) -> None:
    """With everything open, at both widths."""
    window.execute_script("document.querySelectorAll('details').forEach(e => { e.open = true })")
    for width in WIDTHS:
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        window.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        assert_fits(window)
    assert_nothing_ran(window)


def parsed(window: Any, pages: Sequence[str]) -> list[dict[str, Any]]:
    """What Chromium's parser makes of pages, their style and scripts left away: those are the same in all."""
    bare = [re.sub(r"<style>.*?</style>|<script>.*</script>\n</body>", "", page, count=2, flags=re.DOTALL) for page in pages]
    found: list[dict[str, Any]] = window.execute_script(PARSE, bare)
    return found


def report_of(texts: Sequence[str]) -> str:
    with room():
        return render_bare(tables_of(Speaker(texts)))


def comparison_page_of(texts: Sequence[str]) -> str:
    with room():
        return render_comparison(comparison_of(Speaker(texts)))


@pytest.mark.parametrize(("page", "places"), [(report_of, 80), (comparison_page_of, 20)], ids=["report", "comparison"])
def test_in_every_list_of_a_page(watched: Any, open_page: Open, page: Callable[..., str], places: int) -> None:
    window = open_page("<!doctype html><title>parser</title>")
    assert assert_only_text(*parsed(window, [page(HARMLESS), page(HOSTILE)])) > places * len(HOSTILE)
    assert_nothing_ran(window)


@pytest.mark.parametrize("page", [report_of, comparison_page_of], ids=["report", "comparison"])
@pytest.mark.parametrize("texts", [LIVE, MEGABYTE], ids=["room", "megabyte"])
def test_none_runs_or_breaks_the_layout(watched: Any, open_page: Open, page: Callable[..., str], texts: Sequence[str]) -> None:
    html = page(texts)
    assert "more characters not shown]" in html and len(html) < (3_000_000 if texts is LIVE else 1_000_000)
    fits_and_is_quiet(open_page(html, WIDTHS[0]))


def single_report(say: Speaker, number: int) -> str:
    return render_bare(single_of(say, number))


def single_comparison(say: Speaker, number: int) -> str:
    return render_comparison(compared_once(say, number))


@pytest.mark.parametrize("page", [single_report, single_comparison], ids=["report", "comparison"])
def test_in_every_place_that_a_page_has_once(watched: Any, open_page: Open, page: Callable[[Speaker, int], str]) -> None:
    window = open_page("<!doctype html><title>parser</title>")
    hostile, numbers = Speaker(), range(len(HOSTILE))
    (calm,) = parsed(window, [page(Speaker(HARMLESS), 0)])
    told = parsed(window, [page(hostile, number) for number in numbers])
    assert sum(assert_only_text(calm, one, number) for number, one in zip(numbers, told, strict=True)) > 4 * len(HOSTILE)
    assert_nothing_ran(window)


def test_in_the_names_of_a_chart(watched: Any, open_page: Open) -> None:
    window = open_page("<!doctype html><title>parser</title>")
    drawn = []
    for texts in ((*HARMLESS[:3], "several words that stand in more than one line"), HOSTILE):
        names = [plain(text, 40) for text in texts]
        chart = dot_chart("c", "title", names, [Series(names[-1], (Rate(0.5, 0.4, 0.6),) * len(names), 0)], "axis")
        assert chart is not None
        drawn.append(parsed(window, [str(chart.wide) + str(chart.narrow)])[0])
    assert set(drawn[1]["drawn"]) <= set(drawn[0]["drawn"]) and drawn[1]["skeleton"] == drawn[0]["skeleton"]
    assert "window.__pwned=1" in drawn[1]["text"] and not [sign for sign in set(drawn[1]["text"]) if sign not in "\n\t" and is_hidden(sign)]
    assert_nothing_ran(window)


def explorer_of(texts: Sequence[str]) -> str:
    """A page with the whole explorer beside little of a report."""
    whole = tables_of(Speaker(texts))
    beside = {key: whole.findings[key] for key in ("limits", "left_out", "failures")}
    light = replace(whole, findings=beside, sign_offs=(), agreement=None, manifest={})
    charts: dict[str, Any] = defaultdict(lambda: None)
    return render_page(TEMPLATE, SCRIPTS, view=build_view(light), charts=charts, explorer=packed(Explorer(whole)))


def until(window: Any, script: str) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(window, 120, 0.05).until(lambda _: window.execute_script(script))


def test_in_the_explorer(watched: Any, open_page: Open) -> None:
    """Every conversation and every token is opened by keys, and all of them are searched."""
    walks = []
    for texts in (HARMLESS, HOSTILE):
        window = open_page(explorer_of(texts), WIDTHS[0])
        until(window, "return document.getElementById('explorer').dataset.ready === '1'")
        walks.append(window.execute_async_script(WALK, len(texts)))
        window.find_element("id", "explorer-search").send_keys("<script>")
        until(window, "return / in \\d+ of /.test(document.getElementById('explorer-status').textContent)")
        fits_and_is_quiet(window)
    assert sum(assert_only_text(*pair) for pair in zip(*walks, strict=True)) > 25 * len(HOSTILE)
