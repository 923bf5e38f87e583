"""Stage 6: a copy of each log with one ``InfoEvent`` an explanation, for `inspect view` and for Scout."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.findings.tally import aligned
from audit.pipeline import Context, Outcome
from audit.records import Explanation, Site, Transcript
from audit.stages.logs import control_logs, own_logs
from audit.stages.names import ENRICHED_FOLDER, EXPLANATIONS, EXPLANATIONS_TABLE, SITES_TABLE, TRANSCRIPTS_TABLE

if TYPE_CHECKING:
    from inspect_ai.event import Event, InfoEvent, ModelEvent
    from inspect_ai.log import EvalLog

SOURCE, KIND = "nla", "nla_explanation"
NAMESPACE = uuid.UUID("6f1d4f0e-6c37-5d0b-9a53-6a2b8f3f1d55")
"""Of the events' uuids, which follow from what they say where: the same audit always gives the same ones."""

Notes = dict[str, list[dict[str, Any]]]
"""Data of the events to add, by the uuid of the model event that they belong to."""


def enrich(context: Context) -> Outcome:
    """Writes ``enriched/``: one log for each that has an explanation."""
    paths: dict[str, list[Path]] = defaultdict(list)
    for path in (*own_logs(context.store, context.config), *control_logs(context.config)):
        paths[path.name].append(path)
    context.store.path(ENRICHED_FOLDER).mkdir(exist_ok=True)
    layer = (context.stages[EXPLANATIONS]["facts"].get("nla") or {}).get("layer")
    written: set[Path] = set()
    events = 0
    with context.reporter.track("logs", sum(map(len, paths.values())), "log") as advance:
        for source, notes in _notes_by_source(context, layer):
            # Logs of one name are told apart by the uuids of their events.
            for path in paths.get(source, ()):
                if notes and path not in written:
                    added = _write(context, path, notes, len(written))
                    events += added
                    if added:
                        written.add(path)
                advance(1)
    return Outcome(counts={"enriched_logs": len(written), "events": events})


def _write(context: Context, path: Path, notes: Notes, number: int) -> int:
    from inspect_ai.log import write_eval_log

    log = _readable(path)
    added = add_events(log, notes)
    name = f"{ENRICHED_FOLDER}/{path.stem}.eval"
    if context.store.path(name).exists():
        name = f"{ENRICHED_FOLDER}/{path.stem}-{number}.eval"
    if added:
        with context.store.replacing(name, suffix=".eval") as temporary:
            write_eval_log(log, str(temporary), format="eval")
    return added


def _readable(path: Path) -> EvalLog:
    """A log with those of its samples that can be read."""
    from inspect_ai.log import read_eval_log

    from audit.target.transcripts import UNREADABLE, read_samples

    try:
        return read_eval_log(str(path), resolve_attachments="full")
    except UNREADABLE:
        log = read_eval_log(str(path), header_only=True)
        log.samples = [sample for _, _, sample in read_samples(path, log) if not isinstance(sample, str)]
        return log


def _notes_by_source(context: Context, layer: int | None) -> Iterator[tuple[str, Notes]]:
    """The events of one log after the other: transcripts of a log stand together."""
    store = context.store
    take_sites = aligned(store.read_table(SITES_TABLE, Site))
    take_explanations = aligned(store.read_table(EXPLANATIONS_TABLE, Explanation))
    for source, group in groupby(store.read_table(TRANSCRIPTS_TABLE, Transcript), key=lambda row: row.source):
        notes: Notes = defaultdict(list)
        for transcript in group:
            sites, rows = take_sites(transcript.transcript_id), take_explanations(transcript.transcript_id)
            for event_id, data in event_data(transcript, sites, rows, layer):
                notes[event_id].append(data)
        yield source, notes


def event_data(
    transcript: Transcript, sites: Iterable[Site], explanations: Iterable[Explanation], layer: int | None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """What each explanation's event says, with the uuid of its model event."""
    tokens = {(site.call_index, site.position): site.token for site in sites}
    calls = {call.index: call for call in transcript.calls}
    for row in explanations:
        call = calls[row.call_index]
        yield (
            call.event_id,
            {
                # The viewer cuts long entries off: what people look for stands first.
                "explanation": row.text,
                "token": tokens.get((row.call_index, row.position), ""),
                "control": row.control,
                "kind": KIND,
                "transcript_id": row.transcript_id,
                "message_id": call.message_id,
                "model_event": call.event_id,
                "call_index": row.call_index,
                "position": row.position,
                "sample": row.sample,
                "layer": layer,
                "nla": row.nla,
                "status": row.status,
                "cosine": row.cosine,
            },
        )


def add_events(log: EvalLog, notes: Notes) -> int:
    """Puts the events right behind the model events that they belong to; returns how many. Those of an earlier audit make way."""
    from inspect_ai.event import InfoEvent, ModelEvent

    added = 0
    for sample in log.samples or []:
        events: list[Event] = []
        for event in sample.events:
            if isinstance(event, InfoEvent) and event.source == SOURCE:
                continue
            events.append(event)
            if isinstance(event, ModelEvent) and event.uuid in notes:
                new = [_info(event, data) for data in notes[event.uuid]]
                added += len(new)
                events += new
        sample.events = events
    return added


def _info(event: ModelEvent, data: dict[str, Any]) -> InfoEvent:
    from inspect_ai.event import InfoEvent

    key = "/".join(str(data[name]) for name in ("transcript_id", "call_index", "position", "sample", "control", "nla"))
    return InfoEvent(
        uuid=uuid.uuid5(NAMESPACE, key).hex,
        span_id=event.span_id,
        timestamp=event.timestamp,
        working_start=event.working_start,
        source=SOURCE,
        data=data,
    )
