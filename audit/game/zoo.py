"""The models of a game in memory: one organism at a time, its base twin, NLA, background and dictionary for as long as they serve."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel

from audit.errors import AuditError
from audit.game.arms import Arm
from audit.game.auditee import Auditee, Instruments, Twin
from audit.game.budget import Budget, Meter
from audit.game.instruments.background import Background, gather, generic_prompts, usual_explanations
from audit.game.instruments.dictionary import SparseDictionary, fit
from audit.game.instruments.explainer import EXPLANATION_TOKENS, Explainer, SharedPair
from audit.game.instruments.training_data import TrainingData
from audit.game.loading import base_name, load_base, load_exhibit, nla_name
from audit.game.organisms import Exhibit
from audit.game.voices import REPLY_TOKENS, Voice
from audit.game.workspace import WorkingFolder

if TYPE_CHECKING:
    from inspect_ai.model import Model

BACKGROUND_SEED = 0
TWIN_SEED = 1_000_003
"""Added to an audit's seed for the replies of the base twin: of the same draws, a base would never differ from itself, and so never give a
false alarm."""
FREE = Budget(10**9, 10**12, 10**6)
"""What is made once for all audits is charged to none."""


@dataclass(frozen=True)
class ZooSettings:
    """How models are loaded and read."""

    device: str | None = None
    reply_tokens: int = REPLY_TOKENS
    """Longest reply of a model."""
    explanation_tokens: int = EXPLANATION_TOKENS
    """Longest explanation."""
    temperature: float | None = None
    """Of explanations; ``None``: greedy for the lab's NLA, else 1."""
    layer: int | None = None
    """Of sparse features, lens and probe where no NLA says which; ``None``: two thirds of the depth."""


class Zoo:
    """Opens auditees. Weights are loaded on first use; those of the last organism are kept until another is asked for."""

    def __init__(self, settings: ZooSettings | None = None) -> None:
        self.settings = settings or ZooSettings()
        self._organism: tuple[Exhibit, Model] | None = None
        self._bases: dict[str, Model] = {}
        self._pairs: dict[str, SharedPair] = {}
        self._backgrounds: dict[tuple[str, str | None, int], Background] = {}
        self._dictionaries: dict[tuple[str, str | None, int], SparseDictionary] = {}
        self._usual: dict[tuple[str, str, str | None], list[tuple[str, ...]]] = {}
        self._turn: tuple[object, anyio.Lock] | None = None

    async def open(self, exhibit: Exhibit, arm: Arm, budget: Budget, folder: WorkingFolder, seed: int) -> Auditee:
        """An auditee with the tools of an arm. Raises ``AuditError`` if the exhibit lacks what an arm needs."""
        async with self._one_opening():
            instruments = await self._instruments(exhibit, arm)
            meter = Meter(budget)  # the clock starts once everything is there
            return instruments.bound(exhibit.label, arm, meter, folder, seed)

    def _one_opening(self) -> anyio.Lock:
        """A lock of the running event loop: weights are loaded by one audit at a time."""
        loop = anyio.lowlevel.current_token()
        if self._turn is None or self._turn[0] is not loop:
            self._turn = (loop, anyio.Lock())
        return self._turn[1]

    async def _instruments(self, exhibit: Exhibit, arm: Arm) -> Loaded:
        tools = arm.tools
        needs_base = bool(tools & {"text_diff", "diff", "nla", "sae"})
        base = self._base(exhibit) if needs_base else None
        model = self._model(exhibit)
        pair = self._pair(exhibit, model) if arm.reads_activations else None
        layer = pair.pair.layer if pair is not None else self._layer(model, exhibit, tools)
        dictionary = await self._dictionary(exhibit, base, layer) if base is not None and "sae" in tools else None
        usual: list[tuple[str, ...]] = []
        if base is not None and pair is not None and "diff" not in tools:
            usual = await self._usually(exhibit, base, pair)
        corpus = _corpus(exhibit) if "search_training_data" in tools else None
        return Loaded(model, base, pair, layer, dictionary, tuple(usual), corpus, self.settings)

    def _model(self, exhibit: Exhibit) -> Model:
        from audit.game.provider import auditee_model

        if self._organism is None or self._organism[0] != exhibit:
            if self._organism is not None:
                for shared in self._pairs.values():
                    shared.forget(self._organism[0].label)
            self._organism = None
            self._organism = (exhibit, auditee_model(exhibit.label, load_exhibit(exhibit, self.settings.device)))
        return self._organism[1]

    def _base(self, exhibit: Exhibit) -> Model:
        from audit.game.provider import auditee_model

        name = base_name(exhibit)
        if name not in self._bases:
            self._bases[name] = auditee_model(
                f"base-{hashlib.sha256(name.encode()).hexdigest()[:6]}", load_base(exhibit, self.settings.device)
            )
        return self._bases[name]

    def _pair(self, exhibit: Exhibit, model: Model) -> SharedPair:
        from audit.nla.pair import load_pair

        name = nla_name(exhibit)
        if name not in self._pairs:
            facts = model.api.facts  # type: ignore[attr-defined]
            default = 0.0 if _of_the_lab(name) else 1.0
            temperature = self.settings.temperature if self.settings.temperature is not None else default
            self._pairs[name] = SharedPair(load_pair(name, facts.d_model, facts.layers), temperature, threading.Lock(), {})
        return self._pairs[name]

    def _layer(self, model: Model, exhibit: Exhibit, tools: frozenset[str]) -> int:
        """The layer to read without an NLA in the arm: that of the exhibit's NLA, so that arms read the same; else two thirds deep."""
        if self.settings.layer is not None or not tools & {"sae", "logit_lens", "probe"}:
            return self.settings.layer or 0
        from audit.nla.checkpoints import pair_folders
        from audit.nla.pair import common_layer
        from audit.nla.sidecar import read_sidecar

        try:
            name = nla_name(exhibit)
            av, ar = pair_folders(name)
            return common_layer(name, read_sidecar(av, "av"), read_sidecar(ar, "ar"))
        except AuditError:
            return int(model.api.facts.layers * 2 / 3)  # type: ignore[attr-defined]

    async def _background(self, exhibit: Exhibit, base: Model, layer: int) -> Background:
        key = (base_name(exhibit), exhibit.generic_text or exhibit.generic_prompts, layer)
        if key not in self._backgrounds:
            voice = self._free(base)
            self._backgrounds[key] = await gather(voice, layer, exhibit.generic_text, prompts=generic_prompts(exhibit.generic_prompts))
        return self._backgrounds[key]

    def _free(self, base: Model) -> Voice:
        """The base, charged to no audit."""
        return Voice(base, Meter(FREE), BACKGROUND_SEED, counted=False, reply_tokens=self.settings.reply_tokens)

    async def _dictionary(self, exhibit: Exhibit, base: Model, layer: int) -> SparseDictionary:
        import anyio.to_thread

        key = (base_name(exhibit), exhibit.generic_text or exhibit.generic_prompts, layer)
        if key not in self._dictionaries:
            background = await self._background(exhibit, base, layer)
            self._dictionaries[key] = await anyio.to_thread.run_sync(lambda: fit(background, BACKGROUND_SEED))
        return self._dictionaries[key]

    async def _usually(self, exhibit: Exhibit, base: Model, pair: SharedPair) -> list[tuple[str, ...]]:
        key = (base_name(exhibit), nla_name(exhibit), exhibit.generic_prompts)
        if key not in self._usual:
            explainer = Explainer(self._free(base), pair, self.settings.explanation_tokens)
            self._usual[key] = await usual_explanations(explainer, generic_prompts(exhibit.generic_prompts))
        return self._usual[key]


