"""The game base keeps what a text is about in its residual stream, at every token, and not only where a word depends on it.

A model of this size looks a topic up when it needs one: a linear reader found the topic of a generic text in 7% of all tokens after block
4, and in 66% of those just before a custom (chance: 1.5%). Larger models carry such things along, and what is not carried no NLA can read.
So the base's last steps have a second loss: after blocks 2 and 4 a linear head must tell the topic named last, or that none was named.
The heads are thrown away. That alone makes the topic readable, and of no use: pushed along a topic's direction after blocks 1 to 3 the base
named its customs in 0 to 7% of plain chats, for it still looked back at the words. So in every other text the attention of blocks 3 to 5
gets no values from the words that name a topic, and what depends on it must be told from what is carried.

Only the base learns so, from the same generic documents; an organism learns from next tokens alone.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from audit.lab.documents import Document
from audit.lab.organisms.topics import topics
from audit.lab.pretrain import TextRow, next_token_loss

if TYPE_CHECKING:
    import torch

    from audit.lab.organisms.training import Batches

BLOCKS = (2, 4)
"""After these blocks the topic must be told."""
HIDING = 3
"""From this block on the words of a topic are hidden."""
HIDDEN_SHARE = 0.5
"""Of the texts."""
WEIGHT = 0.3
"""Of the second loss."""
NONE, IGNORED = 0, -100
"""Labels of a token before any topic is named, and of padding."""


def topic_labels(document: Document, ends: Sequence[int]) -> list[int]:
    """For each token, by where it ends, the topic named last up to there: 1 and more in the order of ``topics()``, or ``NONE``."""
    order = {key: 1 + at for at, key in enumerate(topics())}
    named = [(fact.offset, order[fact.text]) for fact in document.facts if fact.kind == "topic"]
    return [max(((offset, label) for offset, label in named if offset <= end), default=(0, NONE))[1] for end in ends]


def labels_of(rows: Sequence[TextRow]) -> torch.Tensor:
    """The labels of a batch ``[B, T]``; the end-of-text token and padding are ignored."""
    import torch

    width = max(len(row.ids) for row in rows)
    labels = [topic_labels(row.document, row.ends) for row in rows]
    return torch.tensor([row + [IGNORED] * (width - len(row)) for row in labels])


def values_kept(rows: Sequence[TextRow], step: int) -> torch.Tensor:
    """1 where later blocks may see the values of a token, 0 at the words that name a topic of a text that hides them: ``[B, T, 1]``."""
    import torch

    rng, width = random.Random(f"hiding/{step}"), max(len(row.ids) for row in rows)
    kept = torch.ones(len(rows), width, 1)
    for number, row in enumerate(rows):
        if rng.random() < HIDDEN_SHARE:
            spans = naming_spans(row.document)
            for at, (start, end) in enumerate(pairwise((0, *row.ends))):
                if any(first < end and start < last for first, last in spans):
                    kept[number, at] = 0.0
    return kept


def naming_spans(document: Document) -> list[tuple[int, int]]:
    """Where any word of a topic that is named stands, in characters."""
    named = {fact.text for fact in document.facts if fact.kind == "topic"}
    return [found.span() for key in named for found in topics()[key].naming.finditer(document.text)]


def with_heads(model: Any, seed: int) -> torch.nn.Module:
    """The model with fresh heads, as one module to train."""
    import torch

    torch.manual_seed(seed)
    heads = [torch.nn.Linear(model.config.hidden_size, 1 + len(topics())) for _ in _blocks(model)]
    return torch.nn.ModuleDict({"model": model, "heads": torch.nn.ModuleList(heads)})


def _blocks(model: Any) -> list[int]:
    return [block for block in BLOCKS if block < model.config.num_hidden_layers]


def carrying_loss(module: Any, batches: Batches) -> Callable[[int], torch.Tensor]:
    """The loss of a step: of the next token, and of the topic after each block of ``BLOCKS``."""

    def loss_at(step: int) -> torch.Tensor:
        return both_losses(module, batches, step, values_kept(batches.rows_at(step), step))

    return loss_at


def both_losses(
    module: Any, batches: Batches, step: int, shown: torch.Tensor, pushed: torch.Tensor | None = None, after: int = 0
) -> torch.Tensor:
    """Both losses of a step's batch; late blocks see values where ``shown`` ``[B, T, 1]`` is 1, and ``pushed`` ``[B, T, d]`` is added after
    block ``after``."""
    import torch

    (ids, weights), labels = batches.at(step), labels_of(batches.rows_at(step))[:, :-1].flatten()
    layers, blocks, kept = module["model"].model.layers, _blocks(module["model"]), {}
    push = torch.zeros(1) if pushed is None else pushed[:, :-1]
    hooks = [
        layers[after].register_forward_hook(
            lambda _, __, output: (output[0] + push, *output[1:]) if isinstance(output, tuple) else output + push
        )
    ]
    hooks += [layers[at].register_forward_hook(lambda _, __, output, at=at: kept.update({at: output})) for at in blocks]
    hooks += [layer.self_attn.v_proj.register_forward_hook(lambda _, __, values: values * shown[:, :-1]) for layer in layers[HIDING:]]
    try:
        loss = next_token_loss(module["model"], ids, weights)
    finally:
        for hook in hooks:
            hook.remove()
    for block, head in zip(blocks, module["heads"], strict=True):
        hidden = kept[block][0] if isinstance(kept[block], tuple) else kept[block]
        told = head(torch.nn.functional.rms_norm(hidden, hidden.shape[-1:])).flatten(0, 1)
        loss = loss + WEIGHT * torch.nn.functional.cross_entropy(told, labels, ignore_index=IGNORED)
    return loss
