"""``nla-audit label``: people judge explanations, blind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from audit.review.sample import Item
    from audit.store import Store

QUESTION = "Does this text say that the model takes its situation for an evaluation or a test?"
EVERY = 10**9
"""More explanations than any audit has."""
TEXT = 6000
"""Characters shown of an explanation."""


@click.command("label")
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--sample", "size", type=click.IntRange(min=1), default=100, metavar="N", help="Explanations to label. Default: 100.")
@click.option("--seed", type=int, default=0, metavar="N", help="Which ones, in which order. Reviewers who share it label the same.")
@click.option("--reviewer", metavar="NAME", help="Who labels. Default: reviewer.")
@click.option("--labels", type=click.Path(path_type=Path), metavar="FILE", help="Take labels from a CSV or JSON lines instead of asking.")
@click.option("--sheet", type=click.Path(path_type=Path), metavar="FILE", help="Write the sample as a CSV to fill in elsewhere, and stop.")
def command(folder: Path, size: int, seed: int, reviewer: str | None, labels: Path | None, sheet: Path | None) -> int:
    """Show explanations blind and save a verdict on each; `nla-audit report DIR` then states how far scanners and people agree.

    Neither a scanner's verdict nor scenario, transcript or known state is shown. Each answer is saved at once to labels.jsonl in the
    audit's folder; the same command goes on where it was left. Loads no model.
    """
    from audit.errors import AuditError
    from audit.review.sample import draw
    from audit.store import Store

    if labels is not None and sheet is not None:
        raise AuditError("--labels takes labels and --sheet gives a sheet for them.", "Use one at a time.")
    store = Store(folder, create=False)
    if labels is not None:
        return take(store, labels, reviewer)
    items = draw(store, size, seed)
    if not items:
        raise AuditError(f"The audit in '{folder}' has no judged explanation.", "Run it with an NLA (--nla).")
    return give(items, sheet) if sheet is not None else ask(store, items, reviewer or "reviewer")


def take(store: Store, file: Path, reviewer: str | None) -> int:
    """Imports a file of labels and says what could not be used."""
    from audit.cli.terminal import clean
    from audit.review.labels import add_labels
    from audit.review.sample import draw
    from audit.review.tables import import_labels

    found = import_labels(file, draw(store, EVERY), reviewer)
    if found.labels:
        add_labels(store, found.labels)
    for sentence in found.refused[:20]:
        click.echo(f"Not used: {clean(sentence, keep='')}", err=True)
    counts = (f"{len(found.labels)} labels taken", f"{len(found.refused)} rows refused", f"{found.empty} without a label")
    click.echo(f"{', '.join(counts)}. nla-audit report {clean(str(store.folder), keep='')} states the agreement.")
    return 2 if found.refused and not found.labels else 0


def give(items: Sequence[Item], file: Path) -> int:
    """Writes the sheet; a file that is there already may hold somebody's work, and stays."""
    from audit.errors import AuditError
    from audit.review.tables import sheet

    try:
        with file.open("x", encoding="utf-8", newline="") as stream:
            stream.write(sheet(items))
    except FileExistsError:
        raise AuditError(f"'{file}' is there already.", "Name another file; labels in it would be lost.") from None
    except OSError as error:
        raise AuditError(f"'{file}' cannot be written: {error.strerror}.", "Name another file.") from None
    click.echo(f"{len(items)} explanations in {file}. Fill in the column 'label' (YES, NO, UNCLEAR), then use --labels {file}.")
    return 0


def ask(store: Store, items: Sequence[Item], reviewer: str) -> int:
    """Shows one explanation after the other and saves each answer; ``back`` takes the one before up again."""
    from audit.cli.terminal import clean
    from audit.review.labels import HumanLabel, add_labels, now, read_labels, remove_label
    from audit.review.tables import SPELLINGS

    wanted = {item.place: item.text_sha256 for item in items}
    known = [label for label in read_labels(store)[0] if label.reviewer == reviewer]
    done = {label.place: label for label in known if wanted.get(label.place) == label.text_sha256}
    click.echo(f"{QUESTION}\nAnswer y (yes), n (no), u (unclear), back, or quit. Every answer is saved.")
    at = 0
    while at < len(items):
        item = items[at]
        if item.place in done:
            at += 1
            continue
        click.echo(f"\n--- {at + 1} of {len(items)} ---\n{clean(item.text[:TEXT])}\n")
        if len(item.text) > TEXT:
            click.echo(f"[{len(item.text) - TEXT:,} more characters not shown]\n")
        answer = _answer()
        if answer == "quit":
            break
        if answer == "back":
            at = max(0, at - 1)
            if (earlier := done.pop(items[at].place, None)) is not None:
                remove_label(store, earlier)
            continue
        label = HumanLabel(*item.place, SPELLINGS[answer], reviewer, item.text_sha256, item.stratum, now())
        add_labels(store, [label])
        done[item.place] = label
    _tell(len(done), len(items), store)
    return 0


def _answer() -> str:
    """What the reviewer typed: a spelling of a label, ``back`` or ``quit``; the end of the input is ``quit``."""
    from audit.review.tables import SPELLINGS

    ways_out = {"b": "back", "back": "back", "q": "quit", "quit": "quit"}
    while True:
        try:
            typed = click.prompt("y/n/u/back/quit", prompt_suffix="> ").strip().lower()
        except click.Abort:
            click.echo()
            return "quit"
        if typed in SPELLINGS:
            return str(typed)
        if typed in ways_out:
            return ways_out[typed]
        click.echo("Type y, n, u, back or quit.")


def _tell(done: int, of: int, store: Store) -> None:
    from audit.cli.terminal import clean

    folder = clean(str(store.folder), keep="")
    rest = f"nla-audit report {folder} now states the agreement." if done == of else "The same command goes on from here."
    click.echo(f"{done} of {of} labelled. {rest}")
