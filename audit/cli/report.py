"""``nla-audit report``: an audit's report again, from what its folder holds."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("report")
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option(
    "--sign-off", type=click.Path(path_type=Path), metavar="FILE", help="Take in the sign-off.json that the report's form exported."
)
@click.option("--game", type=click.Path(path_type=Path), metavar="DIR", help="Take in the results of nla-audit game from its folder.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON, and nothing else.")
def command(folder: Path, sign_off: Path | None, game: Path | None, as_json: bool) -> int:
    """Write report.html of an audit again: with a sign-off, people's labels, a game, or after an update of nla-audit. Loads no model."""
    from audit.cli.summary import agreement_lines, print_findings, print_paths
    from audit.cli.table import render
    from audit.errors import AuditError
    from audit.stages.names import FINDINGS_FILE
    from audit.store import Store

    store = Store(folder, create=False)
    if not store.path(FINDINGS_FILE).is_file():
        raise AuditError(f"The audit in '{folder}' has no findings yet.", "Finish it first: repeat the command that began it.")
    if sign_off is not None:
        from audit.review.signoff import keep_sign_off, read_sign_off

        signed = read_sign_off(sign_off)
        with store.lock():
            keep_sign_off(store, signed)
    if game is not None:
        from audit.game.kept import keep_game

        with store.lock():
            keep_game(store, game)
    render(store)
    if as_json:
        print_findings(store)
    else:
        for line in agreement_lines(store):
            click.echo(line)
        print_paths(store)
    return 0
