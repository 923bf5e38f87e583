"""LoRA adapters of AVs and ARs, merged into their base (peft): after loading, a LoRA pair is a pair like any other.

Bases that were quantised in training are loaded unquantised here, a declared departure.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.errors import RefusedInput
from audit.nla.checkpoints import ADAPTER_CONFIG_NAME, ADAPTER_NAME, LORA_META_NAME, read_json
from audit.nla.weights import read_tensors, refusing

if TYPE_CHECKING:
    import torch

_FACTOR = re.compile(r"(?:^|\.)(layers\.\d+\..+)\.(lora_[AB]|lora_magnitude_vector)(?:\.default)?(\.weight)?$")
_OPTIONS = ("r", "lora_alpha", "use_rslora", "use_dora", "fan_in_fan_out")
_BEFORE_BLOCKS = re.compile(r"^.*?(?=layers\.)")
_BLOCK = re.compile(r"layers\.(\d+)\.")


def merge_adapter(decoder: Any, folder: Path) -> None:
    """Merges the PEFT adapter in ``folder`` into a stack of blocks, in place. Factors for blocks beyond the stack are left out.

    Raises ``RefusedInput`` if the adapter is no LoRA of the blocks or fits another base.
    """
    config = read_json(folder / ADAPTER_CONFIG_NAME)
    if str(config.get("peft_type")).upper() != "LORA" or config.get("megatron_config"):
        raise RefusedInput(f"The adapter in {folder} is of type {config.get('peft_type')}, not LoRA.", "Use a LoRA or a full checkpoint.")
    options = {name: config[name] for name in _OPTIONS if config.get(name) is not None}
    for name in ("rank_pattern", "alpha_pattern"):
        options[name] = {_BEFORE_BLOCKS.sub("", path): value for path, value in (config.get(name) or {}).items()}
    _merge(decoder, read_tensors(folder / ADAPTER_NAME), options, str(folder))


def merge_reconstructor(decoder: Any, tensors: dict[str, torch.Tensor], folder: Path) -> None:
    """Merges the LoRA of an ``ar_lora_value_head.safetensors`` (without its head) as ``ar_meta.json`` describes it, in place.

    Its writers scale by ``alpha / sqrt(r)`` (rank-stabilised) and do not record it; ``use_rslora`` in the file overrides that.
    """
    meta = read_json(folder / LORA_META_NAME)
    if "lora_r" not in meta or "lora_alpha" not in meta:
        raise RefusedInput(f"{folder / LORA_META_NAME} lacks lora_r or lora_alpha.", "Restore it from the release.")
    options = {"r": meta["lora_r"], "lora_alpha": meta["lora_alpha"], "use_rslora": meta.get("use_rslora", True)}
    _merge(decoder, tensors, options, str(folder))


def _merge(decoder: Any, tensors: dict[str, torch.Tensor], options: dict[str, Any], what: str) -> None:
    from peft import LoraConfig, get_peft_model, set_peft_model_state_dict

    factors = _factors(tensors, len(decoder.layers), what)
    present = {name for name, _ in decoder.named_modules()}
    paths = {name.rpartition(".lora_")[0] for name in factors}
    if foreign := sorted(paths - present):
        raise RefusedInput(f"The adapter in {what} changes {foreign[0]}, which its base does not have.", "Check the base's name.")
    with refusing(f"The adapter in {what}"):
        # Exact paths from the file itself: names and patterns in configs depend on what wrapped the blocks in training.
        model = get_peft_model(decoder, LoraConfig(**options, target_modules=sorted(paths), init_lora_weights=False, lora_dropout=0.0))
        report = set_peft_model_state_dict(model, {f"base_model.model.{name}": value for name, value in factors.items()})
        left = [name for name in report.missing_keys if ".lora_" in name]
        if report.unexpected_keys or left:
            raise RefusedInput(f"The adapter in {what} does not fit its config: {[*report.unexpected_keys, *left][0]}.", "Restore both.")
        model.merge_and_unload(safe_merge=True)
        # peft freezes what it wraps.
        decoder.requires_grad_(True)


def _factors(tensors: dict[str, torch.Tensor], blocks: int, what: str) -> dict[str, torch.Tensor]:
    """The LoRA's matrices by their path inside the stack, whatever wrapped the stack in training."""
    found = {}
    for name, value in tensors.items():
        match = _FACTOR.search(name)
        if match is None:
            raise RefusedInput(f"The adapter in {what} changes more than the blocks ({name}).", "Merge it into its base with peft first.")
        if int(_BLOCK.match(match[1])[1]) < blocks:  # type: ignore[index]
            found[f"{match[1]}.{match[2]}{match[3] or ''}"] = value
    if not found:
        raise RefusedInput(f"The adapter in {what} is empty.", "Use the folder that the NLA was released with.")
    return found
