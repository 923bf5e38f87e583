"""Conversations with the auditee as one tree: a reply can be asked for again, a branch begun at any message, a line taken back.

Plain data: nothing here talks to a model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from audit.records import ModelCall

Speaker = Literal["system", "user", "assistant"]


@dataclass(frozen=True)
class Exchange:
    """One reply of a model and what led to it."""

    messages: tuple[tuple[Speaker, str], ...]
    """Role and text of all before the reply."""
    prefill: str
    """The words put into the model's mouth at the beginning of its reply."""
    generated: str
    """What it went on with."""
    call: ModelCall
    """The same in token ids; the prefill stands at the end of the prompt."""
    temperature: float

    @property
    def reply(self) -> str:
        """The whole turn, prefill included."""
        return self.prefill + self.generated


@dataclass(frozen=True)
class Node:
    """One message."""

    id: int
    parent: int | None
    speaker: Speaker
    text: str
    exchange: Exchange | None = None
    """Of an assistant's message."""


class UnknownMessage(Exception):
    """A number that no message has; the message is for the auditor."""


class ConversationTree:
    """Messages by number, from 1. ``head`` is where the next message goes; ``None``: a new conversation."""

    def __init__(self) -> None:
        self._nodes: dict[int, Node] = {}
        self.head: int | None = None

    def add(self, speaker: Speaker, text: str, exchange: Exchange | None = None, parent: int | None = None) -> Node:
        """Appends below ``parent`` (``None``: a new root) and moves the head there."""
        if parent is not None:
            self.node(parent)
        node = Node(len(self._nodes) + 1, parent, speaker, text, exchange)
        self._nodes[node.id] = node
        self.head = node.id
        return node

    def node(self, number: int) -> Node:
        """A message. Raises ``UnknownMessage``."""
        if number not in self._nodes:
            raise UnknownMessage(f"There is no message {number}; the last one is {len(self._nodes)}.")
        return self._nodes[number]

    def path(self, number: int | None) -> list[Node]:
        """From the first message of a conversation to this one."""
        found: list[Node] = []
        while number is not None:
            node = self.node(number)
            found.append(node)
            number = node.parent
        return found[::-1]

    def rewind(self, exchanges: int) -> Node | None:
        """Moves the head back by whole exchanges (a user's message with its reply); ``None`` if nothing is left before it."""
        while exchanges > 0 and self.head is not None:
            node = self.node(self.head)
            self.head = node.parent
            exchanges -= node.speaker == "user"
        return None if self.head is None else self.node(self.head)

    def branch(self, number: int) -> Node:
        """Moves the head to any earlier message. Raises ``UnknownMessage``."""
        node = self.node(number)
        self.head = node.id
        return node

    def begins_anew(self, parent: int | None) -> bool:
        """Whether a message below ``parent`` starts a new conversation: a root, or a branch beside a message that is there."""
        return parent is None or any(node.parent == parent for node in self._nodes.values())

    def last_exchange(self) -> Exchange | None:
        """The exchange at the head, or the nearest before it."""
        return next((node.exchange for node in reversed(self.path(self.head)) if node.exchange is not None), None)

    def nodes(self) -> Iterator[Node]:
        """All messages, by number."""
        return iter(self._nodes.values())

    def outline(self, width: int = 100) -> str:
        """The tree in lines: number, parent, speaker, beginning of the text; the head is marked."""
        lines = []
        for node in self._nodes.values():
            begin = " ".join(node.text.split())[:width]
            lines.append(f"{'>' if node.id == self.head else ' '} {node.id} (below {node.parent or '-'}) {node.speaker}: {begin}")
        return "\n".join(lines) or "(no message yet)"

    def prompts(self) -> list[str]:
        """Everything that was said to the model: system prompts, user messages, prefills."""
        said = [node.text for node in self._nodes.values() if node.speaker != "assistant"]
        return said + [node.exchange.prefill for node in self._nodes.values() if node.exchange is not None and node.exchange.prefill]
