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
ClaimKind = Literal["theme", "entity", "detail"]
ContextStatus = Literal["supported", "contradicted", "unverifiable"]


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
    start: int | None = None
    """Where the token begins among the characters of its call's ``text``; ``None`` where it stands elsewhere or that is not known."""
    end: int | None = None


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
class BaselineScore:
    """What a classifier that needs no NLA says of a transcript (then ``call_index`` and ``position`` are -1) or of a site."""

    transcript_id: str
    call_index: int
    position: int
    baseline: str
    """``text.awareness.lexical``, ``text.reader``, ``text.reader_of_kind``, ``probe``."""
    score: float
    """Higher: more like awareness, or like an evaluation."""
    fold: int
    """Which part of the transcripts its model did not see (-1: nothing was fitted). Scores compare best within one."""


@dataclass(frozen=True)
class MotiveQuote:
    """A line of an explanation that carries a theme, verbatim, and where it stands."""

    text: str
    transcript_id: str
    call_index: int
    position: int
    sample: int


@dataclass(frozen=True)
class Motive:
    """A theme that explanations speak of more than those of a reference set do. An association in wording, no motive proven."""

    theme: str
    """Its strongest words in one line."""
    words: tuple[str, ...]
    """Words and pairs of words, the most over-represented first ("not evaluation", "threaten")."""
    log_odds: float
    """Of its strongest word against the reference, with an informative prior."""
    z: float
    p: float
    """Chance that any word would stand out so far, by permuting whole transcripts."""
    explanations: int
    """How many carry it."""
    explanations_of: int
    transcripts: int
    transcripts_of: int
    transcripts_ci: tuple[float, ...]
    """Wilson's interval of the share of transcripts, ``(low, high)``."""
    reference_transcripts: int
    reference_of: int
    said_transcripts: int | None
    """Of ``transcripts``, how many have a word of it in the target's own text; ``None``: not asked."""
    quotes: tuple[MotiveQuote, ...]
    """From different transcripts as far as possible."""


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
    rules_met: tuple[dict[str, str], ...] = ()
    """Rules of the evidence levels that hold here: ``rule``, the ``level`` that needs it, and ``why`` with its figures."""
    rules_failed: tuple[dict[str, str], ...] = ()
    """Those that do not hold, or could not be checked."""


@dataclass(frozen=True)
class ClaimEvidence:
    """One claim of an explanation, and what speaks for it."""

    text: str
    """Verbatim from the explanation."""
    kind: ClaimKind
    """``detail``: it quotes or counts; ``entity``: it names; ``theme``: it does neither."""
    bears_verdict: bool
    """Whether the verdict's quote lies in it."""
    recurs: int
    """Neighbouring tokens whose explanation says the same."""
    error_change: float | None
    """What the AR's error (``mse_nrm``) rises by when the claim is removed; positive: it carries part of the activation."""
    control_change: float | None
    """The same removal, measured on activations of other transcripts (mean)."""
    context: ContextStatus
    """Quotes, names and numbers in it, looked up in the transcript."""
    context_reason: str


@dataclass(frozen=True)
class Neighbour:
    """The explanation of a token near an examined one. It stands in the evidence only, so that it can enter no rate."""

    call_index: int
    position: int
    token: str
    text: str
    status: ExplanationStatus
    label: Label | None
    """The scanner's; ``None`` where there was no wording to judge."""
    confidence: float | None


@dataclass(frozen=True)
class Evidence:
    """One YES verdict, examined."""

    transcript_id: str
    call_index: int
    position: int
    sample: int
    scanner: str
    quote: str
    neighbours: tuple[Neighbour, ...]
    claims: tuple[ClaimEvidence, ...]
    error_change: float | None
    """What the AR's error rises by when every claim that bears the verdict is removed."""
    control_change: float | None
    """The same removal, measured on activations of other transcripts (mean)."""
    fit: float | None
    """Share of explanations of other transcripts that fit this activation worse than its own does."""
    fits_mean: bool | None
    """Whether its own fits better than the explanation of the mean activation."""
