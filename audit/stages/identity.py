"""What an audit depends on outside its folder: the user's files and the models' weights, told by their content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from audit.errors import AuditError
from audit.store import content_hash

_ENDS = 2**20


def file_hashes(paths: Iterable[str]) -> dict[str, str]:
    """Content hashes of files or folders. Raises ``AuditError`` for one that is not there."""
    found = {}
    for path in paths:
        digest = content_hash(Path(path).expanduser())
        if digest is None:
            raise AuditError(f"There is nothing at '{path}'.", "Check the path.")
        found[path] = digest
    return found


def checkpoint_identity(folder: Path) -> str:
    """Tells one checkpoint from another: its JSON files whole, its weights by size and both ends (they can be large)."""
    digest = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        if file.suffix in (".json", ".yaml", ".jinja"):
            digest.update(f"{file.name}:{content_hash(file)}\n".encode())
        elif file.suffix == ".safetensors":
            size = file.stat().st_size
            with file.open("rb") as stream:
                start = stream.read(_ENDS)
                stream.seek(max(0, size - _ENDS))
                digest.update(f"{file.name}:{size}\n".encode() + start + stream.read(_ENDS))
    return digest.hexdigest()


def model_identity(name: str) -> str:
    """Identity of a model given by name: that of its folder if it lies here, else the name itself (the Hub keeps revisions)."""
    if name == "lab":
        from audit.lab import weights_folder

        return checkpoint_identity(weights_folder("target"))
    folder = Path(name).expanduser()
    return checkpoint_identity(folder) if folder.is_dir() else name


def nla_identity(name: str | None) -> str | None:
    """Identity of an NLA's two checkpoints."""
    if name is None:
        return None
    if name == "lab":
        from audit.lab import weights_folder

        return checkpoint_identity(weights_folder("av")) + checkpoint_identity(weights_folder("ar"))
    folders = [Path(name) / "av", Path(name) / "ar", Path(f"{name}-av"), Path(f"{name}-ar")]
    return "".join(checkpoint_identity(folder) for folder in folders if folder.is_dir()) or name
