"""From Inspect logs to token-exact transcripts, one sample in memory at a time.

Logs of our own provider hold a hash of every prompt and the ids of every output: each prompt is rendered again and must hash to
the same value, or the transcript is refused. Logs of other providers hold text only; their positions are derived again and say so.
Whatever cannot be used becomes a ``Transcript`` with ``error`` set, so that it can be counted and listed.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.errors import AuditError, PromptMismatch
from audit.records import ModelCall, Transcript
from audit.target.loading import special_ids
from audit.target.log_fields import describe, readable_messages, steering_of
from audit.target.render import ids_hash, render_ids
from audit.target.tool_calls import opens_thinking, output_spans, own_text

if TYPE_CHECKING:
    from inspect_ai.event import ModelEvent
    from inspect_ai.log import EvalLog, EvalSample

LONGEST_CALL = 100_000
"""Tokens of prompt and output together; longer calls are refused unless the caller allows more."""
_OTHER_TARGET = "The messages, the chat template or the tokenizer have changed since; use the target that made the log."
UNREADABLE = (OSError, ValueError, LookupError, TypeError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error)
"""What Inspect's reader raises for corrupted, truncated and foreign files."""


@dataclass(frozen=True)
class _Reader:
    tokenizer: Any
    template_ids: frozenset[int]
    strict: bool
    longest: int


def read_transcripts(
    logs: Iterable[str | Path], tokenizer: Any, *, strict: bool = False, longest_call: int = LONGEST_CALL
) -> Iterator[Transcript]:
    """All transcripts of some logs or folders of logs, in order, one at a time.

    ``strict`` raises ``PromptMismatch`` where a call's prompt does not render to the ids that generation used; otherwise that
    transcript gets an ``error``. Raises ``AuditError`` if a path does not exist.
    """
    reader = _Reader(tokenizer, special_ids(tokenizer), strict, longest_call)
    seen: set[str] = set()
    for path, header in _headers(find_logs(logs)):
        if isinstance(header, str):
            yield _unusable(path.name, path, header)
            continue
        for transcript in _of_log(path, header, reader):
            if transcript.transcript_id in seen:
                yield _unusable(transcript.transcript_id, path, "The same sample was already read from another log.")
            else:
                seen.add(transcript.transcript_id)
                yield transcript


def find_logs(paths: Iterable[str | Path]) -> list[Path]:
    """Log files, folders replaced by the logs in them. Raises ``AuditError`` for a path that does not exist."""
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = (file for file in path.rglob("*") if file.suffix in (".eval", ".json") and file.is_file())
            found += sorted(file for file in inside if file.name not in ("logs.json", "eval-set.json"))
        elif path.exists():
            found.append(path)
        else:
            raise AuditError(f"There is no log {path}.", "Give .eval or .json logs of Inspect, or a folder that holds them.")
    return found


def _headers(paths: Sequence[Path]) -> list[tuple[Path, EvalLog | str]]:
    """Each log's header, or why it has none. Of several logs of one run of a task (resumed, scored again) only the last counts."""
    from inspect_ai.log import read_eval_log

    headers: list[tuple[Path, EvalLog | str]] = []
    for path in paths:
        try:
            headers.append((path, read_eval_log(str(path), header_only=True)))
        except UNREADABLE as error:
            headers.append((path, f"The log cannot be read ({one_line(error)})."))
    last: dict[str, tuple[tuple[bool, str, int], Path]] = {}
    for path, header in headers:
        if not isinstance(header, str):
            rank = (header.status == "success", str(header.eval.created), path.stat().st_mtime_ns), path
            last[header.eval.task_id] = max(last.get(header.eval.task_id, rank), rank)
    return [(path, header) for path, header in headers if isinstance(header, str) or last[header.eval.task_id][1] == path]


def _of_log(path: Path, header: EvalLog, reader: _Reader) -> Iterator[Transcript]:
    for sample_id, epoch, sample in read_samples(path, header):
        transcript_id = f"{header.eval.task}/{sample_id}/{epoch}"
        if isinstance(sample, str):
            yield _unusable(transcript_id, path, sample)
        else:
            yield _of_sample(transcript_id, path, header, sample, reader)


def read_samples(path: Path, header: EvalLog) -> Iterator[tuple[Any, int, EvalSample | str]]:
    """A log's samples with their ids and epochs, one in memory at a time; for one that cannot be read the reason stands in its place."""
    from inspect_ai.log import read_eval_log, read_eval_log_sample, read_eval_log_sample_summaries

    try:
        if path.suffix == ".json":
            # A JSON log can only be read whole.
            for whole in read_eval_log(str(path), resolve_attachments="full").samples or []:
                yield whole.id, whole.epoch, whole
            return
        summaries = read_eval_log_sample_summaries(str(path))
    except UNREADABLE as error:
        yield path.name, 0, f"The log's samples cannot be read ({one_line(error)})."
        return
    # Summaries stand in the order in which samples happened to finish; transcripts come in the data set's.
    place = {sample_id: index for index, sample_id in enumerate(header.eval.dataset.sample_ids or [])}
    for summary in sorted(summaries, key=lambda summary: (summary.epoch, place.get(summary.id, len(place)), str(summary.id))):
        try:
            sample: EvalSample | str = read_eval_log_sample(str(path), summary.id, summary.epoch, resolve_attachments="full")
        except UNREADABLE as error:
            sample = f"The sample cannot be read ({one_line(error)})."
        yield summary.id, summary.epoch, sample


