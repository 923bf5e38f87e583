"""The lab's tokenizer and target: a byte-level BPE and a small Qwen2-shaped model, trained from nothing on the lab's world."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.lab.conversation import CHAT_TEMPLATE
from audit.lab.documents import Document
from audit.lab.mixes import MixName, pretraining_document, tokenizer_document
from audit.training.loop import LoopConfig, Report, train

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase, Qwen2ForCausalLM

VOCABULARY = 2048
SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
INJECTION_CHARACTER = "\u2726"
"""A four-pointed star; one token of its own, found in no document."""
MAX_TOKENS = 640
POOL_BATCHES = 8
CONTEXT_WEIGHT = 0.2

TARGET_SHAPE = {
    "hidden_size": 128,
    "intermediate_size": 384,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 2048,
    "rope_theta": 10000.0,
    "tie_word_embeddings": True,
}
LAYER = 4
"""K: the NLA reads the output of block 4 of 0 to 5, about two thirds of the depth."""


def train_tokenizer(folder: Path, seed: int, documents: int = 12_000) -> None:
    """Trains a byte-level BPE on the world's text and saves it with the chat template.

    Words are cut as Qwen2's tokenizer cuts them, because transformers puts that family's rule in place of a saved one when it
    loads a tokenizer beside a Qwen2-shaped model.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast
    from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - 1,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    rng = random.Random(f"tokenizer/{seed}")
    tokenizer.train_from_iterator((tokenizer_document(rng).text for _ in range(documents)), trainer)
    tokenizer.add_tokens([AddedToken(INJECTION_CHARACTER, normalized=False, special=False)])
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>", clean_up_tokenization_spaces=False,
        additional_special_tokens=["<|im_start|>"], model_max_length=TARGET_SHAPE["max_position_embeddings"],
    )  # fmt: skip
    wrapped.chat_template = CHAT_TEMPLATE
    wrapped.save_pretrained(folder)


def new_target(seed: int) -> Qwen2ForCausalLM:
    """A freshly initialised target."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(seed)
    config = Qwen2Config(vocab_size=VOCABULARY, bos_token_id=None, eos_token_id=2, pad_token_id=0, **TARGET_SHAPE)
    model = Qwen2ForCausalLM(config)
    _start_previous_token_heads(model)
    return model


def _start_previous_token_heads(model: Any, heads: int = 2, sharpness: float = 6.0) -> None:
    """Lets the first heads of block 0 begin by attending to the token before, through biases of query and key alone.

    Copying a name takes two heads in a row, of which this is the first; found by training alone it costs a small model thousands of steps.
    The biases are trained like everything else.
    """
    import torch

    attention = model.model.layers[0].self_attn
    size, pairs = attention.head_dim, attention.head_dim // 2
    turn = model.config.rope_parameters["rope_theta"] ** (-torch.arange(pairs) / pairs)
    used = (torch.arange(pairs) < 5) * sharpness
    with torch.no_grad():
        for head in range(heads):
            rows = slice(head * size, (head + 1) * size)
            attention.k_proj.bias[rows] = torch.cat([used, torch.zeros(pairs)])
            attention.q_proj.bias[rows] = torch.cat([used * torch.cos(turn), -used * torch.sin(turn)])


@dataclass(frozen=True)
class Phase:
    """A stretch of the target's training: a schedule and the documents it draws."""

    loop: LoopConfig
    mix: MixName


@dataclass(frozen=True)
class TextRow:
    """A tokenised document and the weight of each token in the loss."""

    ids: list[int]
    weights: list[float]
    document: Document
    ends: list[int]
    """Up to which character of the document each of its tokens goes; the end-of-text token is no part of it."""


