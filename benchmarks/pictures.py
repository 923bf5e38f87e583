"""Pictures of a page to be looked at: every width and colour scheme from top to bottom in slices, and as it prints.

python benchmarks/pictures.py report.html OUT [--widths 360,800,1440] [--schemes light,dark] [--at '#t=...'] [--slice 2400]

Chromium takes them headless, without network. `--at` opens the page at an address in it, such as a token of the explorer, and takes
one picture of what is in sight. `print.pdf` is what the browser's print dialogue makes, `print-*.png` the same style as one long page.
"""

from __future__ import annotations

import argparse
import base64
from pathlib import Path
from typing import Any

from explorer import browser

SHEET = 680
"""Pixels of A4 without its margins."""


def emulate(window: Any, width: int, scheme: str, height: int = 900) -> None:
    """A window of this width in this colour scheme."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    window.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    window.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "screen", "features": features})


def settled(window: Any) -> None:
    """Waits until the explorer, if there is one, is drawn."""
    from selenium.webdriver.support.ui import WebDriverWait

    ready = "return !document.getElementById('explorer-index') || document.getElementById('explorer').dataset.ready === '1'"
    WebDriverWait(window, 120, 0.1).until(lambda _: window.execute_script(ready))


def slices(window: Any, name: str, out: Path, width: int, height: int) -> None:
    """The whole page in pictures of ``height``."""
    whole = int(window.execute_script("return document.documentElement.scrollHeight"))
    for number, top in enumerate(range(0, whole, height)):
        clip = {"x": 0, "y": top, "width": width, "height": min(height, whole - top), "scale": 1}
        shot = window.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
        (out / f"{name}-{number:02d}.png").write_bytes(base64.b64decode(shot["data"]))


def printed(window: Any, out: Path) -> None:
    """``print.pdf``, and its style on a page as wide as a sheet of A4 without its margins."""
    window.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    found = window.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True, "printBackground": False})
    (out / "print.pdf").write_bytes(base64.b64decode(found["data"]))
    emulate(window, SHEET, "light")
    window.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    slices(window, "print", out, SHEET, 2000)


def main() -> None:
    """Takes all pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--widths", default="360,800,1440")
    parser.add_argument("--schemes", default="light,dark")
    parser.add_argument("--at", default="", help="an address in the page")
    parser.add_argument("--slice", type=int, default=2400, help="pixels")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with browser() as window:
        for width in map(int, options.widths.split(",")):
            for scheme in options.schemes.split(","):
                emulate(window, width, scheme)
                window.get("about:blank")
                window.get(options.page.resolve().as_uri() + options.at)
                settled(window)
                if options.at:
                    (options.out / f"at-{width}-{scheme}.png").write_bytes(base64.b64decode(window.get_screenshot_as_base64()))
                else:
                    slices(window, f"{width}-{scheme}", options.out, width, options.slice)
        if not options.at:
            printed(window, options.out)


if __name__ == "__main__":
    main()
