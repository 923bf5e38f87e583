"""What a scanner is, the registry of scanners by name, and the two functions that run one over records.

A scanner's core is a plain function from passages to judgements. A ``Passage`` carries wording and where it stands, and
nothing else: no scenario, no score, no control, no ground truth. Blindness is thereby a matter of types, not of good manners.

Some scanners need more than that, and say so when they register: a grader model (``graded``), or other passages to hold the first
ones against (``beside``): a reference set, or the target's own turns. They are left out wherever nobody asks for them.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Literal, Protocol, TypeVar, cast, get_args

from audit.errors import AuditError
from audit.records import Explanation, Label, Transcript, Verdict
from audit.scanners.passages import (
    JUDGED_STATUSES,
    Judgement,
    Passage,
    explanation_passage,
    explanation_passages,
    group_key,
    turn_passages,
)

__all__ = [
    "JUDGED_STATUSES", "Judgement", "Passage", "Scanner", "ScannerError", "explanation_passage", "explanation_passages",
    "explanation_scanner", "get_scanner", "group_key", "judge", "judge_async", "registered", "scan_explanations", "scan_turns",
    "turn_passages", "turn_scanner",
]  # fmt: skip
Target = Literal["explanation", "turn"]
Beside = Literal["reference", "turns"]
"""What a core is held against: a reference set of explanations, or the target's own turns (matched by group and call)."""
BUILTIN_MODULES = (
    "audit.scanners.awareness_lexical",
    "audit.scanners.awareness_classifier",
    "audit.scanners.awareness_judge",
    "audit.scanners.deception",
    "audit.scanners.mismatch",
    "audit.scanners.motives",
    "audit.scanners.reward_reasoning",
    "audit.scanners.verbalised",
)


class Core(Protocol):
    """One judgement for each passage, in order; ``async def`` is welcome where a scanner waits for a model."""

    def __call__(self, passages: Sequence[Passage], /) -> Sequence[Judgement] | Awaitable[Sequence[Judgement]]: ...


class CoreBeside(Protocol):
    """As ``Core``, with the passages that the first ones are held against; of those it says nothing."""

    def __call__(
        self, passages: Sequence[Passage], beside: Sequence[Passage], /
    ) -> Sequence[Judgement] | Awaitable[Sequence[Judgement]]: ...


@dataclass(frozen=True)
class Scanner:
    """A registered core."""

    name: str
    target: Target
    core: Core | CoreBeside
    description: str
    graded: bool = False
    """Whether it asks a model in the role ``grader``."""
    beside: Beside | None = None
    """What its core takes as a second argument."""


CoreT = TypeVar("CoreT", bound=Core | CoreBeside)
_REGISTRY: dict[str, Scanner] = {}


class ScannerError(AuditError):
    """A scanner that cannot be found, cannot be loaded, or broke its contract."""


def explanation_scanner(name: str, *, graded: bool = False, beside: Beside | None = None) -> Callable[[CoreT], CoreT]:
    """Register the decorated function as a scanner of explanations. Raises ``ScannerError`` if the name is taken."""
    return _registering(name, "explanation", graded, beside)


def turn_scanner(name: str, *, graded: bool = False, beside: Beside | None = None) -> Callable[[CoreT], CoreT]:
    """Register the decorated function as a scanner of the target's own turns. Raises ``ScannerError`` if the name is taken."""
    return _registering(name, "turn", graded, beside)


def _registering(name: str, target: Target, graded: bool, beside: Beside | None) -> Callable[[CoreT], CoreT]:
    def register(core: CoreT) -> CoreT:
        known = _REGISTRY.get(name)
        # The same file loaded again (a notebook, a second --scanner) replaces itself; anything else is a clash.
        if known is not None and _origin(known.core) != _origin(core):
            raise ScannerError(f"A scanner named '{name}' is registered already.", "Give yours another name.")
        description = (inspect.getdoc(core) or "").split("\n")[0]
        _REGISTRY[name] = Scanner(name, target, core, description, graded, beside)
        return core

    return register


def _origin(core: Core | CoreBeside) -> tuple[str, str]:
    return getattr(core, "__module__", ""), getattr(core, "__qualname__", repr(core))


def load_builtin() -> None:
    """Import the scanners that come with the package, so that the registry holds them."""
    for module in BUILTIN_MODULES:
        import_module(module)


def registered(target: Target | None = None, *, graded: bool = False, beside: Collection[Beside] = ()) -> list[Scanner]:
    """Scanners registered so far (built-in ones included), by name; only those of ``target`` if one is given.

    Those that need a grader, or passages beside theirs, are among them only where the caller has these to offer.
    """
    load_builtin()
    return [
        scanner
        for _, scanner in sorted(_REGISTRY.items())
        if target in (None, scanner.target) and (graded or not scanner.graded) and scanner.beside in (None, *beside)
    ]


