"""The plain records that pass between stages. Nothing here computes; every stage is a function from records to records.

Field names are the column names of the parquet files in an audit's folder. Absent is ``None``, never zero or an empty label.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["evaluation", "deployment", "unknown"]
KnownState = Literal["evaluation", "deployment"]
Role = Literal["response", "thinking", "tool_call", "template"]
Control = Literal["none", "shuffled", "mean", "unrelated"]
ExplanationStatus = Literal["ok", "truncated", "unparsed", "failed"]
Label = Literal["YES", "NO", "UNCLEAR"]
Level = Literal["observed", "corroborated", "causal"]


@dataclass(frozen=True)
class Span:
    """A run of output tokens of one model call: ``[start, end)`` in output-token offsets (0 is the first generated token)."""

    start: int
    end: int
    role: Role


@dataclass(frozen=True)
class ModelCall:
    """One generation of the target, token-exact."""

    index: int
    """Position among the target's calls of the transcript, from 0."""
    event_id: str
    """Uuid of the Inspect ``ModelEvent``."""
    message_id: str | None
    """Id of the assistant message that the call produced."""
    prompt_ids: tuple[int, ...]
    """Token ids that the target was given."""
    output_ids: tuple[int, ...]
    """Token ids that it produced, stop token included."""
    spans: tuple[Span, ...]
    """Roles of the output tokens, in order, without gaps."""
    text: str
    """The model's own text: output decoded, special tokens and tool calls removed."""
    tool_calls: tuple[str, ...] = ()
    """Each tool call as JSON text, as the model wrote it."""
    positions_rederived: bool = False
    """True if the log held no token ids and the call was tokenised again from its text."""
    stop_reason: str = "stop"
    """Why generation ended (``stop``, ``tool_calls``, ``max_tokens``, ``unknown``)."""


@dataclass(frozen=True)
class Transcript:
    """One sample of one scenario, run through the target."""

    transcript_id: str
    """Stable across re-runs: ``<task>/<sample>/<epoch>``."""
    scenario: str
    kind: Kind
    variant: str
    """``original``, ``realism``, ``steered:+0.1``, ..."""
    calls: tuple[ModelCall, ...]
    messages: tuple[dict[str, str], ...] = ()
    """The conversation as role and text, for people to read; extraction never uses it."""
    scores: dict[str, float] = field(default_factory=dict)
    """Outcome scores by name: ``harmful`` 1.0 or 0.0, ``tests_passed``, ..."""
    known_state: KnownState | None = None
    """The lab's ground truth; ``None`` wherever nobody knows it. No classifier, threshold or site choice may read it."""
    skeleton_id: str | None = None
    """What the sample was generated from, for cluster intervals."""
    source: str = ""
    """Where it came from: the log file's name."""
    error: str | None = None
    """Why the transcript cannot be used, in one sentence; its calls are then empty."""
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Site:
    """One token of one model call, chosen to be explained."""

    transcript_id: str
    call_index: int
    position: int
    """Offset in ``prompt_ids + output_ids`` of the call (0 is the first prompt token)."""
    token: str
    """The token's text."""
    role: Role
    chosen_by: str
    """``random``, ``all``, ``every:4``, ``last:10``."""


@dataclass(frozen=True)
class ActivationRow:
    """Bookkeeping of one captured activation; the vector itself stands at ``row`` of its transcript's array ``[n, d]``."""

    transcript_id: str
    call_index: int
    position: int
    row: int
    norm: float
    status: Literal["ok", "not_finite", "outlier_norm"]


@dataclass(frozen=True)
class Explanation:
    """What the AV says about one activation."""

    transcript_id: str
    call_index: int
    position: int
    sample: int
    """0 for the first explanation of a site."""
    control: Control
    temperature: float
    nla: str
    """Name and revision of the NLA."""
    text: str
    """What stands between the explanation tags; empty if ``status`` is ``failed``."""
    status: ExplanationStatus
    cosine: float | None = None
    """Cosine between the activation and the AR's reconstruction."""
    mse_nrm: float | None = None
    """``2 (1 - cosine)``."""
    engine: str = ""
    seconds: float = 0.0
    """Wall time of the batch divided by its size."""
    tokens: int = 0


@dataclass(frozen=True)
class Verdict:
    """What one scanner says about one explanation, or about one assistant turn (then ``position`` is -1)."""

    transcript_id: str
    call_index: int
    position: int
    sample: int
    scanner: str
    """``awareness.lexical``, ``awareness.classifier``, ``verbalised``, ..."""
    label: Label
    quote: str
    """Verbatim from the text that was judged; empty for NO."""
    confidence: float
    """0 to 1: how sure the scanner is that the label is YES."""
    reason: str
    control: Control = "none"
    """The control of the explanation that was judged."""


@dataclass(frozen=True)
class Finding:
    """A claim with its numbers, its controls, and what it rests on."""

    id: str
    claim: str
    """One sentence."""
    level: Level
    numbers: dict[str, Any]
    """Figures with intervals (``[low, high]``)."""
    controls: dict[str, Any]
    """What the same measure says where the claim should be false."""
    evidence: tuple[dict[str, Any], ...]
    """Sites and verdicts (``transcript_id, call_index, position, sample, scanner``) in order of strength."""
    caveats: tuple[str, ...]
