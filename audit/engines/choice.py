"""Engines by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from audit.engines.base import Engine
from audit.errors import RefusedInput

ENGINES = ("transformers", "vllm")


def make_engine(name: str, model: Any, folder: Path, dtype: str = "float32", **options: Any) -> Engine:
    """The engine ``name`` for an AV: ``model`` as loaded by transformers, ``folder`` its checkpoint.

    ``options`` go to the engine (``batch_size``; whatever ``vllm.LLM`` takes). Raises ``RefusedInput`` for an unknown name and
    ``MissingExtra`` if the engine is not installed.
    """
    if name == "transformers":
        from audit.engines.transformers_engine import TransformersEngine

        return TransformersEngine(model, **options)
    if name == "vllm":
        from audit.engines.vllm_engine import VllmEngine

        return VllmEngine(folder, dtype, **options)
    raise RefusedInput(f"There is no engine {name!r}.", f"Choose one of: {', '.join(ENGINES)}.")
