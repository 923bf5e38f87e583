"""nla-audit: what a language model did, what it said, and what its activations say about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audit.tables import Audit, load

__all__ = ["Audit", "load"]


def __getattr__(name: str) -> Any:
    # On first use, so that `import audit` costs nothing.
    if name in __all__:
        from audit import tables

        return getattr(tables, name)
    raise AttributeError(f"module 'audit' has no attribute '{name}'")
