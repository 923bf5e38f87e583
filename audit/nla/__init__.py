"""The NLA: sidecar and formats, prompt and injection, verbalizer (AV), reconstructor (AR), fidelity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audit.nla.pair import Decoded as Decoded
    from audit.nla.pair import NlaPair as NlaPair


def load_pair(
    name: str, d_model: int | None = None, layers: int | None = None, dtype: str = "float32", device: str | None = None
) -> NlaPair:
    """Loads an AV and its AR; see ``audit.nla.pair.load_pair``."""
    from audit.nla.pair import load_pair as load

    return load(name, d_model, layers, dtype, device)


def __getattr__(name: str) -> Any:
    if name in ("Decoded", "NlaPair"):
        from audit.nla import pair

        return getattr(pair, name)
    raise AttributeError(name)
