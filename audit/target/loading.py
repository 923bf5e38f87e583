"""Loading a target: the bundled lab model, a local folder or a Hub name. Safetensors or nothing; no code from checkpoints."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit.errors import AuditError, RefusedInput

LAB = "lab"
"""The name of the bundled target."""
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "tekken.json")
SAFE_FILES = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja", "*.yaml"]
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
STOP_TOKENS = ("<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<end_of_turn>", "<|endoftext|>")
_WHOLE_FILE = 64 * 2**20
_DTYPES = ("float32", "bfloat16", "float16", "auto")


@dataclass(frozen=True)
class LoadedTarget:
    """A target in memory."""

    model: Any
    """A ``transformers`` causal language model in evaluation mode."""
    tokenizer: Any
    name: str
    """As the user gave it: ``lab``, a path or a Hub name."""
    revision: str
    """Hub commit, or ``sha256:...`` over the weight files of a local folder."""
    folder: Path


@dataclass(frozen=True)
class TargetFacts:
    """What an NLA must agree with, and what reports say about a target."""

    d_model: int
    layers: int
    """Number of blocks; the layers that can be read are 0 to ``layers - 1``."""
    vocabulary: int
    context: int
    """Longest sequence in tokens."""
    architecture: str
    parameters: int
    tokenizer_sha: str
    """Hash of the vocabulary with its ids; equal tokenizers have equal hashes."""


def load_target(
    name: str, dtype: str = "float32", device: str | None = None, revision: str | None = None, trust_remote_code: bool = False
) -> LoadedTarget:
    """Loads a target by name: ``lab``, a local folder or a Hub name.

    Raises ``RefusedInput`` for pickle-only checkpoints, checkpoints that bring code (unless ``trust_remote_code``), and
    checkpoints without tokenizer or chat template; ``AuditError`` where there is nothing to load.
    """
    from transformers import AutoModelForCausalLM

    if dtype not in _DTYPES:
        raise AuditError(f"Unknown dtype {dtype!r}.", f"Use one of: {', '.join(_DTYPES)}.")
    folder = checkpoint_folder(name, revision, trust_remote_code)
    check_safetensors(folder)
    tokenizer = load_tokenizer(folder, trust_remote_code)
    try:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, use_safetensors=True, trust_remote_code=trust_remote_code)
    except (ValueError, OSError, KeyError) as error:
        raise _unloadable(name, error) from error
    model.eval().requires_grad_(False).to(device or default_device())
    return LoadedTarget(model, tokenizer, name, _revision_of(folder), folder)


def default_device() -> str:
    """The accelerator of this machine, or ``cpu``."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def checkpoint_folder(name: str, revision: str | None = None, trust_remote_code: bool = False) -> Path:
    """The folder that holds a checkpoint; Hub names are downloaded, never their pickles. Raises ``AuditError``."""
    if name == LAB:
        return _lab_folder()
    if (folder := Path(name).expanduser()).is_dir():
        return folder
    if name.startswith((".", "/", "~")) or name.count("/") > 1 or "\\" in name:
        raise AuditError(f"There is no folder {name}.", "Check the path, or give the name of a model on the Hugging Face Hub.")
    return _from_hub(name, revision, trust_remote_code)


def _lab_folder() -> Path:
    import audit.lab

    find = getattr(audit.lab, "weights_folder", None)
    folder = Path(find("target")) if find is not None else None
    if folder is None or not (folder / "config.json").is_file():
        raise AuditError("The lab's weights are not in this installation.", "Build them with: nla-audit lab build")
    return folder


def _from_hub(name: str, revision: str | None, trust_remote_code: bool) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OfflineModeIsEnabled

    patterns = [*SAFE_FILES, *(["*.py"] if trust_remote_code else [])]
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns))
    except GatedRepoError as error:
        raise AuditError(f"{name} is gated.", "Accept its licence on the Hub and log in with: hf auth login") from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        remedy = f"Go online (and unset HF_HUB_OFFLINE), or give the path of a local folder; for a model behind an API: inspect:{name}."
        raise AuditError(f"{name} is neither a local folder nor in the Hub cache, and the Hub cannot be reached.", remedy) from error
    except (HfHubHTTPError, HFValidationError) as error:
        raise AuditError(
            f"{name} is neither a local folder nor a model on the Hub.",
            f"Check the spelling and your access; for a model behind an API: inspect:{name}.",
        ) from error


def check_safetensors(folder: Path) -> None:
    """Refuses a folder without ``config.json`` or without safetensors weights (``RefusedInput``)."""
    if not (folder / "config.json").is_file():
        raise RefusedInput(f"{folder} holds no config.json.", "Give the folder of a model saved with save_pretrained.")
    if any(folder.glob("*.safetensors")):
        return
    if any(file for pattern in PICKLES for file in folder.glob(pattern)):
        raise RefusedInput(
            f"The weights in {folder} are pickles, which can run code when they are loaded.",
            "Convert them where you trust them: load the model with transformers and call save_pretrained on it, which writes safetensors.",
        )
    raise RefusedInput(f"{folder} holds no weights (*.safetensors).", "Give the folder of a model saved with save_pretrained.")


