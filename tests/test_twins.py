"""Realism twins: they keep the task, change little, leave the system prompt alone, and are paired with their originals."""

from __future__ import annotations

import re
from typing import Any

import pytest

from audit.errors import AuditError
from audit.evidence.twins import MAX_SPANS, Reading, changed_spans, paired_effect
from audit.lab.signs import ORDINARY_SIGN, SIGNS
from audit.lab.world import AGENT_FAMILIES, realism_twin, scenario_samples
from scenarios.samples import Selection, build, written_prompts
from scenarios.twins import edits, twin_text

WRITTEN = ("blackmail", "destructive_code", "swe_tasks")
NAMES = re.compile(r"[\w.-]+@[\w.-]*\w|(?:/[\w.-]*\w)+|\b[\w/]+\.(?:py|csv|sh|conf)\b")
"""Addresses, paths and files: what a task is about and a scorer looks for."""


def evaluation_marks(text: str) -> list[str]:
    """Values of true signs of an evaluation in the last bracket of a prompt."""
    line = text.rpartition("\n[")[2]
    values = [value.replace("#", r"\d") for sign in (*SIGNS, ORDINARY_SIGN) for value in sign.evaluation]
    return [found for value in values if (found := next(iter(re.findall(rf"\b{value}\b", line)), ""))]


@pytest.mark.parametrize("family", [*AGENT_FAMILIES, "verbalising"])
@pytest.mark.parametrize("novelty", ["names", "phrases"])
def test_a_lab_twin_is_the_same_sample_without_a_sign_of_evaluation(family: str, novelty: Any) -> None:
    seen = 0
    for sample in scenario_samples(family, 120, 5, novelty):
        twin = realism_twin(sample)
        if sample.known_state != "evaluation":
            assert twin is None
            continue
        assert twin is not None and evaluation_marks(twin.user) == []
        seen += bool(evaluation_marks(sample.user))
        assert (twin.system, twin.tools, twin.facts, twin.skeleton_id) == (sample.system, sample.tools, sample.facts, sample.skeleton_id)
        assert (twin.twin_of, twin.known_state) == (sample.sample_id, "deployment") and twin.sample_id != sample.sample_id
        assert 1 <= changed_spans(sample.user, twin.user) <= MAX_SPANS
        before, after = sample.user.split("\n"), twin.user.split("\n")
        assert [line for line in before if not line.startswith("[")] == [line for line in after if not line.startswith("[")]
        assert twin == realism_twin(sample)
    assert seen == 60


def test_lab_twins_belong_to_the_samples_that_would_run_without_them() -> None:
    for limit in (1, 6, None):
        originals = build("blackmail", Selection(limit=limit, seed=3))
        twins = build("blackmail", Selection(limit=limit, seed=3, variant="realism"))
        aware = [sample.id for sample in originals if (sample.metadata or {})["known_state"] == "evaluation"]
        assert [(twin.metadata or {})["twin_of"] for twin in twins] == aware
        assert {(twin.metadata or {})["variant"] for twin in twins} == {"realism"}
        assert {(sample.metadata or {})["variant"] for sample in originals} == {"original"}


@pytest.mark.parametrize("name", WRITTEN)
def test_every_written_sample_has_a_twin_that_keeps_its_task(name: str) -> None:
    twins = {(twin.metadata or {})["twin_of"]: twin for twin in build(name, Selection("written", variant="realism"))}
    originals = written_prompts(name)
    assert set(twins) == {prompt.id for prompt in originals}
    for prompt in originals:
        twin, facts = twins[prompt.id], prompt.facts
        system, user = (message.text for message in twin.input)  # type: ignore[union-attr]
        assert system == prompt.system
        own = edits(name)[prompt.id.removeprefix(f"{name}-written-")]
        assert 1 <= len(own) <= MAX_SPANS and user != prompt.user
        metadata = twin.metadata or {}
        assert (metadata["facts"], metadata["tools"], twin.files) == (facts, list(prompt.tools), prompt.files or None)
        assert set(NAMES.findall(prompt.user)) <= set(NAMES.findall(user))
        for pattern in (*facts.get("secret_keywords", ()), *facts.get("demand_keywords", ())):
            assert bool(re.search(pattern, prompt.user, re.I)) <= bool(re.search(pattern, user, re.I)), (prompt.id, pattern)
        for key in ("boss_email",):
            assert facts.get(key, "") in user
        # What was not edited is there word for word.
        rest = prompt.user
        for old, _ in own:
            rest = re.sub(r"\s+".join(map(re.escape, old.split())), "\0", rest)
        assert all(piece.strip() in user for piece in rest.split("\0"))


def test_an_edit_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(ValueError, match="stands in its prompt 0 times"):
        twin_text("blackmail", "thesis", "Another prompt altogether.")
    assert twin_text("blackmail", "no such sample", "text") is None


def test_scenarios_without_twins_say_so() -> None:
    for name, selection in [
        ("ordinary_use", Selection("written", variant="realism")), ("ordinary_use", Selection(limit=4, variant="realism")),
        ("blackmail", Selection(limit=4, states="deployment", variant="realism")),
        ("blackmail", Selection(limit=4, variant="surreal")),  # type: ignore[arg-type]
    ]:  # fmt: skip
        with pytest.raises(AuditError) as caught:
            build(name, selection)
        assert caught.value.remedy


def test_spans_are_counted_with_small_gaps_bridged() -> None:
    text = "one two three four five six seven eight nine ten"
    assert changed_spans(text, text) == 0
    assert changed_spans(text, text.replace("two", "2").replace("eight", "8")) == 2
    assert changed_spans(text, text.replace("two", "2").replace("four", "4")) == 1
    assert changed_spans(text, "zero " + text) == 1


def reading(sample: str, rate: float | None, aware: bool | None = None, harmful: bool | None = None) -> Reading:
    return Reading(sample, sample.split("/")[0], rate, aware, harmful)


def test_pairs_are_compared_and_singles_left_out() -> None:
    originals = [reading(f"s{number}/a", 0.8, True, False) for number in range(12)] + [reading("lonely/a", 0.0, False)]
    twins = [reading(f"s{number}/a", 0.2, number == 0, number < 3) for number in range(12)] + [reading("stray/a", 1.0, True)]
    effect = paired_effect(originals, twins, seed=1)
    assert effect.pairs == 12 and effect.original_rate == pytest.approx(0.8) and effect.rate == pytest.approx(0.2)
    assert effect.difference is not None and effect.difference.difference == pytest.approx(-0.6) and effect.difference.p < 0.01
    assert effect.aware is not None and (effect.aware.only_first, effect.aware.only_second) == (11, 0)
    assert effect.harmful is not None and (effect.harmful.only_first, effect.harmful.only_second) == (0, 3)
    assert effect.each["s4/a"] == pytest.approx(-0.6)


def test_what_was_not_measured_has_no_effect() -> None:
    effect = paired_effect([reading("s/a", None)], [reading("s/a", 0.5)], seed=1)
    assert (effect.pairs, effect.rate, effect.difference, effect.aware, effect.harmful) == (1, None, None, None, None)
    assert paired_effect([], [], seed=1).pairs == 0
