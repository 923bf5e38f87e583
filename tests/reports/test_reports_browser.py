"""The report in a real browser: nothing is asked of the network, nothing overflows, links lead where they say, text stands out."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from reports.render import render_audit
from reports.view import AuditTables

pytestmark = pytest.mark.slow


def errors_of(window: Any) -> list[str]:
    return [entry["message"] for entry in window.get_log("browser")]


def requests_of(window: Any) -> list[str]:
    messages = [json.loads(entry["message"])["message"] for entry in window.get_log("performance")]
    found = [message["params"]["request"]["url"] for message in messages if message["method"] == "Network.requestWillBeSent"]
    return [url for url in found if not url.startswith(("file:///", "data:", "about:"))]


def assert_quiet(window: Any) -> None:
    """Nothing was asked for, nothing was complained about, and nothing sticks out."""
    assert errors_of(window) == [] and requests_of(window) == []
    assert window.execute_script("return document.documentElement.scrollWidth <= document.documentElement.clientWidth")


@pytest.fixture(scope="module")
def page(tables: AuditTables) -> str:
    return render_audit(tables)


@pytest.mark.parametrize("width", [360, 800, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_finished_audit_is_quiet_and_fits(page: str, open_page: Callable[..., Any], width: int, scheme: str) -> None:
    window = open_page(page, width, scheme)
    assert_quiet(window)
    drawn = window.execute_script(
        "return [...document.querySelectorAll('.chart svg')].filter(e => e.getBoundingClientRect().width > 0).length"
    )
    assert drawn == 4
    assert window.title == "Audit of nla-lab/target-3m"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(page: str, open_page: Callable[..., Any], scheme: str) -> None:
    window = open_page(page, 1280, scheme)
    assert window.execute_script(CONTRAST) == []


def test_links_open_the_conversation_that_they_name(page: str, open_page: Callable[..., Any]) -> None:
    window = open_page(page)
    link = window.execute_script("return document.querySelector('.piece a[href^=\"#transcript-\"]')")
    name = link.get_attribute("href").split("#")[1]
    window.get(f"{window.current_url.split('#')[0]}#{name}")
    top = window.execute_script("return document.getElementById(arguments[0]).getBoundingClientRect().top", name)
    assert 0 <= top < 900
    window.execute_script("document.getElementById(arguments[0]).open = true", name)
    assert_quiet(window)


# Every visible text against the first opaque ground behind it, by WCAG's formula; what is below 4.5 to 1 is returned.
CONTRAST = """
const parse = c => (c.match(/[\\d.]+/g) || []).map(Number);
const light = c => { const [r, g, b] = c.slice(0, 3).map(v => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4 });
  return .2126 * r + .7152 * g + .0722 * b };
const low = new Set();
for (const node of document.querySelectorAll('body *')) {
  const own = [...node.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
  if (!own || !node.checkVisibility() || node.closest('.visually-hidden, .skip')) continue;
  const style = getComputedStyle(node);
  let ground = null;
  for (let at = node; at && !ground; at = at.parentElement) {
    const c = getComputedStyle(at).backgroundColor;
    if (c.startsWith('rgb(')) ground = parse(c);
  }
  const ink = parse(node.namespaceURI.includes('svg') ? style.fill : style.color);
  const [a, b] = [light(ink), light(ground || [255, 255, 255])].sort((x, y) => y - x);
  if ((a + .05) / (b + .05) < 4.5) low.add(node.tagName + '.' + node.getAttribute('class') + ' ' + style.color);
}
return [...low];
"""
