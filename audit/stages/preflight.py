"""What can be refused before any work: an NLA that is not there or belongs to another target."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from audit.config import AuditConfig
from audit.errors import AuditError, RefusedInput


def check(config: AuditConfig) -> None:
    """Compares the NLA's sidecars with the target's configuration; loads no weights.

    Raises ``RefusedInput`` (wrong width, wrong layer, no sidecar) or ``AuditError`` (nothing there).
    """
    for path in (*config.logs, *config.controls, *config.scanners):
        if not Path(path).expanduser().exists():
            raise AuditError(f"There is nothing at '{path}'.", "Check the path.")
    if config.is_api:
        return
    from audit.target.loading import check_safetensors, checkpoint_folder

    needs_target = not config.logs or config.nla_name is not None
    if not needs_target:
        return
    folder = checkpoint_folder(config.target)
    check_safetensors(folder)
    if config.nla_name is not None:
        check_nla(config.nla_name, config.target, folder)


def check_nla(nla: str, target: str, folder: Path) -> dict[str, Any]:
    """Whether an NLA fits a target's shape; returns its ``layer`` and ``d_model``. Raises ``RefusedInput`` if it does not."""
    from audit.nla.pair import _folders as pair_folders
    from audit.nla.sidecar import read_sidecar

    av_folder, ar_folder = pair_folders(nla)
    av, ar = read_sidecar(av_folder, "av"), read_sidecar(ar_folder, "ar")
    layer = av.layer if av.layer is not None else ar.layer
    shape = text_config(folder)
    width, blocks = shape.get("hidden_size"), shape.get("num_hidden_layers")
    remedy = "Use the NLA that was trained for this target."
    for role, sidecar in (("AV", av), ("AR", ar)):
        if width is not None and sidecar.d_model != width:
            raise RefusedInput(
                f"The {role} of {nla} is for vectors of width {sidecar.d_model}, but those of {target} have {width}.", remedy
            )
    if layer is not None and blocks is not None and layer >= blocks:
        raise RefusedInput(f"{nla} reads block {layer}, but {target} has only {blocks} blocks.", remedy)
    return {"layer": layer, "d_model": av.d_model}


def text_config(folder: Path) -> dict[str, Any]:
    """The language model's part of a checkpoint's ``config.json``."""
    whole: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    inner = whole.get("text_config")
    return inner if isinstance(inner, dict) else whole
