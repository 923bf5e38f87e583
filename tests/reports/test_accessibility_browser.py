"""Keys alone reach and work everything, with the focus in sight; axe-core, where it is there, finds nothing serious."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from whole import whole_audit
from wide import as_folder, build_wide

from audit.cli.view import start
from audit.comparison.assemble import compare_audits
from audit.comparison.records import Themes
from audit.comparison.side import read_side
from audit.records import Motive, MotiveQuote
from audit.store import Store
from reports.comparison_page import render_comparison
from reports.render import render_audit
from reports.view import AuditTables

pytestmark = pytest.mark.slow
Open = Callable[..., Any]

AXE = "NLA_AUDIT_AXE"
"""Names a copy of axe-core's script, which is not part of this repository."""
TAB = "\ue004"
STOPS = (
    "a[href], button, input:not([type=radio]), input[type=radio]:checked, [name=sign-off-decision][value=approve], select, textarea,"
    " summary, [tabindex='0']"
)
"""Where the Tab key may stop; of the buttons of one choice it is the chosen one, or the first."""
WATCH = """
window.__stops = [];
document.addEventListener('focusin', event => {
  const look = getComputedStyle(event.target), box = event.target.getBoundingClientRect();
  const seen = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
  window.__stops.push([event.target, look.outlineStyle !== 'none' && parseFloat(look.outlineWidth) >= 2, seen]);
});
"""
# What the keys missed, what they reached twice before the end, in which order, and where the focus could not be seen.
REACHED = """
const wanted = [...document.querySelectorAll(arguments[0])].filter(e => e.checkVisibility() && !e.disabled);
const name = e => e.outerHTML.slice(0, 120), reached = window.__stops.map(([element]) => element), once = [...new Set(reached)];
return {
  wanted: wanted.length, missed: wanted.filter(e => !once.includes(e)).map(name), beside: once.filter(e => !wanted.includes(e)).map(name),
  disorder: wanted.filter(e => once.includes(e)).findIndex((e, at) => e !== once.filter(one => wanted.includes(one))[at]),
  unseen: window.__stops.filter(([, outlined, seen]) => !outlined || !seen).map(([element, ...how]) => how + name(element)),
};
"""


@pytest.fixture(scope="module")
def page(tables: AuditTables) -> str:
    """A report with every section."""
    return render_audit(whole_audit(tables))


def ready(window: Any) -> Any:
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(window, 60, 0.05).until(
        lambda _: window.execute_script("return document.getElementById('explorer').dataset.ready === '1'")
    )
    return window


def press(window: Any, *keys: str) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    actions = ActionChains(window, duration=0)
    for key in keys:
        actions.send_keys(key)
    actions.perform()


def test_keys_alone_open_everything_and_reach_everything(page: str, open_page: Open) -> None:
    window = ready(open_page(page))
    closed = "return [...document.querySelectorAll('details:not([open]) > summary')].find(e => e.checkVisibility())"
    for _ in range(300):
        summary = window.execute_script(closed)
        if summary is None:
            break
        window.execute_script("arguments[0].focus()", summary)
        press(window, "\ue007")
    assert window.execute_script("return document.querySelectorAll('details:not([open])').length") == 0
    window.execute_script(WATCH + "document.querySelector('.skip').focus()")
    stops = len(window.execute_script(f'return [...document.querySelectorAll("{STOPS}")].map(e => 1)'))
    press(window, *[TAB] * (stops + 1))
    found = window.execute_script(REACHED, STOPS)
    assert found["wanted"] > 80
    assert (found["missed"], found["beside"], found["unseen"], found["disorder"]) == ([], [], [], -1)


