"""The two models of a new NLA: made from the target, whole or with LoRA (peft), saved in the released layout, read back to train on.

Saved full: the model's own files (``config.json`` of the AR says K + 1 blocks). Saved with LoRA: a PEFT adapter over the target. Both with
tokenizer and ``nla_meta.yaml``, the AR with ``value_head.safetensors``. A folder appears whole or not at all.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import ConfigDict, Field

from audit.errors import MissingExtra
from audit.nla.checkpoints import HEAD_NAME
from audit.nla.pair import Reconstructor, Verbalizer
from audit.nla.sidecar import Sidecar, read_sidecar, write_sidecar
from audit.nla.weights import linear_head, load_causal_model, load_decoder, read_tensors
from audit.target.loading import checkpoint_folder, load_tokenizer
from audit.training.state import whole

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class LoraSettings:
    """Low-rank adapters on all linear maps of the blocks; everything else of AV and AR stays the target's, but for the AR's head."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    rank: int = Field(default=32, ge=1)
    alpha: float = Field(default=64, gt=0)


@dataclass(frozen=True)
class Base:
    """The target as AV and AR start from it."""

    name: str
    """As the user gave it."""
    revision: str | None = None
    dtype: str = "float32"
    """Of weights that are not trained; what is trained is float32."""
    lora: LoraSettings | None = None
    seed: int = 0
    gradient_checkpointing: bool = False

    @property
    def folder(self) -> Path:
        """Where its checkpoint lies."""
        return checkpoint_folder(self.name, self.revision)

    @property
    def reference(self) -> str:
        """What an adapter calls its base: a Hub name or ``lab`` as it is, a folder by its whole path."""
        folder = Path(self.name).expanduser()
        return str(folder.resolve()) if folder.is_dir() else self.name


def new_verbalizer(base: Base, sidecar: Sidecar, device: str, adapter: Path | None = None) -> Verbalizer:
    """An AV to be trained: the target itself. ``adapter`` is the folder of a LoRA to go on from."""
    model = load_causal_model(base.folder, base.dtype if base.lora else "float32")
    return Verbalizer(_trainable(model, base, adapter).to(device), load_tokenizer(base.folder), sidecar)


def new_reconstructor(base: Base, sidecar: Sidecar, layer: int, device: str, adapter: Path | None = None) -> Reconstructor:
    """An AR to be trained: the target's first K + 1 blocks without final norm, and a head that starts as the identity."""
    import torch

    backbone = load_decoder(base.folder, layer + 1, base.dtype if base.lora else "float32")
    head = torch.nn.Linear(sidecar.d_model, sidecar.d_model, bias=False)
    torch.nn.init.eye_(head.weight)
    if adapter is not None:
        head = linear_head(read_tensors(adapter / HEAD_NAME), sidecar.d_model, str(adapter))
    return Reconstructor(_trainable(backbone, base, adapter).to(device), head.to(device), load_tokenizer(base.folder), sidecar)


def load_verbalizer_to_train(folder: Path, base: Base, device: str) -> Verbalizer:
    """A saved AV, all of it or its adapter ready to be trained on."""
    from audit.nla.pair import load_verbalizer

    sidecar = read_sidecar(folder, "av")
    if base.lora is not None:
        return new_verbalizer(base, sidecar, device, folder)
    verbalizer = load_verbalizer(folder, sidecar, "float32", device)
    _checkpoint_gradients(verbalizer.model, base)
    return verbalizer


def load_reconstructor_to_train(folder: Path, base: Base, layer: int, device: str) -> Reconstructor:
    """A saved AR, all of it or its adapter and head ready to be trained on."""
    from audit.nla.pair import load_reconstructor

    sidecar = read_sidecar(folder, "ar")
    if base.lora is not None:
        return new_reconstructor(base, sidecar, layer, device, folder)
    reconstructor = load_reconstructor(folder, sidecar, layer, "float32", device)
    _checkpoint_gradients(reconstructor.backbone, base)
    return reconstructor


def _trainable(model: Any, base: Base, adapter: Path | None) -> Any:
    """A model with the gradients that its training needs: all of them, or those of its adapter alone."""
    model.requires_grad_(base.lora is None)
    if base.lora is not None:
        _add_adapter(model, base, adapter)
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.data = parameter.data.float()
                parameter.requires_grad_(True)
    _checkpoint_gradients(model, base)
    return model.eval()


def _add_adapter(model: Any, base: Base, adapter: Path | None) -> None:
    import torch

    assert base.lora is not None
    try:
        from peft import LoraConfig
    except ImportError:
        raise MissingExtra("peft, which LoRA needs,", "train") from None
    if adapter is not None:
        model.load_adapter(str(adapter), is_trainable=True)
        return
    torch.manual_seed(base.seed)
    options: dict[str, Any] = {"exclude_modules": ["lm_head"]} if hasattr(model, "lm_head") else {}
    model.add_adapter(LoraConfig(r=base.lora.rank, lora_alpha=base.lora.alpha, target_modules="all-linear", lora_dropout=0.0, **options))


def _checkpoint_gradients(model: Any, base: Base) -> None:
    if base.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})


def save_verbalizer(verbalizer: Verbalizer, folder: Path, meta: dict[str, Any], base: Base, dtype: str, write: bool = True) -> None:
    """Saves an AV with its sidecar; ``dtype`` is that of whole models on disk. Every process calls it, one writes."""
    weights = _weights(verbalizer.model, dtype, base)
    if write:
        partial = _fresh(folder)
        _save(verbalizer.model, partial, weights, base)
        _finish(partial, folder, verbalizer.tokenizer, meta)


def save_reconstructor(
    reconstructor: Reconstructor, folder: Path, meta: dict[str, Any], base: Base, dtype: str, write: bool = True
) -> None:
    """Saves an AR with its sidecar and its head; see ``save_verbalizer``."""
    from safetensors.torch import save_file

    weights = _weights(reconstructor.backbone, dtype, base)
    head = whole(reconstructor.head.weight.detach()).cpu().contiguous()
    if write:
        partial = _fresh(folder)
        _save(reconstructor.backbone, partial, weights, base)
        save_file({"weight": head if base.lora else head.to(_named(dtype))}, partial / HEAD_NAME)
        _finish(partial, folder, reconstructor.tokenizer, meta)


def _weights(model: Any, dtype: str, base: Base) -> dict[str, torch.Tensor]:
    """The model's tensors whole and on the CPU; tied ones stay one. An adapter keeps its float32."""
    cast: dict[int, torch.Tensor] = {}
    found = {}
    for name, value in model.state_dict().items():
        local = value.to_local() if hasattr(value, "to_local") else value
        if local.data_ptr() not in cast:
            gathered = whole(value).cpu()
            cast[local.data_ptr()] = gathered if base.lora or not gathered.is_floating_point() else gathered.to(_named(dtype))
        found[name] = cast[local.data_ptr()]
    return found


def _named(dtype: str) -> torch.dtype:
    import torch

    found: torch.dtype = getattr(torch, dtype)
    return found


def _save(model: Any, folder: Path, weights: dict[str, torch.Tensor], base: Base) -> None:
    if base.lora is not None:
        config = model.peft_config["default"]
        config.base_model_name_or_path, config.revision = base.reference, base.revision
    model.save_pretrained(folder, state_dict=weights)


def _fresh(folder: Path) -> Path:
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    return partial


def _finish(partial: Path, folder: Path, tokenizer: Any, meta: dict[str, Any]) -> None:
    tokenizer.save_pretrained(partial)
    write_sidecar(partial, meta)
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(partial, folder)
