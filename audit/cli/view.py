"""``nla-audit view``: an audit in the browser, from a server on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from audit.store import Store
    from reports.serve import Source, ViewServer


@click.command("view")
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--port", type=click.IntRange(0, 65535), default=0, metavar="N", help="Default: one that is free.")
@click.option("--no-browser", is_flag=True, help="Print the address and open nothing.")
def command(folder: Path, port: int, no_browser: bool) -> int:
    """Explore an audit of any size in the browser: its report, every conversation, every token that was read.

    Serves this machine only, under an address that nobody can guess, and writes nothing. Stop it with Ctrl-C.
    """
    from audit.store import Store

    store = Store(folder, create=False)
    store.manifest()
    click.echo("Reading the audit ...", err=True)
    with start(store, port) as server:
        click.echo(f"{server.url}#explorer")
        click.echo("Stop with Ctrl-C.", err=True)
        if not no_browser:
            _open(f"{server.url}#explorer")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            click.echo("\nStopped.", err=True)
    return 0


def start(store: Store, port: int) -> ViewServer:
    """A server of the audit that listens already. Raises ``AuditError`` if the port cannot be had or the audit cannot be read."""
    from audit.errors import AuditError
    from reports.serve import ViewServer

    try:
        return ViewServer(source_of(store), port)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise AuditError(f"Port {port} cannot be used: {reason}.", "Name another with --port, or leave it out.") from None


def source_of(store: Store) -> Source:
    """The audit's folder as the server reads it: anew whenever its manifest has changed."""
    from audit.cli.table import report_tables
    from audit.errors import AuditError
    from audit.store import content_hash
    from reports.serve import Source
    from reports.view import AuditTables

    def load() -> AuditTables:
        try:
            return report_tables(store)
        except (OSError, ValueError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise AuditError(f"The audit in '{store.folder}' cannot be read: {reason}.", "Repeat the command that made it.") from None

    return Source(load, lambda: content_hash(store.manifest_path) or "none")


def _open(url: str) -> None:
    """Opens the page; where no browser is, the printed address has to do."""
    import webbrowser

    try:
        opened = webbrowser.open(url)
    except webbrowser.Error:
        opened = False
    if not opened:
        click.echo("No browser could be opened: open the address above.", err=True)
