"""What a log says about a sample besides its tokens: scenario, kind, ground truth, scores, messages for people."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from audit.records import Kind, KnownState
from audit.target.steered import parse_variant

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalSample

ORIGINAL = "original"
_LETTERS = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0, "YES": 1.0, "NO": 0.0, "TRUE": 1.0, "FALSE": 0.0}


def describe(header: EvalLog, sample: EvalSample, path: Path) -> dict[str, Any]:
    """Fields of a ``Transcript`` that do not depend on tokens, by name."""
    data = sample.metadata or {}
    task = header.eval.task
    twin_of, steering = _text(data.get("twin_of")), steering_of(header, sample)
    variants = [name for name in (_text(data.get("variant")), steering) if name and name != ORIGINAL]
    return {
        "scenario": _text(data.get("scenario")) or task.rpartition("/")[2],
        "kind": _one_of(data.get("kind"), get_args(Kind)) or "unknown",
        "variant": " ".join(variants) or ORIGINAL,
        "scores": flat_scores(sample),
        "known_state": _one_of(data.get("known_state"), get_args(KnownState)),
        "skeleton_id": _text(data.get("skeleton_id")),
        "source": path.name,
        "metadata": {
            "task": task,
            "sample_id": sample.id,
            "epoch": sample.epoch,
            "sample_uuid": sample.uuid,
            "model": header.eval.model,
            "family": _text(data.get("family")),
            "variant_of": f"{task}/{twin_of or sample.id}/{sample.epoch}" if twin_of or steering else None,
            "limit": sample.limit.type if sample.limit is not None else None,
        },
    }


def steering_of(header: EvalLog, sample: EvalSample) -> str | None:
    """The variant that the provider logged (or, where no call came through, the run): ``steered:+0.1``; ``None`` if nothing was steered."""
    logged = [(event.output.metadata or {}).get("nla") for event in sample.events if event.event == "model"]
    steerings = [nla.get("steering") for nla in logged if isinstance(nla, Mapping)] + [(header.eval.metadata or {}).get("steering")]
    names = (steering.get("variant") for steering in steerings if isinstance(steering, Mapping))
    return next((name for name in names if isinstance(name, str) and parse_variant(name)), None)


def flat_scores(sample: EvalSample) -> dict[str, float]:
    """Every numeric score by name. The values of a scorer that gives several are taken apart; what is no number is left out."""
    scores: dict[str, float] = {}
    for scorer, score in (sample.scores or {}).items():
        values = score.value if isinstance(score.value, Mapping) else {scorer: score.value}
        for name, value in values.items():
            if (number := _number(value)) is not None:
                scores[f"{scorer}.{name}" if name in scores else str(name)] = number
    return scores


def readable_messages(sample: EvalSample) -> tuple[dict[str, str], ...]:
    """The conversation as ``role`` and ``text``, with ``id`` (a call's ``message_id``) and ``tool_calls`` (JSON) where there are any."""
    messages = []
    for message in sample.messages:
        plain = {"role": message.role, "text": message.text}
        if message.id:
            plain["id"] = message.id
        if message.role == "assistant" and message.tool_calls:
            calls = [{"name": call.function, "arguments": call.arguments} for call in message.tool_calls]
            plain["tool_calls"] = json.dumps(calls, ensure_ascii=False, default=str)
        if message.role == "tool" and message.error is not None:
            plain["text"] = f"Error: {message.error.message}"
        messages.append(plain)
    return tuple(messages)


def _number(value: object) -> float | None:
    if isinstance(value, str):
        value = _LETTERS.get(value.strip().upper(), value)
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _text(value: object) -> str | None:
    return str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) and value != "" else None


def _one_of(value: object, allowed: tuple[str, ...]) -> Any:
    return value if value in allowed else None
