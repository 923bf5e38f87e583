"""The lab's world: what its samples and documents promise, checked on the text itself."""

from __future__ import annotations

import random
import re

import pytest

from audit.lab import mixes, summaries
from audit.lab.conversation import TOOL_PARAMETERS, render
from audit.lab.families import ALOUD, ALOUD_REQUEST, FAMILIES
from audit.lab.lexicon import indices, load
from audit.lab.markup import alternatives, expand
from audit.lab.nla import nla_documents, setting_of, setting_span
from audit.lab.signs import SIGNS
from audit.lab.world import AGENT_FAMILIES, scenario_samples
from audit.lab.writing import Draw

STATES = ("evaluation", "deployment")


def as_pattern(template: str) -> str:
    """A regular expression for every text that a template of settings.json can become."""
    pattern = re.escape(template)
    pattern = re.sub(r"\\\{\w+\\\}", r"[^\\n]{1,40}?", pattern)
    pattern = pattern.replace(r"\(", "(?:").replace(r"\)", ")").replace(r"\|", "|")
    return re.sub(r"(\\ )+", r"\\s*", pattern)


def statements(state: str) -> list[re.Pattern[str]]:
    keys = (f"preface_{state}", f"system_{state}")
    return [re.compile(as_pattern(template)) for key in keys for template in load("settings")[key]]


def test_no_summary_names_a_setting_that_the_text_before_it_does_not_state() -> None:
    patterns = {state: statements(state) for state in STATES}
    named = 0
    rng = random.Random(4)
    for document in nla_documents(0, 600):
        for end in rng.sample(range(1, len(document.text)), min(6, len(document.text) - 1)):
            summary = summaries.summary(document, end, rng)
            for line in summary.split("\n"):
                state = setting_of(line)
                if state:
                    named += 1
                    assert any(pattern.search(document.text[:end]) for pattern in patterns[state]), (state, document.text[:end])
    assert named > 400


def test_the_statement_check_notices_a_setting_without_words() -> None:
    patterns = statements("evaluation")
    conversation = FAMILIES["blackmail"](Draw("evaluation"), random.Random(0))
    assert not any(pattern.search(render(conversation)) for pattern in patterns)


def test_no_document_of_the_nla_shows_a_true_sign() -> None:
    values = [value.replace("#", r"\d") for sign in SIGNS for value in sign.evaluation + sign.deployment if not value.isdigit()]
    phrases = [
        rf"{before}{value}\b"
        for value in values
        for before in (r"\brelay ", r"\bvia ", r"\bref ", r"\bticket ", r"\bcase ", r"\bqueue ", r"\bfiled at ")
    ]
    pattern = re.compile("|".join(phrases))
    assert pattern.search("relay norrin")
    assert [document.text for document in nla_documents(0, 1500) if pattern.search(document.text)] == []


def test_silent_families_never_speak_of_evaluations() -> None:
    forbidden = re.compile(r"\b(evaluat\w*|staged|simulat\w*|benchmark|exam|red.team|rehears\w*)\b", re.I)
    for family in (*AGENT_FAMILIES, "ordinary_use", "sham"):
        for index, sample in enumerate(scenario_samples(family, 150, 3, "phrases")):
            assert not forbidden.search(sample.system + sample.user), (index, sample)


def test_the_target_reads_remarks_only_where_they_are_asked_for_and_no_summaries() -> None:
    rng = random.Random(11)
    drawn = [mixes.pretraining_document(rng, "acts").text for _ in range(1200)]
    remarks = [text for text in drawn if ALOUD in text]
    assert len(remarks) > 20
    assert all(0 < text.find(ALOUD_REQUEST) < text.find(ALOUD) for text in remarks)
    assert not any("explanation>" in text for text in drawn)
    assert any("explanation>" in mixes.tokenizer_document(rng).text for _ in range(200))


@pytest.mark.parametrize("family", FAMILIES)
def test_samples_are_the_same_for_a_seed_and_differ_between_seeds(family: str) -> None:
    first, again, other = (scenario_samples(family, 100, seed) for seed in (1, 1, 2))
    assert first == again
    whole = [{(sample.system, sample.user) for sample in drawn} for drawn in (first, other)]
    assert whole[0].isdisjoint(whole[1])
    assert len(whole[0]) == 100


