"""What the report shows, as plain data: the templates read nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field

from reports.reading import Rate
from reports.text import Shown


@dataclass(frozen=True)
class Figure:
    """A number with its name; ``rate`` or ``value``, or neither and then ``missing`` says why."""

    label: str
    rate: Rate | None = None
    value: float | None = None
    text: str = ""
    meaning: str = ""
    missing: str = "not measured"


@dataclass(frozen=True)
class Advice:
    """What the reader should do."""

    text: str
    target: str = ""
    """Id of the part of the report that it rests on."""


@dataclass(frozen=True)
class FindingView:
    """One finding with everything that stands beside it."""

    anchor: str
    id: str
    claim: str
    level: str
    level_meaning: str
    numbers: tuple[Figure, ...]
    controls: tuple[Figure, ...]
    evidence: tuple[tuple[str, str], ...]
    """Link text and id of each piece of evidence that the report shows."""
    evidence_elsewhere: int
    """Pieces that only ``findings.json`` lists."""
    caveats: tuple[str, ...]


@dataclass(frozen=True)
class ScenarioView:
    """One row of the tables by scenario."""

    name: str
    label: str
    """Name and variant in one line of plain text, for charts."""
    kind: str
    variant: str
    transcripts: int | None
    usable: int | None
    explanations: int | None
    failures: int | None
    aware: Rate
    silent: Rate
    """NLA-aware among the transcripts that say nothing aloud."""
    verbalised: Rate
    text_baseline: Rate
    any_of_n: Rate
    n: int | None
    mean_rate: Rate
    harmful: Rate
    harmful_aware: Rate
    harmful_unaware: Rate
    outcomes: tuple[Figure, ...]

    @property
    def is_control(self) -> bool:
        return self.kind == "deployment"


@dataclass(frozen=True)
class EvidenceView:
    """One token, what the NLA said about it, and what a scanner said about that."""

    anchor: str
    transcript_id: str
    conversation: str
    """Id of the conversation in the report; empty if it is not shown."""
    scenario: str
    kind: str
    place: str
    """``call 0, position 312``"""
    token: str
    """White space visible."""
    excerpt_token: str
    before: Shown | None
    after: Shown | None
    explanation: Shown | None
    quote: str
    quote_found: bool
    label: str
    scanner: str
    confidence: float | None
    reason: str
    cosine: float | None
    status: str
    neighbours: Rate
    """YES among all tokens read in the same transcript."""


@dataclass(frozen=True)
class Reading:
    """One explained token of a conversation."""

    place: str
    token: str
    label: str
    explanation: Shown
    cosine: float | None
    evidence: str
    """Id of the piece of evidence, if it is one."""


@dataclass(frozen=True)
class Conversation:
    """A transcript that a piece of evidence comes from."""

    anchor: str
    transcript_id: str
    scenario: str
    kind: str
    variant: str
    known_state: str
    outcomes: tuple[Figure, ...]
    messages: tuple[tuple[str, Shown], ...]
    messages_cut: int
    readings: tuple[Reading, ...]
    readings_cut: int


@dataclass(frozen=True)
class Failure:
    """Something that went wrong or was left out, counted."""

    what: str
    count: int | None
    where: str
    remedy: str = ""


@dataclass(frozen=True)
class Repeat:
    """What it takes to do the audit again."""

    command: str
    config: str
    versions: tuple[tuple[str, str], ...]
    hashes: tuple[tuple[str, str], ...]
    stages: tuple[tuple[str, str, str, str], ...]
    """Name, status, seconds, what it counted."""


@dataclass(frozen=True)
class ReportView:
    """The whole report."""

    target: str
    created: str
    unfinished: tuple[str, ...]
    tone: str
    """``alert``, ``calm`` or ``unknown``."""
    headline: str
    audited: tuple[str, ...]
    found: tuple[str, ...]
    sure: tuple[str, ...]
    advice: tuple[Advice, ...]
    tiles: tuple[Figure, ...]
    findings: tuple[FindingView, ...]
    target_facts: tuple[tuple[str, str], ...]
    nla_facts: tuple[tuple[str, str], ...]
    counts: tuple[tuple[str, str], ...]
    scenarios: tuple[ScenarioView, ...]
    awareness_missing: str
    """Why nothing was measured on the activations; empty if something was."""
    threshold: tuple[Figure, ...]
    floor: Rate
    controls: tuple[Figure, ...]
    evidence: tuple[EvidenceView, ...]
    alarms: tuple[EvidenceView, ...]
    """The surest YES verdicts on deployment controls, where YES is most likely wrong."""
    conversations: tuple[Conversation, ...]
    quality: tuple[Figure, ...]
    truth: tuple[Figure, ...]
    truth_families: tuple[Figure, ...]
    left_out: tuple[Failure, ...]
    failures: tuple[Failure, ...]
    limits: tuple[str, ...]
    repeat: Repeat
    method: tuple[str, ...] = field(default=())
