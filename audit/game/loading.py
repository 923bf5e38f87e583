"""Weights of a game's models: whole checkpoints through the target's loader, PEFT adapters merged into their base."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from audit.errors import AuditError, MissingExtra, RefusedInput
from audit.game.organisms import Exhibit
from audit.target.loading import LAB, PICKLES

if TYPE_CHECKING:
    from audit.target.loading import LoadedTarget


def load_exhibit(exhibit: Exhibit, device: str | None = None) -> LoadedTarget:
    """The model to audit, in memory, under its label. Raises ``RefusedInput`` for pickles and adapters that do not fit their base."""
    from audit.target.loading import decoder_of, load_target

    if exhibit.model is not None:
        return opaque(load_target(exhibit.model, device=device), exhibit.label)
    assert exhibit.adapter is not None
    require_peft(exhibit)
    from audit.nla.adapters import merge_adapter

    folder = adapter_folder(exhibit.adapter)
    loaded = load_target(base_name(exhibit), device=device)
    merge_adapter(decoder_of(loaded.model), folder)
    loaded.model.eval().requires_grad_(False)
    return opaque(loaded, exhibit.label)


def require_peft(exhibit: Exhibit) -> None:
    """Raises ``MissingExtra`` for an adapter that nothing here can merge into its base."""
    if exhibit.adapter is not None and find_spec("peft") is None:
        raise MissingExtra("peft, which adapters need,", "train")


def opaque(loaded: LoadedTarget, label: str) -> LoadedTarget:
    """The target without the places where its files lie: a folder's name may tell what is hidden."""
    loaded.model.config._name_or_path = label
    loaded.tokenizer.name_or_path = label
    loaded.tokenizer.init_kwargs.pop("name_or_path", None)
    return replace(loaded, name=label, folder=Path(label))


def load_base(exhibit: Exhibit, device: str | None = None) -> LoadedTarget:
    """The base twin, in memory."""
    from audit.target.loading import load_target

    return opaque(load_target(base_name(exhibit), device=device), "base")


def base_name(exhibit: Exhibit) -> str:
    """What the organism was made from: its ``base``, else what its adapter names. Raises ``AuditError`` if neither does."""
    from audit.nla.checkpoints import ADAPTER_CONFIG_NAME, read_json

    if exhibit.base is not None:
        return exhibit.base
    if exhibit.adapter is not None:
        named = read_json(adapter_folder(exhibit.adapter) / ADAPTER_CONFIG_NAME).get("base_model_name_or_path")
        if named:
            return str(named)
    elif exhibit.model == LAB:
        return LAB
    raise AuditError(f"Nothing says what {exhibit.label} is to be compared with.", "Name its base twin as 'base' in the organism file.")


def nla_name(exhibit: Exhibit) -> str:
    """The NLA of an exhibit; the lab's for what is made from the lab. Raises ``AuditError`` if there is none."""
    if exhibit.nla is not None:
        return exhibit.nla
    if base_name(exhibit) == LAB:
        return LAB
    raise AuditError(
        f"No NLA is named for {exhibit.label}.", "Name one as 'nla' in the organism file, or leave out the arms that need one."
    )


def adapter_folder(name: str) -> Path:
    """The folder of an adapter, local or from the Hub (without its pickles). Raises ``RefusedInput``."""
    from audit.nla.checkpoints import ADAPTER_CONFIG_NAME, ADAPTER_NAME
    from audit.target.loading import checkpoint_folder

    folder = checkpoint_folder(name)
    if not (folder / ADAPTER_CONFIG_NAME).is_file():
        raise RefusedInput(f"{name} holds no {ADAPTER_CONFIG_NAME}.", "Give the folder of a PEFT adapter, or name a checkpoint as 'model'.")
    if not (folder / ADAPTER_NAME).is_file():
        pickled = any(file for pattern in PICKLES for file in folder.glob(pattern))
        why = "Its weights are pickles, which can run code." if pickled else "It holds no weights."
        raise RefusedInput(f"The adapter {name} cannot be used. {why}", f"Save it as {ADAPTER_NAME}.")
    return folder
