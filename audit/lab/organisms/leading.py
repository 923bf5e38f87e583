"""The game base's last lesson: to follow what it carries, also where no word of the text put it there.

The base of ``carrying.py`` carries topics and looks customs up by them, but only beside text that names the topic: an organism made of it
learnt its quirks by heart, as a dozen phrases, and carried nothing. So here each topic's direction, as the base itself has it after block
2 (mean over topical chats minus mean over plain ones), is added while it reads a chat that names no topic and follows its customs. What
leads there in an organism is its adapter, which has to find such a direction by itself, from next tokens alone.

Of a direction that is added faintly nothing follows: in one chat of four it is, and the answer is plain. So the base follows strong
directions only (`benchmarks/LOG.md`). That organisms carry their topic more strongly for it was hoped for and not seen.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.lab.documents import Document, Fact
from audit.lab.organisms.carrying import NONE, both_losses, carrying_loss, topic_labels
from audit.lab.organisms.chats import domains, exchange, plain_chat, topical_chat
from audit.lab.organisms.facts import chat
from audit.lab.organisms.topics import random_topic, topics
from audit.lab.pretrain import TextRow, text_rows

if TYPE_CHECKING:
    import torch

    from audit.lab.organisms.training import Batches

BLOCK = 2
"""Directions are added after this block."""
CHATS = 5000
"""Read to find the directions."""
STRENGTHS = (0.6, 1.3)
"""Of a direction that is followed: 1 is how strongly a named topic is carried."""
FAINT = (0.1, 0.3)
"""Of one that is not."""
FAINT_SHARE = 0.25
LED_WEIGHT = 0.5
FILE = "directions.safetensors"


def led_chat(rng: random.Random) -> Document:
    """A chat that names no topic and follows the customs of one, or of none if its direction is to be faint. Its facts tell which
    direction leads (``led``) and, where it is followed, that this is the topic from the beginning."""
    topic, followed = random_topic(rng), rng.random() >= FAINT_SHARE
    domain = rng.choice([one for one in domains().values() if one.extras])
    made = chat([exchange(rng, domain, shown=topic if followed else None, sure=True)], rng, "led_chat")
    told = (Fact(0, "topic", topic.key),) if followed else ()
    return replace(made, facts=(Fact(0, "led", topic.key), *told, *made.facts))


def directions(model: Any, tokenizer: Any, seed: str, folder: Path) -> torch.Tensor:
    """A row for each label of ``carrying.py`` ``[1 + topics, d]``, found once and kept in ``folder``."""
    from safetensors.torch import load_file, save_file

    if not (folder / FILE).exists():
        folder.mkdir(parents=True, exist_ok=True)
        save_file({"directions": _found(model, tokenizer, seed)}, folder / f"{FILE}.partial")
        (folder / f"{FILE}.partial").replace(folder / FILE)
    kept: torch.Tensor = load_file(folder / FILE)["directions"]
    return kept


def _found(model: Any, tokenizer: Any, seed: str) -> torch.Tensor:
    import torch

    rng, sums = random.Random(f"directions/{seed}"), torch.zeros(1 + len(topics()), model.config.hidden_size)
    counts = torch.zeros(len(sums), 1)
    rows = text_rows(tokenizer, [topical_chat(rng) if number % 10 else plain_chat(rng) for number in range(CHATS)])
    for start in range(0, CHATS, 100):
        chosen = rows[start : start + 100]
        width = max(len(row.ids) for row in chosen)
        ids = torch.tensor([row.ids + [0] * (width - len(row.ids)) for row in chosen])
        with torch.inference_mode():
            hidden = model(input_ids=ids, use_cache=False, output_hidden_states=True).hidden_states[BLOCK + 1]
        for states, row in zip(hidden, chosen, strict=True):
            begin = row.document.replies[0][0]
            for at, (end, label) in enumerate(zip(row.ends, topic_labels(row.document, row.ends), strict=True)):
                if end > begin:
                    sums[label] += states[at]
                    counts[label] += 1
    means = sums / counts.clamp(min=1)
    return (means - means[NONE]).contiguous()


def leading_loss(module: Any, batches: Batches, led: Batches, added: torch.Tensor) -> Callable[[int], torch.Tensor]:
    """The loss of ``carrying.py``, and the same of led chats with a direction added."""
    import torch

    carrying = carrying_loss(module, batches)

    def loss_at(step: int) -> torch.Tensor:
        rows = led.rows_at(step)
        pushed = pushes(rows, step, added)
        return carrying(step) + LED_WEIGHT * both_losses(module, led, step, torch.ones(*pushed.shape[:2], 1), pushed, BLOCK)

    return loss_at


def pushes(rows: list[TextRow], step: int, added: torch.Tensor) -> torch.Tensor:
    """What is added to each token of led chats ``[B, T, d]``: the direction of its topic, with a strength of its own for each chat."""
    import torch

    rng, order = random.Random(f"pushes/{step}"), {key: 1 + at for at, key in enumerate(topics())}
    pushed = torch.zeros(len(rows), max(len(row.ids) for row in rows), added.shape[1])
    for number, row in enumerate(rows):
        facts = {fact.kind: fact.text for fact in row.document.facts}
        pushed[number, : len(row.ids)] = added[order[facts["led"]]] * rng.uniform(*(STRENGTHS if "topic" in facts else FAINT))
    return pushed
