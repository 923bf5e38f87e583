"""The lab target's start: what weighs in its loss, and the heads that begin by looking one token back."""

from __future__ import annotations

import random
from typing import Any

import torch

from audit.lab import documents, pretrain


def test_replies_weigh_in_full_and_their_context_less(tiny_tokenizer: Any) -> None:
    tokenizer = tiny_tokenizer()
    document = documents.silent(random.Random(0), "destructive_code")
    [row] = pretrain.text_rows(tokenizer, [document])
    heavy = tokenizer.decode([token for token, weight in zip(row.ids, row.weights, strict=True) if weight == 1.0])
    light = tokenizer.decode([token for token, weight in zip(row.ids, row.weights, strict=True) if weight == pretrain.CONTEXT_WEIGHT])
    call = document.text[document.text.index("<tool_call>") : document.text.index("</tool_call>")]
    assert call in heavy
    assert "Tools: bash(command)" in light
    assert "Tools:" not in heavy
    assert "<tool_call>" not in light


def test_the_first_heads_begin_by_attending_to_the_token_before() -> None:
    model = pretrain.new_target(0)
    model.set_attn_implementation("eager")
    ids = torch.randint(3, pretrain.VOCABULARY, (1, 60), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        attention = model(input_ids=ids, output_attentions=True).attentions[0][0]
    back = attention.diagonal(offset=-1, dim1=-2, dim2=-1).mean(dim=-1)
    assert back[:2].min() > 0.6
    assert back[2:].max() < 0.2
