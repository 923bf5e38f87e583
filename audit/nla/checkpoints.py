"""The folders of an NLA: where AV and AR lie, and whether each holds what its format needs. Reads no weights, loads no torch.

Formats: a full model; a PEFT adapter over a base checkpoint (``adapter_config.json``); an AR's LoRA and head in one file beside
``ar_meta.json``. An AR also has its head.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from audit.errors import AuditError, MissingExtra, RefusedInput
from audit.nla.sidecar import Sidecar
from audit.target.loading import PICKLES, check_safetensors, checkpoint_folder

HEAD_NAME = "value_head.safetensors"
LORA_HEAD_NAME = "ar_lora_value_head.safetensors"
LORA_META_NAME = "ar_meta.json"
ADAPTER_NAME, ADAPTER_CONFIG_NAME = "adapter_model.safetensors", "adapter_config.json"
_LAYOUTS = ("{name}-{part}", "{name}/{part}")
_PARTS = (("av", "ar"), ("actor", "critic"), ("verbalizer", "reconstructor"))


def pair_folders(name: str) -> tuple[Path, Path]:
    """The folders of the AV and the AR that ``name`` stands for: ``lab``, local ``NAME-av`` and ``NAME-ar`` or ``NAME/av`` and
    ``NAME/ar`` (also under the names of other makers: actor and critic, verbalizer and reconstructor), or a Hub name (downloaded).
    """
    if name == "lab":
        from audit.lab import weights_folder

        return weights_folder("av"), weights_folder("ar")
    for layout in _LAYOUTS:
        for parts in _PARTS:
            av, ar = (Path(layout.format(name=name.rstrip("/"), part=part)).expanduser() for part in parts)
            if av.is_dir() and ar.is_dir():
                return av, ar
    if Path(name).expanduser().exists() or name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise RefusedInput(
            f"No NLA at {name}: neither {name}-av and {name}-ar nor {name}/av and {name}/ar are folders.",
            "Give the common part of both names.",
        )
    return checkpoint_folder(f"{name}-av"), checkpoint_folder(f"{name}-ar")


def check_part(folder: Path, role: str) -> None:
    """Refuses (``RefusedInput``) what cannot be the ``role`` (``av`` or ``ar``) of an NLA: pickles, no weights, no head, swapped parts."""
    _check_body(folder)
    heads = [name for name in (HEAD_NAME, LORA_HEAD_NAME) if (folder / name).is_file()]
    if role == "av" and heads:
        raise RefusedInput(f"{folder.name} holds {heads[0]}, which only an AR has, but an AV was expected.", "Are AV and AR swapped?")
    if role == "ar" and not heads:
        _refuse_missing_head(folder)


def _check_body(folder: Path) -> None:
    if is_lora_reconstructor(folder):
        return
    if not is_adapter(folder):
        check_safetensors(folder)
    # A head alone is no model: its backbone may be a pickle.
    if any(file.name not in (HEAD_NAME, LORA_HEAD_NAME) for file in folder.glob("*.safetensors")):
        return
    if _pickles(folder):
        raise RefusedInput(
            f"The weights in {folder} are pickles, which can run code when they are loaded.",
            "Convert them where you trust them: load the model with transformers or peft and call save_pretrained (writes safetensors).",
        )
    raise RefusedInput(f"{folder} holds no weights (*.safetensors).", "Use the folder that the NLA was released with.")


def _refuse_missing_head(folder: Path) -> None:
    if pickles := _pickles(folder):
        raise RefusedInput(
            f"{folder.name} has no {HEAD_NAME}, only {pickles[0].name}, a pickle, which can run code when it is loaded.",
            "Convert it where you trust it: read it with torch.load, weights_only=True, and write its `weight` (and `bias`) with "
            f"safetensors.torch.save_file as {HEAD_NAME}.",
        )
    raise RefusedInput(
        f"{folder.name} has no {HEAD_NAME}, the AR's head (pickles are not downloaded).",
        "Use the folder that the NLA was released with; if its head is a pickle (.pt), convert it to safetensors.",
    )


def _pickles(folder: Path) -> list[Path]:
    return sorted(file for pattern in PICKLES for file in folder.glob(pattern))


def is_adapter(folder: Path) -> bool:
    """Whether the folder holds a PEFT adapter, not a whole model (some trainers leave the base's ``config.json`` beside it)."""
    return (folder / ADAPTER_CONFIG_NAME).is_file() and not any(folder.glob("model*.safetensors"))


def is_lora_reconstructor(folder: Path) -> bool:
    """Whether the folder holds an AR as LoRA and head in one file."""
    return (folder / LORA_META_NAME).is_file() and (folder / LORA_HEAD_NAME).is_file()


def body_of(folder: Path, sidecar: Sidecar) -> Path:
    """The folder of the whole model behind an AV or AR: its own, or for a LoRA the checkpoint that it was trained over.

    That one may be local or on the Hub (downloaded). Raises ``RefusedInput`` if it cannot be had, ``MissingExtra`` without peft.
    """
    if not (is_adapter(folder) or is_lora_reconstructor(folder)):
        return folder
    if find_spec("peft") is None:
        raise MissingExtra("peft, which LoRA checkpoints need,", "train")
    base = _base_of(folder, sidecar)
    check_safetensors(base)
    return base


def _base_of(folder: Path, sidecar: Sidecar) -> Path:
    config = read_json(folder / ADAPTER_CONFIG_NAME) if (folder / ADAPTER_CONFIG_NAME).is_file() else {}
    name = config.get("base_model_name_or_path") or sidecar.base_checkpoint
    if not name:
        raise RefusedInput(
            f"{folder.name} is an adapter, but neither it nor its sidecar names its base.", f"Name it in {ADAPTER_CONFIG_NAME}."
        )
    if not Path(name).is_absolute() and (folder / name).is_dir():
        return folder / name
    try:
        return checkpoint_folder(str(name), config.get("revision"))
    except AuditError as error:
        raise RefusedInput(f"{folder.name} is an adapter over {name}, which cannot be had: {error.message}", error.remedy) from error


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object. Raises ``RefusedInput`` if the file holds anything else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise RefusedInput(f"{path} is not valid JSON.", "Check that the checkpoint is complete.") from error
    if not isinstance(content, dict):
        raise RefusedInput(f"{path} is not a JSON object.", "Check that the checkpoint is complete.")
    return content
