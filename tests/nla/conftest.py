"""Tiny random NLAs of four architectures, written to disk in the formats that are in use, with what is needed to compute by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

WIDTH, BLOCKS, LAYER, SCALE = 32, 4, 1, 7.0
MARK = "\u320e"
AV_TEMPLATE = "What does <concept>{injection_char}</concept> hold?"
AR_TEMPLATE = "Summary: <text>{explanation}</text> <summary>"
RANK, ALPHA = 2, 6
FAMILIES = ("qwen2", "qwen3", "llama", "gemma3", "gemma3-wrapped")
WITH_BOS = ("llama", "gemma3", "gemma3-wrapped")


@dataclass
class Written:
    """A pair on disk, and its parts as they were before they were written."""

    root: Path
    family: str
    tokenizer: Any
    av: Any
    """The AV whole, LoRA merged by hand."""
    ar: Any
    """The AR's model uncut, LoRA merged by hand."""
    weight: torch.Tensor
    bias: torch.Tensor | None = None

    @property
    def embedding_scale(self) -> float:
        return WIDTH**0.5 if "gemma" in self.family else 1.0


def blocks_of(model: Any) -> Any:
    """The text blocks of a model."""
    return next(module for name, module in model.named_modules() if name.endswith("layers") and "vision" not in name)


def build(family: str, vocabulary: int, seed: int) -> Any:
    """A random model with four blocks, whose logits are distinct and whose final norm is not neutral."""
    import transformers

    torch.manual_seed(seed)
    shape = {
        "vocab_size": vocabulary, "hidden_size": WIDTH, "intermediate_size": 48, "num_hidden_layers": BLOCKS, "num_attention_heads": 4,
        "num_key_value_heads": 2, "max_position_embeddings": 256, "initializer_range": 0.3, "bos_token_id": None, "eos_token_id": 2,
        "pad_token_id": 0,
    }  # fmt: skip
    gemma = {"head_dim": 8, "sliding_window": 12, "layer_types": ["sliding_attention", "full_attention"] * 2, "query_pre_attn_scalar": 8}
    vision = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 28,
        "patch_size": 14,
    }
    if family == "gemma3-wrapped":
        config = transformers.Gemma3Config(text_config={**shape, **gemma}, vision_config=vision, mm_tokens_per_image=4)
        model = transformers.Gemma3ForConditionalGeneration(config).eval()
    elif family == "gemma3":
        model = transformers.Gemma3ForCausalLM(transformers.Gemma3TextConfig(**shape, **gemma)).eval()
    else:
        prefix = {"qwen2": "Qwen2", "qwen3": "Qwen3", "llama": "Llama"}[family]
        extra = {"head_dim": 8} if family == "qwen3" else {}
        config = getattr(transformers, f"{prefix}Config")(**shape, **extra)
        model = getattr(transformers, f"{prefix}ForCausalLM")(config).eval()
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1:
            # Wide norms of queries and keys let distant tokens look at the injection site.
            parameter.data.normal_(2.0 if "q_norm" in name or "k_norm" in name else 1.0 if "norm" in name else 0.0, 0.3)
    return model.requires_grad_(False)


def prepare(tokenizer: Any, family: str) -> Any:
    """The tokenizer with the marker as one token, and a BOS where the family has one."""
    from tokenizers import AddedToken, processors

    tokenizer.add_tokens([AddedToken(MARK, normalized=False, special=False)])
    if family in WITH_BOS:
        tokenizer.add_special_tokens({"bos_token": "<bos>"})
        ids = [("<bos>", tokenizer.bos_token_id)]
        tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=ids)
        tokenizer.chat_template = "{{ bos_token }}" + tokenizer.chat_template
    return tokenizer


def tokens_section(tokenizer: Any) -> dict[str, Any]:
    message = [{"role": "user", "content": AV_TEMPLATE.format(injection_char=MARK)}]
    ids = tokenizer.apply_chat_template(message, add_generation_prompt=True, tokenize=True, return_dict=False)
    marker = tokenizer.encode(MARK, add_special_tokens=False)[0]
    site = ids.index(marker)
    suffix = tokenizer.encode(AR_TEMPLATE.rpartition("}")[2], add_special_tokens=False)[1:]
    return {
        "injection_char": MARK, "injection_token_id": marker, "injection_left_neighbor_id": ids[site - 1],
        "injection_right_neighbor_id": ids[site + 1], "critic_suffix_ids": suffix,
    }  # fmt: skip


def sidecar(folder: Path, content: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "nla_meta.yaml").write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")


def write_full(written: Written, cut: bool) -> None:
    """The released layout: version 2 with an AR cut to K + 1 blocks, or version 1 under other names with a whole AR and a biased head."""
    av, ar = ("av", "ar") if cut else ("actor", "critic")
    common = {"kind": "nla_model", "schema_version": 2 if cut else 1, "d_model": WIDTH, "tokens": tokens_section(written.tokenizer)}
    layer = {"extraction_layer_index": LAYER} if cut else {"critic": {"num_hidden_layers": LAYER}}
    injection = {"injection_scale": SCALE if cut else "sqrt_d_model"}
    sidecar(written.root / av, {**common, **layer, "role": av, "extraction": injection, "prompt_templates": {av: AV_TEMPLATE}})
    sidecar(written.root / ar, {**common, **layer, "role": ar, "extraction": {"mse_scale": None}, "prompt_templates": {ar: AR_TEMPLATE}})
    written.av.save_pretrained(written.root / av)
    head = {"weight": written.weight} | ({"bias": written.bias} if written.bias is not None else {})
    save_file(head, written.root / ar / "value_head.safetensors")
    if cut:
        save_cut(written.ar, written.root / ar)
    else:
        written.ar.save_pretrained(written.root / ar)
    for part in (av, ar):
        written.tokenizer.save_pretrained(written.root / part)


