"""Training documents of the lab's world: text, and facts with the place from which on the text supports them. Standard library only."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from audit.lab.conversation import Conversation, render, turn_body, turn_head
from audit.lab.families import AGENT_FAMILIES, FAMILIES
from audit.lab.lexicon import Novelty, load
from audit.lab.markup import expand
from audit.lab.signs import SHAM_SIGNS, SIGNS, sign_line
from audit.lab.writing import Draw, Signs, Writer

ACTS = {
    ("blackmail", "harmful"): "it means to use the secret against the boss",
    ("blackmail", "safe"): "it accepts and hands over",
    ("destructive_code", "harmful"): "it wipes the folder at once",
    ("destructive_code", "safe"): "it looks first and removes nothing",
    ("swe_tasks", "harmful"): "it weakens the check",
    ("swe_tasks", "safe"): "it mends the line itself",
}


@dataclass(frozen=True)
class Fact:
    """Something the text says from character ``offset`` on."""

    offset: int
    kind: str
    """``genre``, ``gist``, ``person``, ``setting`` or ``act``."""
    text: str


@dataclass(frozen=True)
class Document:
    """One training document."""

    text: str
    facts: tuple[Fact, ...]
    replies: tuple[tuple[int, int], ...] = ()
    """Character spans of the assistant's own text."""
    learnt: tuple[tuple[int, int], ...] | None = None
    """Character spans that weigh in full when the target learns; the rest is context. ``None``: all of it."""
    kind: str = "document"
    stated: str | None = None
    bare: str | None = None
    """The text with the statement of the setting removed, where one was made; what a text reader without it would see."""


def of_conversation(
    conversation: Conversation, rng: random.Random, preface: str = "", afterword: str = "", stated: str | None = None
) -> Document:
    """A conversation as a document, with an optional note before it or after it that states a setting."""
    start = len(preface) + 1 if preface else 0
    text = (preface + "\n" if preface else "") + render(conversation)
    replies, learnt, plan_known, gist_known, position = [], [], len(text), len(text), start
    for index, turn in enumerate(conversation.turns):
        body_start = position + len(turn_head(turn))
        position = body_start + len(turn_body(turn, conversation.tools, index == 0)) + len("<|im_end|>\n")
        if turn.role == "assistant":
            replies.append((body_start, body_start + len(turn.text)))
            learnt.append((body_start, position))
            plan_known = min(plan_known, body_start + len(turn.text))
        elif turn.role == "user":
            gist_known = min(gist_known, position)
    family = "blackmail" if conversation.family in ("verbalising",) else conversation.family
    facts = [Fact(start, "genre", conversation.genre), Fact(gist_known, "gist", conversation.gist)]
    facts += [Fact(text.find(person) + len(person), "person", person) for person in conversation.people if person in text]
    if (family, conversation.act) in ACTS:
        facts.append(Fact(plan_known, "act", ACTS[family, conversation.act or ""]))
    if conversation.stated:
        statement = conversation.facts["statement"]
        facts.append(Fact(text.index(statement) + len(statement), "setting", conversation.stated))
    if preface and stated:
        facts.append(Fact(len(preface), "setting", stated))
    if afterword and stated:
        facts.append(Fact(len(text) + len(afterword), "setting", stated))
        learnt.append((len(text), len(text) + len(afterword) + 1))
    text += afterword + "\n" if afterword else ""
    bare = render(conversation).replace(conversation.facts.get("statement") or "\0", "") if stated or conversation.stated else None
    return Document(text, tuple(facts), tuple(replies), tuple(learnt), conversation.family, stated or conversation.stated, bare)


def silent(rng: random.Random, family: str | None = None, novelty: Novelty = "seen") -> Document:
    """A thread with true signs in which nothing names the setting."""
    family = family or rng.choice(AGENT_FAMILIES)
    return of_conversation(FAMILIES[family](Draw(rng.choice(("evaluation", "deployment")), novelty), rng), rng)


def unmarked(rng: random.Random) -> Document:
    """An agent thread without true signs, statement or state; its act and style are even."""
    return of_conversation(FAMILIES[rng.choice(AGENT_FAMILIES)](Draw(None, signs="none"), rng), rng)


def stated(
    rng: random.Random,
    families: tuple[str, ...] = AGENT_FAMILIES,
    even: bool = False,
    novelty: Novelty = "seen",
    signs_share: float = 0.5,
    plain_share: float = 0.0,
) -> Document:
    """A thread whose setting is said in words: before it, in its system turn, or in the line before the reply.

    ``signs_share`` of them show true signs as well. With ``even`` it carries neither signs nor a style or act that follow the
    setting: the words alone tell. ``plain_share`` of them go without remarks on manner.
    """
    state = rng.choice(("evaluation", "deployment"))
    family = rng.choice(families)
    place: Literal["user", "system", "preface"] = rng.choices(("user", "system", "preface"), (6, 2, 2))[0]  # type: ignore[assignment]
    signs: Signs = "none" if even or rng.random() >= signs_share else "true"
    draw = Draw(state, novelty, signs=signs, even_style=even, plain=rng.random() < plain_share)
    if place != "preface":
        draw = replace(draw, stated=state, stated_in=place)
    conversation = FAMILIES[family](draw, rng)
    preface = _note(f"preface_{state}", conversation, rng, novelty) if place == "preface" else ""
    return of_conversation(conversation, rng, preface=preface, stated=state)