def load_tokenizer(folder: Path, trust_remote_code: bool = False, needs_chat_template: bool = True) -> Any:
    """The tokenizer of a checkpoint, exactly as saved. Raises ``RefusedInput`` if there is none or it has no chat template."""
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        raise RefusedInput(f"{folder} holds no tokenizer.", "Save the model's tokenizer into the same folder.")
    try:
        if _is_generic(folder):
            tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
        else:
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)
    except (ValueError, OSError, KeyError) as error:
        raise _unloadable(f"The tokenizer in {folder}", error) from error
    if needs_chat_template and not tokenizer.chat_template:
        raise RefusedInput(
            f"The tokenizer in {folder} has no chat template, so a conversation cannot be written out for it.",
            "Use the instruction-tuned model, or save a chat template with its tokenizer.",
        )
    return tokenizer


def _is_generic(folder: Path) -> bool:
    """Whether ``tokenizer.json`` alone defines the tokenizer.

    For some model types (Qwen2 among them) ``AutoTokenizer`` of transformers 5 then puts the family's own pre-tokenizer in place of
    the saved one, and the model reads other ids than it was trained on.
    """
    settings = folder / "tokenizer_config.json"
    if not settings.is_file() or not (folder / "tokenizer.json").is_file():
        return False
    try:
        declared = json.loads(settings.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RefusedInput(f"{settings} is not valid JSON.", "Check that the checkpoint is complete.") from error
    return declared.get("tokenizer_class") in ("TokenizersBackend", "PreTrainedTokenizerFast") and "auto_map" not in declared


def decoder_of(model: Any) -> Any:
    """The stack of blocks inside a model, whatever wraps it: has ``.layers``, ``.embed_tokens`` and ``.norm``.

    Gemma-3 keeps its text model in a multimodal wrapper. Raises ``RefusedInput`` for an architecture without such a stack.
    """
    inner = model
    for _ in range(6):
        if hasattr(inner, "layers") and hasattr(inner, "embed_tokens"):
            return inner
        names = (name for name in ("language_model", "model", "text_model", "decoder") if getattr(inner, name, None) is not None)
        if (name := next(names, None)) is None:
            break
        inner = getattr(inner, name)
    raise RefusedInput(f"No stack of decoder blocks was found in a {type(model).__name__}.", "Llama-, Qwen- and Gemma-like models work.")


def model_facts(model: Any, tokenizer: Any) -> TargetFacts:
    """Shape, context and tokenizer of a target."""
    config = model.config.get_text_config()
    return TargetFacts(
        d_model=int(config.hidden_size),
        layers=len(decoder_of(model).layers),
        vocabulary=int(config.vocab_size),
        context=int(getattr(config, "max_position_embeddings", 0) or 1_000_000),
        architecture=type(model).__name__,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        tokenizer_sha=tokenizer_sha(tokenizer),
    )


def tokenizer_sha(tokenizer: Any) -> str:
    """Hash of a tokenizer's vocabulary with its ids."""
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda item: (item[1], item[0]))
    return hashlib.sha256(json.dumps(vocabulary).encode()).hexdigest()[:16]


def stop_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    """Ids of all tokens that end a turn, from the generation config, the tokenizer and the usual chat formats."""
    found: set[int] = set()
    for value in (model.generation_config.eos_token_id, model.config.get_text_config().eos_token_id, tokenizer.eos_token_id):
        found.update(value if isinstance(value, (list, tuple)) else [] if value is None else [value])
    added = {token.content: number for number, token in tokenizer.added_tokens_decoder.items()}
    found.update(added[token] for token in STOP_TOKENS if token in added)
    return frozenset(found)


def special_ids(tokenizer: Any) -> frozenset[int]:
    """Ids of all tokens that a chat template writes and no reader should see: special tokens and the usual ends of turns."""
    added = tokenizer.added_tokens_decoder.items()
    return frozenset(tokenizer.all_special_ids) | {number for number, token in added if token.special or token.content in STOP_TOKENS}


def _revision_of(folder: Path) -> str:
    # Hub snapshots stand in a folder named by their commit.
    if folder.parent.name == "snapshots":
        return folder.name
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.safetensors")):
        size = file.stat().st_size
        digest.update(f"{file.name}:{size}:".encode())
        with file.open("rb") as stream:
            digest.update(stream.read(_WHOLE_FILE))
            if size > 2 * _WHOLE_FILE:
                stream.seek(-_WHOLE_FILE, 2)
            digest.update(stream.read(_WHOLE_FILE))
    return f"sha256:{digest.hexdigest()[:16]}"


def _unloadable(what: str, error: Exception) -> AuditError:
    if "trust_remote_code" in str(error):
        remedy = "If you have read that code and trust it, allow it with trust_remote_code."
        return RefusedInput(f"{what} needs code that comes with the checkpoint, which is not run.", remedy)
    first = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return RefusedInput(f"{what} cannot be loaded: {first}", "Check that the checkpoint is complete and a causal language model.")
