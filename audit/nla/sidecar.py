"""The sidecar ``nla_meta.yaml`` that stands beside the weights of an AV or AR and says how to use them.

Two kinds are read. ``nla_model`` (versions 1 and 2) describes a checkpoint. ``nla_dataset`` describes the activations that a pair was
trained on; LoRA trainers copy it into their checkpoints. It names no role, and where it names no injection scale, the vector is added
to the residual stream instead of replacing an embedding.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit.errors import RefusedInput

SIDECAR_NAME = "nla_meta.yaml"
SQRT_D_MODEL = "sqrt_d_model"
ADDITION_BLOCK = 1
"""Where the LoRA trainers that write ``nla_dataset`` sidecars add the vector: the output of this block."""
_ROLE_NAMES = {"av": "av", "actor": "av", "verbalizer": "av", "ar": "ar", "critic": "ar", "reconstructor": "ar"}
_RAW = (None, "none", "raw")
_LAYER_KEYS = (
    (None, "extraction_layer_index"), ("extraction", "layer_index"), ("extraction", "extraction_layer_index"),
    ("critic", "extraction_layer_index"), ("ar", "extraction_layer_index"), ("reconstructor", "extraction_layer_index"),
    ("critic", "num_hidden_layers"), ("ar", "num_hidden_layers"), ("reconstructor", "num_hidden_layers"), (None, "layer_index"),
)  # fmt: skip
"""All of them hold K, whatever their name says; the first one that is there counts."""


@dataclass(frozen=True)
class Sidecar:
    """What a checkpoint of an NLA says about itself, whatever names its file uses."""

    role: str
    """``av`` or ``ar``."""
    d_model: int
    layer: int | None
    """K: activations are the output of this block."""
    injection_scale: float | None
    """Norm to which an injected vector is scaled; ``None`` injects it raw."""
    prompt_template: str
    injection_char: str | None
    injection_token_id: int | None
    injection_neighbors: tuple[int | None, int | None]
    suffix_ids: tuple[int, ...]
    """The stable last token ids of the AR's prompt."""
    base_checkpoint: str | None
    raw: dict[str, Any]
    kind: str = "nla_model"
    """``nla_model`` or ``nla_dataset``."""
    addition_block: int | None = None
    """Not ``None``: the vector is added, norm-matched, at the output of this block, and ``injection_scale`` is not used."""
    mse_scale: float | None = None
    """Norm at which AR outputs and activations were compared in training; ``None``: raw."""


def read_sidecar(folder: Path, role: str) -> Sidecar:
    """Reads ``nla_meta.yaml`` in a checkpoint's folder (or one above it) and checks that it describes an NLA in ``role``.

    ``role`` is ``av`` or ``ar``. Raises ``RefusedInput`` if the file is missing, malformed, or describes the other role.
    """
    path = _find(folder)
    raw = _parse_yaml(path)
    kind = str(raw.get("kind", "nla_model"))
    named = raw.get("role") is not None
    if kind not in ("nla_model", "nla_dataset") or (kind == "nla_model" and not named):
        raise RefusedInput(f"{path} does not describe an NLA model (kind: nla_model, with its role).", "Restore it from the release.")
    found = _ROLE_NAMES.get(str(raw.get("role")), str(raw.get("role")))
    if named and found != role:
        raise RefusedInput(f"{folder.name} is an {found.upper()}, but an {role.upper()} was expected.", "Are AV and AR swapped?")
    try:
        return _sidecar(raw, kind, role, path)
    except (TypeError, ValueError, AttributeError) as error:
        raise RefusedInput(f"{path} holds a value of the wrong kind: {error}.", "Restore it from the release.") from error


def _find(folder: Path) -> Path:
    # Repositories of LoRA pairs keep one sidecar above the folders of AV and AR.
    for path in (folder / SIDECAR_NAME, folder.parent / SIDECAR_NAME):
        if path.is_file():
            return path
    raise RefusedInput(
        f"{folder.name} has no {SIDECAR_NAME}, so its prompt and scale are unknown.", "Use the folder that the NLA was released with."
    )


