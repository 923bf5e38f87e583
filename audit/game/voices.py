"""Talking to a model of the game: one call, one exchange, with its exact token ids; counted by the meter."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from audit.game.budget import Meter
from audit.game.tree import Exchange, Speaker
from audit.records import ModelCall

if TYPE_CHECKING:
    from inspect_ai.model import ChatMessage, Model, ModelOutput

    from audit.game.provider import AuditeeAPI

ResultT = TypeVar("ResultT")
REPLY_TOKENS = 160
"""Longest reply unless the caller says otherwise."""


class Voice:
    """One model that can be talked to."""

    def __init__(self, model: Model, meter: Meter, seed: int, counted: bool, reply_tokens: int = REPLY_TOKENS) -> None:
        self.model, self.meter, self.seed, self.reply_tokens = model, meter, seed, reply_tokens
        self.counted = counted
        """Whether its conversations count; those with the base twin do not."""

    @property
    def api(self) -> AuditeeAPI:
        """The provider behind it, with the weights."""
        api: Any = self.model.api
        return api  # type: ignore[no-any-return]

    async def reply(
        self,
        messages: Sequence[tuple[Speaker, str]],
        prefill: str = "",
        temperature: float = 0.0,
        max_tokens: int | None = None,
        attempt: int = 0,
        anew: bool = True,
    ) -> Exchange:
        """One reply, no longer than ``max_tokens`` and than this voice's replies may be.

        ``attempt`` tells repeated requests apart; ``anew``: it counts as a new conversation. Raises ``OverBudget`` before anything is
        asked. A prompt that fills the context gives an empty reply.
        """
        from inspect_ai.model import GenerateConfig

        most = min(max_tokens or self.reply_tokens, self.reply_tokens)
        given = chat_messages([*messages, ("assistant", prefill)] if prefill else messages)
        settings = GenerateConfig(temperature=temperature, max_tokens=most, seed=request_seed(self.seed, attempt))
        with self.meter.reserve(int(anew and self.counted), most) as reservation:
            output = await self.model.generate(given, config=settings)
            exchange = self._exchange(messages, prefill, temperature, given, output)
            reservation.settle(len(exchange.call.output_ids))
        return exchange

    def _exchange(
        self, messages: Sequence[tuple[Speaker, str]], prefill: str, temperature: float, given: list[ChatMessage], output: ModelOutput
    ) -> Exchange:
        from audit.target.render import ids_hash, render_ids

        nla = (output.metadata or {})["nla"]
        prompt = render_ids(self.api.target.tokenizer, given, date=nla.get("date"), options=nla.get("options"))
        assert ids_hash(prompt) == nla["prompt_sha"], "generation and reading share one renderer"
        call = ModelCall(0, "", None, tuple(prompt), tuple(nla["output_ids"]), (), output.completion, stop_reason=str(output.stop_reason))
        return Exchange(tuple(messages), prefill, output.completion, call, temperature)


async def together(jobs: Sequence[Callable[[], Awaitable[ResultT]]]) -> list[ResultT]:
    """The results of all jobs, in order, run at once. When all have ended, the first error of any is raised as it was."""
    import anyio

    results: dict[int, ResultT] = {}
    errors: dict[int, Exception] = {}

    async def run(number: int, job: Callable[[], Awaitable[ResultT]]) -> None:
        try:
            results[number] = await job()
        except Exception as error:  # raised again below, without the group that anyio would wrap it in
            errors[number] = error

    async with anyio.create_task_group() as tasks:
        for number, job in enumerate(jobs):
            tasks.start_soon(run, number, job)
    if errors:
        raise errors[min(errors)]
    return [results[number] for number in range(len(jobs))]


def chat_messages(messages: Sequence[tuple[Speaker, str]]) -> list[ChatMessage]:
    """Roles and texts as Inspect's messages."""
    from inspect_ai.model import ChatMessageAssistant, ChatMessageSystem, ChatMessageUser

    kinds = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}
    return [kinds[speaker](content=text) for speaker, text in messages]


def request_seed(seed: int, attempt: int) -> int:
    """The seed of a repeated request, in 31 bits."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{attempt}".encode()).digest()[:4], "little") >> 1