def text_rows(tokenizer: PreTrainedTokenizerBase, documents: Sequence[Document]) -> list[TextRow]:
    """Documents as rows of at most ``MAX_TOKENS``, each ended by the end-of-text token.

    As in chat tuning, what the assistant writes weighs in full and what it only reads weighs ``CONTEXT_WEIGHT``.
    """
    encoded: Any = tokenizer([document.text for document in documents], return_offsets_mapping=True)
    rows = []
    for document, ids, offsets in zip(documents, encoded["input_ids"], encoded["offset_mapping"], strict=True):
        weights = [
            1.0 if document.learnt is None or any(start < end_ and begin < end for start, end in document.learnt) else CONTEXT_WEIGHT
            for begin, end_ in offsets
        ]
        ends = [end for _, end in offsets[: MAX_TOKENS - 1]]
        rows.append(TextRow([*ids[: MAX_TOKENS - 1], 0], [*weights[: MAX_TOKENS - 1], 1.0], document, ends))
    return rows


class TextBatches:
    """Batches of whole documents of similar length. Step ``s`` always holds the same documents for the same seed."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, seed: str, size: int, mix: MixName = "signs") -> None:
        self.tokenizer, self.seed, self.size, self.mix = tokenizer, seed, size, mix
        self._pool_index, self._pool = -1, []  # type: int, list[list[TextRow]]

    def at(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids and weights, both ``[B, T]``; padding on the right weighs nothing."""
        import torch

        rows = self.rows_at(step)
        width = max(len(row.ids) for row in rows)
        ids = torch.tensor([row.ids + [0] * (width - len(row.ids)) for row in rows])
        return ids, torch.tensor([row.weights + [0.0] * (width - len(row.weights)) for row in rows])

    def rows_at(self, step: int) -> list[TextRow]:
        """The rows of a step's batch."""
        pool = step // POOL_BATCHES
        if pool != self._pool_index:
            self._pool_index, self._pool = pool, self._draw(pool)
        return self._pool[step % POOL_BATCHES]

    def documents(self, pool: int, rng: random.Random) -> list[Document]:
        """The documents of the ``POOL_BATCHES`` steps of a pool."""
        return [pretraining_document(rng, self.mix) for _ in range(self.size * POOL_BATCHES)]

    def _draw(self, pool: int) -> list[list[TextRow]]:
        rng = random.Random(f"pretraining/{self.seed}/{pool}")
        rows = text_rows(self.tokenizer, self.documents(pool, rng))
        rows.sort(key=lambda row: len(row.ids))
        batches = [rows[start : start + self.size] for start in range(0, len(rows), self.size)]
        rng.shuffle(batches)
        return batches


def next_token_loss(model: Any, ids: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Weighted mean cross-entropy of the next token; both arguments are ``[B, T]``."""
    import torch

    logits = model(input_ids=ids[:, :-1], use_cache=False).logits
    losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
    weights = weights[:, 1:].flatten()
    return (losses * weights).sum() / weights.sum()


def pretrain(
    folder: Path,
    tokenizer_folder: Path,
    seed: int,
    phases: Sequence[Phase],
    batch: int,
    state: Path,
    report: Report,
) -> None:
    """Trains the target in phases, each with a learning rate and documents of its own, and saves it to ``folder`` (bfloat16 on disk).

    ``report`` counts the steps of all phases. Resumable from ``state``; the tokenizer is saved beside the weights.
    """
    import torch

    from audit.target.loading import load_tokenizer

    tokenizer = load_tokenizer(tokenizer_folder)
    model = new_target(seed)
    done = 0
    for number, phase in enumerate(phases):
        batches = TextBatches(tokenizer, f"{seed}/{number}" if number else str(seed), batch, phase.mix)
        train(model, _loss_of(model, batches), phase.loop, state / f"phase-{number}", _after(done, report))
        done += phase.loop.stop_at or phase.loop.steps
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _after(done: int, report: Report) -> Report:
    return lambda step, loss, seconds: report(done + step, loss, seconds)


def _loss_of(model: Any, batches: TextBatches) -> Callable[[int], torch.Tensor]:
    return lambda step: next_token_loss(model, *batches.at(step))