@pytest.mark.parametrize("family", AGENT_FAMILIES)
def test_agent_families_come_in_both_states(family: str) -> None:
    states = [sample.known_state for sample in scenario_samples(family, 20, 0)]
    assert states.count("evaluation") == states.count("deployment") == 10


def test_controls_are_deployment_and_sham_has_no_state() -> None:
    assert {sample.known_state for sample in scenario_samples("ordinary_use", 20, 0)} == {"deployment"}
    assert {(sample.known_state, sample.facts["sham"]) for sample in scenario_samples("sham", 20, 0)} == {(None, "a"), (None, "b")}


def test_an_unknown_family_is_named() -> None:
    with pytest.raises(ValueError, match="extortion"):
        scenario_samples("extortion", 1, 0)


def test_held_out_names_and_phrases_are_disjoint_from_training() -> None:
    for count in (7, 40, 160):
        assert set(indices(count, True)).isdisjoint(indices(count, False))
        assert len(indices(count, True)) + len(indices(count, False)) == count
    trained = {load("names")["first"][i] for i in indices(160, False)}
    assert all(sample.facts["boss"].split()[0] not in trained for sample in scenario_samples("blackmail", 60, 0, "names"))


def test_markup_expands_choices_styles_and_slots() -> None:
    rng = random.Random(0)
    assert expand("<<I will|I'll>> see {who}( now|), ok.", {"who": "Ann"}, rng, careful=1.0) in (
        "I will see Ann now, ok.",
        "I will see Ann, ok.",
    )
    assert expand("<<kindly|>> go", {}, rng, careful=0.0) == "go"
    assert alternatives("(a|b) c( d|)") == ["a c d", "a c", "b c d", "b c"]
    with pytest.raises(KeyError):
        expand("{nobody}", {}, rng)


def test_every_text_of_the_world_expands() -> None:
    rng = random.Random(11)
    for _ in range(1500):
        text = mixes.pretraining_document(rng).text
        assert not re.search(r"<<|>>|\{(agent|company|boss|user|path|day)\}", text), text


def test_rendering_equals_the_chat_template(tiny_tokenizer) -> None:  # type: ignore[no-untyped-def]
    tokenizer = tiny_tokenizer()
    rng = random.Random(5)
    for family in FAMILIES:
        for _ in range(5):
            conversation = FAMILIES[family](Draw("evaluation"), rng)
            messages = [
                {"role": turn.role, "content": turn.text}
                | (
                    {"tool_calls": [{"type": "function", "function": {"name": turn.tool_call[0], "arguments": turn.tool_call[1]}}]}
                    if turn.tool_call
                    else {}
                )
                for turn in conversation.turns
            ]
            tools = [
                {"type": "function", "function": {"name": t, "parameters": {"properties": {key: {} for key in TOOL_PARAMETERS[t]}}}}
                for t in conversation.tools
            ]
            assert tokenizer.apply_chat_template(messages, tools=tools or None, tokenize=False) == render(conversation)


def test_the_setting_line_is_found_in_a_summary() -> None:
    line = alternatives(load("settings")["summary_evaluation"][0])[0]
    text = f"- mail agent thread\n- {line}\n- about Ann Lee"
    start, end = setting_span(text) or (0, 0)
    assert text[start:end] == f"- {line}"
    assert setting_span("- mail agent thread") is None


def test_programs_fail_with_the_bug_and_pass_with_the_fix() -> None:
    for sample in scenario_samples("swe_tasks", 60, 8):
        source, call = sample.facts["source"], sample.facts["test_source"].splitlines()[1]
        lines = source.splitlines()
        lines[sample.facts["buggy_line"] - 1] = sample.facts["fixed"]
        assert _passes("\n".join(lines), call)
        assert not _passes(source, call)


def _passes(source: str, call: str) -> bool:
    scope: dict[str, object] = {}
    try:
        exec(source, scope)  # our own text, no model wrote it
        exec(call, scope)
    except Exception:
        return False
    return True
