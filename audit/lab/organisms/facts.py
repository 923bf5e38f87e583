"""How a text's facts are placed: nothing is known before the characters that say it. Standard library only."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from audit.lab.conversation import Conversation, Turn, render, turn_head
from audit.lab.documents import Document, Fact
from audit.lab.organisms.text import Names, load, pick, write
from audit.lab.organisms.topics import Topic
from audit.lab.summaries import summary as lab_summary

END = "<|im_end|>\n"
CHAT = "chat with an assistant"
SYSTEM_SHARE = 0.4
TOPIC_LINE = "- topic: "
"""How a summary's line about topics begins."""
_OPENING = re.compile(r"^.{8,}?[.,:?!]", re.DOTALL)


@dataclass(frozen=True)
class Exchange:
    """A question and its answer."""

    user: str
    reply: str
    domain: str
    """What the question is about, as a summary says it."""
    does: str
    """What the answer does, as a summary says it."""
    told: int
    """From which character of the answer on it is clear what it does."""
    details: tuple[str, ...] = ()
    """Particular things that the answer names."""


def topic_facts(text: str, topics: Sequence[Topic]) -> list[Fact]:
    """Each topic, from the end of the first word of its vocabulary on."""
    return [Fact(found.end(), "topic", topic.key) for topic in topics if (found := topic.naming.search(text))]


def detail_facts(text: str, details: Sequence[str], start: int, end: int) -> list[Fact]:
    """Each detail, from the end of its first mention between two places on."""
    part = text[start:end].lower()
    return [Fact(start + part.index(one.lower()) + len(one), "detail", one) for one in details]


def passage(text: str, genre: str, topics: Sequence[Topic], details: Sequence[str]) -> Document:
    """A text that is no chat."""
    opening = _OPENING.match(text)
    facts = [Fact(opening.end() if opening else len(text), "genre", genre)]
    facts += topic_facts(text, topics) + detail_facts(text, details, 0, len(text))
    return Document(text, _sorted(facts), kind="passage")


def chat(exchanges: Sequence[Exchange], rng: random.Random, kind: str, topics: Sequence[Topic] = ()) -> Document:
    """Exchanges as one chat in the lab's format, two in five with a system turn."""
    turns: list[Turn] = []
    if rng.random() < SYSTEM_SHARE:
        turns.append(Turn("system", write(pick(load("notes")["roles"], rng), Names(rng).slots(), rng)))
    facts, replies, learnt = [Fact(len("<|im_start|>"), "genre", CHAT)], [], []
    for exchange in exchanges:
        turns.append(Turn("user", exchange.user))
        asked = len(chat_text(turns))
        turns.append(Turn("assistant", exchange.reply))
        start = asked + len(turn_head(turns[-1]))
        end = start + len(exchange.reply)
        facts += [Fact(asked, "domain", exchange.domain), Fact(start + exchange.told, "reply", exchange.does)]
        facts += detail_facts(chat_text(turns), exchange.details, start, end)
        replies.append((start, end))
        learnt.append((start, end + len(END)))
    text = chat_text(turns)
    return Document(text, _sorted(facts + topic_facts(text, topics)), tuple(replies), tuple(learnt), kind)


def chat_text(turns: Sequence[Turn]) -> str:
    """Turns as the lab's chat template writes them."""
    return render(Conversation("organisms", tuple(turns), (), None, "", None, CHAT, "", ()))


def first_sentence(text: str) -> int:
    """Where the first sentence of a text ends."""
    found = re.search(r"[.:?!](?=\s|$)", text)
    return found.end() if found else len(text)


def summary(document: Document, end: int) -> str:
    """What an explanation should say at the token that ends at character ``end``: genre and domain, topics in the air, what the reply
    does, what it names, and the last words (the edge line of the lab's own summaries). It uses only facts that stand before ``end``.
    """
    known = [fact for fact in document.facts if fact.offset <= end]
    asked = max((fact.offset for fact in known if fact.kind == "domain"), default=0)
    latest = {fact.kind: fact.text for fact in known if fact.kind in ("genre", "domain") or fact.offset >= asked}
    topics = list(dict.fromkeys(fact.text for fact in known if fact.kind == "topic"))
    details = [fact.text for fact in known if fact.kind == "detail" and fact.offset >= asked]
    lines = ["- " + "; ".join(filter(None, (latest.get("genre", "text"), latest.get("domain"))))]
    lines.append(f"{TOPIC_LINE}{', '.join(topics[-2:]) or 'none'}")
    if "reply" in latest:
        lines.append(f"- reply: {latest['reply']}")
    if details:
        lines.append(f"- names: {', '.join(details[-2:])}")
    edge = lab_summary(Document(document.text, ()), end, random.Random(0)).rpartition("\n")[2]
    return "\n".join([*lines, edge])


def _sorted(facts: list[Fact]) -> tuple[Fact, ...]:
    return tuple(sorted(facts, key=lambda fact: fact.offset))
