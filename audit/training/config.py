"""The configuration of ``nla-audit train``: one YAML file a run, checked before anything is loaded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from audit.config import ConfigError, from_yaml
from audit.training.grpo import RlConfig
from audit.training.loop import OptimizerName
from audit.training.parts import LoraSettings
from audit.training.prompts import AR_TEMPLATE, AV_TEMPLATE

LAB, ORGANISMS = "lab", "organisms"
"""Sources of documents whose generator also writes their summaries."""
REPORT_EVERY = 10
Dtype = Literal["float32", "bfloat16", "float16"]
Share = Annotated[float, Field(gt=0, lt=1)]


class Section(BaseModel):
    """A part of the file; what is not known is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DocumentSettings(Section):
    """Where activations come from. ``documents: FILE`` alone will do."""

    source: str
    """``lab`` for the lab's generator, ``organisms`` for that of its organisms, or a ``.jsonl``, ``.parquet``, ``.txt`` or ``.md`` file,
    or a folder of them."""
    field: str = "text"
    """Of JSONL and parquet rows; rows with ``messages`` are written out by the target's chat template."""
    limit: int | None = Field(default=None, ge=4)
    """At most so many documents; of a generator, exactly so many (left out: 4000)."""

    @property
    def is_generated(self) -> bool:
        """Whether a generator writes them, and their summaries."""
        return self.source in (LAB, ORGANISMS)


class PositionSettings(Section):
    """Which tokens of a document."""

    per_document: int = Field(default=4, ge=1)
    first: int | None = Field(default=None, ge=0)
    """No token before this one; left out: 50, for a generator's short documents 10."""
    max_tokens: int = Field(default=512, ge=16)
    """Documents are cut off here."""


class ShareSettings(Section):
    """Shares of the documents; no document serves two of them."""

    av: Share = 0.4
    ar: Share = 0.4
    rl: Share = 0.15
    held_out: Share = 0.05

    @model_validator(mode="after")
    def _whole(self) -> ShareSettings:
        if abs(self.av + self.ar + self.rl + self.held_out - 1) > 1e-6:
            raise ValueError("the four shares must add up to 1")
        return self


class SummarySettings(Section):
    """Who writes the warm start's summaries. ``summaries: MODEL`` alone will do."""

    model: str = Field(min_length=1)
    """Any model that Inspect knows, ``<provider>/<model>``."""
    max_connections: int = Field(default=20, ge=1)


class PromptSettings(Section):
    """The prompts of AV and AR."""

    av: str = AV_TEMPLATE
    ar: str = AR_TEMPLATE
    injection_char: str | None = Field(default=None, min_length=1, max_length=1)
    """The sign that stands for the vector; left out, a rare one of the target's vocabulary."""

    @model_validator(mode="after")
    def _complete(self) -> PromptSettings:
        for template, name in ((self.av, "injection_char"), (self.ar, "explanation")):
            try:
                filled = template.format(**{name: "\0"})
            except (KeyError, IndexError, ValueError) as error:
                raise ValueError(f"a template has another place than {{{name}}}, {error}") from None
            if filled.count("\0") != 1:
                raise ValueError(f"a template must have one place for {{{name}}}")
        return self


class WarmStartSettings(Section):
    """Supervised training of AV and AR, each on documents of its own."""

    verbalizer_steps: int = Field(default=2000, ge=1)
    reconstructor_steps: int = Field(default=1000, ge=1)
    batch: int = Field(default=16, ge=1)
    reconstructor_batch: int | None = Field(default=None, ge=1)
    """Left out: as ``batch``."""
    emphasis: float = Field(default=1.0, ge=1)
    """How much more the line of a generator's summary that names a setting, or topics, weighs in the AV's loss than the rest."""
    faint: float = Field(default=0.0, ge=0, le=1)
    """Share of the AV's activations without a topic to which one is added faintly (documents ``organisms`` only)."""
    reorder: float = Field(default=0.0, ge=0, le=1)
    """Share of the summaries that the AR reads with their lines shuffled."""
    optimizer: OptimizerName = "adamw"
    verbalizer_learning_rate: float | None = Field(default=None, gt=0)
    """Left out: 2e-5, with LoRA 2e-4, with Muon 4e-3."""
    reconstructor_learning_rate: float | None = Field(default=None, gt=0)
    """Left out: as the AV's."""
    warmup_steps: int = Field(default=50, ge=0)
    weight_decay: float = Field(default=0.05, ge=0)
    micro_batch: int | None = Field(default=None, ge=1)
    checkpoint_every: int = Field(default=100, ge=REPORT_EVERY, multiple_of=REPORT_EVERY)


