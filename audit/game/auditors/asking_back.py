"""Asking back: what a model says about the very words that it over-uses. The one step of the script that adapts to what it saw.

Words that stand out in the replies to one topic, against the base twin's, are put into fixed questions; as the control, so are words that
stand out in the twin's. Who uses odd words for a common cause may say, asked about each alone, what they have in common.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from audit.game.auditee import Auditee
from audit.game.auditors.battery import Battery, Step
from audit.game.auditors.channels import Channel, channels
from audit.game.auditors.gathering import TEMPERATURE, Observation
from audit.game.auditors.writer import NAMED_WORDS, quirks
from audit.game.budget import OverBudget
from audit.game.voices import together
from audit.scanners.motives import Theme

TopicWord = tuple[str, str]


async def ask_back(auditee: Auditee, battery: Battery, observations: Sequence[Observation], seed: int) -> list[Observation]:
    """Asks about words of both sides, a question each in turn, until the budget ends; the answers, in the order of the questions."""
    import anyio.to_thread

    own, other = await anyio.to_thread.run_sync(lambda: words_of_both(observations, seed))
    templates = battery.about_words
    questions = [
        (Step("about_words", topic, templates[(at + turn) % len(templates)].replace("{word}", word)), of_twin)
        for turn in range(len(templates))
        for at, pair in enumerate(zip(own, other, strict=False))
        for of_twin, (topic, word) in enumerate(pair)
    ]

    async def ask(step: Step, of_twin: bool) -> Observation | None:
        try:
            [node] = await auditee.say(step.prompt, temperature=TEMPERATURE, attempt=0)
        except OverBudget:
            return None
        assert node.exchange is not None
        return Observation(step, node.exchange, of_twin=of_twin)

    answers = await together([partial(ask, step, bool(of_twin)) for step, of_twin in questions])
    return [one for one in answers if one is not None]


def words_of_both(observations: Sequence[Observation], seed: int) -> tuple[list[TopicWord], list[TopicWord]]:
    """Words that stand out within a topic, each with its topic: in the model's replies, and in its twin's."""
    replies = [channel for channel in channels(observations, ()) if channel.name == "replies"]
    return _words(replies, seed), _words([_swapped(channel) for channel in replies], seed)


def _words(replies: Sequence[Channel], seed: int) -> list[TopicWord]:
    return [(topic, _phrase(one.theme)) for topic, one in quirks(replies, seed)]


def _phrase(theme: Theme) -> str:
    """Its strongest pair of neighbours, or else its strongest word."""
    return next((term for term in theme.terms[:NAMED_WORDS] if " " in term), theme.terms[0])


def _swapped(channel: Channel) -> Channel:
    return replace(channel, mine=channel.theirs, theirs=channel.mine)
