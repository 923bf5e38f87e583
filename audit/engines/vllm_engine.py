"""vLLM as an engine, in this process: prompts go in as embeddings, so the injected vector arrives exactly as the AV's prompt has it.

Prefix caching is off: vLLM names a cached prompt by its token ids, which are the same for every vector, and an entry shared by two
vectors would silently give one the other's explanation.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.engines.base import Addition, DecodeSettings
from audit.errors import MissingExtra, RefusedInput

if TYPE_CHECKING:
    import torch


_CPU_MEMORY = 0.4


class VllmEngine:
    """Decodes with vLLM's own copy of an AV's weights.

    ``folder`` is a full checkpoint (a LoRA must be merged first). ``options`` go to ``vllm.LLM``: ``tensor_parallel_size``,
    ``max_model_len``, ``gpu_memory_utilization``, ... Eager execution by default, since compiling for a fixed short prompt costs more
    than it saves unless many thousand vectors follow. Raises ``MissingExtra`` without vLLM, ``RefusedInput`` for an adapter.
    """

    name = "vllm"

    def __init__(self, folder: Path, dtype: str = "float32", **options: Any) -> None:
        if (folder / "adapter_config.json").exists():
            raise RefusedInput(f"{folder.name} is a LoRA adapter, which this engine cannot load.", "Use the transformers engine.")
        # Read when vLLM is imported; with it the engine's core needs no second process.
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        try:
            from vllm import LLM
            from vllm.platforms import current_platform
        except ModuleNotFoundError as error:
            if error.name != "vllm":
                raise
            raise MissingExtra("vLLM", "vllm") from error
        settings = {"enforce_eager": True, "disable_log_stats": True, **options}
        if current_platform.is_cpu():
            # The name misleads: there it is a share of the machine's own memory, and by default nearly all of it.
            settings.setdefault("gpu_memory_utilization", _CPU_MEMORY)
        self.model = LLM(model=str(folder), dtype=dtype, enable_prompt_embeds=True, enable_prefix_caching=False, **settings)
        self.dtype = dtype

    def decode(
        self, prompts: torch.Tensor, settings: DecodeSettings, keys: Sequence[int], addition: Addition | None = None
    ) -> list[list[int]]:
        """See ``Engine.decode``. vLLM batches by itself. Raises ``RefusedInput`` for an ``addition``, which it cannot make."""
        import torch
        from vllm import SamplingParams

        if addition is not None:
            raise RefusedInput("This NLA adds its vector inside the model, which vLLM cannot do.", "Use the transformers engine.")
        rows = prompts.detach().to("cpu", getattr(torch, self.dtype)).contiguous()
        sampling = [
            SamplingParams(
                temperature=settings.temperature,
                max_tokens=settings.max_tokens,
                seed=None if settings.temperature == 0 else (settings.seed * 1_000_003 + key) % 2**63,
                stop_token_ids=list(settings.stop_ids),
                ignore_eos=True,
                detokenize=False,
            )
            for key in keys
        ]
        # A clone each: a view would carry the memory of all prompts along.
        outputs = self.model.generate([{"prompt_embeds": row.clone()} for row in rows], sampling, use_tqdm=False)
        return [_without_stop(list(output.outputs[0].token_ids), settings.stop_ids) for output in outputs]


def _without_stop(ids: list[int], stop_ids: Sequence[int]) -> list[int]:
    return ids[:-1] if ids and ids[-1] in stop_ids else ids