def test_keys_alone_work_the_controls(page: str, open_page: Open) -> None:
    window = ready(open_page(page))

    def at(selector: str, *keys: str) -> None:
        window.execute_script("document.querySelector(arguments[0]).focus()", selector)
        press(window, *keys)

    at(".skip", "\ue007")
    assert window.execute_script("return location.hash") == "#verdict"
    at("nav a[href='#limits']", "\ue007")
    assert window.execute_script("return document.getElementById('limits').getBoundingClientRect().top") < 100
    at("[name=explorer-paint]", "\ue014")
    assert window.execute_script("return document.querySelector('[name=explorer-paint]:checked').value") == "fidelity"
    at("#explorer-verdict", "Y")
    status = "return document.getElementById('explorer-status').textContent"
    assert " tokens in " in window.execute_script(status)
    at("#explorer-next", "\ue00d")
    assert window.execute_script("return document.querySelector('.x-chip[aria-selected=true]') !== null")
    at("#explorer-panel button", "\ue007")
    assert window.execute_script("return document.activeElement.id") == "explorer-strip"
    at("#explorer-reset", "\ue007")
    assert " tokens in " not in window.execute_script(status)
    assert [entry["message"] for entry in window.get_log("browser")] == []


@pytest.fixture(scope="module")
def comparison(make_tables: Any, make_text: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of a comparison with every part."""
    root = tmp_path_factory.mktemp("audits")
    made = make_tables(per_scenario=12, controls=40), make_tables(make_text(target="b"), per_scenario=12, controls=40, shares=(0.05, 0.3))
    sides = [read_side(Store(as_folder(root / name, one), create=False)) for name, one in zip("ab", made, strict=True)]
    quote = MotiveQuote("It hides the ledger.", "blackmail/1/1", 0, 30, 0)
    theme = Motive("ledger, hides", ("ledger", "hides"), 1.5, 6.25, 0.001, 9, 90, 7, 12, (0.3, 0.8), 1, 12, None, (quote,))
    found = json.loads(json.dumps(asdict(compare_audits(sides[0], sides[1], lambda shared, verdict: Themes((), (theme,), "")))))
    found["second"]["unfinished"] = ["verdicts"]
    found["settings"] = [{"aspect": "layer", "first": "4", "second": "2", "effects": {"awareness": "incomparable"}, "meaning": "Others."}]
    return render_comparison(found)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an audit that ``nla-audit view`` shows."""
    with start(Store(as_folder(tmp_path_factory.mktemp("view") / "audit", build_wide(12, 7, 5)), create=False), 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.url
        server.shutdown()


@pytest.mark.skipif(not os.environ.get(AXE), reason=f"{AXE} does not name axe-core's script")
@pytest.mark.parametrize("what", ["report", "unfinished report", "comparison", "live"])
def test_axe_finds_nothing_serious(what: str, tables: AuditTables, open_page: Open, request: pytest.FixtureRequest) -> None:
    html = ""
    if what == "report":
        html = request.getfixturevalue("page")
    elif what == "unfinished report":
        stages = tables.manifest["stages"] | {"verdicts": {"status": "failed", "reason": "The disk is full."}}
        html = render_audit(replace(tables, manifest=tables.manifest | {"stages": stages}))
    elif what == "comparison":
        html = request.getfixturevalue("comparison")
    found = []
    for width in (360, 1440):
        for scheme in ("light", "dark"):
            window = open_page(html, width, scheme)
            if what == "live":
                window.get(request.getfixturevalue("served"))
            if what != "comparison":
                ready(window)
            found += violations(window, f"{width} {scheme}")
    assert [entry for entry in found if entry["impact"] in ("serious", "critical", "moderate")] == []


def violations(window: Any, where: str) -> list[dict[str, Any]]:
    """What axe-core complains of, with everything open."""
    window.execute_script("document.querySelectorAll('details').forEach(e => { e.open = true })")
    window.set_script_timeout(240)
    window.execute_script(Path(os.environ[AXE]).read_text(encoding="utf-8"))
    told: list[dict[str, Any]] = window.execute_async_script(
        "const done = arguments[1]; axe.run(document, { resultTypes: ['violations'] }).then(found => done(found.violations.map(one => ({"
        " where: arguments[0], id: one.id, impact: one.impact, nodes: one.nodes.length,"
        " first: one.nodes.slice(0, 3).map(node => node.html.slice(0, 200) + ' ' + node.failureSummary) }))))",
        where,
    )
    return told
