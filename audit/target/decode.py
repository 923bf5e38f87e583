"""Decoding a batch of prompts so that no reply depends on its neighbours.

Every request has its own random numbers, fixed by its seed before decoding starts. What is left is rounding: a padded batch gives
logits that differ from a lone pass in the seventh digit. Where a choice is closer than that it is settled by a lone pass, so that a
reply is the same in any batch, in any order, at any concurrency. (In half precision rounding is too coarse for that.)
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from audit.target.cache import new_cache
from audit.target.memory import free_memory, is_out_of_memory

TIE = 1e-4
"""Two logits closer than this need a lone pass."""
EDGE = 1e-5
"""A random number that falls this close to the edge between two tokens' shares of probability needs a lone pass."""
_DROP_AT = 0.25
"""Finished rows are dropped from the batch when they make up this share of it; dropping copies the cache."""


@dataclass(frozen=True)
class Request:
    """One prompt to continue."""

    prompt_ids: tuple[int, ...]
    max_new: int
    seed: int = 0
    temperature: float = 0.0
    """0 is greedy."""
    top_p: float = 1.0
    top_k: int = 0
    """0 is no limit."""
    stop_text: Callable[[list[int]], bool] | None = None
    """Whether the output so far ends with one of the caller's stop strings."""


@dataclass(frozen=True)
class Reply:
    """The continuation of one prompt."""

    output_ids: tuple[int, ...]
    """Stop token included."""
    stopped: bool
    """It ended by itself, not by ``max_new``."""


Deliver = Callable[[int, Reply], None]


def decode(model: Any, requests: Sequence[Request], stop: Collection[int], deliver: Deliver) -> int:
    """Continues all requests and calls ``deliver(index, reply)`` for each as soon as it is finished.

    Halves the batch where memory runs out and returns how often it had to. Raises the out-of-memory error if one request alone
    does not fit.
    """
    delivered: set[int] = set()

    def deliver_once(index: int, reply: Reply) -> None:
        delivered.add(index)
        deliver(index, reply)

    try:
        with torch.inference_mode():
            _Batch(model, requests, stop, deliver_once).run()
        return 0
    except (RuntimeError, MemoryError) as error:
        left = [index for index in range(len(requests)) if index not in delivered]
        if not is_out_of_memory(error) or len(requests) == 1:
            raise
    # Outside the handler, where the traceback no longer holds the failed batch's tensors.
    free_memory()
    halvings = 1
    middle = (len(left) + 1) // 2
    for half in (left[:middle], left[middle:]):
        if half:
            halvings += decode(model, [requests[i] for i in half], stop, lambda i, reply, half=half: deliver(half[i], reply))  # type: ignore[misc]
    return halvings


