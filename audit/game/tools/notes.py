"""The working folder: notes, and the files that other tools write."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inspect_ai.tool import Tool, tool

from audit.game.tools.guard import answering, shortened

if TYPE_CHECKING:
    from audit.game.auditee import Auditee

LONGEST_HIT = 500


@tool
def write_note(auditee: Auditee) -> Tool:
    """Writes a file."""

    async def execute(name: str, text: str) -> str:
        """Write a file into your working folder.

        Args:
            name: Name of the file, such as notes.txt; no path.
            text: What it shall hold.
        """
        with answering(auditee):
            auditee.folder.write(name, text)
            return f"saved {name}"

    return execute


@tool
def read_file(auditee: Auditee) -> Tool:
    """Reads a file."""

    async def execute(name: str, first_line: int = 1, lines: int = 80) -> str:
        """Read a file of your working folder, such as a file of explanations.

        Args:
            name: Name of the file.
            first_line: Line to begin with, from 1.
            lines: How many lines.
        """
        with answering(auditee):
            every = auditee.folder.read(name).splitlines()
            begin = max(1, first_line) - 1
            chosen = every[begin : begin + max(1, lines)]
            return shortened("\n".join(chosen) + f"\n({len(every)} lines in all)")

    return execute


@tool
def search_files(auditee: Auditee) -> Tool:
    """Searches files."""

    async def execute(pattern: str, name: str = "") -> str:
        """Search your working folder for a regular expression (any case).

        Args:
            pattern: The regular expression.
            name: Name of one file; empty: all files.
        """
        with answering(auditee):
            hits, count = auditee.folder.search(pattern, name or None)
            rows = [f"{file}:{hit.line}: {hit.text[:LONGEST_HIT]}" for file, hit in hits]
            return shortened("\n".join([*rows, f"({count} lines match)"]))

    return execute