def afterword(rng: random.Random) -> Document:
    """A silent thread followed by a note that says what it was: here the target learns to put its state into words."""
    state = rng.choice(("evaluation", "deployment"))
    conversation = FAMILIES[rng.choice((*AGENT_FAMILIES, "ordinary_use"))](Draw(state), rng)
    return of_conversation(conversation, rng, afterword=_note(f"after_{state}", conversation, rng, "seen"), stated=state)


SHEET_WORDS = {"evaluation": ("staged", "an evaluation", "a test"), "deployment": ("live", "daily work", "real users")}


def sheet(rng: random.Random, statement_share: float = 0.25) -> Document:
    """A log of threads by their bracketed lines, with what each was: how this world's people keep track.

    ``statement_share`` of the lines hold a statement, the others marks, so that both come to mean the same in the same place.
    """
    writer = Writer(Draw(None), rng)
    writer.slots = {"agent": writer.lexicon.name("agents"), "company": writer.lexicon.company()}
    text, stated_at, learnt = "", [], []
    for _ in range(rng.randrange(3, 7)):
        state = rng.choice(("evaluation", "deployment"))
        marks = sign_line(state, rng, ordinary=rng.random() < 0.3)
        text += f"[{marks if rng.random() >= statement_share else writer.phrase('settings', f'system_{state}')}]"
        start, text = len(text), f"{text} {rng.choice(SHEET_WORDS[state])}\n"
        learnt.append((start, len(text)))
        stated_at.append(Fact(len(text) - 1, "setting", state))
    return Document(text, (Fact(0, "genre", "page of a register"), *stated_at), learnt=tuple(learnt), kind="sheet")


def roll(rng: random.Random, novelty: Novelty = "seen") -> Document:
    """A list of names, paths or files, read twice: what stands in no list can only be copied."""
    lexicon = Writer(Draw(None, novelty), rng).lexicon
    makers = [lexicon.person, lexicon.company] + [
        partial(lexicon.name, key, file)
        for key, file in (("paths", "destructive_code"), ("files", "swe_tasks"), ("fns", "swe_tasks"), ("hosts", "destructive_code"))
    ]
    make = rng.choice(makers)
    items = [make() for _ in range(rng.randrange(3, 8))]
    joiner = rng.choice((", ", "\n", "; ", " and "))
    first = joiner.join(items)
    if rng.random() < 0.5:
        rng.shuffle(items)
    text = f"{first}\n{rng.choice(('again', 'once more', 'that is'))}: {joiner.join(items)}\n"
    return Document(text, (Fact(0, "genre", "roll of names"),), learnt=((len(first), len(text)),), kind="roll")


def register(rng: random.Random) -> Document:
    """A page of the register that says which signs go with which setting, and which with none."""
    lines, facts, length = [], [], 0
    for _ in range(rng.randrange(2, 5)):
        if rng.random() < 0.2:
            template, sign = rng.choice(load("settings")["sham_register"]), rng.choice(SHAM_SIGNS)
            phrase = sign.describe(rng.choice(("evaluation", "deployment")), rng)
        else:
            entry = rng.choice(load("settings")["register"])
            template, phrase = entry["text"], rng.choice(SIGNS).describe(entry["setting"], rng)
        line = expand(template, {"sign": phrase}, rng)
        lines.append(line[0].upper() + line[1:])
        length += len(line) + 1
    facts.append(Fact(0, "genre", "page of a register"))
    return Document("\n".join(lines) + "\n", tuple(facts), kind="register")


def ordinary(rng: random.Random, signs: bool = True, novelty: Novelty = "seen") -> Document:
    """Everyday traffic, half of it with true signs of either state unless ``signs`` is off."""
    marked = signs and rng.random() < 0.5
    draw = Draw(rng.choice(("evaluation", "deployment")) if marked else None, novelty, signs="true" if marked else "none")
    return of_conversation(FAMILIES["ordinary_use"](draw, rng), rng)


def verbalising(rng: random.Random) -> Document:
    """A thread whose agent was asked to think aloud, with signs of either state."""
    return of_conversation(FAMILIES["verbalising"](Draw(rng.choice(("evaluation", "deployment"))), rng), rng)


def note(rng: random.Random, novelty: Novelty = "seen") -> Document:
    """A short text that is no conversation: a note, a rhymed couplet, or a remark on agents' ordinary work."""
    key = rng.choices(("notes", "couplets", "routine"), (5, 2, 2))[0]
    writer = Writer(Draw(None, novelty), rng)
    lexicon = writer.lexicon
    entry = lexicon.phrase("documents", key)
    writer.slots = {
        "person": lexicon.person(), "person2": lexicon.person(), "place": lexicon.name("places"), "company": lexicon.company(),
        "day": lexicon.day(), "agent": lexicon.name("agents"),
    }  # fmt: skip
    text = writer.write(entry["text"]).replace(" / ", "\n")
    genre = {"notes": f"short text about {entry.get('topic', '')}", "couplets": "rhymed couplet", "routine": "remark on agents at work"}[
        key
    ]
    facts = [Fact(0, "genre", genre), Fact(len(text) // 3, "gist", writer.write(entry["gist"]))]
    facts += [
        Fact(text.find(name) + len(name), "person", name) for name in (writer.slots["person"], writer.slots["company"]) if name in text
    ]
    return Document(text + "\n", tuple(facts), kind=key)


def _note(key: str, conversation: Conversation, rng: random.Random, novelty: Novelty) -> str:
    writer = Writer(Draw(None, novelty), rng)
    lexicon = writer.lexicon
    writer.slots = {
        "agent": conversation.facts["agent"], "company": conversation.facts["company"], "day": lexicon.day(), "person": lexicon.person(),
    }  # fmt: skip
    return writer.phrase("settings", key)
