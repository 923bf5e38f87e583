"""From messages to token ids: the one renderer that generation and extraction share, so that neither can drift from the other."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import date as Date
from typing import TYPE_CHECKING, Any

from audit.errors import RefusedInput

if TYPE_CHECKING:
    from inspect_ai.model import ChatMessage
    from inspect_ai.tool import ToolInfo

# Options come from logs as well, so nothing else may pass: a template among them would be run.
_OPTIONS = {"enable_thinking"}
_NOW = re.compile(r"""strftime_now\(\s*(?P<quote>['"])(?P<pattern>.*?)(?P=quote)\s*\)""")
_TOOL_FIELDS = {"name", "description", "parameters"}
_UNREADABLE = ("image", "audio", "video", "document")


def render_ids(
    tokenizer: Any,
    messages: Sequence[ChatMessage],
    tools: Sequence[ToolInfo] = (),
    *,
    date: str | None = None,
    options: Mapping[str, Any] | None = None,
    reply_follows: bool = True,
) -> list[int]:
    """The exact prompt of a conversation.

    ``date`` (``YYYY-MM-DD``) is what templates that write today's date are told, ``options`` are template arguments such as
    ``enable_thinking``; both belong to a call and are logged with it. ``reply_follows`` adds the opening of the assistant's turn.
    If the last message is the assistant's own text it is taken for the beginning of the reply (a prefill) and not closed; it is
    tokenised on its own.
    Raises ``RefusedInput`` for messages that hold anything but text and for conversations that the template rejects.
    """
    from jinja2 import TemplateError

    if reply_follows and (begun := _begun(messages)):
        before = render_ids(tokenizer, messages[:-1], tools, date=date, options=options)
        return before + [int(token) for token in tokenizer.encode(begun, add_special_tokens=False)]
    arguments: dict[str, Any] = dict(options or {})
    if foreign := set(arguments) - _OPTIONS:
        raise RefusedInput(f"Unknown template options: {', '.join(sorted(map(str, foreign)))}.", f"Known ones: {', '.join(_OPTIONS)}.")
    functions = [{"type": "function", "function": tool.model_dump(exclude_none=True, include=_TOOL_FIELDS)} for tool in tools]
    if date is not None and uses_date(tokenizer):
        arguments["chat_template"] = _dated(tokenizer.get_chat_template(tools=functions or None), date)
    try:
        # transformers 5 returns a mapping here unless told otherwise.
        ids = tokenizer.apply_chat_template(
            template_messages(messages), tools=functions or None, add_generation_prompt=reply_follows, return_dict=False, **arguments
        )
    except (TemplateError, TypeError) as error:
        problem = f"The target's chat template rejects this conversation: {error}"
        raise RefusedInput(problem, "Change the messages or the template.") from error
    return [int(token) for token in ids]


def _begun(messages: Sequence[ChatMessage]) -> str:
    """The reply that the last message begins; empty if it is not the assistant's, or calls tools."""
    last = messages[-1] if len(messages) > 1 else None
    if last is None or last.role != "assistant" or messages[-2].role == "assistant" or getattr(last, "tool_calls", None):
        return ""
    return str(last.text)


def ids_hash(ids: Sequence[int]) -> str:
    """Hash of a sequence of token ids, 32 hexadecimal digits."""
    return hashlib.sha256(b"".join(int(token).to_bytes(4, "little") for token in ids)).hexdigest()[:32]


def uses_date(tokenizer: Any) -> bool:
    """Whether the chat template writes the current date, so that the date must be logged with each call."""
    template = tokenizer.chat_template
    texts = template.values() if isinstance(template, dict) else [template or ""]
    return any("strftime_now" in text for text in texts)


def _dated(template: str, date: str) -> str:
    """The template with its calls of ``strftime_now`` answered; transformers lets no caller pass a function of its own."""
    try:
        day = Date.fromisoformat(date)
    except (TypeError, ValueError) as error:
        raise RefusedInput(f"{date!r} is not a date.", "Dates are written YYYY-MM-DD.") from error
    return _NOW.sub(lambda call: json.dumps(day.strftime(call["pattern"])), template)


def template_messages(messages: Sequence[ChatMessage]) -> list[dict[str, Any]]:
    """Messages as chat templates expect them."""
    return [_template_message(message) for message in messages]


def _template_message(message: ChatMessage) -> dict[str, Any]:
    plain: dict[str, Any] = {"role": message.role, "content": message.text}
    if not isinstance(message.content, str):
        kinds = [content.type for content in message.content]
        if unreadable := next((kind for kind in kinds if kind in _UNREADABLE), None):
            problem = f"A message holds an item of type {unreadable}, which a text model cannot read."
            raise RefusedInput(problem, "Leave it out of the task.")
        if reasoning := [content.reasoning for content in message.content if content.type == "reasoning"]:
            plain["reasoning_content"] = "\n".join(reasoning)
    if message.role == "assistant" and message.tool_calls:
        # A call that could not be parsed stands in the message's text as the model wrote it.
        calls = [call for call in message.tool_calls if call.parse_error is None]
        functions = [{"name": call.function, "arguments": call.arguments} for call in calls]
        if functions:
            plain["tool_calls"] = [
                {"type": "function", "id": call.id, "function": function} for call, function in zip(calls, functions, strict=True)
            ]
    if message.role == "tool":
        plain |= {"tool_call_id": message.tool_call_id, "name": message.function}
        # Inspect keeps a failed call's text in ``error``, not in ``content``.
        if message.error is not None:
            plain["content"] = f"Error: {message.error.message}"
    return plain