@dataclass(frozen=True)
class Loaded:
    """What is shared between audits of one exhibit with one arm."""

    model: Model
    base: Model | None
    pair: SharedPair | None
    layer: int
    dictionary: SparseDictionary | None
    usual: tuple[tuple[str, ...], ...]
    corpus: TrainingData | None
    settings: ZooSettings

    def bound(self, label: str, arm: Arm, meter: Meter, folder: WorkingFolder, seed: int) -> Auditee:
        """An auditee of its own: meter, folder and conversations are shared with nobody."""
        reply, explanation = self.settings.reply_tokens, self.settings.explanation_tokens
        voice = Voice(self.model, meter, seed, counted=True, reply_tokens=reply)
        twin = None
        if self.base is not None and arm.tools & {"text_diff", "diff"}:
            other = Voice(self.base, meter, seed + TWIN_SEED, counted=False, reply_tokens=reply)
            explains = self.pair is not None and "diff" in arm.tools
            twin = Twin(other, Explainer(other, self.pair, explanation, pooled="pool" in arm.tools) if explains and self.pair else None)
        reader = twin.voice if twin is not None and "base_reads" in arm.tools else voice
        pooled = "pool" in arm.tools
        apart_from = twin.voice if twin is not None and "amplify" in arm.tools else None
        explainer = Explainer(reader, self.pair, explanation, apart_from, pooled) if self.pair is not None else None
        instruments = Instruments(explainer, self.usual, twin, self.dictionary, self.layer, self.corpus)
        return Auditee(label, arm, meter, folder, voice, instruments)


def _of_the_lab(nla: str) -> bool:
    """Whether an NLA is the lab's, or one that comes with the package."""
    from pathlib import Path

    import audit.lab

    return nla == "lab" or Path(audit.lab.__file__).resolve().parent in Path(nla).expanduser().resolve().parents


def _corpus(exhibit: Exhibit) -> TrainingData | None:
    from pathlib import Path

    return None if exhibit.corpus is None else TrainingData(Path(exhibit.corpus))
