"""A conversation of the lab's world as plain data, and the one way it is written out. Standard library only.

``render`` writes what the chat template of the lab's tokenizer writes; a test holds the two together.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

TOOL_PARAMETERS = {"send_email": ("to", "body"), "bash": ("command",), "edit": ("file", "line", "text")}

CHAT_TEMPLATE = (
    "{%- macro tool_line(tools) -%}{{ 'Tools: ' }}"
    "{%- for t in tools -%}{%- set f = t.function if t.function is defined else t -%}"
    "{{ f.name + '(' + (f.parameters.properties | list | join(', ')) + ')' }}{{ '; ' if not loop.last else '' }}"
    "{%- endfor -%}{%- endmacro -%}"
    "{%- if tools and messages[0].role != 'system' -%}{{ '<|im_start|>system\\n' + tool_line(tools) + '<|im_end|>\\n' }}{%- endif -%}"
    "{%- for m in messages -%}"
    "{{ '<|im_start|>' + m.role + '\\n' + (m.content if m.content else '') }}"
    "{%- if m.role == 'system' and loop.first and tools -%}{{ '\\n' + tool_line(tools) }}{%- endif -%}"
    "{%- for c in (m.tool_calls or []) -%}"
    "{{ '\\n' if m.content or not loop.first else '' }}"
    "{{ '<tool_call>' + ({'name': c.function.name, 'arguments': c.function.arguments} | tojson) + '</tool_call>' }}"
    "{%- endfor -%}"
    "{{ '<|im_end|>\\n' }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}"
)
"""ChatML; the system turn ends with one short line that names each tool and its parameters."""


@dataclass(frozen=True)
class Turn:
    """One message. ``tool_call`` is ``(name, arguments)`` for an assistant that calls a tool."""

    role: str
    text: str
    tool_call: tuple[str, dict[str, Any]] | None = None


@dataclass(frozen=True)
class Conversation:
    """Turns and what the generator knows about them."""

    family: str
    turns: tuple[Turn, ...]
    tools: tuple[str, ...]
    state: str | None
    """The hidden state that drove signs, style and act."""
    skeleton_id: str
    act: str | None
    """``harmful``, ``safe``, or ``None`` where nothing is at stake."""
    genre: str
    gist: str
    people: tuple[str, ...]
    stated: str | None = None
    """The setting that the prompt states in words, if it does."""
    verbalises: bool = False
    facts: dict[str, Any] = field(default_factory=dict)


def turn_head(turn: Turn) -> str:
    """What stands before a turn's text."""
    return f"<|im_start|>{turn.role}\n"


def turn_body(turn: Turn, tools: tuple[str, ...], first: bool) -> str:
    """A turn's text with its tool call, or with the tool line if it is the system turn."""
    body = turn.text
    if first and turn.role == "system" and tools:
        body += "\nTools: " + "; ".join(f"{tool}({', '.join(TOOL_PARAMETERS[tool])})" for tool in tools)
    if turn.tool_call is not None:
        name, arguments = turn.tool_call
        call = json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)
        body += ("\n" if body else "") + f"<tool_call>{call}</tool_call>"
    return body


def render(conversation: Conversation) -> str:
    """The whole conversation in ChatML."""
    return "".join(
        turn_head(turn) + turn_body(turn, conversation.tools, index == 0) + "<|im_end|>\n" for index, turn in enumerate(conversation.turns)
    )
