"""The NLA: its prompt, its injection, its checkpoints on disk, against independent computations on tiny random models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from audit.errors import RefusedInput
from audit.nla import load_pair
from audit.nla.fidelity import baseline_error, cosine, fve, mse_nrm
from audit.nla.pair import HEAD_NAME, pair_folders
from audit.nla.prompt import inject, injection_prompt, parse_explanation
from audit.nla.sidecar import SIDECAR_NAME, read_sidecar, write_sidecar

MARK = "\u2726"
AR_TEMPLATE = "<explanation>\n{explanation}\n</explanation>\nThe vector:"


def save_pair(root: Path, tiny_tokenizer: Any, tiny_model: Any, layer: int = 1) -> Path:
    """A random AV and AR in the released layout."""
    from tokenizers import AddedToken

    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens([AddedToken(MARK, normalized=False, special=False)])
    model = tiny_model(len(tokenizer))
    ids = tokenizer.apply_chat_template(
        [{"role": "user", "content": f"What does {MARK} hold?"}], add_generation_prompt=True, tokenize=True, return_dict=False
    )
    marker = tokenizer.encode(MARK)[0]
    site = ids.index(marker)
    common = {"base_checkpoint": "tiny", "d_model": 32, "extraction_layer_index": layer}
    write_sidecar(root / "av", {
        "role": "av", **common, "extraction": {"injection_scale": 7.0},
        "tokens": {"injection_char": MARK, "injection_token_id": marker,
                   "injection_left_neighbor_id": ids[site - 1], "injection_right_neighbor_id": ids[site + 1]},
        "prompt_templates": {"av": "What does {injection_char} hold?"},
    })  # fmt: skip
    write_sidecar(
        root / "ar", {"role": "ar", **common, "extraction": {"mse_scale": None}, "tokens": {}, "prompt_templates": {"ar": AR_TEMPLATE}}
    )
    model.save_pretrained(root / "av")
    tokenizer.save_pretrained(root / "av")
    backbone = tiny_model(len(tokenizer), num_hidden_layers=layer + 1).model
    backbone.save_pretrained(root / "ar")
    tokenizer.save_pretrained(root / "ar")
    from safetensors.torch import save_file

    save_file({"weight": torch.randn(32, 32, generator=torch.Generator().manual_seed(1))}, root / "ar" / HEAD_NAME)
    return root


@pytest.fixture
def pair_folder(tmp_path: Path, tiny_tokenizer: Any, tiny_model: Any) -> Path:
    return save_pair(tmp_path / "nla", tiny_tokenizer, tiny_model)


def test_injection_replaces_one_row_with_the_scaled_vector() -> None:
    embeddings, vectors = torch.randn(4, 3), torch.randn(2, 3)
    made = inject(embeddings, vectors, 2, 5.0)
    for row in range(2):
        assert torch.equal(made[row, [0, 1, 3]], embeddings[[0, 1, 3]])
        assert torch.allclose(made[row, 2], vectors[row] / vectors[row].norm() * 5.0, atol=1e-6)
    assert torch.allclose(inject(embeddings, vectors, 2, None)[:, 2], vectors)


def test_explanations_equal_an_independent_greedy_decode(pair_folder: Path) -> None:
    pair = load_pair(str(pair_folder), d_model=32, layers=3)
    vectors = np.random.default_rng(0).normal(size=(5, 32)).astype(np.float32)
    written = pair.explain(vectors, max_tokens=12)
    model, prompt = pair.av.model, pair.av.prompt
    for vector, row in zip(vectors, written, strict=True):
        inputs = model.get_input_embeddings()(torch.tensor([prompt.ids])).detach()
        inputs[0, prompt.position] = torch.tensor(vector / np.linalg.norm(vector) * 7.0)
        ids: list[int] = []
        for _ in range(12):
            token = int(model(inputs_embeds=inputs).logits[0, -1].argmax())
            if token == pair.av.tokenizer.eos_token_id:
                break
            ids.append(token)
            inputs = torch.cat([inputs, model.get_input_embeddings()(torch.tensor([[token]]))], dim=1)
        assert row.text == parse_explanation(pair.av.tokenizer.decode(ids, skip_special_tokens=True))[0]
        assert row.tokens == len(ids)


def test_sampled_text_does_not_depend_on_the_batch(pair_folder: Path) -> None:
    pair = load_pair(str(pair_folder))
    vectors = np.random.default_rng(1).normal(size=(6, 32)).astype(np.float32)
    together = pair.explain(vectors, temperature=1.0, max_tokens=10, seed=3, keys=list(range(6)))
    alone = [pair.explain(vectors[i : i + 1], temperature=1.0, max_tokens=10, seed=3, keys=[i])[0] for i in range(6)]
    assert together == alone
    assert len({row.text for row in pair.explain(np.repeat(vectors[:1], 6, 0), temperature=1.0, max_tokens=10)}) > 1


def test_reconstruction_equals_an_independent_computation_batched_or_not(pair_folder: Path) -> None:
    pair = load_pair(str(pair_folder))
    texts = ["one", "a much longer text about the numbers before noon", "three words here"]
    made = pair.reconstruct(texts)
    for text, vector in zip(texts, made, strict=True):
        ids = pair.ar.tokenizer(AR_TEMPLATE.format(explanation=text))["input_ids"]
        seen: list[torch.Tensor] = []
        hook = pair.ar.backbone.layers[-1].register_forward_hook(lambda module, args, output, seen=seen: seen.append(output))
        with torch.no_grad():
            pair.ar.backbone(input_ids=torch.tensor([ids]))
        hook.remove()
        hidden = seen[0][0] if isinstance(seen[0], tuple) else seen[0]
        expected = hidden.reshape(-1, 32)[len(ids) - 1] @ pair.ar.head.weight.T
        assert np.allclose(vector, expected.detach().numpy(), atol=1e-5)


def test_a_vector_that_is_not_finite_fails_alone(pair_folder: Path) -> None:
    pair = load_pair(str(pair_folder))
    vectors = np.random.default_rng(2).normal(size=(3, 32)).astype(np.float32)
    vectors[1, 4] = np.nan
    statuses = [row.status for row in pair.explain(vectors, max_tokens=4)]
    assert statuses[1] == "failed" and "failed" not in (statuses[0], statuses[2])
    vectors[1] = 3e38
    assert [row.status for row in pair.explain(vectors, max_tokens=4)] == statuses, "a norm that is not finite"


def change(folder: Path, part: str, fields: dict[str, Any]) -> None:
    path = folder / part / SIDECAR_NAME
    content = yaml.safe_load(path.read_text())
    for name, value in fields.items():
        section, _, key = name.partition("__")
        if key:
            content[section][key] = value
        else:
            content[section] = value
    path.write_text(yaml.safe_dump(content))


@pytest.mark.parametrize(
    ("role", "fields", "said"),
    [
        ("av", {"role": "ar"}, "swapped"),
        ("av", {"d_model": 64}, "belong together"),
        ("ar", {"extraction_layer_index": 2}, "belong together"),
        ("av", {"tokens__injection_token_id": 5}, "encodes to"),
        ("av", {"tokens__injection_left_neighbor_id": 5}, "Beside the injection site"),
        ("av", {"prompt_templates": {}}, "prompt template"),
        ("av", {"extraction": {}}, "injection_scale"),
    ],
)
def test_a_pair_that_does_not_fit_is_refused(pair_folder: Path, role: str, fields: dict[str, Any], said: str) -> None:
    change(pair_folder, role, fields)
    with pytest.raises(RefusedInput, match=said):
        load_pair(str(pair_folder))


def test_an_nla_of_another_target_is_refused(pair_folder: Path) -> None:
    with pytest.raises(RefusedInput, match="48 wide"):
        load_pair(str(pair_folder), d_model=48)
    with pytest.raises(RefusedInput, match="only 1 blocks"):
        load_pair(str(pair_folder), d_model=32, layers=1)
    with pytest.raises(RefusedInput, match="vectors have shape"):
        load_pair(str(pair_folder)).explain(np.zeros((2, 16), dtype=np.float32))


def test_missing_parts_are_named(pair_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RefusedInput, match="No NLA at"):
        load_pair(str(tmp_path / "nothing"))
    (pair_folder / "ar" / HEAD_NAME).unlink()
    with pytest.raises(RefusedInput, match=HEAD_NAME):
        load_pair(str(pair_folder))
    (pair_folder / "av" / SIDECAR_NAME).unlink()
    with pytest.raises(RefusedInput, match=SIDECAR_NAME):
        load_pair(str(pair_folder))


@pytest.mark.parametrize(
    ("section", "content"),
    [
        ("actor", {"prompt_templates": {"actor": "Say {injection_char}"}}),
        ("verbalizer", {"prompt_templates": {"verbalizer": "Say {injection_char}"}}),
    ],
)
def test_sidecars_of_other_makers_are_read(tmp_path: Path, section: str, content: dict[str, Any]) -> None:
    write_sidecar(
        tmp_path,
        {"role": section, "d_model": 16, "critic": {"num_hidden_layers": 3}, "extraction": {"injection_scale": "sqrt_d_model"}, **content},
    )
    sidecar = read_sidecar(tmp_path, "av")
    assert (sidecar.role, sidecar.layer, sidecar.injection_scale, sidecar.prompt_template) == ("av", 3, 4.0, "Say {injection_char}")


@pytest.mark.parametrize(
    "fields",
    [
        {"extraction_layer_index": 5},
        {"extraction": {"injection_scale": 1, "layer_index": 5}},
        {"extraction": {"injection_scale": 1, "extraction_layer_index": 5}},
        {"critic": {"extraction_layer_index": 5}},
        {"critic": {"num_hidden_layers": 5}},
        {"ar": {"extraction_layer_index": 5}},
        {"ar": {"num_hidden_layers": 5}},
        {"reconstructor": {"num_hidden_layers": 5}},
        {"layer_index": 5},
    ],
)
def test_the_layer_is_found_under_every_name(tmp_path: Path, fields: dict[str, Any]) -> None:
    common = {"role": "av", "d_model": 16, "extraction": {"injection_scale": 1}, "prompt_templates": {"av": "{injection_char}"}}
    write_sidecar(tmp_path, common | fields)
    assert read_sidecar(tmp_path, "av").layer == 5


def test_sidecars_of_datasets_describe_lora_pairs(tmp_path: Path) -> None:
    extraction = {"base_model": "some/base", "d_model": 16, "layer_index": 5, "norm": "none"}
    content = {
        "kind": "nla_dataset",
        "extraction": extraction,
        "prompt_templates": {"actor": "{injection_char}", "critic": "{explanation}"},
    }
    write_sidecar(tmp_path, content)
    av, ar = read_sidecar(tmp_path, "av"), read_sidecar(tmp_path, "ar")
    assert (av.layer, av.d_model, av.base_checkpoint, av.addition_block, av.prompt_template) == (5, 16, "some/base", 1, "{injection_char}")
    assert (ar.addition_block, ar.mse_scale, ar.prompt_template) == (None, 4.0, "{explanation}")
    write_sidecar(tmp_path, content | {"extraction": extraction | {"injection_scale": 150, "mse_scale": None}})
    av = read_sidecar(tmp_path, "av")
    assert (av.addition_block, av.injection_scale, av.mse_scale) == (None, 150.0, None)


@pytest.mark.parametrize(("given", "norm"), [(150, 150.0), ("80000", 80000.0), ("sqrt_d_model", 4.0), (None, None), ("raw", None)])
def test_injection_scales_of_every_kind_are_read(tmp_path: Path, given: Any, norm: float | None) -> None:
    content = {"role": "av", "d_model": 16, "extraction": {"injection_scale": given}, "prompt_templates": {"av": "{injection_char}"}}
    write_sidecar(tmp_path, content)
    assert read_sidecar(tmp_path, "av").injection_scale == norm


@pytest.mark.parametrize("parts", [("av", "ar"), ("actor", "critic"), ("verbalizer", "reconstructor")])
@pytest.mark.parametrize("layout", ["pair/{}", "pair-{}"])
def test_pairs_are_found_under_the_names_of_their_makers(tmp_path: Path, parts: tuple[str, str], layout: str) -> None:
    expected = tuple(tmp_path / layout.format(part) for part in parts)
    for folder in expected:
        folder.mkdir(parents=True)
    assert pair_folders(str(tmp_path / "pair")) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<explanation>\n- a\n</explanation>", ("- a", "ok")),
        ("x <explanation>a</explanation> <explanation>b</explanation>", ("a", "ok")),
        ("<explanation>\n- cut off </expl", ("- cut off", "truncated")),
        ("no tags", ("no tags", "unparsed")),
    ],
)
def test_parsing(text: str, expected: tuple[str, str]) -> None:
    assert parse_explanation(text) == expected


def test_fidelity_by_hand() -> None:
    activations = np.array([[3.0, 0.0], [0.0, 2.0]], dtype=np.float32)
    assert np.allclose(mse_nrm(activations, np.array([[5.0, 0.0], [1.0, 0.0]], dtype=np.float32)), [0.0, 2.0])
    assert baseline_error(activations) == pytest.approx(0.5)
    assert baseline_error(activations, "mean-direction") == pytest.approx(2 - 2**0.5)
    assert fve(activations, activations) == pytest.approx(1.0)
    assert fve(activations, np.tile(activations.mean(0), (2, 1))) < 1 - (2 - 2**0.5) / 0.5 + 0.6
    assert cosine(activations, -activations).tolist() == pytest.approx([-1.0, -1.0])


def test_the_tokenizer_must_know_the_marker_as_one_token(pair_folder: Path, tiny_tokenizer: Any) -> None:
    sidecar = read_sidecar(pair_folder / "av", "av")
    with pytest.raises(RefusedInput, match="encodes to"):
        injection_prompt(tiny_tokenizer(), sidecar)


def test_a_marker_that_is_split_only_inside_chat_templates_is_found(pair_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As transformers 5 does with the rare markers of some byte-level tokenizers."""
    from audit.target.loading import load_tokenizer

    tokenizer, sidecar = load_tokenizer(pair_folder / "av"), read_sidecar(pair_folder / "av", "av")
    whole, apply = injection_prompt(tokenizer, sidecar), tokenizer.apply_chat_template

    def splitting(messages: Any, tokenize: bool, **options: Any) -> Any:
        made = apply(messages, tokenize=tokenize, **options)
        return [part for token in made for part in ((7, 8) if token == sidecar.injection_token_id else (token,))] if tokenize else made

    monkeypatch.setattr(tokenizer, "apply_chat_template", splitting)
    assert injection_prompt(tokenizer, sidecar) == whole