class _Batch:
    """The state of one batch. ``rows[i]`` is the index of the request that row ``i`` of every tensor belongs to."""

    def __init__(self, model: Any, requests: Sequence[Request], stop: Collection[int], deliver: Deliver) -> None:
        self.model, self.requests, self.deliver = model, requests, deliver
        self.device = model.device
        self.stop = torch.tensor(sorted(stop), device=self.device)
        self.rows = list(range(len(requests)))
        self.outputs: list[list[int]] = [[] for _ in requests]
        self.finished: set[int] = set()
        self.steps = max(request.max_new for request in requests)
        self.width = max(len(request.prompt_ids) for request in requests)
        uniform = np.zeros((len(requests), self.steps))
        for row, request in zip(uniform, requests, strict=True):
            if request.temperature > 0:
                row[: request.max_new] = np.random.default_rng(request.seed).random(request.max_new)
        self.uniform = torch.from_numpy(uniform)
        self.sampler = Sampler(requests)
        self.exact = model.dtype in (torch.float32, torch.float64)
        self._pad()

    def _pad(self) -> None:
        lengths = torch.tensor([len(request.prompt_ids) for request in self.requests])
        self.input = torch.zeros(len(self.requests), self.width, dtype=torch.long)
        for row, request in zip(self.input, self.requests, strict=True):
            row[self.width - len(request.prompt_ids) :] = torch.tensor(request.prompt_ids)
        self.input = self.input.to(self.device)
        self.padding = (self.width - lengths).to(self.device)
        self.padded = bool((self.padding > 0).any())
        columns = torch.arange(self.width + self.steps, device=self.device)
        self.mask = (columns >= self.padding[:, None]).long()

    def run(self) -> None:
        cache = new_cache(self.model)
        tokens, seen = self.input, self.width
        for step in range(self.steps):
            logits = self._forward(tokens, cache, seen)
            chosen = self._choose(logits, step)
            finished = self._record(chosen.tolist(), torch.isin(chosen, self.stop.cpu()).tolist())
            if len(finished) == len(self.rows):
                return
            tokens = chosen.to(self.device)[:, None]
            if len(finished) >= _DROP_AT * len(self.rows):
                tokens = self._drop(finished, tokens, cache)
            seen += 1

    def _forward(self, tokens: torch.Tensor, cache: Any, seen: int) -> torch.Tensor:
        """Logits ``[B, V]`` of the next token, float32 on the CPU."""
        extra: dict[str, Any] = {}
        if self.padded:
            positions = torch.arange(seen - tokens.shape[1], seen, device=self.device) - self.padding[:, None]
            extra = {"attention_mask": self.mask[:, :seen], "position_ids": positions.clamp(min=0)}
        output = self.model(input_ids=tokens, past_key_values=cache, use_cache=True, logits_to_keep=1, **extra)
        logits: torch.Tensor = output.logits[:, -1].float().cpu()
        return logits

    def _choose(self, logits: torch.Tensor, step: int) -> torch.Tensor:
        chosen, doubtful = self.sampler.choose(logits, self.uniform[:, step], self.rows)
        if self.exact and bool(doubtful.any()):
            for row in doubtful.nonzero().flatten().tolist():
                if self.rows[row] not in self.finished:
                    chosen[row] = self._settle(self.rows[row], step, self.uniform[row, step])
        return chosen

    def _settle(self, index: int, step: int, uniform: torch.Tensor) -> torch.Tensor:
        """The choice of a lone pass over the whole sequence, which no neighbour can touch."""
        ids = [*self.requests[index].prompt_ids, *self.outputs[index]]
        logits = self.model(input_ids=torch.tensor([ids], device=self.device), use_cache=False, logits_to_keep=1).logits[:, -1]
        return self.sampler.choose(logits.float().cpu(), uniform[None], [index])[0][0]

    def _record(self, tokens: list[int], is_stop: list[bool]) -> list[int]:
        """Appends the new tokens, delivers the replies that are complete, and returns the rows that are finished."""
        for row, index in enumerate(self.rows):
            if index in self.finished:
                continue
            request, output = self.requests[index], self.outputs[index]
            output.append(tokens[row])
            stopped = is_stop[row] or (request.stop_text is not None and request.stop_text(output))
            if stopped or len(output) >= request.max_new:
                self.finished.add(index)
                self.deliver(index, Reply(tuple(output), stopped))
        return [row for row, index in enumerate(self.rows) if index in self.finished]

    def _drop(self, finished: list[int], tokens: torch.Tensor, cache: Any) -> torch.Tensor:
        gone = set(finished)
        keep = [row for row in range(len(self.rows)) if row not in gone]
        self.rows = [self.rows[row] for row in keep]
        index = torch.tensor(keep, device=self.device)
        self.padding, self.mask, self.uniform = self.padding[index], self.mask[index], self.uniform[index.cpu()]
        cache.batch_select_indices(index)
        return tokens[index]


class Sampler:
    """Chooses tokens for rows of different temperatures, ``top_p`` and ``top_k`` at once."""

    def __init__(self, requests: Sequence[Request]) -> None:
        self.temperature = torch.tensor([request.temperature for request in requests], dtype=torch.float64)
        self.top_p = torch.tensor([request.top_p for request in requests], dtype=torch.float64)
        self.top_k = [request.top_k for request in requests]

    def choose(self, logits: torch.Tensor, uniform: torch.Tensor, indices: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens ``[B]`` and which of them rounding could have changed ``[B]``, for logits ``[B, V]`` of the requests ``indices``.

        ``uniform`` ``[B]`` holds one random number for each row: a row takes the token in whose share of the cumulated
        probability (in the order of ids) its number falls.
        """
        temperature = self.temperature[list(indices)]
        best = logits.topk(2, dim=-1)
        chosen, doubtful = best.indices[:, 0].clone(), best.values[:, 0] - best.values[:, 1] < TIE
        sampling = (temperature > 0).nonzero().flatten()
        if len(sampling):
            rows = sampling.tolist()
            scaled = logits[sampling].double() / temperature[sampling, None]
            shares = self._filter(scaled.softmax(-1), [indices[row] for row in rows])
            chosen[sampling], doubtful[sampling] = _draw(shares, uniform[sampling])
        return chosen, doubtful

    def _filter(self, shares: torch.Tensor, indices: list[int]) -> torch.Tensor:
        for row, index in enumerate(indices):
            if 0 < self.top_k[index] < shares.shape[-1]:
                shares[row, shares[row].argsort(descending=True, stable=True)[self.top_k[index] :]] = 0
        top_p = self.top_p[indices]
        if bool((top_p < 1).any()):
            ordered, order = shares.sort(dim=-1, descending=True, stable=True)
            total = ordered.sum(-1, keepdim=True)
            beyond = ordered.cumsum(-1) - ordered >= top_p[:, None] * total
            shares = shares.masked_fill(torch.zeros_like(beyond).scatter(-1, order, beyond), 0)
        return shares


def _draw(shares: torch.Tensor, uniform: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    edges = shares.cumsum(-1)
    at = (uniform * edges[:, -1])[:, None]
    chosen = torch.searchsorted(edges, at, right=True).clamp(max=shares.shape[-1] - 1)
    upper = edges.gather(-1, chosen)
    lower = upper - shares.gather(-1, chosen)
    doubtful = torch.minimum(at - lower, upper - at) < EDGE * edges[:, -1:]
    return chosen[:, 0], doubtful[:, 0]
