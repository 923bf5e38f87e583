"""Every format of an NLA, on four architectures, against computations by hand: embeddings, greedy text, AR output, padding, batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch

from audit.nla import NlaPair, load_pair
from audit.nla.prompt import parse_explanation

FAMILIES = ("qwen2", "qwen3", "llama", "gemma3", "gemma3-wrapped")
LAYOUTS = ("full", "uncut", "lora")
WIDTH, LAYER, TOKENS = 32, 1, 6
SCALES = {"full": 7.0, "uncut": WIDTH**0.5}
ALIKE = [f"- a letter about the report\n- {rest}" for rest in ("ends at one", "ends at one", "ends at two", "one", "numbers before noon")]
TEXTS = ["one", "a much longer text about the numbers before noon and the report", "three words here"]


@pytest.fixture(scope="module", params=[(family, layout) for family in FAMILIES for layout in LAYOUTS], ids="-".join)
def case(request: pytest.FixtureRequest, write_pair: Callable[[str, str], Any]) -> tuple[Any, str, NlaPair]:
    """A pair as written, its format, and the pair as loaded."""
    family, layout = request.param
    written = write_pair(family, layout)
    return written, layout, load_pair(str(written.root), d_model=WIDTH, layers=4, device="cpu")


def vectors(count: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(0).normal(size=(count, WIDTH), scale=3.0).astype(np.float32)


def off(made: Any, expected: Any) -> float:
    """Largest difference, as a share of the largest number (or of one, if all are smaller)."""
    return float(np.abs(made - expected).max() / max(1.0, np.abs(expected).max()))


def blocks_of(model: Any) -> Any:
    return next(module for name, module in model.named_modules() if name.endswith("layers") and "vision" not in name)


@contextmanager
def at_block(model: Any, block: int, act: Callable[[torch.Tensor], torch.Tensor | None]) -> Iterator[None]:
    """Shows a block's output to ``act``, and puts in its place what that returns."""

    def hook(module: Any, arguments: Any, output: Any) -> Any:
        hidden = output[0] if isinstance(output, tuple) else output
        changed = act(hidden)
        return output if changed is None else (changed, *output[1:]) if isinstance(output, tuple) else changed

    handle = blocks_of(model)[block].register_forward_hook(hook)
    yield
    handle.remove()


def prompt_by_hand(written: Any) -> tuple[list[int], int]:
    message = [{"role": "user", "content": "What does <concept>\u320e</concept> hold?"}]
    ids = written.tokenizer.apply_chat_template(message, add_generation_prompt=True, tokenize=True, return_dict=False)
    return ids, ids.index(written.tokenizer.encode("\u320e", add_special_tokens=False)[0])


def rows_by_hand(written: Any, ids: list[int]) -> torch.Tensor:
    """Input embeddings from the raw table."""
    table = written.av.get_input_embeddings().weight.detach()
    return table[ids] * (WIDTH**0.5 if "gemma" in written.family else 1.0)


def test_the_prompt_as_the_av_reads_it_is_as_computed_by_hand(case: tuple[Any, str, NlaPair]) -> None:
    written, layout, pair = case
    ids, site = prompt_by_hand(written)
    assert ids.count(ids[0]) == 1 or written.family.startswith("qwen"), "a doubled BOS"
    made = pair.av.prompt_embeddings(vectors(2))
    for vector, rows in zip(vectors(2), made, strict=True):
        expected = rows_by_hand(written, ids)
        if layout != "lora":
            expected[site] = torch.tensor(vector / np.linalg.norm(vector) * SCALES[layout])
        assert torch.allclose(rows, expected, atol=1e-5)
    assert (pair.layer, pair.av.sidecar.addition_block) == (LAYER, 1 if layout == "lora" else None)


