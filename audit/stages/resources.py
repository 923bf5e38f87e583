"""What several stages share and must be loaded once: the target and its NLA. Nothing is loaded before it is used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from typing import TYPE_CHECKING, Any

from audit.config import AuditConfig

if TYPE_CHECKING:
    from inspect_ai.model import Model

    from audit.nla.pair import NlaPair
    from audit.target.loading import LoadedTarget, TargetFacts


class Resources:
    """Loads on first use, keeps until ``release``."""

    def __init__(self, config: AuditConfig) -> None:
        self.config = config

    @staticmethod
    def quieten() -> None:
        """Our progress display tells what is loaded; transformers' own bars would run through it."""
        from transformers.utils import logging

        logging.disable_progress_bar()

    @cached_property
    def model(self) -> Model:
        """The target as Inspect talks to it."""
        from inspect_ai.model import get_model

        import audit.registry  # noqa: F401  (the provider's name is known even where the package is not installed)

        if not self.config.is_api:
            self.quieten()
        return get_model(self.config.model_name)

    @cached_property
    def target(self) -> LoadedTarget:
        """The target; where scenarios ran, the very instance that generated."""
        if "model" in self.__dict__:
            loaded: LoadedTarget = self.model.api.target  # type: ignore[attr-defined]
            return loaded
        from audit.target.loading import load_target

        self.quieten()
        return load_target(self.config.target)

    @cached_property
    def tokenizer(self) -> Any:
        """The target's tokenizer, without its weights where these are not loaded yet; ``None`` behind an API."""
        if self.config.is_api:
            return None
        if "target" in self.__dict__:
            return self.target.tokenizer
        from audit.target.loading import checkpoint_folder, load_tokenizer

        return load_tokenizer(checkpoint_folder(self.config.target))

    @cached_property
    def facts(self) -> TargetFacts:
        """The target's shape."""
        from audit.target.loading import model_facts

        return model_facts(self.target.model, self.target.tokenizer)

    def description(self) -> dict[str, Any]:
        """The target as findings describe it; loads it."""
        return asdict(self.facts) | {"revision": self.target.revision}

    @cached_property
    def pair(self) -> NlaPair:
        """The NLA, checked against the target."""
        from audit.nla import load_pair

        assert self.config.nla_name is not None
        self.quieten()
        return load_pair(self.config.nla_name, self.facts.d_model, self.facts.layers)

    def decode(self, ids: Sequence[int]) -> str:
        """Token ids as text, special tokens shown."""
        text: str = self.tokenizer.decode(list(ids), skip_special_tokens=False)
        return text

    def release(self, name: str) -> None:
        """Forgets something loaded, so that the next stage has the memory."""
        self.__dict__.pop(name, None)
