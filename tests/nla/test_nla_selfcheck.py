"""The self-check sees what a damaged engine or architecture does to the injection, and the marker where it is described."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from audit.errors import RefusedInput
from audit.nla import NlaPair, load_pair
from audit.nla.selfcheck import all_alike, check_reconstructor, check_verbalizer, marker_named
from audit.nla.sidecar import Sidecar, read_sidecar, write_sidecar
from audit.records import Explanation
from audit.stages.explanations import refuse_marker

LAYER = 1


@pytest.fixture(scope="module", params=["qwen2-full", "gemma3-full", "llama-lora"])
def folder(request: pytest.FixtureRequest, write_pair: Callable[[str, str], Any]) -> Path:
    family, layout = request.param.split("-")
    return Path(write_pair(family, layout).root)


@pytest.fixture
def pair(folder: Path) -> NlaPair:
    """Loaded anew, since each test breaks it."""
    return load_pair(str(folder), device="cpu")


def test_what_loads_passes_also_in_half_precision(pair: NlaPair) -> None:
    check_verbalizer(pair.av, LAYER)
    pair.av.model.to(torch.bfloat16)
    check_verbalizer(pair.av, LAYER)


def test_an_embedding_scale_that_is_applied_twice_is_seen(pair: NlaPair) -> None:
    """As architectures do that scale inside their forward pass, so that embeddings given from outside are scaled again."""
    first = pair.av.model.model.layers[0]
    hook = first.register_forward_pre_hook(lambda module, arguments: (arguments[0] * 3, *arguments[1:]))
    try:
        if pair.av.sidecar.addition_block is not None:
            # Nothing is given from outside but the prompt itself, which such a model reads as it always does.
            check_verbalizer(pair.av, LAYER)
            return
        with pytest.raises(RefusedInput, match="3 times the right one"):
            check_verbalizer(pair.av, LAYER)
    finally:
        hook.remove()


def test_prompts_that_read_otherwise_as_embeddings_are_seen(pair: NlaPair) -> None:
    embed = pair.av.model.get_input_embeddings()
    ours = pair.av.prompt_embeddings

    def raw_rows(vectors: Any) -> torch.Tensor:
        rows = ours(vectors).clone()
        rows[:, : pair.av.prompt.position] = embed.weight[list(pair.av.prompt.ids)][: pair.av.prompt.position] * 0.5
        return rows

    pair.av.prompt_embeddings = raw_rows  # type: ignore[method-assign]
    with pytest.raises(RefusedInput, match=r"reads differently as embeddings|does not reach"):
        check_verbalizer(pair.av, LAYER)


def test_a_vector_that_never_arrives_is_seen(pair: NlaPair) -> None:
    """As with an engine that keeps one cached prompt for all vectors."""
    ours, added = pair.av.prompt_embeddings, pair.av.addition
    pair.av.prompt_embeddings = lambda vectors: ours(vectors[:1]).expand(len(vectors), -1, -1)  # type: ignore[method-assign]
    pair.av.addition = lambda vectors: added(vectors[[0] * len(vectors)])  # type: ignore[method-assign]
    with pytest.raises(RefusedInput, match="does not reach"):
        check_verbalizer(pair.av, LAYER)


def test_a_model_that_sees_what_follows_is_seen(pair: NlaPair) -> None:
    """Logits before the site must not know the vector."""

    def look_ahead(module: Any, arguments: Any, output: Any) -> Any:
        hidden = output[0] if isinstance(output, tuple) else output
        mixed = hidden + hidden.mean(dim=1, keepdim=True)
        return (mixed, *output[1:]) if isinstance(output, tuple) else mixed

    hook = pair.av.model.model.layers[-1].register_forward_hook(look_ahead)
    try:
        with pytest.raises(RefusedInput, match="before the injection site"):
            check_verbalizer(pair.av, LAYER)
    finally:
        hook.remove()


def test_another_depth_is_seen(pair: NlaPair) -> None:
    with pytest.raises(RefusedInput, match="no copy of a target"):
        check_verbalizer(pair.av, 4)
    with pytest.raises(RefusedInput, match="2 blocks"):
        check_reconstructor(pair.ar, 2)


def test_an_engine_that_cannot_add_is_named(pair: NlaPair) -> None:
    class Plain:
        name = "plain"

        def decode(self, prompts: torch.Tensor, settings: Any, keys: Any) -> list[list[int]]:
            return [[] for _ in prompts]

    pair.av.engine = Plain()
    vectors = np.ones((2, pair.d_model), dtype=np.float32)
    if pair.av.sidecar.addition_block is None:
        assert [row.status for row in pair.explain(vectors)] == ["unparsed", "unparsed"]
    else:
        with pytest.raises(RefusedInput, match="engine plain cannot add"):
            pair.explain(vectors)


def test_the_stage_stops_where_the_marker_is_described(pair: NlaPair) -> None:
    def row(text: str, number: int, control: Any = "none") -> Explanation:
        return Explanation("t", 0, number, 0, control, 0.0, "nla", text, "ok", None, None, "transformers", 0.1, 9)

    refuse_marker([row(text, number) for number, text in enumerate(ENGLISH)], pair)
    refuse_marker([row(text, number, "shuffled") for number, text in enumerate(CHINESE)], pair)
    with pytest.raises(RefusedInput, match="injection failed"):
        refuse_marker([row(text, number) for number, text in enumerate(CHINESE)], pair)


@pytest.fixture
def sidecar(tmp_path: Path) -> Sidecar:
    extraction, templates = {"injection_scale": 1}, {"av": "{injection_char}"}
    write_sidecar(
        tmp_path,
        {"role": "av", "d_model": 8, "extraction": extraction, "prompt_templates": templates, "tokens": {"injection_char": "\u320e"}},
    )
    return read_sidecar(tmp_path, "av")


ENGLISH = [f"The text lists {number} numbers, and the next word is a verb." for number in range(20)]
CHINESE = [f"这是一个关于括号的符号,第{number}个" for number in range(20)]


def test_texts_in_the_markers_script_mean_that_the_injection_failed(sidecar: Sidecar) -> None:
    assert marker_named(ENGLISH, sidecar) is None
    quoting = [f"The user asks in Chinese, {text[:6]}, {english}" for text, english in zip(CHINESE, ENGLISH, strict=True)]
    assert marker_named(quoting, sidecar) is None
    said = marker_named(CHINESE[:12] + ENGLISH[:8], sidecar)
    assert said is not None and "60%" in said and "injection failed" in said
    assert marker_named(CHINESE[:5] + ENGLISH[:15], sidecar) is None
    assert marker_named(CHINESE, replace(sidecar, injection_char="*")) is None


def test_texts_that_name_the_marker_mean_it_too(sidecar: Sidecar) -> None:
    naming = [f"The sign {sidecar.injection_char} stands alone, {number}" for number in range(10)]
    assert "injection character" in str(marker_named(naming, sidecar))
    assert marker_named(naming[:7], sidecar) is None, "too few to tell"


def test_texts_that_are_all_the_same_do_not_depend_on_the_vector(sidecar: Sidecar) -> None:
    same = ["A sign in brackets."] * 19
    assert "word for word" in str(all_alike([*same, "Something else."]))
    assert all_alike(same[:10] + ENGLISH[:10]) is None
    assert all_alike([""] * 30) is None
