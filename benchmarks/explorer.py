"""How fast the transcript explorer of a large report is: size, time to its first transcript, scrolling, opening, search.

python benchmarks/explorer.py [--transcripts 500] [--sites 50] [--words 90] [--audit DIR] [--runs 5] [--keep report.html]

A made-up audit is written to disk with the store's own tables, read back and rendered, as `nla-audit report` does; `--audit` takes a
real one. Chromium opens the file headless, without network, in a window of 1440 x 900. Times are the page's own clock, from the
beginning of navigation; `busy` is what the main thread worked in them, which a crowded machine stretches less.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "tests" / "reports"))

WINDOW = {"width": 1440, "height": 900, "deviceScaleFactor": 1, "mobile": False}
WATCH = """
new MutationObserver((_, self) => {
  if (document.getElementById('explorer')?.dataset.ready !== '1') return;
  self.disconnect();
  window.usable = performance.now();
  requestAnimationFrame(() => setTimeout(() => { window.painted = performance.now(); }));
}).observe(document, {subtree: true, childList: true, attributes: true, attributeFilter: ['data-ready']});
"""
SCROLL = """
const done = arguments[0], list = document.getElementById('explorer-list'), step = list.scrollHeight / 240, frames = [];
list.scrollTop = 0;
let before = 0, count = 0;
function next(now) {
  if (count > 1) frames.push(now - before);
  before = now;
  list.scrollTop += step;
  if (count++ < 240) requestAnimationFrame(next); else done(frames);
}
requestAnimationFrame(next);
"""
ACT = """
const [words, done] = arguments, began = performance.now();
const status = document.getElementById('explorer-status'), box = document.getElementById('explorer-search');
new MutationObserver((_, self) => {
  if (!status.textContent.includes(' in ')) return;
  self.disconnect();
  done(performance.now() - began);
}).observe(status, {childList: true, characterData: true, subtree: true});
box.value = words;
box.dispatchEvent(new Event('input'));
"""
OPEN = """
const done = arguments[0], rows = Math.floor(document.getElementById('explorer-rows').offsetHeight / 58), took = [];
const list = document.getElementById('explorer-list'), head = document.getElementById('explorer-head');
list.focus();
function next(count) {
  if (!count) return done(took);
  const began = performance.now(), before = head.textContent;
  new MutationObserver((_, self) => {
    if (head.textContent === before) return;
    self.disconnect();
    took.push(performance.now() - began);
    setTimeout(() => next(count - 1));
  }).observe(head, {childList: true, subtree: true});
  list.dispatchEvent(new KeyboardEvent('keydown', {key: count % 2 ? 'PageDown' : 'ArrowDown', bubbles: true}));
}
next(Math.min(40, rows - 1));
"""


def render(folder: Path | None, transcripts: int, sites: int, words: int) -> str:
    """The report of an audit's folder, or of one that is made up, by the way that ``nla-audit report`` takes."""
    from wide import as_folder, build_wide

    from audit.cli.table import report_tables
    from audit.store import Store
    from reports.render import render_audit

    with tempfile.TemporaryDirectory(prefix="nla-audit-explorer-") as scratch:
        source = folder or as_folder(Path(scratch) / "audit", build_wide(transcripts, sites, words))
        began = time.perf_counter()
        html = render_audit(report_tables(Store(source, create=False)))
        print(f"rendered in {time.perf_counter() - began:.1f} s: {len(html.encode()) / 1e6:.2f} MB", flush=True)
    return html


@contextmanager
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    from selenium import webdriver

    program, driver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if not program or not driver:
        raise SystemExit("Chromium and its driver are needed.")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"):
        options.add_argument(flag)
    window = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=driver))
    window.set_script_timeout(120)
    window.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", WINDOW)
    window.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
    window.execute_cdp_cmd("Performance.enable", {})
    try:
        yield window
    finally:
        window.quit()


def opened(window: Any, address: str) -> dict[str, float]:
    """Opens the page in a fresh document and waits for the explorer. Milliseconds."""
    from selenium.webdriver.support.ui import WebDriverWait

    window.get("about:blank")
    before = busy(window)
    window.get(address)
    WebDriverWait(window, 120, 0.02).until(lambda _: window.execute_script("return window.painted"))
    usable, painted = window.execute_script("return [window.usable, window.painted]")
    return {"first transcript drawn": usable, "and painted": painted, "main thread busy": max(0.0, busy(window) - before)}


def busy(window: Any) -> float:
    """What the main thread has worked, in milliseconds."""
    metrics = {row["name"]: row["value"] for row in window.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]}
    return float(1000 * metrics["TaskDuration"])


def measure(window: Any, address: str, runs: int) -> dict[str, list[float]]:
    """All figures in milliseconds; the page is opened anew for scrolling and for searching, ``runs`` times each."""
    found: dict[str, list[float]] = {}

    def keep(name: str, *values: float) -> None:
        found.setdefault(name, []).extend(values)

    def anew() -> None:
        for name, value in opened(window, address).items():
            keep(f"open: {name}", value)

    for _ in range(runs):
        anew()
        keep("scrolling the list: a frame", *window.execute_async_script(SCROLL))
        keep("opening another conversation", *window.execute_async_script(OPEN))
        anew()
        keep("search: the first", window.execute_async_script(ACT, "lighthouse nobody"))
        keep("search: another", window.execute_async_script(ACT, "evaluation"))
    return found


def show(found: Mapping[str, Sequence[float]]) -> None:
    """A table in Markdown."""
    print("| | median ms | 95% | most |\n|---|---|---|---|")
    for name, values in found.items():
        ranked = sorted(values)
        print(f"| {name} | {statistics.median(ranked):.0f} | {ranked[int(0.95 * (len(ranked) - 1))]:.0f} | {ranked[-1]:.0f} |")


def main() -> None:
    """Renders, opens, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--transcripts", type=int, default=500)
    parser.add_argument("--sites", type=int, default=50, help="tokens read of a transcript")
    parser.add_argument("--words", type=int, default=90, help="words of an explanation")
    parser.add_argument("--audit", type=Path, help="an audit's folder, instead of a made-up one")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--keep", type=Path, help="where the page is left")
    options = parser.parse_args()
    html = render(options.audit, options.transcripts, options.sites, options.words)
    with tempfile.TemporaryDirectory(prefix="nla-audit-explorer-") as scratch, browser() as window:
        page = options.keep or Path(scratch) / "report.html"
        page.write_text(html, encoding="utf-8")
        found = measure(window, page.resolve().as_uri(), options.runs)
        left_out = window.execute_script("return document.querySelector('.x-left-out li')?.textContent || ''")
        show(found)
        print(json.dumps({"left_out": left_out, "browser": window.capabilities["browserVersion"]}))


if __name__ == "__main__":
    main()
