"""What can be refused before any work: files that are not there, scanners that fail, an NLA that belongs to another target."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from audit.config import AuditConfig
from audit.errors import AuditError, RefusedInput

GRADER_REMEDY = "Write --grader <provider>/<model>, as Inspect names it."


def check(config: AuditConfig) -> None:
    """Compares the NLA's sidecars with the target's configuration; loads no weights.

    Raises ``RefusedInput`` (wrong width, wrong layer, no sidecar) or ``AuditError`` (nothing there, a scanner that fails, a model
    that Inspect cannot reach).
    """
    from audit.scanners.user import load_user_scanner
    from audit.stages.motives import open_reference
    from audit.target.transcripts import find_logs

    for path in (*config.logs, *config.controls, *config.scanners):
        if not Path(path).expanduser().exists():
            raise AuditError(f"There is nothing at '{path}'.", "Check the path.")
    for path in (*config.logs, *config.controls):
        if not find_logs([Path(path).expanduser()]):
            raise AuditError(f"There is no log in '{path}'.", "Give .eval or .json logs of Inspect, or a folder that holds them.")
    for path in config.scanners:
        load_user_scanner(path)
    check_grader(config)
    if config.reference is not None:
        open_reference(config.reference)
    if config.is_api:
        if not config.logs:
            check_api(config.model_name, "Write inspect:<provider>/<model>, as Inspect names it.")
        return
    from audit.target.loading import check_safetensors, checkpoint_folder

    needs_target = not config.logs or config.nla_name is not None
    if not needs_target:
        return
    folder = checkpoint_folder(config.target)
    check_safetensors(folder)
    if config.nla_name is not None:
        check_nla(config.nla_name, config.target, folder)


def check_grader(config: AuditConfig) -> None:
    """Whether Inspect knows the grader, and whether the scanner that decides has one if it needs it. Raises ``AuditError``."""
    if config.grader is not None:
        check_api(config.grader, GRADER_REMEDY)
    elif config.awareness_scanner is not None:
        from audit.scanners.base import get_scanner

        if get_scanner(config.awareness_scanner).graded:
            raise AuditError(f"The scanner '{config.awareness_scanner}' asks a grader.", "Name one with --grader MODEL.")


def check_api(name: str, remedy: str) -> None:
    """Whether Inspect can talk to a model: known provider, its package, its key. Raises ``AuditError`` with that remedy."""
    from inspect_ai._util.error import PrerequisiteError
    from inspect_ai.model import get_model
    from rich.text import Text

    try:
        get_model(name)
    except (PrerequisiteError, ValueError) as error:
        reason = " ".join(Text.from_markup(str(error)).plain.removeprefix("ERROR: ").split())
        raise AuditError(f"Inspect cannot talk to '{name}': {reason}", remedy) from None


def check_nla(nla: str, target: str, folder: Path) -> dict[str, Any]:
    """Whether an NLA fits a target's shape; returns its ``layer`` and ``d_model``. Raises ``RefusedInput`` if it does not."""
    from audit.nla.checkpoints import body_of, check_part, pair_folders
    from audit.nla.pair import common_layer
    from audit.nla.sidecar import read_sidecar

    av_folder, ar_folder = pair_folders(nla)
    av, ar = read_sidecar(av_folder, "av"), read_sidecar(ar_folder, "ar")
    for part, sidecar in ((av_folder, av), (ar_folder, ar)):
        check_part(part, sidecar.role)
        body_of(part, sidecar)
    layer = common_layer(nla, av, ar)
    shape = text_config(folder)
    width, blocks = shape.get("hidden_size"), shape.get("num_hidden_layers")
    remedy = "Use the NLA that was trained for this target."
    for role, sidecar in (("AV", av), ("AR", ar)):
        if width is not None and sidecar.d_model != width:
            raise RefusedInput(
                f"The {role} of {nla} is for vectors of width {sidecar.d_model}, but those of {target} have {width}.", remedy
            )
    if blocks is not None and layer >= blocks:
        raise RefusedInput(f"{nla} reads block {layer}, but {target} has only {blocks} blocks.", remedy)
    return {"layer": layer, "d_model": av.d_model}


def text_config(folder: Path) -> dict[str, Any]:
    """The language model's part of a checkpoint's ``config.json``."""
    whole: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    inner = whole.get("text_config")
    return inner if isinstance(inner, dict) else whole
