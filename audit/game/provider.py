"""The Inspect provider ``nla-auditee``: a target in memory under an opaque label, so that no log tells an auditor where it came from."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from inspect_ai.model import Model, get_model, modelapi

from audit.target.decode import Reply, Request
from audit.target.loading import LoadedTarget
from audit.target.provider import NlaTargetAPI
from audit.target.steered import Steering

if TYPE_CHECKING:
    from inspect_ai.model import ModelAPI

PROVIDER = "nla-auditee"
BATCH = 64
"""Requests decoded at once: an audit asks a hundred questions, and ten audits run together."""


class AuditeeAPI(NlaTargetAPI):
    """As ``nla-target``; a reply depends on its prompt and the seed that is asked for, not on task, arm, or order.

    Two arms that ask the same with the same seed thereby get the same reply, so that they differ by their tools alone. What was asked
    before is not decoded again: arms share most of their conversations, and organisms those with their base twin.
    """

    def _set_up(self, batch: int, steering: Steering | None) -> None:
        super()._set_up(batch, steering)
        self._known: dict[Request, Reply] = {}

    async def _reply(self, request: Request) -> Reply:
        if request.stop_text is not None:
            return await super()._reply(request)
        if request not in self._known:
            self._known[request] = await super()._reply(request)
        return self._known[request]

    def _seed(self, seed: int | None, sha: str) -> int:
        return int.from_bytes(hashlib.sha256(f"{seed or 0}/{sha}".encode()).digest()[:8], "little")

    @contextmanager
    def alone(self) -> Iterator[LoadedTarget]:
        """The target while nothing else uses it: what reads activations hooks into the very modules that generate."""
        lock: threading.Lock = self._one_at_a_time
        with lock:
            yield self.target


@modelapi(name=PROVIDER)
def nla_auditee() -> type[ModelAPI]:
    """Auditees of a game, made in memory."""
    return AuditeeAPI


def auditee_model(label: str, target: LoadedTarget, **arguments: Any) -> Model:
    """A target under a label, as Inspect talks to it."""
    return get_model(f"{PROVIDER}/{label}", memoize=False, loaded=target, **{"batch_size": BATCH} | arguments)
