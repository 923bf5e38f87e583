"""A page as PDF, by the browser's own print style."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from audit.errors import AuditError

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge", "msedge")
SECONDS = 180
REMEDY = "Open report.html in any browser and print it to a file, or install Chromium."


def find_browser() -> str:
    """A browser of Chromium's family. Raises ``AuditError`` if there is none."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        raise AuditError("A PDF needs Chromium or Chrome, and none is on this machine.", REMEDY)
    return found


def print_page(page: Path, target: Path, browser: str) -> None:
    """Prints an HTML file as a PDF. The browser gets a profile of its own and asks the network for nothing. Raises ``AuditError``."""
    with tempfile.TemporaryDirectory(prefix="nla-audit-print-") as profile:
        flags = [
            "--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync", "--disable-extensions",
            "--disable-component-update", "--host-resolver-rules=MAP * ~NOTFOUND", "--no-pdf-header-footer", f"--user-data-dir={profile}",
            f"--print-to-pdf={target.resolve()}",
            # Chromium's own sandbox does not start for root; the page is ours and may load nothing.
            *(["--no-sandbox"] if os.geteuid() == 0 else []),
        ]  # fmt: skip
        try:
            subprocess.run([browser, *flags, page.resolve().as_uri()], capture_output=True, check=True, timeout=SECONDS)
        except (OSError, subprocess.SubprocessError) as error:
            raise AuditError(f"The browser could not print the report ({type(error).__name__}).", REMEDY) from None
    if not target.is_file() or target.read_bytes()[:5] != b"%PDF-":
        raise AuditError("The browser printed no PDF.", REMEDY)
