"""What a browser made of a page of hostile texts, held against the same page with harmless ones."""

from __future__ import annotations

import json
import re
import unicodedata
from functools import cache
from typing import Any

from hostile import HOSTILE

from reports.text import _is_hidden, _pieces, address_name, plain, token_text

WHOLE = 10**9

WATCH = """
window.__seen = [];
addEventListener('securitypolicyviolation', event => {
  window.__seen.push('policy: ' + event.violatedDirective + ' ' + event.blockedURI);
}, true);
for (const name of ['alert', 'confirm', 'prompt', 'open', 'print']) window[name] = () => window.__seen.push(name);
"""
"""Runs before a page does, and remembers what no page of ours may do."""

# Every element with the names of its attributes, but for what stands within a text of others; those texts; what charts are made of (a
# longer name takes more lines of a chart).
READ = """
const look = root => {
  const skeleton = [], said = [], drawn = new Set(), names = one => [...one.attributes].map(found => found.name).sort().join(' ');
  const visit = node => {
    for (const child of node.children) {
      if (child.localName === 'svg') {
        for (const part of [child, ...child.querySelectorAll('*')]) drawn.add(part.localName + ' ' + names(part));
      } else if (child.localName === 'bdi' && child.className === 'said') {
        for (const part of child.querySelectorAll('*')) drawn.add('in a text: ' + part.localName + ' ' + names(part));
        said.push(child.textContent.toWellFormed());
      } else if (child.localName !== 'script' && !child.matches('.cut')) {
        skeleton.push(child.localName + ' ' + names(child));
        visit(child);
      }
    }
  };
  visit(root);
  return { skeleton, said, drawn: [...drawn].sort(), text: root.textContent.toWellFormed() };
};
"""
PARSE = READ + "return arguments[0].map(html => look(new DOMParser().parseFromString(html, 'text/html').documentElement));"
"""Chromium's own parser on pages that are not shown."""
# Opens one conversation after the other by keys alone and looks at each with its first token chosen, its second, and both.
WALK = (
    READ
    + """
const done = arguments[1], part = name => document.getElementById('explorer-' + name), found = [];
const count = arguments[0];
const press = (name, key, shiftKey = false) => part(name).dispatchEvent(new KeyboardEvent('keydown', { key, shiftKey, bubbles: true }));
const heading = () => part('head').querySelector('h3');
(async () => {
  for (let n = 0; n < count; n++) {
    const before = n ? heading() : null;
    if (n) press('list', 'ArrowDown');
    while (heading() === before) await new Promise(next => setTimeout(next));
    press('strip', 'Home');
    for (const name of ['head', 'strip', 'talk', 'panel']) found.push(look(part(name)));
    press('strip', 'ArrowRight');
    found.push(look(part('panel')));
    press('strip', 'ArrowLeft', true);
    found.push(look(part('panel')));
  }
  done(found);
})();
"""
)


def assert_nothing_ran(window: Any) -> None:
    """No sentinel, no dialog, no violation of the policy, nothing in the console, no request."""
    assert window.execute_script("return window.__pwned === undefined")
    assert window.execute_script("return window.__seen") == []
    assert [entry["message"] for entry in window.get_log("browser")] == []
    messages = [json.loads(entry["message"])["message"] for entry in window.get_log("performance")]
    asked = [message["params"]["request"]["url"] for message in messages if message["method"] == "Network.requestWillBeSent"]
    assert [url for url in asked if not url.startswith(("file:///", "data:", "about:", "blob:"))] == []


def assert_fits(window: Any) -> None:
    """Nothing sticks out of the page."""
    wide, room = window.execute_script("return [document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide <= room


def assert_only_text(harmless: dict[str, Any], hostile: dict[str, Any], later: int = 0) -> int:
    """The same elements with the same attributes, and each text there as text; returns how many texts were compared.

    ``later``: by how many texts the hostile page comes after the harmless one.
    """
    assert hostile["skeleton"] == harmless["skeleton"]
    own = {
        "in a text: span class",
        "in a text: mark ",
        "in a text: mark class",
        "in a text: span class data-token title",
        "in a text: span class data-guess data-token title",
    }
    assert set(hostile["drawn"]) <= set(harmless["drawn"]) | own
    assert len(hostile["said"]) == len(harmless["said"])
    pairs = [
        (told, HOSTILE[(int(calm[1:]) + later) % len(HOSTILE)])
        for calm, told in zip(harmless["said"], hostile["said"], strict=True)
        if re.fullmatch(r"b\d{3}", calm)
    ]
    for told, text in pairs:
        assert is_shown(told, text), (told[:200], text[:200])
    hidden = {sign for sign in set(hostile["text"]) if ord(sign) > 127 or sign < " "}
    assert not [sign for sign in hidden if is_hidden(sign)] and "1337" not in hostile["text"]
    return len(pairs)


def is_hidden(sign: str) -> bool:
    return _is_hidden(sign, unicodedata.category(sign))


def is_shown(told: str, text: str) -> bool:
    """Whether a page tells a text as it may: in lines or in one, white space shown or not, whole or cut where a place has little room."""
    told = _alike(told)
    begun, cut = told.rstrip("\u2026\u2423\u23ce\u21e5\u240d"), told.endswith("\u2026") or len(told) >= 60
    return any(told == whole or (cut and (whole.startswith(begun) or whole.endswith(told))) for whole in _ways(text))


def _alike(text: str) -> str:
    """What is left where keys of JSON become words, and marks are counted anew in each part of a text that is highlighted."""
    kept = "".join(sign for sign in re.sub(r"\[?more marks\]?", "", text) if unicodedata.category(sign) not in ("Mn", "Me"))
    return re.sub(r"[_\s]+", " ", kept).casefold()


@cache
def _ways(text: str) -> tuple[str, ...]:
    # Tables hold no lone surrogates.
    found = []
    for one in (text, text.encode("utf-8", "replace").decode()):
        for way in (one, one.strip(), token_text(one), address_name(one)):
            found += ["".join(piece for piece, _ in _pieces(way)), plain(way, WHOLE)]
    return tuple(dict.fromkeys(map(_alike, found)))
