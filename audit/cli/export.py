"""``nla-audit export``: an audit as CSV, Markdown and PDF."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from audit.store import Store

MARKDOWN_FILE, PDF_FILE = "summary.md", "report.pdf"


@click.command("export")
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--to", "target", type=click.Path(path_type=Path), required=True, metavar="FOLDER", help="Where the files go.")
@click.option("--csv", "as_csv", is_flag=True, help="One file a table; activations are left out.")
@click.option("--markdown", "as_markdown", is_flag=True, help=f"{MARKDOWN_FILE}, for a pull request.")
@click.option("--pdf", "as_pdf", is_flag=True, help=f"{PDF_FILE}, printed by Chromium if it is there.")
def command(folder: Path, target: Path, as_csv: bool, as_markdown: bool, as_pdf: bool) -> int:
    """Export an audit; without a choice, CSV and Markdown. Loads no model.

    In CSV files, text that a spreadsheet would take for a formula (it begins with = + - @, a tab or a line break) gets an apostrophe
    before it. In Markdown, text of others does nothing: no links, mentions, HTML.
    """
    from audit.cli.printing import find_browser
    from audit.cli.terminal import clean
    from audit.errors import AuditError
    from audit.store import Store

    store = Store(folder, create=False)
    if target.resolve() == store.folder.resolve():
        raise AuditError(f"'{target}' is the audit's own folder.", "Choose another folder with --to.")
    if not (as_csv or as_markdown or as_pdf):
        as_csv = as_markdown = True
    # Asked first: nothing is written if the PDF cannot be made.
    browser = find_browser() if as_pdf else ""
    out = Store(target)
    written = [
        *(_csv(store, out) if as_csv else []),
        *(_markdown(store, out) if as_markdown else []),
        *(_pdf(store, out, browser) if as_pdf else []),
    ]
    for name in written:
        click.echo(clean(str(out.path(name)), keep=""))
    return 0


def _csv(store: Store, out: Store) -> list[str]:
    from audit.exports import export_csv

    return export_csv(store, out)


def _markdown(store: Store, out: Store) -> list[str]:
    from audit.cli.table import report_tables
    from reports.markdown import render_markdown

    out.write_text(MARKDOWN_FILE, render_markdown(report_tables(store)))
    return [MARKDOWN_FILE]


def _pdf(store: Store, out: Store, browser: str) -> list[str]:
    """Prints the report as it is now: it is rendered afresh, so that an old or absent report.html does no harm."""
    import tempfile

    from audit.cli.printing import print_page
    from audit.cli.table import report_tables
    from reports.render import render_audit

    with tempfile.TemporaryDirectory(prefix="nla-audit-export-") as folder, out.replacing(PDF_FILE) as temporary:
        page = Path(folder) / "report.html"
        page.write_text(render_audit(report_tables(store)), encoding="utf-8", errors="replace")
        print_page(page, temporary, browser)
    return [PDF_FILE]
