"""An NLA as one object: the AV writes explanations, the AR reads them back into vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.errors import RefusedInput
from audit.nla.checkpoints import HEAD_NAME, check_part, pair_folders
from audit.nla.reconstructor import Reconstructor, load_reconstructor
from audit.nla.sidecar import Sidecar, read_sidecar
from audit.nla.verbalizer import MAX_TOKENS, Decoded, Verbalizer, load_verbalizer

__all__ = [
    "HEAD_NAME", "MAX_TOKENS", "Decoded", "NlaPair", "Reconstructor", "Verbalizer", "load_pair", "load_reconstructor", "load_verbalizer",
    "pair_folders",
]  # fmt: skip


@dataclass(frozen=True)
class NlaPair:
    """AV and AR of one target at one layer."""

    name: str
    layer: int
    d_model: int
    av: Verbalizer
    ar: Reconstructor

    def explain(self, vectors: NDArray[np.float32], **settings: Any) -> list[Decoded]:
        """See ``Verbalizer.explain``."""
        return self.av.explain(vectors, **settings)

    def reconstruct(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """See ``Reconstructor.reconstruct``."""
        return self.ar.reconstruct(texts)


def load_pair(
    name: str, d_model: int | None = None, layers: int | None = None, dtype: str = "float32", device: str | None = None
) -> NlaPair:
    """Loads ``NAME-av`` and ``NAME-ar`` (or ``NAME/av`` and ``NAME/ar``), local folders or Hub names; ``lab`` is the bundled NLA.

    ``d_model`` and ``layers`` are the target's; ``device`` defaults to the machine's accelerator. What is loaded has passed the
    self-check. Raises ``RefusedInput`` if the NLA is broken or cannot belong to the target.
    """
    from audit.nla.selfcheck import check_reconstructor, check_verbalizer
    from audit.target.loading import default_device

    av_folder, ar_folder = pair_folders(name)
    av_sidecar, ar_sidecar = read_sidecar(av_folder, "av"), read_sidecar(ar_folder, "ar")
    check_part(av_folder, "av")
    check_part(ar_folder, "ar")
    layer = common_layer(name, av_sidecar, ar_sidecar)
    if d_model is not None and av_sidecar.d_model != d_model:
        raise RefusedInput(
            f"{name} reads vectors of width {av_sidecar.d_model}, but the target's residual stream is {d_model} wide.",
            "Use the NLA of this target.",
        )
    if layers is not None and layer >= layers:
        raise RefusedInput(f"{name} reads block {layer}, but the target has only {layers} blocks.", "Use the NLA of this target.")
    device = device or default_device()
    ar = load_reconstructor(ar_folder, ar_sidecar, layer, dtype, device)
    check_reconstructor(ar, layer)
    av = load_verbalizer(av_folder, av_sidecar, dtype, device)
    check_verbalizer(av, layer)
    return NlaPair(name, layer, av_sidecar.d_model, av, ar)


def common_layer(name: str, av: Sidecar, ar: Sidecar) -> int:
    """K, which AV and AR must share, like the width. Raises ``RefusedInput``."""
    layer = av.layer if av.layer is not None else ar.layer
    if layer is None:
        raise RefusedInput(f"Neither sidecar of {name} says which layer it reads.", "Add extraction_layer_index to nla_meta.yaml.")
    if av.d_model != ar.d_model or (ar.layer is not None and ar.layer != layer):
        raise RefusedInput(
            f"AV and AR of {name} do not belong together: their width or layer differs.", "Use a pair that was trained together."
        )
    return layer
