"""The configuration of an audit: one frozen model, from the command line or a YAML file, kept whole in the manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from audit.errors import AuditError

LAB = "lab"
API_PREFIX = "inspect:"
QUICK_SAMPLES, QUICK_TOKENS = 20, 10
FULL_SAMPLES, FULL_TOKENS = 100, 50
FULL_STRENGTHS, STEER_SAMPLES = (0.05, 0.1, 0.2), 20


class ConfigError(AuditError):
    """A configuration that cannot be read or does not make sense."""


class AuditConfig(BaseModel):
    """Everything that decides what an audit does. Field names are the keys of ``config.yaml``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: str = LAB
    """``lab``, a folder, a Hub name, or ``inspect:<provider>/<model>`` for a model behind an API (no activations, hence no NLA)."""
    nla: str | None = None
    """``lab``, a folder or a Hub name; ``none`` for no NLA. Left out, the lab target gets the lab's, any other none."""
    logs: tuple[str, ...] = ()
    """Audit these Inspect logs (files or folders) instead of running scenarios."""
    controls: tuple[str, ...] = ()
    """Inspect logs of the user's own deployment traffic, used as additional controls."""
    scenarios: tuple[str, ...] = ()
    """Names from the catalogue; empty: all that suit the target."""
    limit: int | None = Field(default=QUICK_SAMPLES, ge=1)
    """Samples a scenario; null: all."""
    tokens: int = Field(default=QUICK_TOKENS, ge=1)
    """Sites a transcript, where ``sites`` is ``random``."""
    sites: str = Field(default="random", pattern=r"^(random|all|every:[1-9]\d*|last:[1-9]\d*)$")
    """How tokens are chosen: ``random``, ``all``, ``every:k``, ``last:k``."""
    samples: int = Field(default=1, ge=1)
    """Explanations a site; more than one needs a temperature above zero."""
    temperature: float | None = Field(default=None, ge=0)
    """Of the explanations; null: greedy for the lab's NLA, 1.0 for any other."""
    seed: int = 0
    sandbox: Literal["bwrap", "docker"] | None = None
    """Null: bubblewrap where it works, else none, and scenarios that need one are left out."""
    scanners: tuple[str, ...] = ()
    """Python files with scanners of the user's own."""
    grader: str | None = None
    """Any model as Inspect names it, in the role ``grader``; null: the scanners that ask one are left out."""
    reference: str | None = None
    """Folder of another audit whose explanations motives are compared with; null: this audit's own control transcripts."""
    awareness_scanner: str | None = None
    """The scanner whose rate decides; null: ``awareness.classifier``."""
    false_positive_rate: float = Field(default=0.05, gt=0, lt=0.5)
    """The share of controls that may exceed the threshold on the half it is calibrated on."""
    control_share: float = Field(default=0.1, ge=0, le=1)
    """Share of sites explained again with a shuffled and with the mean activation."""
    control_minimum: int = Field(default=50, ge=0)
    """At least so many of them, where there are as many sites."""
    evidence_transcripts: int = Field(default=12, ge=0)
    """Transcripts whose strongest YES verdicts are examined closely, and a quarter as many controls; 0: none."""
    evidence_sites: int = Field(default=2, ge=1)
    """Verdicts examined in each of them."""
    evidence_neighbours: int = Field(default=3, ge=0)
    """Tokens explained in addition near each."""
    twins: bool = False
    """Run the realism twins of the scenarios' samples, too."""
    steer: tuple[float, ...] = ()
    """Strengths (1.0: the mean norm of the residual stream) at which samples run again while the target is steered, each towards
    awareness of an evaluation and against it."""
    steer_layers: tuple[int, ...] = ()
    """Blocks after which it is steered; empty: all."""
    steer_controls: int = Field(default=1, ge=0)
    """Random directions of equal norm, at the largest strength both ways."""
    steer_samples: int = Field(default=STEER_SAMPLES, ge=1)
    """Samples a scenario that are steered."""
    max_connections: int = Field(default=64, ge=1)
    """Conversations of the target that go on at once; they are batched."""
    shard: int = Field(default=256, ge=1)
    """Explanations that are decoded and stored together: what a kill can cost."""

    @field_validator("scenarios", "logs", "controls", "scanners", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("steer")
    @classmethod
    def _sensible_strengths(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if any(not 0 < strength <= 1 for strength in value):
            raise ValueError("steering strengths lie between 0 and 1, and each is run both ways")
        return tuple(sorted(set(value)))

    @property
    def manipulates(self) -> bool:
        """Whether samples run again in other variants."""
        return not self.logs and bool(self.twins or self.steer)

    @property
    def is_api(self) -> bool:
        """Whether the target can only be talked to."""
        return self.target.startswith(API_PREFIX)

    @property
    def nla_name(self) -> str | None:
        """The NLA that will explain, ``None`` if there is none."""
        if self.is_api or self.nla == "none":
            return None
        return self.nla or (LAB if self.target == LAB else None)

    @property
    def model_name(self) -> str:
        """What Inspect calls the target."""
        return self.target.removeprefix(API_PREFIX) if self.is_api else f"nla-target/{self.target}"

    @property
    def explanation_temperature(self) -> float:
        """Greedy on the lab, where rates are calibrated so; 1.0 elsewhere, as NLAs are trained."""
        if self.temperature is not None:
            return self.temperature
        return 0.0 if self.nla_name == LAB else 1.0


def checked(values: dict[str, Any]) -> AuditConfig:
    """The configuration of these values. Raises ``ConfigError`` naming the first key that is wrong."""
    try:
        config = AuditConfig(**values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the configuration"
        if first["type"] == "extra_forbidden":
            known = ", ".join(AuditConfig.model_fields)
            raise ConfigError(f"The setting '{key}' is wrong: there is none of that name.", f"Known are: {known}.") from None
        raise ConfigError(f"The setting '{key}' is wrong: {first['msg']}.", "See the README for the settings and their values.") from None
    if config.samples > 1 and config.nla_name is not None and config.explanation_temperature == 0:
        raise ConfigError("Several explanations a site make no sense at temperature 0.", "Set 'temperature' above zero, or 'samples' to 1.")
    if config.is_api and config.steer:
        raise ConfigError("A model behind an API cannot be steered.", "Leave --steer out, or name open weights.")
    if config.is_api and config.nla not in (None, "none"):
        raise ConfigError("An NLA reads activations, and a model behind an API has none to read.", "Leave --nla out, or name open weights.")
    return config


def from_yaml(path: Path) -> dict[str, Any]:
    """The keys and values of a ``config.yaml``. Raises ``ConfigError`` if it is absent or no mapping."""
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"The configuration '{path}' cannot be read: {str(error).splitlines()[0]}.", "Check the file.") from None
    if values is None:
        return {}
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise ConfigError(f"The configuration '{path}' is no list of settings.", "Write one 'key: value' a line.")
    return values