def get_scanner(name: str) -> Scanner:
    """The scanner of that name. Raises ``ScannerError`` listing the known ones if there is none."""
    load_builtin()
    if name not in _REGISTRY:
        raise ScannerError(f"There is no scanner named '{name}'.", f"Known scanners: {', '.join(sorted(_REGISTRY))}.")
    return _REGISTRY[name]


def scan_explanations(explanations: Iterable[Explanation], scanner: Scanner, beside: Sequence[Passage] | None = None) -> list[Verdict]:
    """One verdict for each explanation of status ``ok`` or ``truncated``, in order; the rest have no wording to judge.

    ``beside`` is for a scanner that needs it: passages of the turns (``turn_passages``) or of the reference (``explanation_passages``).
    """
    _require(scanner, "explanation")
    rows = [row for row in explanations if row.status in JUDGED_STATUSES]
    judgements = judge(explanation_passages(rows), scanner, beside)
    return [
        Verdict(
            row.transcript_id, row.call_index, row.position, row.sample, scanner.name,
            found.label, found.quote, found.confidence, found.reason, row.control,
        )
        for row, found in zip(rows, judgements, strict=True)
    ]  # fmt: skip


def scan_turns(transcripts: Iterable[Transcript], scanner: Scanner, beside: Sequence[Passage] | None = None) -> list[Verdict]:
    """One verdict for each model call of each transcript (``position`` -1); a turn without text of its own is NO."""
    _require(scanner, "turn")
    owners, passages = [], []
    for transcript in transcripts:
        turns = turn_passages(transcript)
        passages += turns
        owners += [transcript.transcript_id] * len(turns)
    return [
        Verdict(
            owner, turn.call_index, turn.position, turn.sample, scanner.name,
            found.label, found.quote, found.confidence, found.reason,
        )
        for owner, turn, found in zip(owners, passages, judge(passages, scanner, beside), strict=True)
    ]  # fmt: skip


def judge(passages: Sequence[Passage], scanner: Scanner, beside: Sequence[Passage] | None = None) -> list[Judgement]:
    """The scanner's checked judgements, one for each passage.

    Raises ``ScannerError`` if the scanner fails or breaks its contract. Not to be called from a running event loop: use ``judge_async``.
    """
    return asyncio.run(judge_async(passages, scanner, beside))


async def judge_async(passages: Sequence[Passage], scanner: Scanner, beside: Sequence[Passage] | None = None) -> list[Judgement]:
    """As ``judge``, for callers that run in an event loop, such as Scout."""
    if scanner.beside is not None and beside is None:
        raise ScannerError(f"The scanner '{scanner.name}' holds its passages against {scanner.beside}.", "Pass these as 'beside'.")
    worded = [passage for passage in passages if passage.text.strip()]
    answers = iter(await _answers(worded, scanner, beside or ())) if worded else iter(())
    blank = Judgement("NO", 0.0, reason="There is no text to judge.")
    return [_checked(next(answers), passage, scanner) if passage.text.strip() else blank for passage in passages]


async def _answers(passages: Sequence[Passage], scanner: Scanner, beside: Sequence[Passage]) -> Sequence[Judgement]:
    try:
        answers = cast(Core, scanner.core)(passages) if scanner.beside is None else cast(CoreBeside, scanner.core)(passages, beside)
        if inspect.isawaitable(answers):
            answers = await answers
        answers = list(answers)
    except AuditError:
        raise
    except Exception as error:  # whatever a user's own code raises, the user needs to know which scanner it was
        raise ScannerError(f"The scanner '{scanner.name}' failed: {type(error).__name__}: {error}", "Correct it and run again.") from error
    if len(answers) != len(passages):
        raise ScannerError(
            f"The scanner '{scanner.name}' returned {len(answers)} judgements for {len(passages)} passages.",
            "Return one Judgement for each passage, in order.",
        )
    return answers


def _checked(answer: Judgement, passage: Passage, scanner: Scanner) -> Judgement:
    remedy = "Return Judgement(label, confidence, quote, reason) with label YES, NO or UNCLEAR and confidence in 0 to 1."
    if not isinstance(answer, Judgement) or answer.label not in get_args(Label):
        raise ScannerError(f"The scanner '{scanner.name}' returned {answer!r:.200}, which is no judgement.", remedy)
    if not 0.0 <= answer.confidence <= 1.0:  # NaN fails this too
        raise ScannerError(f"The scanner '{scanner.name}' returned the confidence {answer.confidence!r}.", remedy)
    if answer.label == "NO":
        return Judgement("NO", answer.confidence, "", answer.reason)
    if answer.quote not in passage.text or (answer.label == "YES" and not answer.quote.strip()):
        reason = f"The scanner answered {answer.label}, but its quote is not in the text. {answer.reason}".strip()
        return Judgement("UNCLEAR", min(answer.confidence, 0.5), "", reason)
    return answer


def _require(scanner: Scanner, target: Target) -> None:
    if scanner.target != target:
        raise ScannerError(f"The scanner '{scanner.name}' judges {scanner.target}s, not {target}s.", "Choose another scanner.")
