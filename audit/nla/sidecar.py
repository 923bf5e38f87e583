"""The sidecar ``nla_meta.yaml`` that stands beside the weights of an AV or AR and says how to use them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit.errors import RefusedInput

SIDECAR_NAME = "nla_meta.yaml"
_ROLE_NAMES = {"av": "av", "actor": "av", "verbalizer": "av", "ar": "ar", "critic": "ar", "reconstructor": "ar"}


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


def read_sidecar(folder: Path, role: str) -> Sidecar:
    """Reads ``folder/nla_meta.yaml`` and checks that it describes an NLA in ``role`` (``av`` or ``ar``).

    Raises ``RefusedInput`` if it is missing, malformed, or describes the other role.
    """
    import yaml

    path = folder / SIDECAR_NAME
    if not path.exists():
        raise RefusedInput(
            f"{folder.name} has no {SIDECAR_NAME}, so its prompt and scale are unknown.", "Use the folder that the NLA was released with."
        )
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise RefusedInput(f"{path} is not valid YAML.", "Restore it from the release.") from error
    if not isinstance(raw, dict) or raw.get("kind") != "nla_model":
        raise RefusedInput(f"{path} does not describe an NLA model (kind: nla_model).", "Restore it from the release.")
    found = _ROLE_NAMES.get(str(raw.get("role")), str(raw.get("role")))
    if found != role:
        raise RefusedInput(f"{folder.name} is an {found.upper()}, but an {role.upper()} was expected.", "Are AV and AR swapped?")
    return _parse(raw, role, path)


def _parse(raw: dict[str, Any], role: str, path: Path) -> Sidecar:
    tokens, extraction = raw.get("tokens") or {}, raw.get("extraction") or {}
    templates = raw.get("prompt_templates") or {}
    template = next((templates[name] for name, canonical in _ROLE_NAMES.items() if canonical == role and name in templates), None)
    if template is None or "d_model" not in raw:
        raise RefusedInput(f"{path} lacks d_model or the {role} prompt template.", "Restore it from the release.")
    if role == "av" and "injection_scale" not in extraction:
        raise RefusedInput(f"{path} lacks extraction.injection_scale, which an AV needs.", "Restore it from the release.")
    d_model = int(raw["d_model"])
    return Sidecar(
        role=role,
        d_model=d_model,
        layer=_layer(raw),
        injection_scale=_scale(extraction.get("injection_scale"), d_model),
        prompt_template=str(template),
        injection_char=tokens.get("injection_char"),
        injection_token_id=tokens.get("injection_token_id"),
        injection_neighbors=(tokens.get("injection_left_neighbor_id"), tokens.get("injection_right_neighbor_id")),
        suffix_ids=tuple(tokens.get("critic_suffix_ids") or ()),
        base_checkpoint=raw.get("base_checkpoint"),
        raw=raw,
    )


def _scale(value: Any, d_model: int) -> float | None:
    if value is None:
        return None
    return float(d_model**0.5) if value == "sqrt_d_model" else float(value)


def _layer(raw: dict[str, Any]) -> int | None:
    for section, key in (
        (None, "extraction_layer_index"), ("critic", "extraction_layer_index"), ("critic", "num_hidden_layers"),
        ("ar", "num_hidden_layers"),
    ):  # fmt: skip
        holder = raw if section is None else raw.get(section) or {}
        if holder.get(key) is not None:
            return int(holder[key])
    return None


def write_sidecar(folder: Path, content: dict[str, Any]) -> None:
    """Writes a sidecar of the released layout (version 2)."""
    import yaml

    folder.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump({"kind": "nla_model", "schema_version": 2, **content}, sort_keys=False, allow_unicode=True)
    (folder / SIDECAR_NAME).write_text(text, encoding="utf-8")
