"""``nla-audit compare``: two audits beside each other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from audit.comparison.records import AreaVerdict, AuditComparison, Themes
    from audit.store import Store

DEFAULT_FOLDER = "nla-audit-comparison"
JSON_FILE, HTML_FILE = "comparison.json", "comparison.html"


@click.command("compare")
@click.argument("first", type=click.Path(path_type=Path), metavar="A")
@click.argument("second", type=click.Path(path_type=Path), metavar="B")
@click.option("--out", type=click.Path(path_type=Path), default=DEFAULT_FOLDER, metavar="DIR", help=f"Default: {DEFAULT_FOLDER}.")
@click.option("--seed", type=int, default=0, metavar="N", help="Of the bootstrap, and of the permutations that test themes. Default: 0.")
@click.option("--json", "as_json", is_flag=True, help="Print comparison.json, and nothing else.")
def command(first: Path, second: Path, out: Path, seed: int, as_json: bool) -> int:
    """Say what rose and fell from audit A to audit B: two checkpoints, or a model and the organism made from it.

    First stands what can be compared at all, then each rate of each scenario that both have, with the interval of the difference and
    its test, then findings that are new, vanished or kept, and themes. Loads no model.
    """
    import json
    from dataclasses import asdict

    from audit.cli.compared import print_comparison
    from audit.store import Store
    from reports.comparison_page import render_comparison

    stores = opened(first), opened(second)
    folder = writable(out, stores)
    comparison = compared(*stores, seed, quiet=as_json)
    found = json.loads(json.dumps(asdict(comparison)))
    target = Store(folder)
    target.write_json(JSON_FILE, found)
    target.write_text(HTML_FILE, render_comparison(found))
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=True))
    else:
        print_comparison(comparison, target.path(JSON_FILE), target.path(HTML_FILE))
    return 0


def opened(folder: Path) -> Store:
    """An audit's folder. Raises ``AuditError`` if it is none."""
    from audit.store import Store

    return Store(folder, create=False)


def writable(out: Path, audits: tuple[Store, Store]) -> Path:
    """Where the comparison goes. Raises ``AuditError`` where it would lie in an audit's folder, or both audits are one."""
    from audit.errors import AuditError

    first, second = (store.folder.resolve() for store in audits)
    if first == second:
        raise AuditError("An audit compared with itself shows nothing.", "Name two audits' folders.")
    if out.resolve() in (first, second):
        raise AuditError(f"'{out}' is one of the two audits.", "Choose another --out.")
    return out


def compared(first: Store, second: Store, seed: int, quiet: bool) -> AuditComparison:
    """Reads both folders and compares them."""
    from audit.cli.terminal import reporter
    from audit.comparison.assemble import compare_audits
    from audit.comparison.side import read_side
    from audit.comparison.themes import themes_between
    from audit.pipeline import Silent

    def themes(shared: set[str], verdict: AreaVerdict) -> Themes:
        return themes_between(first, second, shared, verdict, seed)

    with (reporter(quiet) or Silent()).track("Comparing", 3, "part") as advance:
        sides = []
        for store in (first, second):
            sides.append(read_side(store))
            advance(1)
        found = compare_audits(sides[0], sides[1], themes, seed)
        advance(1)
    return found