def _of_sample(transcript_id: str, path: Path, header: EvalLog, sample: EvalSample, reader: _Reader) -> Transcript:
    fields = describe(header, sample, path)
    if steering := steering_of(header, sample):
        transcript_id = f"{transcript_id}/{steering}"
    error, calls = None, []  # type: str | None, list[ModelCall]
    if sample.error is not None:
        error = f"The sample ended with an error ({one_line(sample.error.message)})."
    else:
        try:
            calls = [_call(index, event, reader) for index, event in enumerate(target_events(header, sample))]
        except PromptMismatch as mismatch:
            if reader.strict:
                raise
            error = str(mismatch)
        except AuditError as refused:
            error = str(refused)
    if error is None and not any(call.output_ids for call in calls):
        error = "The model's response is empty." if calls else "The sample holds no call of the target."
    return Transcript(
        transcript_id=transcript_id, calls=() if error else tuple(calls), messages=readable_messages(sample), error=error, **fields
    )  # fmt: skip


def target_events(header: EvalLog, sample: EvalSample) -> list[ModelEvent]:
    """The sample's completed calls of the audited model: no graders, no other roles, no calls made while scoring."""
    model = header.eval.model
    scoring = _scoring_spans(sample)
    events = [event for event in sample.events if event.event == "model" and event.error is None and not event.pending]
    events = [event for event in events if event.span_id not in scoring and event.role in (None, "target")]
    own = [event for event in events if "nla" in (event.output.metadata or {})]
    if own:
        name = model.partition("/")[2] if model.startswith("nla-target/") else None
        return [event for event in own if name is None or _nla(event).get("target") == name]
    return [event for event in events if event.output.choices and event.model in (model, model.partition("/")[2])]


def _scoring_spans(sample: EvalSample) -> set[str]:
    spans: set[str] = set()
    for event in sample.events:
        if event.event == "span_begin" and (event.type in ("scorer", "scorers") or event.parent_id in spans):
            spans.add(event.id)
    return spans


def _nla(event: ModelEvent) -> dict[str, Any]:
    found = (event.output.metadata or {}).get("nla")
    return found if isinstance(found, dict) else {}


def _call(index: int, event: ModelEvent, reader: _Reader) -> ModelCall:
    nla = _nla(event)
    if nla:
        prompt, output = _verified(index, event, nla, reader)
    else:
        prompt, output = _rederived(event, reader)
    if len(prompt) + len(output) > reader.longest:
        raise AuditError(f"Call {index} holds {len(prompt) + len(output)} tokens, more than the {reader.longest} that are allowed.")
    in_thinking = opens_thinking(reader.tokenizer, prompt)
    text, tool_calls = own_text(reader.tokenizer, output, reader.template_ids, in_thinking)
    choice = event.output.choices[0] if event.output.choices else None
    return ModelCall(
        index=index,
        event_id=event.uuid or "",
        message_id=choice.message.id if choice else None,
        prompt_ids=tuple(prompt),
        output_ids=tuple(output),
        spans=output_spans(reader.tokenizer, output, reader.template_ids, in_thinking),
        text=text,
        tool_calls=tool_calls,
        positions_rederived=not nla,
        stop_reason=choice.stop_reason if choice else "unknown",
    )


def _verified(index: int, event: ModelEvent, nla: dict[str, Any], reader: _Reader) -> tuple[list[int], list[int]]:
    """Prompt ids, rendered again and equal to those of generation, and the output ids of the log."""
    output = nla.get("output_ids")
    if not isinstance(output, list) or not all(type(token) is int and 0 <= token < len(reader.tokenizer) for token in output):
        raise PromptMismatch(f"Call {index} of the target logged token ids that its tokenizer does not have.", _OTHER_TARGET)
    prompt = render_ids(reader.tokenizer, event.input, event.tools, date=nla.get("date"), options=nla.get("options"))
    if ids_hash(prompt) != nla.get("prompt_sha") or len(prompt) != nla.get("n_prompt"):
        raise PromptMismatch(
            f"Call {index} of the target renders to {len(prompt)} token ids, which are not the {nla.get('n_prompt')} of its generation.",
            _OTHER_TARGET,
        )
    return prompt, output


def _rederived(event: ModelEvent, reader: _Reader) -> tuple[list[int], list[int]]:
    """Prompt and output ids of a call that logged none: the template's rendering of the same messages in the target's tokens."""
    message = event.output.choices[0].message
    day = event.timestamp.date().isoformat()
    prompt = render_ids(reader.tokenizer, event.input, event.tools, date=day)
    if not message.text.strip() and not message.tool_calls:
        return prompt, []
    whole = render_ids(reader.tokenizer, [*event.input, message], event.tools, date=day, reply_follows=False)
    if whole[: len(prompt)] == prompt:
        output = whole[len(prompt) :]
        # What follows the stop token (a line break, mostly) is the template's.
        ends = [place for place, token in enumerate(output) if token in reader.template_ids]
        return prompt, output[: ends[-1] + 1] if ends else output
    return prompt, [int(token) for token in reader.tokenizer.encode(message.text, add_special_tokens=False)]


def _unusable(transcript_id: str, path: Path, error: str) -> Transcript:
    return Transcript(transcript_id, scenario="unknown", kind="unknown", variant="original", calls=(), source=path.name, error=error)


def one_line(error: object) -> str:
    """The first line of an error, short and printable: its text may come from the log."""
    first = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
    return "".join(character for character in first if character.isprintable())[:200]
