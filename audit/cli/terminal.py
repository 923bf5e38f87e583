"""What reaches the terminal: progress, notes, and model text made harmless."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
# Blank, yet letters, symbols or marks to Unicode; and selectors, which can carry a text of their own unseen.
_UNSEEN = {*"\u115f\u1160\u3164\uffa0\u2800\u180b\u180c\u180d\u034f", *map(chr, (*range(0xFE00, 0xFE0E), *range(0xE0100, 0xE01F0)))}
MARKS = 2
"""Combining marks shown on one letter; more of them would grow over the lines around."""
LINE = 600
"""Characters of a line that is one of many."""


def clean(text: str, keep: str = "\n\t") -> str:
    """Text that a terminal shows and does not obey: control, bidirectional and invisible characters become visible escapes."""
    if text.isascii() and text.isprintable():
        return text
    shown: list[str] = []
    marks = 0
    for letter in text:
        category = unicodedata.category(letter)
        hidden = letter not in keep and (category in _HIDDEN or letter in _UNSEEN)
        marks = marks + 1 if category in ("Mn", "Me") and not hidden else 0
        if hidden:
            shown.append(letter.encode("unicode_escape").decode("ascii"))
        elif marks <= MARKS:
            shown.append(letter)
        elif marks == MARKS + 1:
            shown.append("[more marks]")
    return "".join(shown)


def brief(text: str, room: int = LINE) -> str:
    """The same in one line, at most ``room`` characters of it."""
    shown = clean(text[: room + 1], keep="")
    return shown if len(shown) <= room else shown[: room - 1] + "\u2026"


class Terminal:
    """A reporter with progress bars on standard error; standard output stays free for results."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def stage(self, name: str, description: str, fresh: bool) -> None:
        from rich.markup import escape

        if fresh:
            self.console.print(f"[bold]{escape(description)}[/bold]")
        else:
            self.console.print(f"[dim]{escape(description)}: done before[/dim]")

    @contextmanager
    def track(self, description: str, total: int | None, unit: str) -> Iterator[Callable[[int], None]]:
        """A bar with a rate and the time that remains; it goes away when it is full."""
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        columns = (
            TextColumn("  {task.description}"), BarColumn(bar_width=30), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
        )  # fmt: skip
        with Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal) as progress:
            task = progress.add_task(description, total=total, rate="")

            def advance(count: int) -> None:
                progress.advance(task, count)
                speed = progress.tasks[0].speed
                progress.update(task, rate=f"{speed:.1f} {unit}s/s" if speed else "")

            yield advance

    def note(self, text: str) -> None:
        from rich.markup import escape

        self.console.print(f"  [yellow]Note:[/yellow] {escape(clean(text))}")


def reporter(quiet: bool) -> Terminal | None:
    """Progress for people, or ``None`` where only machines read."""
    if quiet:
        return None
    from rich.console import Console

    return Terminal(Console(stderr=True, highlight=False))
