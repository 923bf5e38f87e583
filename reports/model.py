"""What the report shows, as plain data: the templates read nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field

from reports.games import GameView
from reports.reading import Rate
from reports.review import AgreementView, SignOffSection
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
class RuleView:
    """One rule of the evidence levels."""

    name: str
    level: str
    met: bool
    why: str


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
    explorer: tuple[tuple[str, str], ...]
    """Link text and address in the explorer of each other piece."""
    caveats: tuple[str, ...]
    rules: tuple[RuleView, ...] = ()


@dataclass(frozen=True)
class TranscriptView:
    """A finding on one transcript, as a row of a table."""

    finding: FindingView
    name: str
    conversation: str
    tokens: Rate
    neighbours: Rate
    error: float | None
    control_error: float | None
    fit: Rate


@dataclass(frozen=True)
class ClaimView:
    """One claim of an examined explanation."""

    text: Shown
    kind: str
    bears: bool
    recurs: str
    error: float | None
    control_error: float | None
    context: str
    reason: str


@dataclass(frozen=True)
class ExaminedView:
    """What close examination says of a piece of evidence."""

    neighbours: Rate
    tokens: tuple[tuple[str, str], ...]
    """Each token nearby and what its explanation was judged."""
    error: float | None
    control_error: float | None
    fit: Rate
    fits_mean: bool | None
    claims: tuple[ClaimView, ...]


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
    floor_words: str
    """The noise floor, and whether chance explains the difference; empty for controls."""
    text_baseline: Rate
    probe: Rate
    any_of_n: Rate
    n: int | None
    curve: tuple[Rate, ...]
    """The any-of-N rate for N = 1, 2, ...; empty if it is not known."""
    mean_rate: Rate
    harmful: Rate
    harmful_aware: Rate
    harmful_unaware: Rate
    outcomes: tuple[Figure, ...]

    @property
    def is_control(self) -> bool:
        return self.kind == "deployment"


@dataclass(frozen=True)
class BaselineView:
    """A classifier that needs no NLA, and what it would have found."""

    name: str
    chosen: bool
    """Whether its rate stands as the text baseline beside the NLA's."""
    missing: str
    held_out: str
    floor: Rate
    agreement: Rate
    """AUROC: NLA-aware conversations against others of the same scenario."""
    kind: Rate
    """AUROC: evaluations against deployment traffic."""
    site: Rate | None
    """The same for single tokens; the probe's only."""


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
    explorer: str
    """Its address in the explorer."""
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
    examined: ExaminedView | None = None


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
class QuoteView:
    """A line of an explanation, and where it stands."""

    text: Shown
    where: str
    reason: str
    explorer: str = ""
    """Its address in the explorer; empty where there is none."""


@dataclass(frozen=True)
class MotiveView:
    """A theme that stands out against the reference."""

    theme: str
    words: tuple[str, ...]
    z: float | None
    log_odds: float | None
    p: float | None
    transcripts: Rate
    reference: Rate
    said: Rate
    """Of the transcripts that carry it: with words of it in the model's own text."""
    explanations: Rate
    quotes: tuple[QuoteView, ...]


@dataclass(frozen=True)
class ScannerView:
    """What one scanner says of one scenario."""

    scanner: str
    scenario: str
    kind: str
    variant: str
    transcripts: Rate
    explanations: Rate
    shuffled: Rate
    unclear: int | None
    ungraded: int | None
    bases: str
    """What its YES verdicts rest on, counted."""
    quotes: tuple[QuoteView, ...]


@dataclass(frozen=True)
class MoveView:
    """What one manipulation did to the measure in one scenario."""

    manipulation: str
    scenario: str
    strength: str
    """Of steering; empty for twins."""
    pairs: int | None
    before: Rate
    after: Rate
    change: Rate
    aware: str
    """Conversations that became or ceased to be NLA-aware, counted."""
    harmful: str
    coherent: str
    expected: str
    verdict: str
    """Empty for a strength that is not judged."""
    p: float | None


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
    sign_off: SignOffSection
    agreement: AgreementView
    games: GameView
    method: tuple[str, ...] = field(default=())
    single: tuple[TranscriptView, ...] = ()
    corroboration: tuple[Figure, ...] = ()
    motives: tuple[MotiveView, ...] = ()
    motives_compared: str = ""
    motives_missing: str = ""
    """Why there is no theme; empty if there is one."""
    grader: str = ""
    grader_missing: str = ""
    grades: tuple[ScannerView, ...] = ()
    rules: tuple[ScannerView, ...] = ()
    baselines: tuple[BaselineView, ...] = ()
    moves: tuple[MoveView, ...] = ()
    moves_missing: str = ""
