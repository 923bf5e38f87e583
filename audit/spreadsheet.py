"""Text that others wrote as a cell of a CSV file: a spreadsheet must show it, not run it."""

from __future__ import annotations

STARTS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""The last four are the wide forms of the first four, which some spreadsheets take for them."""


def cell(text: str) -> str:
    """The text, with an apostrophe before it where a spreadsheet would take it for a formula; NUL, which CSV cannot hold, made visible."""
    shown = text.replace("\0", "\\x00")
    return f"'{shown}" if shown.startswith(STARTS_A_FORMULA) else shown