def _parse_yaml(path: Path) -> dict[str, Any]:
    import yaml

    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RefusedInput(f"{path} is not valid YAML.", "Restore it from the release.") from error
    if not isinstance(raw, dict):
        raise RefusedInput(f"{path} does not describe an NLA model (kind: nla_model).", "Restore it from the release.")
    return raw


def _sidecar(raw: dict[str, Any], kind: str, role: str, path: Path) -> Sidecar:
    tokens, extraction = raw.get("tokens") or {}, raw.get("extraction") or {}
    d_model, template = raw.get("d_model") or extraction.get("d_model"), _template(raw, role)
    if template is None or d_model is None:
        raise RefusedInput(f"{path} lacks d_model or the {role} prompt template.", "Restore it from the release.")
    _refuse_unreadable(raw, extraction, path)
    if role == "av" and kind == "nla_model" and "injection_scale" not in extraction and "addition_block" not in extraction:
        raise RefusedInput(f"{path} lacks extraction.injection_scale, which an AV needs.", "Restore it from the release.")
    return Sidecar(
        role=role,
        d_model=int(d_model),
        layer=_layer(raw),
        injection_scale=_scale(extraction, "injection_scale", int(d_model)),
        prompt_template=str(template),
        injection_char=tokens.get("injection_char"),
        injection_token_id=_whole(tokens.get("injection_token_id")),
        injection_neighbors=(_whole(tokens.get("injection_left_neighbor_id")), _whole(tokens.get("injection_right_neighbor_id"))),
        suffix_ids=tuple(int(token) for token in tokens.get("critic_suffix_ids") or ()),
        base_checkpoint=raw.get("base_checkpoint") or extraction.get("base_model") or raw.get("base_model"),
        raw=raw,
        kind=kind,
        addition_block=_addition_block(extraction, kind) if role == "av" else None,
        mse_scale=_scale({"mse_scale": SQRT_D_MODEL} | extraction, "mse_scale", int(d_model)),
    )


def _refuse_unreadable(raw: dict[str, Any], extraction: dict[str, Any], path: Path) -> None:
    if raw.get("variant") == "universal":
        raise RefusedInput(
            f"{path} describes an NLA for all layers at once, which is not supported.", "Use a pair that was trained for one layer."
        )
    if extraction.get("norm") not in _RAW:
        raise RefusedInput(
            f"{path} says that this NLA reads normalised activations (norm: {extraction['norm']}), but audits read raw ones.",
            "Use a pair that was trained on the raw residual stream.",
        )


def _template(raw: dict[str, Any], role: str) -> str | None:
    templates = raw.get("prompt_templates") or {}
    return next((templates[name] for name, canonical in _ROLE_NAMES.items() if canonical == role and templates.get(name)), None)


def _scale(extraction: dict[str, Any], key: str, d_model: int) -> float | None:
    value = extraction.get(key)
    if value in _RAW:
        return None
    scale = math.sqrt(d_model) if value == SQRT_D_MODEL else float("nan") if isinstance(value, bool) else float(value)
    if not (math.isfinite(scale) and scale > 0):
        raise RefusedInput(f"extraction.{key} is {value!r}, but a norm is a number above zero.", "Restore nla_meta.yaml from the release.")
    return scale


def _addition_block(extraction: dict[str, Any], kind: str) -> int | None:
    if "addition_block" in extraction:
        return _whole(extraction["addition_block"])
    return ADDITION_BLOCK if kind == "nla_dataset" and "injection_scale" not in extraction else None


def _layer(raw: dict[str, Any]) -> int | None:
    for section, key in _LAYER_KEYS:
        holder = raw if section is None else raw.get(section) or {}
        if holder.get(key) is not None:
            return _whole(holder[key])
    return None


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)


def write_sidecar(folder: Path, content: dict[str, Any]) -> None:
    """Writes a sidecar of the released layout (version 2), whole or not at all."""
    import yaml

    folder.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump({"kind": "nla_model", "schema_version": 2, **content}, sort_keys=False, allow_unicode=True)
    partial = folder / f"{SIDECAR_NAME}.partial"
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, folder / SIDECAR_NAME)
