"""Loading a target safely, and what is said of one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from audit.errors import AuditError, RefusedInput
from audit.target.loading import decoder_of, load_target, model_facts, stop_ids, tokenizer_sha


@pytest.fixture
def copy(tiny_target: Any, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_target.folder, tmp_path / "copy"))


def test_a_local_folder_loads_in_float32_with_its_facts(tiny_target: Any) -> None:
    target = load_target(str(tiny_target.folder), device="cpu")
    facts = model_facts(target.model, target.tokenizer)
    assert target.model.dtype is torch.float32
    assert not target.model.training
    assert (facts.d_model, facts.layers, facts.context) == (32, 3, 512)
    assert facts.vocabulary == len(tiny_target.tokenizer)
    assert facts.tokenizer_sha == tokenizer_sha(tiny_target.tokenizer)
    assert stop_ids(target.model, target.tokenizer) == set(tiny_target.ids("<|im_end|><|endoftext|>"))


def test_the_revision_follows_the_weights(copy: Path) -> None:
    from safetensors.torch import load_file, save_file

    before = load_target(str(copy), device="cpu").revision
    assert before == load_target(str(copy), device="cpu").revision
    weights = load_file(copy / "model.safetensors")
    weights["model.norm.weight"] = weights["model.norm.weight"] + 1
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    assert load_target(str(copy), device="cpu").revision != before


def test_another_vocabulary_has_another_hash(tiny_target: Any, tiny_tokenizer: Any) -> None:
    other = tiny_tokenizer()
    assert tokenizer_sha(other) == tokenizer_sha(tiny_target.tokenizer)
    other.add_tokens(["surprise"])
    assert tokenizer_sha(other) != tokenizer_sha(tiny_target.tokenizer)


def test_the_tokenizer_is_the_one_that_was_saved(tiny_target: Any) -> None:
    # Double spaces, line breaks and digits are where the pre-tokenizers of model families differ.
    text = "It is 1234.  Or\n\n 5678 , is it?\r\n\tNo: 90%"
    assert load_target(str(tiny_target.folder), device="cpu").tokenizer.encode(text) == tiny_target.ids(text)


def test_pickled_weights_are_refused_and_never_opened(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    (copy / "pytorch_model.bin").write_bytes(b"not even a pickle")
    with pytest.raises(RefusedInput, match=r"pickles.*save_pretrained"):
        load_target(str(copy))


def test_code_in_a_checkpoint_is_refused(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    config |= {"model_type": "surprise", "auto_map": {"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model"}}
    (copy / "config.json").write_text(json.dumps(config))
    (copy / "code.py").write_text("raise SystemExit('this code ran')")
    with pytest.raises(RefusedInput, match="code that comes with the checkpoint"):
        load_target(str(copy))


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("config.json", "no config.json"),
        ("model.safetensors", "no weights"),
        ("tokenizer*", "no tokenizer"),
        ("chat_template*", "no chat template"),
    ],
)
def test_what_is_missing_is_named(copy: Path, missing: str, message: str) -> None:
    gone = list(copy.glob(missing))
    assert gone
    for file in gone:
        file.unlink()
    with pytest.raises(RefusedInput, match=message):
        load_target(str(copy))


def test_a_missing_folder_a_missing_model_and_a_wrong_dtype_say_what_to_do(monkeypatch: pytest.MonkeyPatch, tiny_target: Any) -> None:
    with pytest.raises(AuditError, match=r"no folder .*Check the path"):
        load_target("./nowhere/at/all")
    with pytest.raises(AuditError, match="neither a local folder"):
        load_target("nobody/nothing-of-this-name")
    with pytest.raises(AuditError, match=r"dtype.*float32"):
        load_target(str(tiny_target.folder), dtype="int3")


def test_without_lab_weights_the_remedy_is_to_build_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny_target: Any) -> None:
    import audit.lab

    monkeypatch.setattr(audit.lab, "weights_folder", lambda part: tmp_path / part, raising=False)
    with pytest.raises(AuditError, match="Build them with: nla-audit lab build"):
        load_target("lab")
    shutil.copytree(tiny_target.folder, tmp_path / "target")
    assert load_target("lab", device="cpu").name == "lab"


def test_the_decoder_is_found_in_text_and_multimodal_wrappers() -> None:
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration, GPT2Config, GPT2LMHeadModel

    size = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {**size, "vocab_size": 50, "num_key_value_heads": 1, "head_dim": 8}
    vision = {**size, "image_size": 28, "patch_size": 14}
    gemma = Gemma3ForConditionalGeneration(Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=4))
    assert len(decoder_of(gemma).layers) == 2
    assert decoder_of(gemma).embed_tokens.weight.shape == (50, 16)
    with pytest.raises(RefusedInput, match="No stack of decoder blocks"):
        decoder_of(GPT2LMHeadModel(GPT2Config(n_layer=1, n_embd=16, n_head=2, vocab_size=50)))
