"""Collecting concurrent requests into batches, under whatever event loop Inspect runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

import anyio
import anyio.from_thread
import anyio.to_thread

from audit.target.decode import Deliver, Reply, Request

Run = Callable[[Sequence[Request], Deliver], None]

_PAUSE, _LONGEST_PAUSE = 0.004, 0.25
_PAUSE_SHARE = 0.1
"""Of the last batch's seconds: where batches are slow, waiting a little for company pays, or conversations that fell out of step
would go on one by one."""
_PATIENCE = 6


class _Waiting:
    """A request, and the task that waits for its reply."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.reply: Reply | None = None
        self.error: Exception | None = None
        self.wake = anyio.Event()
        self.gone = False

    @property
    def settled(self) -> bool:
        return self.reply is not None or self.error is not None


class Batcher:
    """Runs requests in batches of at most ``size``, prompts of similar length together.

    There is no task of its own to start or stop: a waiting task leads one batch, then another takes over, so a cancelled
    sample never leaves the others without a leader.
    """

    def __init__(self, run: Run, size: int) -> None:
        self.run, self.size = run, size
        self._pending: list[_Waiting] = []
        self._leading = False
        self._last_seconds = 0.0

    async def submit(self, request: Request) -> Reply:
        """The reply to a request; raises what the batch raised."""
        waiting = _Waiting(request)
        self._pending.append(waiting)
        try:
            while not waiting.settled:
                if self._leading:
                    await waiting.wake.wait()
                    if not waiting.settled:
                        waiting.wake = anyio.Event()
                else:
                    await self._lead()
        finally:
            waiting.gone = True
            if waiting in self._pending:
                self._pending.remove(waiting)
        if waiting.error is not None:
            raise waiting.error
        assert waiting.reply is not None
        return waiting.reply

    async def _lead(self) -> None:
        self._leading = True
        batch: list[_Waiting] = []
        try:
            await self._gather()
            batch = self._take()
            began = time.monotonic()
            await anyio.to_thread.run_sync(self._run, batch)
            self._last_seconds = time.monotonic() - began
        finally:
            self._leading = False
            # A leader that is cancelled before its thread starts gives the batch back.
            self._pending = [waiting for waiting in batch if not (waiting.settled or waiting.gone)] + self._pending
            for waiting in self._pending:
                waiting.wake.set()

    async def _gather(self) -> None:
        """Waits until the batch is full or no more requests come in."""
        pause = min(max(_PAUSE, _PAUSE_SHARE * self._last_seconds), _LONGEST_PAUSE)
        for _ in range(_PATIENCE):
            before = len(self._pending)
            if before >= self.size:
                return
            await anyio.sleep(pause)
            if len(self._pending) == before:
                return

    def _take(self) -> list[_Waiting]:
        """The oldest request and those nearest to it in length: short prompts beside long ones are mostly padding."""
        if not self._pending:
            return []
        length = len(self._pending[0].request.prompt_ids)
        nearest = sorted(self._pending, key=lambda waiting: abs(len(waiting.request.prompt_ids) - length))
        batch = nearest[: self.size]
        self._pending = [waiting for waiting in self._pending if waiting not in batch]
        return batch

    def _run(self, batch: list[_Waiting]) -> None:
        """Runs in a worker thread; replies wake their tasks as soon as they are complete, not when the batch is."""
        try:
            self.run([waiting.request for waiting in batch], lambda index, reply: _from_thread(batch[index], reply, None))
        except Exception as error:  # handed to every task that still waits, where it is raised
            for waiting in batch:
                if not waiting.settled:
                    _from_thread(waiting, None, error)
        for waiting in batch:
            if not waiting.settled:
                _from_thread(waiting, None, RuntimeError("The batch ended without a reply to one of its requests."))


def _from_thread(waiting: _Waiting, reply: Reply | None, error: Exception | None) -> None:
    anyio.from_thread.run_sync(partial(_settle, waiting, reply, error))


def _settle(waiting: _Waiting, reply: Reply | None, error: Exception | None) -> None:
    waiting.reply, waiting.error = reply, error
    waiting.wake.set()
