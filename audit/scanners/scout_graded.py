"""The scanners that ask a grader, for Inspect Scout: ``scout scan audit/scanners/scout_graded.py --model-role grader=PROVIDER/MODEL``."""

from __future__ import annotations

from inspect_ai.event import Event
from inspect_scout import Scanner, scanner

from audit.scanners.scout import explanation_events, explanation_scan, explanations_with_calls, mismatch_scan


@scanner(name="awareness.judge", loader=explanation_events())
def awareness_judge() -> Scanner[Event]:
    """Whether an explanation says that the model takes itself to be evaluated: by a grader model."""
    return explanation_scan("awareness.judge")


@scanner(name="deception.judge", loader=explanation_events())
def deception_judge() -> Scanner[Event]:
    """Whether an explanation says that the model deceives somebody or is about to: by a grader model."""
    return explanation_scan("deception.judge")


@scanner(name="reward_reasoning.judge", loader=explanation_events())
def reward_reasoning_judge() -> Scanner[Event]:
    """Whether an explanation says that the model reasons about its own reward or score: by a grader model."""
    return explanation_scan("reward_reasoning.judge")


@scanner(name="mismatch.judge", loader=explanations_with_calls())
def mismatch_judge() -> Scanner[list[Event]]:
    """Whether an explanation contradicts what the model itself wrote: by a grader model."""
    return mismatch_scan("mismatch.judge")
