"""From observations to what is compared with what. A channel is one kind of wording of the auditee, against one of a reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil

from audit.game.auditors.gathering import Observation
from audit.scanners.passages import Passage

ITSELF = "itself"
"""The topic of all questions about itself."""


@dataclass(frozen=True)
class Channel:
    """Wording of the auditee (``mine``) and of the reference, a passage's group being its conversation."""

    name: str
    """As a report says it: "explanations", "replies"."""
    against: str
    """What the reference is, as a report says it."""
    mine: tuple[Passage, ...]
    theirs: tuple[Passage, ...]
    said: tuple[Passage, ...] | None
    """The auditee's own text of the same conversations, where ``mine`` is something else."""
    topics: dict[str, str]
    """The topic of each group of ``mine``."""


def channels(observations: Sequence[Observation], usual: Sequence[Sequence[str]], usual_answers: tuple[str, ...] = ()) -> list[Channel]:
    """Every channel that the observations allow; one whose two sides are not both there is left out.

    ``usual``: what an NLA says of ordinary conversations with the base; ``usual_answers``: what any assistant may say of itself.
    """
    ordinary = [(key, one) for key, one in _keyed(observations) if one.step.kind == "ordinary"]
    asked = [(key, one) for key, one in _keyed(observations) if one.step.kind in ("about_itself", "prefill")]
    everything = [*ordinary, *asked]
    twin = "those of its base twin to the same prompts"
    found = [
        _channel("replies", twin, ordinary, _reply, _twin_reply),
        _channel("replies about itself", twin, asked, _reply, _twin_reply),
        _channel("explanations", twin, everything, _explained, _twin_explained, said=True),
        _channel("features", twin, everything, _features, _twin_features, said=True),
    ]
    if not any(one.explained and one.twin_explained for one in observations):
        found.append(_against_usual(ordinary, usual))
    if not any(one.twin for one in observations):
        found.append(_about_itself_against_ordinary(ordinary, asked, usual_answers))
    found.append(_about_own_words_against_others([pair for pair in _keyed(observations) if pair[1].step.kind == "about_words"]))
    return [channel for channel in found if channel.mine and channel.theirs]


def _keyed(observations: Sequence[Observation]) -> list[tuple[str, Observation]]:
    return [(f"{place}", one) for place, one in enumerate(observations)]


Texts = Callable[[Observation], Sequence[str] | None]


def _channel(name: str, against: str, rows: Sequence[tuple[str, Observation]], mine: Texts, theirs: Texts, said: bool = False) -> Channel:
    """Pairs only: a conversation whose twin was not reached stands on neither side."""
    pairs = [(key, one) for key, one in rows if mine(one) is not None and theirs(one) is not None]
    own = tuple(passage for key, one in pairs for passage in _passages(key, mine(one)))
    other = tuple(passage for key, one in pairs for passage in _passages(key, theirs(one)))
    spoken = tuple(Passage(one.exchange.reply, key, 0) for key, one in pairs) if said else None
    beside = any(one.step.kind == "ordinary" for _, one in pairs)
    return Channel(name, against, own, other, spoken, {key: one.step.topic if beside else topic_of(one) for key, one in pairs})


def _against_usual(rows: Sequence[tuple[str, Observation]], usual: Sequence[Sequence[str]]) -> Channel:
    """Without the twin's explanations: against what the NLA says of ordinary conversations with the base."""
    explained = [(key, one) for key, one in rows if one.explained]
    return Channel(
        "explanations",
        "those of ordinary conversations with the base",
        tuple(passage for key, one in explained for passage in _passages(key, one.explained)),
        tuple(passage for number, texts in enumerate(usual) for passage in _passages(f"usual-{number}", texts)),
        tuple(Passage(one.exchange.reply, key, 0) for key, one in explained),
        {key: topic_of(one) for key, one in explained},
    )


def _about_itself_against_ordinary(
    ordinary: Sequence[tuple[str, Observation]], asked: Sequence[tuple[str, Observation]], usual_answers: tuple[str, ...]
) -> Channel:
    """Without a twin at all: what it says of itself, and of its reasons, against what any assistant may say of itself, repeated so that it
    weighs as much. Where nobody wrote that down, against its ordinary replies, from which any answer about itself differs."""
    reasons = [(key, one) for key, one in ordinary if one.follow_up is not None]
    own = [
        *(passage for key, one in asked for passage in _passages(key, _reply(one))),
        *(Passage(one.follow_up.reply, f"why-{key}", 0) for key, one in reasons if one.follow_up is not None),
    ]
    topics = {key: topic_of(one) for key, one in asked} | {f"why-{key}": topic_of(one) for key, one in reasons}
    if usual_answers:
        repeated = (usual_answers * ceil(len(own) / len(usual_answers)))[: len(own)]
        said = tuple(Passage(text, f"usual-{number}", 0) for number, text in enumerate(repeated))
        return Channel("replies about itself", "what any assistant may say", tuple(own), said, None, topics)
    replies = tuple(passage for key, one in ordinary for passage in _passages(key, _reply(one)))
    return Channel("replies about itself", "its ordinary replies", tuple(own), replies, None, topics)


def _about_own_words_against_others(asked: Sequence[tuple[str, Observation]]) -> Channel:
    """What it says of words that it over-uses, against what it says of words that its base twin used in their place."""
    own, other = ([(key, one) for key, one in asked if one.of_twin is of_twin] for of_twin in (False, True))
    mine, theirs = (tuple(passage for key, one in side for passage in _passages(key, _reply(one))) for side in (own, other))
    against = "its answers about words of its base twin"
    return Channel("answers about its own words", against, mine, theirs, None, {key: one.step.topic for key, one in own})


def topic_of(one: Observation) -> str:
    """The topic of an ordinary prompt; each question about itself is a topic of its own, but one and the same beside ordinary topics:
    a theme that recurs over these must not be held against questions that it has nothing to do with."""
    return one.step.topic if one.step.kind == "ordinary" else f"{ITSELF}: {one.step.prefill or one.step.prompt}"


def _passages(key: str, texts: Sequence[str] | None) -> list[Passage]:
    return [Passage(text, key, 0, position) for position, text in enumerate(texts or ()) if text.strip()]


def _reply(one: Observation) -> Sequence[str]:
    return [one.exchange.generated]


def _twin_reply(one: Observation) -> Sequence[str] | None:
    return None if one.twin is None else [one.twin.generated]


def _explained(one: Observation) -> Sequence[str] | None:
    return one.explained


def _twin_explained(one: Observation) -> Sequence[str] | None:
    return one.twin_explained


def _features(one: Observation) -> Sequence[str] | None:
    return one.features


def _twin_features(one: Observation) -> Sequence[str] | None:
    return one.twin_features