class TrainConfig(Section):
    """Everything that decides what a run does. Only ``target`` and ``documents`` must be given, and ``summaries`` with files."""

    target: str
    """``lab``, a folder, or a Hub name."""
    documents: DocumentSettings
    layer: int | None = Field(default=None, ge=0)
    """K: the output of this block; left out, at about two thirds of the depth."""
    revision: str | None = None
    """Of a Hub checkpoint."""
    positions: PositionSettings = PositionSettings()
    shares: ShareSettings = ShareSettings()
    summaries: SummarySettings | None = None
    prompts: PromptSettings = PromptSettings()
    warm_start: WarmStartSettings = WarmStartSettings()
    rl: RlConfig = RlConfig()
    """Its ``seed`` is added to the run's. ``steps: 0`` leaves RL out."""
    lora: LoraSettings | None = None
    """Left out: all parameters are trained."""
    dtype: Dtype = "float32"
    """Of weights that are not trained: the target while it is read, and the base of LoRA."""
    save_dtype: Dtype = "bfloat16"
    """Of whole models on disk."""
    gradient_checkpointing: bool = False
    seed: int = 0
    out: Path = Path("nla-trained")
    """The run's folder."""

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        short = {"documents": "source", "summaries": "model"}
        return {key: {short[key]: value} if key in short and isinstance(value, str) else value for key, value in values.items()}

    @model_validator(mode="after")
    def _summarised(self) -> TrainConfig:
        if self.summaries is None and not self.documents.is_generated:
            raise ValueError("files need 'summaries', a model that says what stands in them")
        if self.warm_start.emphasis != 1 and not self.documents.is_generated:
            raise ValueError("'warm_start.emphasis' is for the lab's documents only")
        if self.first_position >= self.positions.max_tokens:
            raise ValueError("'positions.first' must lie before 'positions.max_tokens'")
        return self

    @property
    def first_position(self) -> int:
        """The first token that may be chosen."""
        if self.positions.first is not None:
            return self.positions.first
        return 10 if self.documents.is_generated else 50

    @property
    def document_limit(self) -> int | None:
        """How many documents to read."""
        return self.documents.limit or (4000 if self.documents.is_generated else None)

    @property
    def verbalizer_learning_rate(self) -> float:
        """Of the AV's warm start."""
        usual = 4e-3 if self.warm_start.optimizer == "muon" else 2e-4 if self.lora else 2e-5
        return self.warm_start.verbalizer_learning_rate or usual

    @property
    def reconstructor_learning_rate(self) -> float:
        """Of the AR's warm start."""
        return self.warm_start.reconstructor_learning_rate or self.verbalizer_learning_rate

    @property
    def reconstructor_batch(self) -> int:
        """Of the AR's warm start."""
        return self.warm_start.reconstructor_batch or self.warm_start.batch

    @property
    def seeded_rl(self) -> RlConfig:
        """The settings of RL with the seed that it uses."""
        return replace(self.rl, seed=self.seed + self.rl.seed)


def read_config(path: Path, **over: Any) -> TrainConfig:
    """The configuration in a YAML file, with settings laid over it unless they are ``None``.

    Raises ``ConfigError`` naming the first setting that is wrong.
    """
    values = from_yaml(path) | {name: value for name, value in over.items() if value is not None}
    try:
        return TrainConfig(**values)
    except ValidationError as error:
        first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"]) or "the configuration"
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        raise ConfigError(f"The setting '{key}' is wrong: there is none of that name.", "Check its spelling and its place in the file.")
    if first["type"] == "missing":
        raise ConfigError(f"The setting '{key}' is missing.", "Add it to the file.")
    reason = first["msg"].removeprefix("Value error, ")
    raise ConfigError(f"The setting '{key}' is wrong: {reason}.", "See: nla-audit train --help")
