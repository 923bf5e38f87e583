"""The game base keeps what a text is about in its residual stream, at every token, and not only where a word depends on it.

A model of this size looks a topic up when it needs one: a linear reader found the topic of a generic text in 7% of all tokens after block
4, and in 66% of those just before a custom (chance: 1.5%). Larger models carry such things along, and what is not carried no NLA can read.
So the base's last steps have a second loss: after blocks 2 and 4 a linear head must tell the topic named last, or that none was named.
The heads are thrown away. Only the base learns so, from the same generic documents; an organism learns from next tokens alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from audit.lab.documents import Document
from audit.lab.organisms.topics import topics
from audit.lab.pretrain import TextRow, next_token_loss

if TYPE_CHECKING:
    import torch

    from audit.lab.organisms.training import Batches

BLOCKS = (2, 4)
"""After these blocks the topic must be told."""
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
    import torch

    def loss_at(step: int) -> torch.Tensor:
        ids, weights = batches.at(step)
        labels, kept = labels_of(batches.rows_at(step))[:, :-1].flatten(), {}
        hooks = [
            module["model"].model.layers[block].register_forward_hook(lambda _, __, output, block=block: kept.update({block: output}))
            for block in _blocks(module["model"])
        ]
        try:
            loss = next_token_loss(module["model"], ids, weights)
        finally:
            for hook in hooks:
                hook.remove()
        for block, head in zip(_blocks(module["model"]), module["heads"], strict=True):
            hidden = kept[block][0] if isinstance(kept[block], tuple) else kept[block]
            told = head(torch.nn.functional.rms_norm(hidden, hidden.shape[-1:])).flatten(0, 1)
            loss = loss + WEIGHT * torch.nn.functional.cross_entropy(told, labels, ignore_index=IGNORED)
        return loss

    return loss_at
