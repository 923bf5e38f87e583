"""Tells a progress bar when Inspect has finished a sample."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from inspect_ai.hooks import Hooks, SampleEnd, hooks

_LISTENERS: list[Callable[[int], None]] = []


@hooks(name="nla_audit_progress", description="Advances the progress display of nla-audit.")
class ProgressHooks(Hooks):
    """Hands the end of each sample on to whoever listens in this process."""

    def enabled(self) -> bool:
        return bool(_LISTENERS)

    async def on_sample_end(self, data: SampleEnd) -> None:
        for listener in _LISTENERS:
            listener(1)


@contextmanager
def samples_finished(listener: Callable[[int], None]) -> Iterator[None]:
    """Calls ``listener(1)`` for each sample that ends within the block."""
    _LISTENERS.append(listener)
    try:
        yield
    finally:
        _LISTENERS.remove(listener)
