"""An NLA as one object: the AV writes explanations, the AR reads them back into vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from audit.engines.base import DecodeSettings, Engine
from audit.errors import RefusedInput
from audit.nla.prompt import inject, injection_prompt, parse_explanation
from audit.nla.sidecar import Sidecar, read_sidecar
from audit.records import ExplanationStatus

if TYPE_CHECKING:
    import torch

MAX_TOKENS = 200
HEAD_NAME = "value_head.safetensors"


@dataclass(frozen=True)
class Decoded:
    """One text of the AV."""

    text: str
    status: ExplanationStatus
    tokens: int


class Verbalizer:
    """The AV: writes a text for each activation."""

    def __init__(self, model: Any, tokenizer: Any, sidecar: Sidecar, engine: Engine | None = None) -> None:
        from audit.engines.transformers_engine import TransformersEngine

        self.model, self.tokenizer, self.sidecar = model, tokenizer, sidecar
        self.engine = engine or TransformersEngine(model)
        self.prompt = injection_prompt(tokenizer, sidecar)

    def prompt_embeddings(self, vectors: NDArray[np.float32]) -> torch.Tensor:
        """The AV's prompt with each vector in place, ``[n, T, d]``."""
        import torch

        embed = self.model.get_input_embeddings()
        with torch.inference_mode():
            rows = embed(torch.tensor([self.prompt.ids], device=embed.weight.device))[0]
            return inject(rows, torch.as_tensor(vectors).to(rows.device), self.prompt.position, self.sidecar.injection_scale)

    def explain(
        self,
        vectors: NDArray[np.float32],
        temperature: float = 0.0,
        max_tokens: int = MAX_TOKENS,
        seed: int = 0,
        keys: Sequence[int] | None = None,
    ) -> list[Decoded]:
        """One text for each row of ``vectors`` ``[n, d]`` (raw residual stream).

        ``keys`` makes sampled texts independent of batching (by default the row number). A row that is not finite gets
        status ``failed``.
        """
        vectors = np.asarray(vectors, dtype=np.float32)
        if vectors.ndim != 2 or vectors.shape[1] != self.sidecar.d_model:
            raise RefusedInput(
                f"The vectors have shape {vectors.shape}, but this AV reads [n, {self.sidecar.d_model}].",
                "Use activations of its own target.",
            )
        finite = np.flatnonzero(np.isfinite(vectors).all(axis=1))
        results = [Decoded("", "failed", 0)] * len(vectors)
        if not len(finite):
            return results
        settings = DecodeSettings(max_tokens, temperature, seed, _stop_ids(self.model, self.tokenizer))
        row_keys = [int(row) if keys is None else keys[int(row)] for row in finite]
        for row, ids in zip(finite.tolist(), self.engine.decode(self.prompt_embeddings(vectors[finite]), settings, row_keys), strict=False):
            text, status = parse_explanation(self.tokenizer.decode(ids, skip_special_tokens=True))
            results[row] = Decoded(text, status, len(ids))
        return results


