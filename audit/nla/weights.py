"""Weights of AVs and ARs from safetensors, with a refusal for each way in which a checkpoint can be broken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.errors import AuditError, RefusedInput
from audit.target.loading import TOKENIZER_FILES, decoder_of, load_tokenizer

if TYPE_CHECKING:
    import torch

_FINAL_NORMS = ("norm", "final_layernorm", "ln_f")
_COMPLETE = "Check that the checkpoint is complete; download it again."


@contextmanager
def refusing(what: str) -> Iterator[None]:
    """Turns what loaders raise on damaged or foreign files into ``RefusedInput``, one sentence; running out of memory passes."""
    import torch
    from safetensors import SafetensorError

    try:
        yield
    except (AuditError, torch.OutOfMemoryError):
        raise
    except SafetensorError as error:
        raise RefusedInput(f"The weights of {what} are damaged or cut off ({error}).", _COMPLETE) from error
    except (ValueError, OSError, KeyError, TypeError, AttributeError, ImportError, RuntimeError) as error:
        remedy = "This tool runs no code from checkpoints." if "trust_remote_code" in str(error) else _COMPLETE
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise RefusedInput(f"{what} cannot be loaded: {first}", remedy) from error


def load_causal_model(folder: Path, dtype: str = "float32") -> Any:
    """A whole causal language model in evaluation mode."""
    from transformers import AutoModelForCausalLM

    with refusing(str(folder)):
        return _load(AutoModelForCausalLM, folder, dtype)


def load_decoder(folder: Path, blocks: int | None, dtype: str = "float32", keep_final_norm: bool = False) -> Any:
    """The stack of a model's first ``blocks`` blocks (``None``: all of them), its final norm an identity unless it is kept.

    Weights of further blocks are not read. Raises ``RefusedInput`` if the model has fewer.
    """
    import torch
    from transformers import AutoConfig, AutoModel

    with refusing(str(folder)):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        if blocks is not None:
            _cut(config.get_text_config(), blocks, folder)
        decoder = decoder_of(_load(AutoModel, folder, dtype, config=config, may_miss=() if keep_final_norm else _FINAL_NORMS))
        if not keep_final_norm:
            for name in _FINAL_NORMS:
                if hasattr(decoder, name):
                    setattr(decoder, name, torch.nn.Identity())
        return decoder


def _cut(config: Any, blocks: int, folder: Path) -> None:
    if config.num_hidden_layers < blocks:
        raise RefusedInput(
            f"{folder} has {config.num_hidden_layers} blocks, but reading block {blocks - 1} takes {blocks}.",
            "Use the AR of this layer; check the layer in nla_meta.yaml.",
        )
    config.num_hidden_layers = blocks
    for name, value in list(vars(config).items()):
        # Per-block lists (layer_types, no_rope_layers) must keep the length of the stack.
        if name in ("layer_types", "no_rope_layers", "mlp_layer_types") and isinstance(value, (list, tuple)):
            setattr(config, name, list(value)[:blocks])


def _load(architecture: Any, folder: Path, dtype: str, may_miss: tuple[str, ...] = (), **options: Any) -> Any:
    with _quiet():
        model, report = architecture.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, trust_remote_code=False, output_loading_info=True, **options
        )
    missing = [name for name in sorted(report["missing_keys"]) if not _is_final_norm(name, may_miss)]
    if missing:
        # transformers fills what is missing with random numbers and goes on.
        raise RefusedInput(f"{folder} lacks {len(missing)} of its weights, the first is {missing[0]}.", _COMPLETE)
    return model.eval()


def _is_final_norm(name: str, may_miss: tuple[str, ...]) -> bool:
    return "layers." not in name and any(part in may_miss for part in name.split("."))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the loader's own report: what matters in it is checked here."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


def read_tensors(file: Path) -> dict[str, torch.Tensor]:
    """All tensors of a safetensors file."""
    from safetensors.torch import load_file

    with refusing(str(file)):
        tensors: dict[str, torch.Tensor] = load_file(file)
        return tensors


def linear_head(tensors: dict[str, torch.Tensor], d_model: int, what: str) -> torch.nn.Linear:
    """The AR's head ``[d, d]``, with or without bias, in float32. Names may be ``weight`` or ``value_head.weight``."""
    import torch

    named = {name.removeprefix("value_head."): value.float() for name, value in tensors.items()}
    expected = {"weight": (d_model, d_model)} | ({"bias": (d_model,)} if "bias" in named else {})
    found = {name: tuple(value.shape) for name, value in named.items()}
    if found != expected:
        raise RefusedInput(f"{what} holds {found}, but a head for vectors of width {d_model} is {expected}.", _COMPLETE)
    if not all(bool(value.isfinite().all()) for value in named.values()):
        raise RefusedInput(f"{what} holds numbers that are not finite.", _COMPLETE)
    head = torch.nn.Linear(d_model, d_model, bias="bias" in named)
    head.load_state_dict(named)
    return head.eval()


def part_tokenizer(folder: Path, body: Path, chat: bool) -> Any:
    """The tokenizer saved with an AV or AR, or else that of its body; ``chat``: it must have a chat template."""
    own = any((folder / name).is_file() for name in TOKENIZER_FILES)
    return load_tokenizer(folder if own else body, needs_chat_template=chat)
