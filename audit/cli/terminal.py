"""What reaches the terminal: progress, notes, and model text made harmless."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def clean(text: str, keep: str = "\n\t") -> str:
    """Text that a terminal shows and does not obey: control, bidirectional and invisible characters become visible escapes."""
    return "".join(
        letter if letter in keep or unicodedata.category(letter) not in _HIDDEN else letter.encode("unicode_escape").decode("ascii")
        for letter in text
    )


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
