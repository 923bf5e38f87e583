"""Motives for Inspect Scout: ``scout scan audit/scanners/scout_motives.py -T LOGS -S these=LOGS -S reference=LOGS``.

Scout shows a scanner one transcript at a time, and themes are a matter of all: they are found in the logs first, once, then looked for
in each explanation. ``these`` and ``reference`` are enriched logs, files or folders.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from inspect_ai.event import Event
from inspect_ai.log import read_eval_log_samples
from inspect_scout import Result, Scanner, scanner

from audit.errors import AuditError
from audit.scanners.base import Passage, judge_async
from audit.scanners.base import Scanner as OurScanner
from audit.scanners.motives import Theme, find_themes, label_by_theme
from audit.scanners.scout import event_data, event_passage, explanation_events, explanation_result, is_explanation

NAME = "motives"


@scanner(name="explanations.motives", loader=explanation_events())
def motives(these: str, reference: str) -> Scanner[Event]:
    """Whether an explanation carries a theme that the explanations of some logs have more often than those of others."""
    labelling = OurScanner(NAME, "explanation", lambda passages: label_by_theme(passages, themes_of(these, reference)), "")

    async def scan(event: Event) -> Result:
        [found] = await judge_async([event_passage(event_data(event))], labelling)
        return explanation_result(NAME, found, event)

    return scan


@cache
def themes_of(these: str, reference: str) -> tuple[Theme, ...]:
    """The themes of one set of enriched logs against another's."""
    return tuple(find_themes(explanations_in(these), explanations_in(reference)))


def explanations_in(source: str) -> list[Passage]:
    """The explanations of real activations in enriched logs. Raises ``AuditError`` if there is no log."""
    path = Path(source).expanduser()
    logs = sorted(path.rglob("*.eval")) if path.is_dir() else [path]
    if not logs or not all(log.is_file() for log in logs):
        raise AuditError(f"There is no log in '{source}'.", "Give an enriched .eval log of an audit, or a folder that holds some.")
    return [
        event_passage(event_data(event))
        for log in logs
        for sample in read_eval_log_samples(str(log), all_samples_required=False, resolve_attachments="full")
        for event in sample.events
        if is_explanation(event) and event_data(event).get("control") == "none"
    ]
