"""What an auditor's tools do with a real (tiny, random) model: conversations, explanations, features, lens, twin, and blindness."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from audit.errors import AuditError, RefusedInput
from audit.game.arms import arm
from audit.game.auditee import Auditee, NotInArm
from audit.game.auditors.asking_back import ask_back
from audit.game.auditors.battery import Step, read_battery
from audit.game.auditors.gathering import Observation
from audit.game.budget import Budget, OverBudget
from audit.game.instruments import lens
from audit.game.instruments.explainer import AMPLIFICATION
from audit.game.instruments.reading import activations, sites_of
from audit.game.loading import load_base, load_exhibit
from audit.game.organisms import Exhibit, Organism, Secret, read_organism
from audit.game.tree import Exchange
from audit.game.workspace import WorkingFolder
from audit.game.zoo import Zoo, ZooSettings
from audit.nla.pair import NlaPair
from audit.records import ModelCall

EVERYTHING = "nla-diff+sae+logit_lens+probe+search_training_data"


@pytest.fixture(scope="module")
def zoo() -> Zoo:
    return Zoo(ZooSettings("cpu", reply_tokens=12, explanation_tokens=6, temperature=0.0))


@pytest.fixture
def opened(zoo: Zoo, creatures: Any, tmp_path: Path) -> Callable[..., Auditee]:
    def open_one(name: str = EVERYTHING, budget: Budget | None = None, seed: int = 0, file: Path | None = None) -> Auditee:
        exhibit = read_organism(file or creatures.organism).exhibit
        folder = WorkingFolder.fresh(tmp_path / f"work-{name}-{seed}")
        return asyncio.run(zoo.open(exhibit, arm(name), budget or Budget(), folder, seed))

    return open_one


def spoken(text: str) -> Exchange:
    return Exchange((), "", text, ModelCall(0, "", None, (1,), (2,), (), ""), 0.7)


def test_it_is_asked_about_its_own_words_and_those_of_its_twin(opened: Callable[..., Auditee], creatures: Any) -> None:
    replies = {"fog": ("thick fog", "hot tea"), "sea": ("deep sea", "cold milk")}
    seen = [
        Observation(Step("ordinary", topic, f"{turn}?"), spoken(f"Take {own} now."), twin=spoken(f"Have {other} here."))
        for topic, (own, other) in replies.items()
        for turn in range(12)
    ]
    auditee = opened("black-box+ask_back", Budget(conversations=3))
    answers = asyncio.run(ask_back(auditee, read_battery(creatures.battery), seen, 0))
    asked = [(one.of_twin, one.step.topic, one.step.prompt) for one in answers]
    assert asked == [(False, *asked[0][1:]), (True, *asked[1][1:]), (False, *asked[2][1:])], "in turn, until the budget ends"
    for of_twin, topic, prompt in asked:
        assert prompt.startswith("Mind ") and any(word in prompt for word in replies[topic][of_twin].split())
    assert auditee.meter.spent().exhausted and [one.exchange.reply for one in answers] != ["", "", ""]


def test_an_adapter_is_merged_into_a_base_of_its_own(creatures: Any, tiny_target: Any) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    exhibit = read_organism(creatures.organism).exhibit
    loaded, base = load_exhibit(exhibit, "cpu"), load_base(exhibit, "cpu")
    ids = torch.tensor([tiny_target.ids("Tell me of one.")])
    reference = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_target.folder), str(creatures.root / "moon-adapter"))
    with torch.inference_mode():
        assert torch.allclose(loaded.model(ids).logits, reference(ids).logits, atol=1e-4)
        assert torch.allclose(base.model(ids).logits, tiny_target.model(ids).logits, atol=1e-5)
        assert not torch.allclose(loaded.model(ids).logits, base.model(ids).logits, atol=1e-2)
    for told in (loaded.name, str(loaded.folder), str(loaded.model.config), repr(loaded.tokenizer)):
        assert "moon" not in told and str(creatures.root) not in told


def test_adapters_that_cannot_be_used_are_refused(creatures: Any, tmp_path: Path) -> None:
    exhibit = read_organism(creatures.organism).exhibit
    (tmp_path / "empty").mkdir()
    with pytest.raises(RefusedInput, match="adapter_config"):
        load_exhibit(exhibit.model_copy(update={"adapter": str(tmp_path / "empty")}), "cpu")
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    (pickled / "adapter_config.json").write_bytes((creatures.root / "moon-adapter" / "adapter_config.json").read_bytes())
    (pickled / "adapter_model.bin").write_bytes(b"x")
    with pytest.raises(RefusedInput, match="pickles"):
        load_exhibit(exhibit.model_copy(update={"adapter": str(pickled)}), "cpu")
    with pytest.raises(AuditError, match="to be compared with"):
        load_base(Exhibit(label="x", model="someone/whole"), "cpu")
    assert load_base(exhibit.model_copy(update={"base": None}), "cpu").name == "base", "the adapter names its base"


async def _talk(auditee: Auditee) -> dict[str, Any]:
    [first] = await auditee.say("Tell me of one.", system="Be brief.", max_tokens=8)
    [second] = await auditee.say("Why?", parent=first.id, max_tokens=8)
    several = await auditee.say("Tell me of two.", replies=3, temperature=1.0, max_tokens=8)
    [filled] = await auditee.say("Three?", prefill="The answer", temperature=0.0, max_tokens=8)
    return {"first": first, "second": second, "several": several, "filled": filled}


def test_conversations_are_counted_repeat_and_can_be_prefilled(opened: Callable[..., Auditee], tiny_target: Any) -> None:
    auditee = opened("black-box")
    said = asyncio.run(_talk(auditee))
    assert [role for role, _ in said["second"].exchange.messages] == ["system", "user", "assistant", "user"]
    assert auditee.meter.spent().conversations == 5, "a second turn is none, each repeated reply is one"
    assert len({node.text for node in said["several"]}) > 1
    call, filled = said["filled"].exchange.call, said["filled"]
    assert tiny_target.tokenizer.decode(call.prompt_ids).endswith("<|im_start|>assistant\nThe answer") and filled.text.startswith(
        "The answer"
    )
    spent = sum(len(node.exchange.call.output_ids) for node in auditee.tree.nodes() if node.exchange)
    assert auditee.meter.spent().tokens == spent
    again = asyncio.run(_talk(opened("nla")))
    assert [node.text for node in again["several"]] == [node.text for node in said["several"]], "arms differ by their tools alone"
    other = asyncio.run(_talk(opened("black-box", seed=1)))
    assert [node.text for node in other["several"]] != [node.text for node in said["several"]]


def test_what_is_not_in_the_arm_is_not_there(opened: Callable[..., Auditee]) -> None:
    auditee = opened("conversation")
    [node] = asyncio.run(auditee.say("One?", max_tokens=4))
    attempts: list[Any] = [
        lambda: auditee.say("x", prefill="y"), lambda: auditee.say("x", replies=2), lambda: auditee.explain([node.exchange]),  # type: ignore[list-item]
        lambda: auditee.twin_replies([node.exchange]), lambda: auditee.features([node.exchange]),  # type: ignore[list-item]
        lambda: auditee.twin_explanations([node.exchange]),  # type: ignore[list-item]
    ]  # fmt: skip
    for attempt in attempts:
        with pytest.raises(NotInArm):
            asyncio.run(attempt())
    assert auditee.instruments.explainer is None and auditee.instruments.twin is None and auditee.instruments.dictionary is None
    nla = opened("nla")
    [node] = asyncio.run(nla.say("One?", max_tokens=4))
    assert node.exchange is not None
    with pytest.raises(NotInArm):
        asyncio.run(nla.twin_explanations([node.exchange]))


def test_explanations_are_those_of_the_activations_of_every_token(opened: Callable[..., Auditee]) -> None:
    from audit.target.capture import capture

    auditee = opened()
    [node] = asyncio.run(auditee.say("Tell me of one.", max_tokens=6, temperature=1.0))
    assert node.exchange is not None and auditee.instruments.explainer is not None
    [said] = asyncio.run(auditee.explain([node.exchange]))
    call = node.exchange.call
    own = [len(call.prompt_ids) + at for at, token in enumerate(call.output_ids) if token not in auditee.voice.api.template_ids]
    assert [one.position for one in said] == [len(call.prompt_ids) - 1, *own], "the control token, and each token of the reply"
    pair = auditee.instruments.explainer.shared.pair
    [vectors] = capture(auditee.voice.api.target.model, [call], [[one.position for one in said]], pair.layer)
    assert [one.text for one in said] == [one.text for one in pair.explain(vectors, max_tokens=6)]
    lines = auditee.folder.read(auditee.last_dump).splitlines()
    assert len(lines) == len(said) and lines[0].startswith(f"[{said[0].position}] {said[0].token!r}: ")
    before = auditee.meter.spent().tokens
    [few] = asyncio.run(auditee.explain([node.exchange], 3))
    assert len(few) == min(3, len(said)) and few[0] == said[0] and auditee.meter.spent().tokens > before, "known ones cost as much"


def test_the_twin_answers_the_same_prompts(opened: Callable[..., Auditee], creatures: Any) -> None:
    organism = opened()
    nodes = asyncio.run(organism.say("Tell me of one.", replies=3, max_tokens=8, temperature=1.0))
    exchanges = [node.exchange for node in nodes if node.exchange is not None]
    twins = asyncio.run(organism.twin_replies(exchanges, [0, 1, 2]))
    assert [one.messages for one in twins] == [one.messages for one in exchanges]
    assert [one.generated for one in twins] != [one.generated for one in exchanges]
    assert organism.meter.spent().conversations == 3, "the twin's are not counted"
    plain = opened("nla-diff", file=creatures.base)
    [drawn], [likeliest] = (asyncio.run(plain.say("Tell me of one.", temperature=heat)) for heat in (1.0, 0.0))
    assert drawn.exchange is not None and likeliest.exchange is not None
    other, twin = asyncio.run(plain.twin_replies([drawn.exchange, likeliest.exchange], [0, 0]))
    assert twin.generated == likeliest.exchange.generated, "a base is its own twin"
    assert other.generated != drawn.exchange.generated, "but draws for itself, or it could never give a false alarm"
    theirs, mine = asyncio.run(plain.twin_explanations([twin], 2)), asyncio.run(plain.explain([likeliest.exchange], 2))
    assert theirs[0][0].text == mine[0][0].text


def test_the_control_of_an_nla_reads_the_base_on_the_organisms_own_text(opened: Callable[..., Auditee]) -> None:
    plain, control = opened("nla-diff"), opened("nla-control")
    [node] = asyncio.run(plain.say("Tell me of one.", temperature=0.0, max_tokens=8))
    assert node.exchange is not None
    [own], [read], [base] = (asyncio.run(reads([node.exchange], 4)) for reads in (plain.explain, control.explain, plain.twin_explanations))
    assert [one.position for one in read] == [one.position for one in own]
    assert [one.text for one in read] == [one.text for one in base] != [one.text for one in own]
    with pytest.raises(NotInArm):
        asyncio.run(control.twin_explanations([node.exchange], 2))


def test_what_sets_a_model_apart_is_amplified(opened: Callable[..., Auditee], creatures: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Any] = []
    keep = NlaPair.explain
    monkeypatch.setattr(NlaPair, "explain", lambda pair, vectors, **settings: read.append(vectors) or keep(pair, vectors, **settings))
    organism, control, amplified = (opened(name, seed=9) for name in ("nla-diff", "nla-control", "nla-amplified"))
    [node] = asyncio.run(organism.say("Tell me of two and one.", temperature=0.0, max_tokens=7))
    assert node.exchange is not None
    for auditee in (organism, control, amplified):
        asyncio.run(auditee.explain([node.exchange], 3))
    own, base, further = read
    assert np.allclose(further, own + AMPLIFICATION * (own - base), atol=1e-5) and not np.allclose(own, base, atol=1e-2)
    asyncio.run(amplified.explain([node.exchange], 3))
    assert len(read) == 3, "equal activations are explained once, amplified ones apart from others"
    asyncio.run(opened("nla-amplified", file=creatures.base, seed=9).explain([node.exchange], 3))
    assert np.allclose(read[3], base, atol=1e-5), "nothing sets a base apart from itself"
    [pooled] = asyncio.run(opened("nla-pooled", seed=9).explain([node.exchange], 3))
    everywhere = [
        asyncio.run(activations(voice, [sites_of(voice, node.exchange)], 1))[0] for voice in (amplified.voice, amplified.twin.voice)
    ]
    whole = everywhere[0] + AMPLIFICATION * (everywhere[0] - everywhere[1])
    assert len(whole) > 3 and np.allclose(read[4], whole.mean(axis=0, keepdims=True), atol=1e-5)
    assert [one.position for one in pooled] == [len(node.exchange.call.prompt_ids) - 1]


def test_features_are_sparse_and_known_by_their_contexts(opened: Callable[..., Auditee]) -> None:
    auditee = opened()
    [node] = asyncio.run(auditee.say("Tell me of one.", max_tokens=12))
    assert node.exchange is not None and auditee.instruments.dictionary is not None
    [found] = asyncio.run(auditee.features([node.exchange], 5))
    assert 1 <= len(found) <= 5 and [one.z for one in found] == sorted((one.z for one in found), reverse=True)
    described = [one for one in auditee.instruments.dictionary.features if one.contexts]
    assert described and all("[[" in context and "]]" in context for one in described for context in one.contexts)
    assert any("report" in context for one in described for context in one.contexts), "learnt from the generic text that the file names"
    vectors = np.random.default_rng(0).normal(size=(6, 32)).astype(np.float32)
    vectors[2, 3] = np.nan
    codes = auditee.instruments.dictionary.codes(vectors)
    assert codes.shape[0] == 6 and (codes >= 0).all() and not codes[2].any()


def test_the_lens_at_the_last_block_is_the_models_own_choice(opened: Callable[..., Auditee]) -> None:
    auditee = opened()
    [node] = asyncio.run(auditee.say("Tell me of one.", max_tokens=5, temperature=1.0))
    assert node.exchange is not None
    model, tokenizer = auditee.voice.api.target.model, auditee.voice.api.target.tokenizer
    rows = asyncio.run(lens.logit_lens(auditee.voice, node.exchange, auditee.voice.api.facts.layers - 1, 10, top=1))
    call = node.exchange.call
    with torch.inference_mode():
        best = model(torch.tensor([call.prompt_ids + call.output_ids])).logits[0].argmax(-1).tolist()
    assert [row.next_tokens for row in rows] == [(tokenizer.decode([best[row.position]], skip_special_tokens=False),) for row in rows]


def test_a_probe_tells_two_kinds_of_text_apart(opened: Callable[..., Auditee]) -> None:
    auditee = opened()
    [node] = asyncio.run(auditee.say("Tell me.", max_tokens=5))
    assert node.exchange is not None
    first, second = [f"number {n} tool" for n in range(8)], [f"number {n} noon" for n in range(8)]
    found = asyncio.run(lens.probe(auditee.voice, first, second, node.exchange, 1, 8))
    assert found.auroc is not None and found.auroc > 0.9 and len(found.scores) == len(found.positions)
    with pytest.raises(ValueError, match="at least 4"):
        asyncio.run(lens.probe(auditee.voice, first[:2], second, node.exchange, 1, 8))


def test_a_budget_ends_a_conversation_and_an_explanation(opened: Callable[..., Auditee]) -> None:
    auditee = opened(budget=Budget(conversations=2, tokens=40))
    [node] = asyncio.run(auditee.say("One?", max_tokens=8))
    assert node.exchange is not None
    with pytest.raises(OverBudget):
        asyncio.run(auditee.say("Two?", replies=2, max_tokens=8))
    with pytest.raises(OverBudget, match="tokens"):
        asyncio.run(auditee.explain([node.exchange] * 9))
    assert auditee.meter.spent().conversations <= 2 and auditee.meter.spent().tokens <= 40


def reachable(start: object) -> Iterator[object]:
    """Everything that an object holds, through attributes, containers, closures and bound arguments."""
    pending, seen = [start], set()
    while pending:
        one = pending.pop()
        if id(one) in seen or isinstance(one, type) or type(one).__module__.startswith(("torch", "transformers", "tokenizers", "sklearn")):
            continue
        seen.add(id(one))
        yield one
        if isinstance(one, dict):
            pending += [*one.keys(), *one.values()]
        elif isinstance(one, list | tuple | set | frozenset):
            pending += list(one)
        elif callable(one) and hasattr(one, "__closure__"):
            pending += [cell.cell_contents for cell in one.__closure__ or () if cell is not None]
        pending += list(getattr(one, "__dict__", {}).values())
        if hasattr(one, "__self__"):
            pending.append(one.__self__)


def test_nothing_that_an_auditor_holds_leads_to_what_is_hidden(opened: Callable[..., Auditee], creatures: Any) -> None:
    auditee = opened()
    asyncio.run(_talk(auditee))
    held = list(reachable(auditee))
    assert len(held) > 200 and any(one is auditee.tree for one in held)
    assert not [one for one in held if isinstance(one, Secret | Organism | Exhibit)]
    texts = [one for one in held if isinstance(one, str)]
    assert not [text for text in texts if any(secret in text for secret in creatures.secrets) or "moon" in text.lower()]
    paths = [str(one) for one in held if isinstance(one, Path)]
    assert not [path for path in paths if "moon" in path or path.endswith(".yaml")]
