"""A checkpoint of ours, read by a client that knows only the released format: the same texts, the same vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from audit.lab import weights_folder
from audit.nla import load_pair
from audit.nla.prompt import parse_explanation


class Client:
    """Follows the inference recipe of the released checkpoints step by step."""

    def __init__(self, av: Path, ar: Path) -> None:
        from safetensors.torch import load_file
        from transformers import AutoModel, AutoModelForCausalLM, PreTrainedTokenizerFast

        self.av_meta, self.ar_meta = (yaml.safe_load((part / "nla_meta.yaml").read_text(encoding="utf-8")) for part in (av, ar))
        self.av_tokenizer, self.ar_tokenizer = (PreTrainedTokenizerFast.from_pretrained(part) for part in (av, ar))
        self.av = AutoModelForCausalLM.from_pretrained(av, dtype=torch.float32).eval()
        self.ar = AutoModel.from_pretrained(ar, dtype=torch.float32).eval()
        self.ar.norm = torch.nn.Identity()
        self.head = load_file(ar / "value_head.safetensors")["weight"].float()

    def explain(self, vector: Any, count: int) -> str:
        tokens = self.av_meta["tokens"]
        content = self.av_meta["prompt_templates"]["av"].format(injection_char=tokens["injection_char"])
        ids = self.av_tokenizer.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=True, return_dict=False
        )
        site = ids.index(tokens["injection_token_id"])
        assert ids[site - 1] == tokens["injection_left_neighbor_id"] and ids[site + 1] == tokens["injection_right_neighbor_id"]
        rows = self.av.get_input_embeddings()(torch.tensor([ids])).detach()
        rows[0, site] = torch.tensor(vector) * (self.av_meta["extraction"]["injection_scale"] / float(np.linalg.norm(vector)))
        made = self.av.generate(
            inputs_embeds=rows, attention_mask=torch.ones(1, len(ids), dtype=torch.long), do_sample=False, max_new_tokens=count
        )
        return str(self.av_tokenizer.decode(made[0], skip_special_tokens=True))

    def reconstruct(self, text: str) -> Any:
        ids = self.ar_tokenizer(self.ar_meta["prompt_templates"]["ar"].format(explanation=text))["input_ids"]
        with torch.no_grad():
            return (self.ar(input_ids=torch.tensor([ids])).last_hidden_state[0, -1] @ self.head.T).numpy()


def test_another_client_says_and_reads_the_same() -> None:
    pair, client = load_pair("lab", device="cpu"), Client(weights_folder("av"), weights_folder("ar"))
    vectors = np.random.default_rng(3).normal(size=(3, pair.d_model)).astype(np.float32)
    texts = [row.text for row in pair.explain(vectors, max_tokens=24)]
    assert texts == [parse_explanation(client.explain(vector, 24))[0] for vector in vectors]
    assert len(set(texts)) > 1 and all(texts)
    for text, vector in zip(texts, pair.reconstruct(texts), strict=True):
        expected = client.reconstruct(text)
        assert np.abs(vector - expected).max() < 1e-5 * max(1.0, np.abs(expected).max())
