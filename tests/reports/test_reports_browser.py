"""The report in a real browser: hostile text stays text, nothing is asked of the network, nothing runs, nothing overflows."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest

from reports.render import render_audit
from reports.view import AuditTables

pytestmark = pytest.mark.slow

NOWHERE = "http://127.0.0.1:9/x"
HOSTILE = [
    "<script>window.pwned=1</script>",
    "</script><script>window.pwned=1</script>",
    "<img src=x onerror=window.pwned=1>",
    f'<img src="{NOWHERE}">',
    "<svg onload=window.pwned=1><animate onbegin=window.pwned=1 attributeName=x dur=1s>",
    "</title></style></svg></bdi></details><script>window.pwned=1</script>",
    f"<style>@import '{NOWHERE}';*{{display:none!important}}</style>",
    f"</style><link rel=stylesheet href={NOWHERE}>",
    f'<iframe src="{NOWHERE}"></iframe><object data="{NOWHERE}"></object>',
    f'<meta http-equiv=refresh content="0;url={NOWHERE}">',
    f'<base href="{NOWHERE}/"><form action={NOWHERE}><button autofocus onfocus=window.pwned=1>',
    '" onmouseover="window.pwned=1" style="position:fixed;inset:0;background:red" x="',
    "' autofocus onfocus='window.pwned=1' tabindex='1",
    "javascript:window.pwned=1",
    "<a href=javascript:window.pwned=1 id=verdict>click</a>",
    "{{ 7 * 191 }}{% for x in range(9) %}boo{% endfor %}{{ ''.__class__.__mro__ }}",
    "${7*191} #{7*191} <%= 7*191 %> [[7*191]]",
    "&lt;script&gt;window.pwned=1&lt;/script&gt; &#60;b&#62;",
    "\u202egnp.exe\u202c and \u2066isolated\u2069 \u200f\u061c",
    "\x1b[2J\x1b[31;1mANSI\x1b[0m \x1b]0;title\x07 \x9b31m",
    "\x00\x01\x08\x0c\x7f\u0085\u2028\u2029\ufeff\ufffe",
    "pаypal.com ехаmple (homoglyphs) \u3164\u2800\u200b",
    "e" + "\u0301" * 300,
    "\U000e0041\U000e0042 tag characters \ud83d lone surrogate",
    "<!--<script>window.pwned=1--><![CDATA[<script>window.pwned=1</script>]]>",
    "<math><mtext><table><mglyph><style><img src=x onerror=window.pwned=1>",
    "<template><script>window.pwned=1</script></template><noscript><p title=\"</noscript><img src=x onerror=window.pwned=1>\">",
    "url(javascript:window.pwned=1) expression(window.pwned=1) /* */ } body { display: none }",
    "=cmd|' /C calc'!A0 ../../../etc/passwd %00 \\\\host\\share",
    "אבג" * 200,
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 " * 50,
    "W" * 20_000,
]  # fmt: skip


def errors_of(window: Any) -> list[str]:
    return [entry["message"] for entry in window.get_log("browser")]


def requests_of(window: Any) -> list[str]:
    messages = [json.loads(entry["message"])["message"] for entry in window.get_log("performance")]
    found = [message["params"]["request"]["url"] for message in messages if message["method"] == "Network.requestWillBeSent"]
    return [url for url in found if not url.startswith(("file:///", "data:", "about:"))]


def assert_harmless(window: Any) -> None:
    """Nothing ran, nothing was asked for, nothing was complained about, and nothing sticks out."""
    assert window.execute_script("return window.pwned === undefined")
    assert errors_of(window) == [] and requests_of(window) == []
    assert window.execute_script("return document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert window.execute_script("return document.querySelectorAll('iframe, object, form, img, base, math, template').length") == 0
    # The report's own scripts carry no attribute; the explorer's data stand in blocks that no browser runs.
    foreign = "return [...document.scripts].filter(e => e.attributes.length && !(e.type === 'text/plain' && e.id.startsWith('explorer-')))"
    assert window.execute_script(f"{foreign}.length") == 0


@pytest.mark.parametrize("width", [360, 800, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_finished_audit_is_quiet_and_fits(tables: AuditTables, open_page: Callable[..., Any], width: int, scheme: str) -> None:
    window = open_page(render_audit(tables), width, scheme)
    assert_harmless(window)
    drawn = window.execute_script(
        "return [...document.querySelectorAll('.chart svg')].filter(e => e.getBoundingClientRect().width > 0).length"
    )
    assert drawn == 4
    assert window.title == "Audit of nla-lab/target-3m"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(tables: AuditTables, open_page: Callable[..., Any], scheme: str) -> None:
    window = open_page(render_audit(tables), 1280, scheme)
    assert window.execute_script(CONTRAST) == []


def test_links_open_the_conversation_that_they_name(tables: AuditTables, open_page: Callable[..., Any]) -> None:
    window = open_page(render_audit(tables))
    link = window.execute_script("return document.querySelector('.piece a[href^=\"#transcript-\"]')")
    name = link.get_attribute("href").split("#")[1]
    window.get(f"{window.current_url.split('#')[0]}#{name}")
    top = window.execute_script("return document.getElementById(arguments[0]).getBoundingClientRect().top", name)
    assert 0 <= top < 900
    window.execute_script("document.getElementById(arguments[0]).open = true", name)
    assert_harmless(window)


@pytest.mark.parametrize("start", range(0, len(HOSTILE), 4))
def test_hostile_text_in_every_place_stays_text(
    make_tables: Callable[..., AuditTables], make_text: Any, open_page: Callable[..., Any], start: int
) -> None:
    places = [field.name for field in fields(make_text) if field.name not in ("extra", "token", "explanation")]
    text = make_text(**{place: HOSTILE[(start + index) % len(HOSTILE)] for index, place in enumerate(places)})
    text.reply += f" {make_text().reply}"
    text.explanation = " " + " ".join(HOSTILE[start : start + 4])
    text.token, text.extra = (
        HOSTILE[(start + 1) % len(HOSTILE)],
        {HOSTILE[start]: HOSTILE[start], "revision": HOSTILE[(start + 2) % len(HOSTILE)]},
    )
    window = open_page(render_audit(make_tables(text, lab=False, per_scenario=6, controls=24)), 360)
    window.execute_script("document.querySelectorAll('details').forEach(e => { e.open = true })")
    assert_harmless(window)
    window.execute_script("document.querySelectorAll('script').forEach(e => e.remove())")
    said = window.execute_script("return document.body.textContent")
    assert "1337" not in said and "\x1b" not in said and "\u202e" not in said
    for payload in HOSTILE[start : start + 4]:
        if payload.isascii() and payload.isprintable() and len(payload) < 300:
            assert payload in said


def test_a_line_of_a_megabyte_is_cut_and_said_so(
    make_tables: Callable[..., AuditTables], make_text: Any, open_page: Callable[..., Any]
) -> None:
    flood = "A" * 1_000_000
    tables = make_tables(
        make_text(message=flood, error=flood, note=flood, target=flood, identifier=flood[:5000]), lab=False, per_scenario=6, controls=24
    )
    html = render_audit(tables)
    assert len(html) < 1_500_000 and "more characters not shown]" in html
    assert_harmless(open_page(html, 360))


def test_hostile_keys_and_labels_of_a_forged_findings_file_stay_text(tables: AuditTables, open_page: Callable[..., Any]) -> None:
    findings = copy.deepcopy(tables.findings)
    for index, payload in enumerate(HOSTILE):
        findings["controls"][payload] = {"rate": 0.5, payload: 1.0}
        findings["nla_quality"][payload] = payload
        findings["ground_truth"]["families"][payload] = {"auroc": 0.5, "ci": [0.4, 0.6]}
        findings["limits"].append(payload)
        findings["failures"][payload] = index
        finding = {"id": payload, "claim": payload, "level": payload, "numbers": {payload: 1}, "controls": {payload: payload}}
        findings["findings"].append(finding | {"evidence": [{"transcript_id": payload}], "caveats": [payload]})
        findings["evidence"] = findings["evidence"][:5]
        findings["evidence"].append(
            {"transcript_id": payload, "label": payload, "scanner": payload, "status": payload, "explanation": payload}
        )
    findings["scenarios"] += [
        findings["scenarios"][0] | {"name": payload, "variant": payload, "kind": payload, "outcomes": {payload: {"mean": 1, "of": 2}}}
        for payload in HOSTILE
    ]
    manifest = tables.manifest | {"versions": {payload: payload for payload in HOSTILE}, "command": HOSTILE[0], "created": HOSTILE[1]}
    for payload in HOSTILE:
        manifest["stages"] = manifest["stages"] | {payload: {"status": payload, "reason": payload, "counts": {payload: payload}}}
    html = render_audit(replace(tables, findings=findings, manifest=manifest))
    window = open_page(html, 800)
    window.execute_script("document.querySelectorAll('details').forEach(e => { e.open = true })")
    assert_harmless(window)


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
