"""The AV: writes a text for each activation. The activation replaces one embedding of a fixed prompt, or is added after a block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from audit.engines.base import AddingEngine, Addition, DecodeSettings, Engine
from audit.errors import RefusedInput
from audit.nla.checkpoints import body_of, check_part, is_adapter
from audit.nla.prompt import inject, injection_prompt, parse_explanation
from audit.nla.sidecar import Sidecar
from audit.records import ExplanationStatus

if TYPE_CHECKING:
    import torch

MAX_TOKENS = 200


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
        """The AV's prompt once for each vector ``[n, d]``, as input embeddings ``[n, T, d]``.

        Each vector stands in its place, unless this AV gets it by ``addition``: then the marker's own embedding does.
        """
        import torch

        embed = self.model.get_input_embeddings()
        with torch.inference_mode():
            rows: torch.Tensor = embed(torch.tensor([self.prompt.ids], device=embed.weight.device))[0]
            if self.sidecar.addition_block is not None:
                return rows.expand(len(vectors), -1, -1)
            return inject(rows, torch.as_tensor(vectors).to(rows.device), self.prompt.position, self.sidecar.injection_scale)

    def addition(self, vectors: NDArray[np.float32]) -> Addition | None:
        """What is added inside the model while it reads the prompts; ``None`` if the vectors stand in the prompts."""
        import torch

        if self.sidecar.addition_block is None:
            return None
        return Addition(self.sidecar.addition_block, self.prompt.position, torch.as_tensor(vectors))

    def explain(
        self,
        vectors: NDArray[np.float32],
        temperature: float = 0.0,
        max_tokens: int = MAX_TOKENS,
        seed: int = 0,
        keys: Sequence[int] | None = None,
    ) -> list[Decoded]:
        """One text for each row of ``vectors`` ``[n, d]`` (raw residual stream).

        ``keys`` makes sampled texts independent of batching (by default the row number). A row that is not finite, or whose norm
        is not, gets status ``failed``.
        """
        vectors = np.asarray(vectors, dtype=np.float32)
        if vectors.ndim != 2 or vectors.shape[1] != self.sidecar.d_model:
            raise RefusedInput(
                f"The vectors have shape {vectors.shape}, but this AV reads [n, {self.sidecar.d_model}].",
                "Use activations of its own target.",
            )
        with np.errstate(over="ignore", invalid="ignore"):
            finite = np.flatnonzero(np.isfinite(np.linalg.norm(vectors, axis=1)))
        results = [Decoded("", "failed", 0)] * len(vectors)
        if not len(finite):
            return results
        settings = DecodeSettings(max_tokens, temperature, seed, _stop_ids(self.model, self.tokenizer))
        row_keys = [int(row) if keys is None else keys[int(row)] for row in finite]
        for row, ids in zip(finite.tolist(), self._decode(vectors[finite], settings, row_keys), strict=True):
            text, status = parse_explanation(self.tokenizer.decode(ids, skip_special_tokens=True))
            results[row] = Decoded(text, status, len(ids))
        return results

    def _decode(self, vectors: NDArray[np.float32], settings: DecodeSettings, keys: Sequence[int]) -> list[list[int]]:
        prompts, addition = self.prompt_embeddings(vectors), self.addition(vectors)
        if addition is None:
            return self.engine.decode(prompts, settings, keys)
        if "addition" not in signature(self.engine.decode).parameters:
            raise RefusedInput(
                f"The engine {self.engine.name} cannot add vectors inside the model, as this NLA needs it.", "Use the transformers engine."
            )
        return cast(AddingEngine, self.engine).decode(prompts, settings, keys, addition)


def load_verbalizer(folder: Path, sidecar: Sidecar, dtype: str = "float32", device: str | None = None) -> Verbalizer:
    """Loads the AV's weights (safetensors only; a LoRA is merged into its base) and tokenizer. ``device``: default ``cpu``."""
    from audit.nla.adapters import merge_adapter
    from audit.nla.weights import load_causal_model, part_tokenizer
    from audit.target.loading import decoder_of

    check_part(folder, "av")
    body = body_of(folder, sidecar)
    tokenizer = part_tokenizer(folder, body, chat=True)
    model = load_causal_model(body, dtype)
    if is_adapter(folder):
        merge_adapter(decoder_of(model), folder)
    return Verbalizer(model.to(device or "cpu"), tokenizer, sidecar)


def _stop_ids(model: Any, tokenizer: Any) -> tuple[int, ...]:
    configured = getattr(model.generation_config, "eos_token_id", None)
    ids = {tokenizer.eos_token_id, *(configured if isinstance(configured, list) else [configured])}
    return tuple(sorted(token for token in ids if token is not None))