def greedy_by_hand(written: Any, layout: str, vector: Any) -> list[int]:
    """One forward pass over everything for each token, no cache."""
    ids, site = prompt_by_hand(written)
    rows = rows_by_hand(written, ids)
    direction = torch.tensor(vector / np.linalg.norm(vector))

    def add(hidden: torch.Tensor) -> torch.Tensor:
        changed = hidden.clone()
        changed[0, site] += hidden[0, site].norm() * direction
        return changed

    if layout != "lora":
        rows[site] = direction * SCALES[layout]
    made: list[int] = []
    with torch.no_grad(), at_block(written.av, 1, add if layout == "lora" else lambda hidden: None):
        while len(made) < TOKENS:
            inputs = torch.cat([rows, rows_by_hand(written, made)])[None]
            token = int(written.av(inputs_embeds=inputs, use_cache=False).logits[0, -1].argmax())
            if token in pair_stops(written):
                break
            made.append(token)
    return made


def pair_stops(written: Any) -> set[int]:
    return {written.tokenizer.eos_token_id, 2}


def test_greedy_text_is_as_computed_by_hand_in_a_batch_and_alone(case: tuple[Any, str, NlaPair]) -> None:
    written, layout, pair = case
    said = pair.explain(vectors(10), max_tokens=TOKENS)
    for vector, row in zip(vectors(10), said, strict=True):
        ids = greedy_by_hand(written, layout, vector)
        assert (row.text, row.tokens) == (parse_explanation(written.tokenizer.decode(ids, skip_special_tokens=True))[0], len(ids))
    assert [pair.explain(vectors(10)[row : row + 1], max_tokens=TOKENS)[0] for row in range(10)] == said
    assert len({row.text for row in said}) > 1


def read_by_hand(written: Any, layout: str, hidden: torch.Tensor) -> torch.Tensor:
    if layout == "lora":
        hidden = hidden * (WIDTH**0.5 / hidden.norm())
    return hidden @ written.weight.T + (0 if written.bias is None else written.bias)


def ar_ids(written: Any, layout: str, text: str) -> list[int]:
    prompt = f"Summary: <text>{text}</text> <summary>"
    return list(written.tokenizer(prompt, add_special_tokens=layout != "lora")["input_ids"])


@pytest.mark.parametrize("texts", [TEXTS, ALIKE], ids=["unlike", "alike"])
def test_the_ars_vectors_are_as_computed_by_hand_in_a_batch_and_alone(case: tuple[Any, str, NlaPair], texts: list[str]) -> None:
    written, layout, pair = case
    made = pair.reconstruct(texts)
    for text, vector in zip(texts, made, strict=True):
        seen: list[torch.Tensor] = []
        ids = ar_ids(written, layout, text)
        assert (ids[0] == written.tokenizer.bos_token_id) == (layout != "lora" and not written.family.startswith("qwen"))
        with torch.no_grad(), at_block(written.ar, LAYER, lambda hidden, seen=seen: seen.append(hidden)):  # type: ignore[misc]
            written.ar(input_ids=torch.tensor([ids]))
        expected = read_by_hand(written, layout, seen[0][0, len(ids) - 1]).numpy()
        assert off(vector, expected) < 1e-5
        assert off(vector, pair.reconstruct([text])[0]) < 1e-5


def test_padding_on_either_side_changes_nothing(case: tuple[Any, str, NlaPair]) -> None:
    written, layout, pair = case
    rows = [ar_ids(written, layout, text) for text in TEXTS]
    width = max(map(len, rows))
    ids = torch.tensor([[0] * (width - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    seen: list[torch.Tensor] = []
    with torch.no_grad(), at_block(written.ar, LAYER, lambda hidden: seen.append(hidden)):  # type: ignore[func-returns-value]
        written.ar(input_ids=ids, attention_mask=mask, position_ids=(mask.cumsum(-1) - 1).clamp(min=0))
    padded_left = np.stack([read_by_hand(written, layout, row[-1]).numpy() for row in seen[0]])
    for side in ("left", "right"):
        pair.ar.tokenizer.padding_side = side
        assert off(pair.reconstruct(TEXTS), padded_left) < 1e-5


def test_a_long_explanation_loses_its_beginning_not_its_bos(case: tuple[Any, str, NlaPair]) -> None:
    written, layout, pair = case
    (row,) = pair.ar.encode(["first " + "word " * 400])
    whole = ar_ids(written, layout, "first " + "word " * 400)
    assert len(row) == 256 < len(whole) and row[1:] == whole[-255:]
    assert row[0] == (whole[0] if whole[0] == written.tokenizer.bos_token_id else whole[-256])
