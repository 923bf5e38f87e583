"""The explorer in a real browser, on 500 conversations of 50 tokens: list, search, filters, keys, drags, addresses."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from reports.render import render_audit
from reports.view import AuditTables

pytestmark = pytest.mark.slow

QUOTE, NEEDLE, NAMED = "the model takes this for a staged evaluation", "a lighthouse nobody expected", "blackmail/case-7/1"
"""As in the audit that ``make_wide`` makes."""
ADDRESS = "#t=blackmail%2Fcase-7%2F1&p=0.36"

ROWS = "return [...document.querySelectorAll('#explorer-rows [role=option]')].map(e => e.title)"
CHOSEN = "return [...document.querySelectorAll('.x-chip[aria-selected=true]')].map(e => Number(e.dataset.token))"
OPEN = "return document.querySelector('#explorer-head h3 bdi')?.textContent"
PANEL = "return document.getElementById('explorer-panel').textContent"
STATUS = "return document.getElementById('explorer-status').textContent"

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def page(make_wide: Callable[..., AuditTables]) -> str:
    """The report of an audit of 40 conversations with 50 tokens each."""
    return render_audit(make_wide(40, 50, 12))


def until(window: Any, script: str, wanted: Any) -> None:
    """Waits until a script gives what is wanted; shows what it gave if that never comes."""
    from selenium.common.exceptions import TimeoutException
    from selenium.webdriver.support.ui import WebDriverWait

    try:
        WebDriverWait(window, 60, 0.05).until(lambda _: window.execute_script(script) == wanted)
    except TimeoutException:
        assert window.execute_script(script) == wanted


def start(open_page: Open, html: str, address: str = "", **how: Any) -> Any:
    window = open_page(html, address=address, **how)
    until(window, "return document.getElementById('explorer').dataset.ready", "1")
    return window


def press(window: Any, *keys: str, shift: bool = False) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    actions = ActionChains(window)
    if shift:
        actions.key_down(Keys.SHIFT)
    for key in keys:
        actions.send_keys(key)
    if shift:
        actions.key_up(Keys.SHIFT)
    actions.perform()


def focus(window: Any, name: str) -> None:
    window.execute_script("document.getElementById('explorer-' + arguments[0]).focus()", name)


def set_filter(window: Any, name: str, value: str) -> None:
    from selenium.webdriver.support.ui import Select

    Select(window.find_element("id", f"explorer-{name}")).select_by_visible_text(value)


def assert_quiet(window: Any) -> None:
    """Nothing was complained about and nothing asked of any host."""
    assert [entry["message"] for entry in window.get_log("browser")] == []
    messages = [json.loads(entry["message"])["message"] for entry in window.get_log("performance")]
    asked = [message["params"]["request"]["url"] for message in messages if message["method"] == "Network.requestWillBeSent"]
    assert [url for url in asked if not url.startswith(("file:///", "data:", "about:", "blob:"))] == []


def test_500_conversations_open_and_only_rows_in_sight_exist(wide_page: str, open_page: Open) -> None:
    window = start(open_page, wide_page)
    until(window, STATUS, "500 of 500 conversations")
    rows = window.execute_script(ROWS)
    assert rows[0] == "ordinary_use/case-0/1" and len(rows) < 40
    window.execute_script("document.getElementById('explorer-list').scrollTop = 58 * 400")
    until(window, f"return {ROWS.removeprefix('return ')}.includes('blackmail/case-400/1')", True)
    assert len(window.execute_script(ROWS)) < 40
    assert window.execute_script("return document.querySelectorAll('.x-chip[data-token]').length") == 50
    assert window.execute_script("return document.querySelectorAll('.x-talk .x-tok').length") == 50
    assert_quiet(window)


def test_search_finds_explanations_in_all_conversations(wide_page: str, open_page: Open) -> None:
    window = start(open_page, wide_page)
    box = window.find_element("id", "explorer-search")
    box.send_keys(NEEDLE.upper())
    until(window, STATUS, "2 tokens in 2 of 500 conversations")
    assert window.execute_script(ROWS) == [NAMED, "blackmail/case-400/1"]
    box.send_keys("\ue007")
    until(window, OPEN, NAMED)
    until(window, CHOSEN, [5])
    assert window.execute_script("return document.querySelector('#explorer-panel .x-hit').textContent") == NEEDLE
    box.send_keys("\ue007")
    until(window, OPEN, "blackmail/case-400/1")
    box.send_keys("zzz")
    until(window, STATUS, "0 tokens in 0 of 500 conversations")
    window.find_element("id", "explorer-reset").click()
    until(window, STATUS, "500 of 500 conversations")


def test_filters_by_scenario_verdict_scanner_and_level(wide_page: str, open_page: Open) -> None:
    window = start(open_page, wide_page)
    set_filter(window, "level", "corroborated")
    until(window, STATUS, "1 of 500 conversations")
    assert window.execute_script(ROWS) == [NAMED]
    set_filter(window, "level", "any")
    set_filter(window, "scenario", "ordinary_use (control)")
    until(window, STATUS, "167 of 500 conversations")
    set_filter(window, "scenario", "all")
    set_filter(window, "verdict", "YES")
    # Seven YES tokens in each but one.
    until(window, STATUS, "3,493 tokens in 499 of 500 conversations")
    set_filter(window, "scanner", "deception.lexical")
    until(window, STATUS, "0 tokens in 0 of 500 conversations")
    set_filter(window, "verdict", "UNCLEAR")
    until(window, STATUS, "500 tokens in 500 of 500 conversations")
    assert window.execute_script("return [...document.querySelectorAll('.x-chip.x-U[data-token]')].map(e => e.dataset.token)") == ["2"]


def test_keys_alone_reach_tokens_and_conversations(page: str, open_page: Open) -> None:
    from selenium.webdriver.common.keys import Keys

    window = start(open_page, page)
    focus(window, "list")
    press(window, Keys.ARROW_DOWN)
    until(window, OPEN, "blackmail/case-1/1")
    press(window, Keys.END)
    until(window, OPEN, "ordinary_use/case-39/1")
    press(window, Keys.HOME)
    until(window, OPEN, "ordinary_use/case-0/1")
    assert (
        window.execute_script("return document.getElementById('explorer-list').getAttribute('aria-activedescendant')") == "explorer-row-0"
    )
    focus(window, "strip")
    press(window, Keys.HOME, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT)
    until(window, CHOSEN, [1])
    press(window, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, shift=True)
    until(window, CHOSEN, [1, 2, 3])
    assert "3 tokens" in window.execute_script(PANEL) and "1 YES" in window.execute_script(PANEL)
    press(window, Keys.ESCAPE)
    until(window, CHOSEN, [3])
    press(window, "/")
    assert window.execute_script("return document.activeElement.id") == "explorer-search"
    assert window.execute_script("return document.getElementById('explorer-search').value") == ""


def test_click_and_drag_choose_tokens(page: str, open_page: Open) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    window = start(open_page, page)
    chips = window.find_elements("css selector", ".x-chip[data-token]")
    ActionChains(window).move_to_element(chips[4]).click().perform()
    until(window, CHOSEN, [4])
    ActionChains(window).click_and_hold(chips[6]).move_to_element(chips[7]).move_to_element(chips[9]).release().perform()
    until(window, CHOSEN, [6, 7, 8, 9])
    assert "4 tokens" in window.execute_script(PANEL)
    mark = window.find_element("css selector", ".x-talk .x-tok[data-token='3']")
    window.execute_script("arguments[0].scrollIntoView({block: 'center'})", mark)
    mark.click()
    until(window, CHOSEN, [3])
    assert window.execute_script("return document.querySelector('#explorer-panel mark').textContent") == QUOTE


def test_beside_a_token_stand_quote_verdicts_controls_neighbours_and_findings(page: str, open_page: Open) -> None:
    window = start(open_page, page, ADDRESS)
    until(window, CHOSEN, [3])
    panel = window.execute_script(PANEL)
    for piece in ("call 0, position 36", "YES by awareness.classifier", "NO by deception.lexical", "shuffled", "cosine 0.11", "Mixed up.",
                  "They speak of an evaluation.", "1 of 1 YES", f"Beside it {QUOTE}"):  # fmt: skip
        assert piece in panel, piece
    assert window.execute_script("return document.querySelectorAll('#explorer-panel button').length") == 4
    assert "YES by verbalised" in window.execute_script("return document.getElementById('explorer-talk').textContent")
    window.find_element("css selector", "#explorer-panel button").click()
    until(window, CHOSEN, [1])


def test_colours_never_speak_alone(page: str, open_page: Open) -> None:
    window = start(open_page, page, ADDRESS)
    signs = "return [2, 3].map(n => document.querySelector(`.x-chip[data-token='${n}'] .x-sign`).textContent)"
    until(window, signs, ["–", "▲"])
    assert "YES" in window.execute_script("return document.querySelector('.x-chip[data-token=\"3\"]').getAttribute('aria-label')")
    window.find_element("css selector", "[value=fidelity]").click()
    bars = window.execute_script(
        "return [...new Set([...document.querySelectorAll('.x-chip[data-token] .x-sign')].map(e => e.textContent))]"
    )
    assert len(bars) == 5 and "cosine" in window.execute_script("return document.getElementById('explorer-legend').textContent")


@pytest.mark.parametrize(
    ("place", "selector"),
    [
        ("&p=1.101", ".x-chip[aria-selected=true][data-token='26'], .x-talk .x-on[data-token='26']"),
        ("&c=0.0", ".x-tool.x-here"),
        ("&m=1", ".x-here[data-message='1']"),
    ],
)
def test_addresses_land_where_they_say(page: str, open_page: Open, place: str, selector: str) -> None:
    window = start(open_page, page, ADDRESS.partition("&")[0] + place)
    until(window, OPEN, NAMED)
    places = window.execute_script(
        "const inside = (a, b) => a.top >= b.top - 1 && a.top + 10 <= b.bottom;"
        "return [...document.querySelectorAll(arguments[0])].map(e => { const box = e.closest('.x-strip, .x-talk').getBoundingClientRect();"
        " const own = e.getBoundingClientRect(); return inside(own, box) && own.top >= 0 && own.top + 10 <= innerHeight; })", selector,
    )  # fmt: skip
    assert places and all(places)
    assert_quiet(window)


def test_the_address_follows_the_choice_and_a_link_of_a_finding_leads_in(page: str, open_page: Open) -> None:
    from selenium.webdriver.common.keys import Keys

    window = start(open_page, page)
    window.execute_script(
        "const link = document.querySelector('.finding a[href^=\"#t=\"]'); link.closest('details').open = true; link.click()"
    )
    until(window, OPEN, NAMED)
    until(window, CHOSEN, [3])
    press(window, Keys.ARROW_RIGHT)
    until(window, "return location.hash", "#t=blackmail%2Fcase-7%2F1&p=0.38")
    window.execute_script("location.hash = '#t=blackmail%2Fcase-7%2F1&p=0.34&s=deception.lexical'")
    until(window, CHOSEN, [2])
    assert window.execute_script("return document.getElementById('explorer-scanner').selectedOptions[0].text") == "deception.lexical"
    press(window, Keys.ARROW_RIGHT)
    until(window, "return location.hash", "#t=blackmail%2Fcase-7%2F1&p=0.36&s=deception.lexical")
    window.execute_script("location.hash = '#t=nobody'")
    until(window, STATUS, "The address names a conversation that is not here: nobody")
    assert_quiet(window)


def test_print_leaves_the_explorer_out(page: str, open_page: Open) -> None:
    window = open_page(page, media="print")
    assert window.execute_script("return document.getElementById('explorer').checkVisibility()") is False


def test_without_scripts_its_place_says_where_to_read_instead(
    make_wide: Callable[..., AuditTables], open_page: Open, chromium: Any
) -> None:
    chromium.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        window = open_page(render_audit(make_wide(6, 4, 5)))
        off, app = window.find_element("id", "explorer-off"), window.find_element("id", "explorer-app")
        assert off.is_displayed() and "needs JavaScript" in off.text and "explanations.parquet" in off.text and not app.is_displayed()
    finally:
        chromium.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


@pytest.mark.parametrize("width", [360, 800, 1440])
def test_it_fits_narrow_and_wide_windows(page: str, open_page: Open, width: int) -> None:
    window = start(open_page, page, ADDRESS, width=width)
    assert window.execute_script("return document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    inside = "return [...document.querySelectorAll('#explorer *')].every(e => e.getBoundingClientRect().right <= innerWidth + 1)"
    assert window.execute_script(inside)
    assert_quiet(window)