class Reconstructor:
    """The AR: the target's first K+1 blocks, no final norm, a linear head read at the last token of a fixed prompt."""

    def __init__(self, backbone: Any, head: torch.nn.Linear, tokenizer: Any, sidecar: Sidecar) -> None:
        self.backbone, self.head, self.tokenizer, self.sidecar = backbone, head, tokenizer, sidecar

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Prompt token ids, with special tokens; a prompt that is too long loses its beginning, since the end carries the read-out."""
        limit = self.backbone.config.max_position_embeddings
        ids: list[list[int]] = self.tokenizer([self.sidecar.prompt_template.format(explanation=text) for text in texts])["input_ids"]
        return [row[-limit:] for row in ids]

    def reconstruct(self, texts: Sequence[str], batch_size: int = 128) -> NDArray[np.float32]:
        """One vector for each text, ``[n, d]`` float32; texts of similar length share a batch."""
        import torch

        rows = self.encode(texts)
        order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
        result = np.zeros((len(rows), self.sidecar.d_model), dtype=np.float32)
        with torch.inference_mode():
            for start in range(0, len(order), batch_size):
                batch = order[start : start + batch_size]
                result[batch] = self.forward([rows[index] for index in batch]).float().cpu().numpy()
        return result

    def forward(self, rows: list[list[int]]) -> torch.Tensor:
        """Vectors ``[n, d]`` for prompts of any lengths, padded on the right."""
        import torch

        width = max(len(row) for row in rows)
        device = self.head.weight.device
        ids = torch.tensor([row + [0] * (width - len(row)) for row in rows], device=device)
        mask = None
        if any(len(row) < width for row in rows):
            mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows], device=device)
        hidden = self.backbone(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
        last = torch.tensor([len(row) - 1 for row in rows], device=device)
        vectors: torch.Tensor = self.head(hidden[torch.arange(len(rows), device=device), last])
        return vectors


@dataclass(frozen=True)
class NlaPair:
    """AV and AR of one target at one layer."""

    name: str
    layer: int
    d_model: int
    av: Verbalizer
    ar: Reconstructor

    def explain(self, vectors: NDArray[np.float32], **settings: Any) -> list[Decoded]:
        """See ``Verbalizer.explain``."""
        return self.av.explain(vectors, **settings)

    def reconstruct(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """See ``Reconstructor.reconstruct``."""
        return self.ar.reconstruct(texts)


def load_pair(name: str, d_model: int | None = None, layers: int | None = None) -> NlaPair:
    """Loads ``NAME-av`` and ``NAME-ar`` (or ``NAME/av`` and ``NAME/ar``), local folders or Hub names; ``lab`` is the bundled NLA.

    ``d_model`` and ``layers`` are the target's. Raises ``RefusedInput`` if the NLA cannot belong to it.
    """
    av_folder, ar_folder = pair_folders(name)
    av_sidecar, ar_sidecar = read_sidecar(av_folder, "av"), read_sidecar(ar_folder, "ar")
    layer = av_sidecar.layer if av_sidecar.layer is not None else ar_sidecar.layer
    if layer is None:
        raise RefusedInput(f"Neither sidecar of {name} says which layer it reads.", "Add extraction_layer_index to nla_meta.yaml.")
    if d_model is not None and av_sidecar.d_model != d_model:
        raise RefusedInput(
            f"{name} reads vectors of width {av_sidecar.d_model}, but the target's residual stream is {d_model} wide.",
            "Use the NLA of this target.",
        )
    if layers is not None and layer >= layers:
        raise RefusedInput(f"{name} reads block {layer}, but the target has only {layers} blocks.", "Use the NLA of this target.")
    if av_sidecar.d_model != ar_sidecar.d_model or (ar_sidecar.layer is not None and ar_sidecar.layer != layer):
        raise RefusedInput(
            f"AV and AR of {name} do not belong together: their width or layer differs.", "Use a pair that was trained together."
        )
    return NlaPair(name, layer, av_sidecar.d_model, load_verbalizer(av_folder, av_sidecar), load_reconstructor(ar_folder, ar_sidecar))


def load_verbalizer(folder: Path, sidecar: Sidecar) -> Verbalizer:
    """Loads the AV's weights (safetensors only) and tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM

    from audit.target.loading import load_tokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, use_safetensors=True).eval()
    return Verbalizer(model, load_tokenizer(folder), sidecar)


def load_reconstructor(folder: Path, sidecar: Sidecar) -> Reconstructor:
    """Loads the AR's truncated backbone and its head ``value_head.safetensors`` (key ``weight``, optionally ``bias``)."""
    import torch
    from safetensors.torch import load_file
    from transformers import AutoModel

    from audit.target.loading import load_tokenizer

    if not (folder / HEAD_NAME).exists():
        raise RefusedInput(f"{folder.name} has no {HEAD_NAME}, the AR's head.", "Use the folder that the NLA was released with.")
    backbone = AutoModel.from_pretrained(folder, dtype=torch.float32, use_safetensors=True).eval()
    backbone.norm = torch.nn.Identity()
    weights = load_file(folder / HEAD_NAME)
    head = torch.nn.Linear(sidecar.d_model, sidecar.d_model, bias="bias" in weights)
    head.load_state_dict({name: value.float() for name, value in weights.items()})
    return Reconstructor(backbone, head.eval(), load_tokenizer(folder), sidecar)


def _stop_ids(model: Any, tokenizer: Any) -> tuple[int, ...]:
    configured = getattr(model.generation_config, "eos_token_id", None)
    ids = {tokenizer.eos_token_id, *(configured if isinstance(configured, list) else [configured])}
    return tuple(sorted(token for token in ids if token is not None))


def pair_folders(name: str) -> tuple[Path, Path]:
    """The folders of the AV and the AR that ``name`` stands for (see ``load_pair``); downloads them if it is a Hub name."""
    if name == "lab":
        from audit.lab import weights_folder

        return weights_folder("av"), weights_folder("ar")
    for av, ar in ((Path(f"{name}-av"), Path(f"{name}-ar")), (Path(name) / "av", Path(name) / "ar")):
        if av.is_dir() and ar.is_dir():
            return av, ar
    if Path(name).exists() or name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise RefusedInput(
            f"No NLA at {name}: neither {name}-av and {name}-ar nor {name}/av and {name}/ar are folders.",
            "Give the common part of both names.",
        )
    from audit.target.loading import checkpoint_folder

    return checkpoint_folder(f"{name}-av"), checkpoint_folder(f"{name}-ar")
