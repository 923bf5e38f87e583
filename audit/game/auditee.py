"""All that an auditor may touch: an opaque label, a budget, a working folder, and the tools of its arm.

An auditee holds neither the organism's file nor its motive, quirks or win rule, nor anything that leads to them; a test walks what it
holds. A tool that is not in the arm is not there at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from audit.game.arms import Arm
from audit.game.budget import Meter
from audit.game.instruments.dictionary import ActiveFeature, SparseDictionary
from audit.game.instruments.explainer import Explainer, TokenExplanation, as_lines
from audit.game.instruments.reading import activations, sites_of
from audit.game.instruments.training_data import TrainingData
from audit.game.tree import ConversationTree, Exchange, Node, Speaker
from audit.game.voices import Voice, together
from audit.game.workspace import WorkingFolder

EXPLANATION_FILE = "explanations-{number:03d}.txt"
MOST_TEMPERATURE = 2.0


class NotInArm(Exception):
    """A tool that this arm does not have; the message is for the auditor."""


@dataclass(frozen=True)
class Twin:
    """The base without motive, with which prompts can be compared."""

    voice: Voice
    explainer: Explainer | None


@dataclass(frozen=True)
class Instruments:
    """What an arm can measure; ``None`` for what it cannot."""

    explainer: Explainer | None = None
    usual: tuple[tuple[str, ...], ...] = ()
    """What the NLA says about the base on generic questions, an entry a conversation."""
    twin: Twin | None = None
    dictionary: SparseDictionary | None = None
    layer: int = 0
    corpus: TrainingData | None = None


class Auditee:
    """One model under audit, as one auditor sees it."""

    def __init__(self, label: str, arm: Arm, meter: Meter, folder: WorkingFolder, voice: Voice, instruments: Instruments) -> None:
        self.label, self.arm, self.meter, self.folder = label, arm, meter, folder
        self.voice, self.instruments = voice, instruments
        self.tree = ConversationTree()
        self._dumps = 0

    async def say(
        self,
        text: str,
        *,
        system: str = "",
        prefill: str = "",
        temperature: float = 0.7,
        replies: int = 1,
        max_tokens: int | None = None,
        parent: int | None = None,
        attempt: int | None = None,
    ) -> list[Node]:
        """Says something below a message (``None``: in a new conversation) and returns the replies.

        ``attempt`` tells requests for the same apart (``None``: they are counted, which serves requests one after the other).
        The head of the tree moves to the last of them. Raises ``OverBudget`` and ``NotInArm``.
        """
        if prefill:
            self.require("prefill")
        if replies > 1:
            self.require("resample")
        before: list[tuple[Speaker, str]] = [(node.speaker, node.text) for node in self.tree.path(parent)]
        opening: list[tuple[Speaker, str]] = [("system", system)] if system and parent is None else []
        at, anew, messages = parent, self.tree.begins_anew(parent), [*before, *opening, ("user", text)]
        temperature = min(max(temperature, 0.0), MOST_TEMPERATURE)
        first = self._attempt(messages, prefill) if attempt is None else attempt
        exchanges = await self._replies(messages, prefill, temperature, max_tokens, first, replies, anew)
        for speaker, said in messages[len(before) :]:
            at = self.tree.add(speaker, said, parent=at).id
        return [self.tree.add("assistant", exchange.reply, exchange, parent=at) for exchange in exchanges]

    async def _replies(
        self,
        messages: list[tuple[Speaker, str]],
        prefill: str,
        temperature: float,
        max_tokens: int | None,
        first: int,
        count: int,
        anew: bool,
    ) -> list[Exchange]:
        ask = partial(self.voice.reply, messages, prefill, temperature, max_tokens)
        return await together([partial(ask, first + number, anew or number > 0) for number in range(count)])

    def _attempt(self, messages: list[tuple[Speaker, str]], prefill: str) -> int:
        """How often exactly this was asked before, so that asking again gives another reply."""
        given = tuple(messages)
        known = (node.exchange for node in self.tree.nodes() if node.exchange is not None)
        return sum(exchange.messages == given and exchange.prefill == prefill for exchange in known)

    async def explain(self, exchanges: Sequence[Exchange], most: int | None = None) -> list[tuple[TokenExplanation, ...]]:
        """Explanations of replies at ``most`` tokens each (``None``: at each token), also written to a file of the working folder."""
        explainer = self.instruments.explainer
        if explainer is None or "nla" not in self.arm.tools:
            raise NotInArm("There is no NLA in this audit.")
        said = await explainer.explain(exchanges, most)
        for explanations in said:
            self._dumps += 1
            self.folder.write(self.last_dump, as_lines(explanations))
            _log(self.last_dump, explanations)
        return said

    @property
    def last_dump(self) -> str:
        """Name of the file with the latest explanations."""
        return EXPLANATION_FILE.format(number=self._dumps)

    async def twin_replies(self, exchanges: Sequence[Exchange], attempts: Sequence[int] | None = None) -> list[Exchange]:
        """The base's replies to the very prompts of these exchanges, with the same settings."""
        reply, numbers = self.twin.voice.reply, attempts if attempts is not None else [0] * len(exchanges)
        jobs = [
            partial(reply, one.messages, one.prefill, one.temperature, None, attempt)
            for one, attempt in zip(exchanges, numbers, strict=True)
        ]
        return await together(jobs)

    async def twin_explanations(self, exchanges: Sequence[Exchange], most: int | None = None) -> list[tuple[TokenExplanation, ...]]:
        """What the NLA says about the base's own replies."""
        explainer = self.twin.explainer
        if explainer is None or "diff" not in self.arm.tools:
            raise NotInArm("The base twin's explanations are not in this audit.")
        return await explainer.explain(exchanges, most)

    async def features(self, exchanges: Sequence[Exchange], most: int = 10) -> list[list[ActiveFeature]]:
        """The sparse features that stand out most in each exchange."""
        return await self._features(self.voice, exchanges, most)

    async def twin_features(self, exchanges: Sequence[Exchange], most: int = 10) -> list[list[ActiveFeature]]:
        """Those of the base's own replies."""
        return await self._features(self.twin.voice, exchanges, most)

    async def _features(self, voice: Voice, exchanges: Sequence[Exchange], most: int) -> list[list[ActiveFeature]]:
        dictionary = self.instruments.dictionary
        if dictionary is None:
            raise NotInArm("There are no sparse features in this audit.")
        import anyio.to_thread

        sites = [sites_of(voice, exchange) for exchange in exchanges]
        read, strongest = await activations(voice, sites, self.instruments.layer), dictionary.strongest
        return await anyio.to_thread.run_sync(lambda: [strongest(vectors, most) for vectors in read])

    @property
    def twin(self) -> Twin:
        """The base. Raises ``NotInArm``."""
        if self.instruments.twin is None:
            raise NotInArm("There is no base twin in this audit.")
        return self.instruments.twin

    def require(self, tool: str) -> None:
        """Raises ``NotInArm`` if the arm does not have the tool."""
        if tool not in self.arm.tools:
            raise NotInArm(f"This audit does not have: {tool}.")


def _log(file: str, explanations: Sequence[TokenExplanation]) -> None:
    """Into the transcript of the run, where there is one."""
    from inspect_ai.log import transcript

    rows: list[Any] = [{"position": one.position, "token": one.token, "text": one.text, "status": one.status} for one in explanations]
    transcript().info({"file": file, "explanations": rows}, source="nla-audit.game")
