"""Hostile text, made fit to stand in a grader's prompt: shown character by character, and closed off by a marker that it cannot know.

Three dangers: words that give the grader orders (the fence and the instructions around it), text that imitates the fence's end (the
marker is drawn at random for every request, and angle brackets are replaced), and text that a tokenizer turns into control tokens,
such as a chat template's turn markers (brackets again). Every character is replaced by exactly one, so that a quote from what was
shown can be found in what was written.
"""

from __future__ import annotations

import re
import secrets
import unicodedata

LONGEST = 12_000
"""Characters shown of one text; of a longer one, the beginning and the end."""
_BRACKETS = str.maketrans({"<": "\u2039", ">": "\u203a", "\uff1c": "\u2039", "\uff1e": "\u203a"})
_TEMPLATE_MARK = re.compile(r"\[(/?[A-Z_]{3,})\]")
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def shown(text: str) -> str:
    """The text as a grader sees it, of the same length: no angle brackets, no template marks, nothing invisible."""
    plain = "".join(letter if letter in "\n\t" or unicodedata.category(letter) not in _HIDDEN else "\ufffd" for letter in text)
    return _TEMPLATE_MARK.sub(r"(\1)", plain.translate(_BRACKETS))


def fenced(name: str, text: str, marker: str) -> str:
    """The text between two lines that hold the marker."""
    visible = shown(text)
    if len(visible) > LONGEST:
        half = LONGEST // 2
        visible = f"{visible[:half]}\n(... {len(visible) - LONGEST} characters left out ...)\n{visible[-half:]}"
    assert marker not in visible, "a marker is drawn after the text is known"
    return f"<<<{name} {marker}>>>\n{visible}\n<<<END OF {name} {marker}>>>"


def new_marker(*texts: str) -> str:
    """A random marker that occurs in none of the texts."""
    while True:
        marker = secrets.token_hex(16)
        if not any(marker in shown(text) for text in texts):
            return marker


def verbatim(quote: str, text: str) -> str:
    """The passage of ``text`` that a grader quoted from what it was shown; empty if there is none."""
    wanted = shown(quote.strip())
    at = shown(text).find(wanted) if wanted else -1
    return text[at : at + len(wanted)] if at >= 0 else ""
