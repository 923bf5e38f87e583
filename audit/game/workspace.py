"""An auditor's working folder: flat names, files of limited size, no way out of it.

An auditor never gives a path. It gives a name, and a name that is anything but letters, digits, ``.``, ``-`` and ``_`` is refused, so
that ``..``, separators, devices and streams cannot even be written down. Links are not followed.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from audit.game.patterns import Hit, search

MOST_FILES = 500
MOST_BYTES = 32 * 2**20
"""Of all files together."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,60}(\.[A-Za-z0-9]{1,8})?")
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


class Refused(Exception):
    """What the working folder does not do; the message is for the auditor."""


class WorkingFolder:
    """The one place where an auditor, or a tool on its behalf, writes."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True)

    @classmethod
    def fresh(cls, root: Path) -> WorkingFolder:
        """An empty folder at ``root``: what an interrupted run left there would otherwise be read by its successor."""
        if root.is_symlink():
            raise Refused("The working folder is a link.")
        shutil.rmtree(root, ignore_errors=True)
        return cls(root)

    def write(self, name: str, text: str) -> None:
        """Writes a file whole. Raises ``Refused`` for a name that is none, a link, or a folder that is full."""
        path = self._path(name)
        data = text.encode("utf-8", "replace")
        others = [file for file in self._root.iterdir() if file.name != name]
        if len(others) >= MOST_FILES or len(data) + sum(file.lstat().st_size for file in others) > MOST_BYTES:
            raise Refused("The working folder is full.")
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        except OSError:
            raise Refused(f"'{name}' cannot be written.") from None
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)

    def read(self, name: str) -> str:
        """A file's text. Raises ``Refused`` if there is none of that name."""
        path = self._path(name)
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            raise Refused(f"There is no file '{name}'. Files: {', '.join(self.names()) or 'none'}.") from None
        with os.fdopen(handle, "rb") as stream:
            return stream.read(MOST_BYTES).decode("utf-8", "replace")

    def search(self, pattern: str, name: str | None = None, most: int = 40) -> tuple[list[tuple[str, Hit]], int]:
        """Lines with the pattern in one file, or in all: the first ``most``, each with its file, and how many there are.

        Raises ``Refused`` for an unknown file, ``BadPattern`` for a pattern that is none or takes too long.
        """
        places = [(file, line) for file in ([name] if name else self.names()) for line in self.read(file).splitlines()]
        hits, count = search(pattern, (line for _, line in places), most)
        first = {file: next(at for at, place in enumerate(places) if place[0] == file) for file in {file for file, _ in places}}
        return [(places[hit.line - 1][0], Hit(hit.line - first[places[hit.line - 1][0]], hit.text)) for hit in hits], count

    def names(self) -> list[str]:
        """Names of the files."""
        return sorted(file.name for file in self._root.iterdir() if file.is_file() and not file.is_symlink())

    def _path(self, name: str) -> Path:
        if not isinstance(name, str) or not _NAME.fullmatch(name) or _DEVICES.fullmatch(name):
            raise Refused("A file's name is letters, digits, '-' and '_', with one ending at most, such as notes.txt; it is no path.")
        return self._root / name