def save_cut(model: Any, folder: Path) -> None:
    """Writes a model as ARs are released: K + 1 blocks in ``config.json``, neither final norm nor head of the language model."""
    beyond = tuple(f".layers.{block}." for block in range(LAYER + 1, BLOCKS))
    kept = {
        name: value.clone()
        for name, value in model.state_dict().items()
        if not any(part in name for part in beyond)
        and "lm_head" not in name
        and not (name.endswith(".norm.weight") and "vision" not in name)
    }
    model.save_pretrained(folder, state_dict=kept)
    config = json.loads((folder / "config.json").read_text())
    inner = config.get("text_config", config)
    inner["num_hidden_layers"] = LAYER + 1
    if inner.get("layer_types"):
        inner["layer_types"] = inner["layer_types"][: LAYER + 1]
    (folder / "config.json").write_text(json.dumps(config))


def write_lora(written: Written) -> None:
    """A LoRA pair: PEFT adapter and ``ar_lora_value_head.safetensors`` over one base, each with the dataset's sidecar."""
    import copy

    from peft import LoraConfig, get_peft_model

    base = written.root / "base"
    written.av.save_pretrained(base)
    content = {
        "kind": "nla_dataset", "schema_version": 1, "stage": "rl", "tokens": tokens_section(written.tokenizer),
        "extraction": {"base_model": str(base), "d_model": WIDTH, "layer_index": LAYER, "norm": "none"},
        "prompt_templates": {"actor": AV_TEMPLATE, "critic": AR_TEMPLATE},
    }  # fmt: skip
    for part in ("av", "ar"):
        sidecar(written.root / part, content)
        written.tokenizer.save_pretrained(written.root / part)
    targets = r".*language_model.*\.(q_proj|v_proj)" if "wrapped" in written.family else ["q_proj", "v_proj"]
    config = LoraConfig(r=RANK, lora_alpha=ALPHA, use_rslora=True, target_modules=targets)
    adapted = get_peft_model(copy.deepcopy(written.av), config)
    torch.manual_seed(5)
    for name, parameter in adapted.named_parameters():
        if "lora_" in name:
            parameter.data.normal_(0.0, 0.2)
    adapted.peft_config["default"].base_model_name_or_path = str(base)
    adapted.save_pretrained(written.root / "av")
    prefix = "backbone.model.language_model" if "wrapped" in written.family else "backbone.model"
    tensors = {"value_head.weight": written.weight}
    for block in range(LAYER + 1):
        for module, out in (("q_proj", WIDTH), ("o_proj", WIDTH)):
            path = f"{prefix}.layers.{block}.self_attn.{module}"
            tensors[f"{path}.lora_A.default.weight"] = torch.randn(RANK, WIDTH) * 0.2
            tensors[f"{path}.lora_B.default.weight"] = torch.randn(out, RANK) * 0.2
    save_file(tensors, written.root / "ar" / "ar_lora_value_head.safetensors")
    meta = {"ar_num_layers": LAYER + 1, "lora_r": RANK, "lora_alpha": ALPHA, "quant": "none", "target_modules": ["q_proj", "o_proj"]}
    (written.root / "ar" / "ar_meta.json").write_text(json.dumps(meta | {"final_norm_stripped": True}))
    add_by_hand(written.ar, tensors)
    add_by_hand(written.av, load_file(written.root / "av" / "adapter_model.safetensors"))


def add_by_hand(model: Any, tensors: dict[str, torch.Tensor]) -> None:
    """``W + alpha / sqrt(r) B A`` for every pair of factors."""
    blocks = blocks_of(model)
    for name, down in tensors.items():
        if "lora_A" in name:
            up = tensors[name.replace("lora_A", "lora_B")]
            path = name[name.index("layers.") + len("layers.") : name.index(".lora_A")]
            blocks.get_submodule(path).weight.data += ALPHA / RANK**0.5 * up @ down


@pytest.fixture(scope="module")
def write_pair(tmp_path_factory: pytest.TempPathFactory, tiny_tokenizer: Callable[[], Any]) -> Callable[[str, str], Written]:
    """Writes a pair of a family in a format (``full``, ``uncut`` or ``lora``) to a new folder."""

    def write(family: str, layout: str) -> Written:
        tokenizer = prepare(tiny_tokenizer(), family)
        av = build(family, len(tokenizer), 0)
        ar = build(family, len(tokenizer), 0 if layout == "lora" else 1)
        torch.manual_seed(2)
        weight, bias = torch.randn(WIDTH, WIDTH), torch.randn(WIDTH) if layout == "uncut" else None
        written = Written(tmp_path_factory.mktemp("nla") / "pair", family, tokenizer, av, ar, weight, bias)
        if layout == "lora":
            write_lora(written)
        else:
            write_full(written, cut=layout == "full")
        return written

    return write
