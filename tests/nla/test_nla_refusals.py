"""What is wrong with an NLA is said in one sentence before anything is used: missing, damaged, swapped, foreign or pickled parts."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from audit.errors import AuditError, MissingExtra, RefusedInput
from audit.nla import load_pair
from audit.stages.preflight import check_nla

Change = Callable[[Path], object]


@pytest.fixture(scope="module")
def originals(write_pair: Callable[[str, str], Any]) -> dict[str, Path]:
    """One pair in each layout."""
    return {layout: write_pair("qwen2", layout).root for layout in ("full", "lora")}


@pytest.fixture
def altered(originals: dict[str, Path], tmp_path: Path) -> Callable[[str, Change], Path]:
    """Copies a pair and breaks it."""

    def alter(layout: str, change: Change) -> Path:
        folder = tmp_path / "pair"
        shutil.copytree(originals[layout], folder)
        change(folder)
        return folder

    return alter


def sidecars(*parts: str, **fields: Any) -> Change:
    """Sets fields (``section__key``) in the sidecars of some parts."""

    def change(folder: Path) -> None:
        for part in parts:
            file = folder / part / "nla_meta.yaml"
            content = yaml.safe_load(file.read_text(encoding="utf-8"))
            for name, value in fields.items():
                section, _, key = name.partition("__")
                if key:
                    content[section][key] = value
                else:
                    content[section] = value
            file.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")

    return change


def remove(path: str) -> Change:
    return lambda folder: (folder / path).unlink()


def rename(old: str, new: str) -> Change:
    return lambda folder: (folder / old).rename(folder / new)


def cut_off(path: str) -> Change:
    return lambda folder: (folder / path).write_bytes((folder / path).read_bytes()[:-100])


def tensors(path: str, change: Callable[[dict[str, torch.Tensor]], object]) -> Change:
    """Changes the tensors in a file."""

    def rewrite(folder: Path) -> None:
        content = load_file(folder / path)
        change(content)
        save_file(content, folder / path, metadata={"format": "pt"})

    return rewrite


def values(path: str, **fields: Any) -> Change:
    """Sets fields in a JSON file."""
    return lambda folder: (folder / path).write_text(json.dumps(json.loads((folder / path).read_text()) | fields))


def swap(folder: Path) -> None:
    (folder / "av").rename(folder / "other")
    (folder / "ar").rename(folder / "av")
    (folder / "other").rename(folder / "ar")


def ends_with_eos(folder: Path) -> None:
    from tokenizers import Tokenizer, processors

    file = str(folder / "ar" / "tokenizer.json")
    tokenizer = Tokenizer.from_file(file)
    ends = [("<|im_end|>", tokenizer.token_to_id("<|im_end|>"))]
    tokenizer.post_processor = processors.TemplateProcessing(single="$A <|im_end|>", special_tokens=ends)
    tokenizer.save(file)


def without_marker(folder: Path) -> None:
    file = folder / "av" / "tokenizer.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    content["added_tokens"] = [token for token in content["added_tokens"] if token["content"] != "\u320e"]
    file.write_text(json.dumps(content), encoding="utf-8")


def without_base(folder: Path) -> None:
    sidecars("av", extraction__base_model=None)(folder)
    values("av/adapter_config.json", base_model_name_or_path=None)(folder)


MODEL, HEAD = "model.safetensors", "value_head.safetensors"
QUERY = "model.layers.0.self_attn.q_proj.weight"
CASES: dict[str, tuple[str, Change, str]] = {
    "AV's tokenizer without the marker": ("full", without_marker, "encodes to"),
    "another marker token": ("full", sidecars("av", tokens__injection_token_id=5), "encodes to"),
    "another neighbour": ("full", sidecars("av", tokens__injection_right_neighbor_id=5), "Beside the injection site"),
    "AR's tokenizer ends otherwise": ("full", ends_with_eos, "prompt ends with tokens"),
    "layer beyond the AR": ("full", sidecars("av", "ar", extraction_layer_index=2), "has 2 blocks, but reading block 2 takes 3"),
    "AR of another layer": ("full", sidecars("ar", extraction_layer_index=2), "do not belong together"),
    "LoRA of another layer": ("lora", sidecars("av", "ar", extraction__layer_index=2), "was trained with 2 blocks"),
    "no layer": ("full", sidecars("av", "ar", extraction_layer_index=None), "which layer"),
    "no head": ("full", remove(f"ar/{HEAD}"), HEAD),
    "no LoRA head": ("lora", remove("ar/ar_lora_value_head.safetensors"), "config.json"),
    "swapped": ("full", swap, "swapped"),
    "swapped LoRA": ("lora", swap, "swapped"),
    "no sidecar of the AV": ("full", remove("av/nla_meta.yaml"), "nla_meta.yaml"),
    "no sidecar of the AR": ("full", remove("ar/nla_meta.yaml"), "nla_meta.yaml"),
    "scale zero": ("full", sidecars("av", extraction__injection_scale=0), "above zero"),
    "scale in words": ("full", sidecars("av", extraction__injection_scale="much"), "wrong kind"),
    "scale yes": ("full", sidecars("av", extraction__injection_scale=True), "above zero"),
    "scale too small": ("full", sidecars("av", extraction__injection_scale=1e-12), "does not change what the AV says"),
    "scale too large": ("full", sidecars("av", extraction__injection_scale=1e39), "not finite"),
    "width": ("full", sidecars("av", "ar", d_model=64), "width 64"),
    "template with another field": ("full", sidecars("av", prompt_templates__av="{injection_char} {depth_pct}"), "depth_pct"),
    "template without a place": ("full", sidecars("ar", prompt_templates__ar="Summary"), "no place for"),
    "tokens as a list": ("full", sidecars("av", tokens=[1, 2]), "wrong kind"),
    "all layers": ("full", sidecars("av", variant="universal"), "all layers"),
    "whitened": ("lora", sidecars("av", extraction__norm="whitened"), "whitened"),
    "AV cut off": ("full", cut_off(f"av/{MODEL}"), "damaged or cut off"),
    "AR cut off": ("full", cut_off(f"ar/{MODEL}"), "damaged or cut off"),
    "head cut off": ("full", cut_off(f"ar/{HEAD}"), "damaged or cut off"),
    "adapter cut off": ("lora", cut_off("av/adapter_model.safetensors"), "damaged or cut off"),
    "AV lacks a matrix": ("full", tensors(f"av/{MODEL}", lambda content: content.pop(QUERY)), "lacks 1 of its weights"),
    "AR lacks a matrix": ("full", tensors(f"ar/{MODEL}", lambda content: content.pop(QUERY)), "lacks 1 of its weights"),
    "AV not a number": ("full", tensors(f"av/{MODEL}", lambda content: content[QUERY].fill_(torch.nan)), "not finite"),
    "AR not a number": ("full", tensors(f"ar/{MODEL}", lambda content: content[QUERY].fill_(torch.nan)), "not finite"),
    "head not a number": ("full", tensors(f"ar/{HEAD}", lambda content: content["weight"].fill_(torch.inf)), "not finite"),
    "head of another width": ("full", tensors(f"ar/{HEAD}", lambda content: content.update(weight=torch.eye(8))), "width 32"),
    "pickled AV": ("full", rename(f"av/{MODEL}", "av/pytorch_model.bin"), "pickles"),
    "pickled AR": ("full", rename(f"ar/{MODEL}", "ar/pytorch_model.bin"), "pickles"),
    "pickled head": ("full", rename(f"ar/{HEAD}", "ar/value_head.pt"), "Convert it"),
    "pickled linear head": ("full", rename(f"ar/{HEAD}", "ar/linear_head.pt"), "linear_head.pt, a pickle"),
    "pickled adapter": ("lora", rename("av/adapter_model.safetensors", "av/adapter_model.bin"), "pickles"),
    "base gone": ("lora", values("av/adapter_config.json", base_model_name_or_path="/there/is/nothing"), "cannot be had"),
    "base unnamed": ("lora", without_base, "names its base"),
    "prompt tuning": ("lora", values("av/adapter_config.json", peft_type="PROMPT_TUNING"), "not LoRA"),
    "adapter of another rank": ("lora", values("av/adapter_config.json", r=5), "cannot be loaded"),
    "config is no JSON": ("lora", lambda folder: (folder / "ar/ar_meta.json").write_text("{"), "not valid JSON"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_is_wrong_is_said_in_one_sentence(name: str, altered: Callable[[str, Change], Path]) -> None:
    layout, change, expected = CASES[name]
    folder = altered(layout, change)
    before = sorted(folder.rglob("*"))
    with pytest.raises(RefusedInput) as refused:
        load_pair(str(folder), device="cpu")
    error = refused.value
    assert expected in str(error) and error.remedy and error.exit_code == 2
    assert error.message.count("\n") == 0 and len(error.message) < 500
    assert sorted(folder.rglob("*")) == before


def test_lora_pairs_name_the_extra_that_they_need(originals: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingExtra, match=r"pip install 'nla-audit\[train\]'"):
        load_pair(str(originals["lora"]), device="cpu")


@pytest.mark.parametrize("layout", ["full", "lora"])
def test_preflight_lets_each_format_pass_and_reads_no_weights(layout: str, originals: dict[str, Path], tiny_target: Any) -> None:
    assert check_nla(str(originals[layout]), "tiny", tiny_target.folder) == {"layer": 1, "d_model": 32}


@pytest.mark.parametrize("name", ["swapped LoRA", "pickled head", "base gone", "no head"])
def test_preflight_refuses_before_any_work(name: str, altered: Callable[[str, Change], Path], tiny_target: Any) -> None:
    layout, change, expected = CASES[name]
    with pytest.raises(AuditError, match=expected):
        check_nla(str(altered(layout, change)), "tiny", tiny_target.folder)


def test_one_sidecar_above_both_parts_is_enough(altered: Callable[[str, Change], Path]) -> None:
    def lift(folder: Path) -> None:
        (folder / "av" / "nla_meta.yaml").rename(folder / "nla_meta.yaml")
        (folder / "ar" / "nla_meta.yaml").unlink()

    assert load_pair(str(altered("lora", lift)), device="cpu").layer == 1
