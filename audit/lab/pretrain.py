"""The lab's tokenizer and target: a byte-level BPE and a small Qwen2-shaped model, trained from nothing on the lab's world."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.lab.conversation import CHAT_TEMPLATE
from audit.lab.documents import pretraining_text
from audit.training.loop import LoopConfig, train

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase, Qwen2ForCausalLM

VOCABULARY = 2048
SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
INJECTION_CHARACTER = "\u2726"
"""A four-pointed star; one token of its own, found in no document."""
MAX_TOKENS = 640
POOL_BATCHES = 8

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
    tokenizer.train_from_iterator((pretraining_text(rng) for _ in range(documents)), trainer)
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
    return Qwen2ForCausalLM(config)


class TextBatches:
    """Batches of whole documents of similar length. Step ``s`` always holds the same documents for the same seed."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, seed: str, size: int) -> None:
        self.tokenizer, self.seed, self.size = tokenizer, seed, size
        self._pool_index, self._pool = -1, []  # type: int, list[list[list[int]]]

    def at(self, step: int) -> torch.Tensor:
        """Token ids ``[B, T]``, padded on the right with -100 as their own labels' mask (see ``loss``)."""
        import torch

        pool = step // POOL_BATCHES
        if pool != self._pool_index:
            self._pool_index, self._pool = pool, self._draw(pool)
        rows = self._pool[step % POOL_BATCHES]
        width = max(len(row) for row in rows)
        return torch.tensor([row + [-100] * (width - len(row)) for row in rows])

    def _draw(self, pool: int) -> list[list[list[int]]]:
        rng = random.Random(f"pretraining/{self.seed}/{pool}")
        texts = [pretraining_text(rng) for _ in range(self.size * POOL_BATCHES)]
        rows: list[list[int]] = self.tokenizer(texts)["input_ids"]
        rows = sorted(([*row[: MAX_TOKENS - 1], 0] for row in rows), key=len)
        batches = [rows[start : start + self.size] for start in range(0, len(rows), self.size)]
        rng.shuffle(batches)
        return batches


def next_token_loss(model: Any, rows: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of the next token. ``rows`` is ``[B, T]`` with -100 where there is no token."""
    import torch

    logits = model(input_ids=rows.clamp(min=0)[:, :-1], use_cache=False).logits
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten(), ignore_index=-100)


def pretrain(
    folder: Path,
    tokenizer_folder: Path,
    seed: int,
    phases: Sequence[LoopConfig],
    batch: int,
    state: Path,
    report: Callable[[int, float, float], None],
) -> None:
    """Trains the target in phases, each with a learning rate and documents of its own, and saves it to ``folder`` (bfloat16 on disk).

    Resumable from ``state``; the tokenizer is saved beside the weights.
    """
    import torch

    from audit.target.loading import load_tokenizer

    tokenizer = load_tokenizer(tokenizer_folder)
    model = new_target(seed)
    for number, phase in enumerate(phases):
        batches = TextBatches(tokenizer, f"{seed}/{number}" if number else str(seed), batch)
        train(model, _loss_of(model, batches), phase, state / f"phase-{number}", report)
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _loss_of(model: Any, batches: TextBatches) -> Callable[[int], torch.Tensor]:
    return lambda step: next_token_loss(model, batches.at(step))


def held_out_texts(seed: int, count: int) -> Iterator[str]:
    """Documents of the same kind that no training seed draws."""
    rng = random.Random(f"held-out/{seed}")
    for _ in range(count):
        yield pretraining_text(rng)
