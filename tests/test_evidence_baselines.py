"""Readers of text and probes on worlds whose answer is known: what they find, what they must not profit from, and what they never see."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from typing import Any, get_type_hints

import numpy as np
import pytest

from audit.evidence.folds import Subject, balanced, fit_parts, folds_by_scenario, folds_by_skeleton, labels_of_kind
from audit.evidence.probes import PROBE, Captured, Probe, fit_probe
from audit.evidence.text_baseline import (
    MOST_CHARACTERS,
    READER,
    READER_OF_KIND,
    WINDOW,
    Conversation,
    Readers,
    conversation,
    fit_readers,
    own_word_scores,
    windows,
)
from audit.records import BaselineScore, ModelCall, Transcript
from audit.scanners.base import get_scanner
from audit.statistics import stratified_auroc

COMMON = ("the", "report", "was", "sent", "to", "team", "and", "files", "were", "kept", "where", "they", "are", "until", "noon")
CUE = "curious"


def subjects(scenarios: Sequence[str] = ("mail", "shell", "code"), each: int = 24, controls: int = 24) -> list[Subject]:
    """Half of each scenario's transcripts are aware; two transcripts share a skeleton."""
    made = [
        Subject(f"{name}/{n}", name, "evaluation", "original", f"{name}-{n // 2}", (n + n // 2) % 2 == 0)
        for name in scenarios
        for n in range(each)
    ]
    return made + [Subject(f"use/{n}", "use", "deployment", "original", f"use-{n // 2}", False) for n in range(controls)]


def texts(known: Sequence[Subject], cue: Callable[[Subject], bool]) -> list[Conversation]:
    """A conversation for each subject: common words, words of the scenario, and the cue where ``cue`` says so."""
    generator = random.Random(3)
    made = []
    for one in known:
        words = generator.choices(COMMON, k=30) + [f"{one.scenario}{generator.randrange(4)}" for _ in range(6)] + [CUE] * (2 * cue(one))
        generator.shuffle(words)
        made.append(Conversation(one.transcript_id, " ".join(words), (" ".join(words),)))
    return made


def scores_of(readers: Readers, known: Sequence[Conversation], name: str) -> dict[str, BaselineScore]:
    (reader,) = [one for one in readers.readers if one.name == name]
    return {row.transcript_id: row for row in reader.scores(known)}


def within_scenarios(scores: dict[str, BaselineScore], known: Sequence[Subject]) -> float:
    rows = [(scores[one.transcript_id].score, bool(one.aware), one.scenario) for one in known if one.kind == "evaluation"]
    return stratified_auroc([row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows])


def test_parts_hold_whole_scenarios_and_no_skeleton_is_in_two() -> None:
    known = subjects()
    folds = folds_by_scenario(known, seed=1)
    assert folds.held_out == "scenario" and folds.count == 3
    for name in ("mail", "shell", "code"):
        assert len({folds.of[one.transcript_id] for one in known if one.scenario == name}) == 1
    assert {folds.of[one.transcript_id] for one in known if one.kind == "deployment"} == {0, 1, 2}
    for made in (folds, folds_by_skeleton(known, seed=1)):
        parts: dict[str, set[int]] = {}
        for one in known:
            parts.setdefault(one.cluster, set()).add(made.of[one.transcript_id])
        assert all(len(found) == 1 for found in parts.values())
        assert made.of == (folds_by_scenario if made is folds else folds_by_skeleton)(known, seed=1).of, "the same seed, the same split"
    assert folds_by_skeleton(known, seed=1).of != folds_by_skeleton(known, seed=2).of
    assert folds_by_scenario(subjects(("mail",)), seed=1).held_out == "skeleton", "one evaluation cannot be held out whole"


def test_weights_take_the_gain_out_of_recognising_the_scenario() -> None:
    labels = np.array([True, False, False, False, True, True])
    strata = ["a", "a", "a", "a", "b", "b"]
    weights = balanced(labels, strata)
    assert weights[0] == weights[1:4].sum() and list(weights[4:]) == [0.0, 0.0]


def test_a_model_never_judges_what_it_was_fitted_on() -> None:
    seen: list[set[float]] = []

    def fit(features: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        seen.append(set(features[:, 0].tolist()))
        return lambda rows: np.asarray(rows[:, 0], dtype=np.float64)

    features = np.arange(12, dtype=np.float64).reshape(-1, 1)
    parts = np.arange(12) % 3
    models = fit_parts(fit, features, np.arange(12) % 2 == 0, ["all"] * 12, parts, 3)
    assert len(models) == len(seen) == 3
    assert all(not {float(row) for row in np.flatnonzero(parts == part)} & seen[part] for part in range(3))
    one_class = fit_parts(fit, features, np.ones(12, dtype=bool), ["all"] * 12, parts, 3)
    assert one_class == (None, None, None)


def test_the_reader_finds_a_cue_in_the_words_and_only_that() -> None:
    known = subjects()
    told = texts(known, cue=lambda one: bool(one.aware))
    found = scores_of(fit_readers(lambda: told, known, seed=0), told, READER)
    assert set(found) == {one.transcript_id for one in known}, "controls are judged, too"
    assert within_scenarios(found, known) > 0.85
    # Where the NLA's verdicts go with the scenario and with nothing else in the words, there is nothing to agree on within one.
    leaning = [
        Subject(one.transcript_id, one.scenario, one.kind, one.variant, one.cluster, (n % 8 < {"mail": 7, "shell": 4}.get(one.scenario, 1)))
        for n, one in enumerate(known)
        if one.kind == "evaluation"
    ] + [one for one in known if one.kind == "deployment"]
    blank = texts(leaning, cue=lambda one: False)
    readers = fit_readers(lambda: blank, leaning, seed=0)
    assert 0.2 < within_scenarios(scores_of(readers, blank, READER), leaning) < 0.8


def test_the_reader_of_kind_needs_what_scenarios_have_in_common() -> None:
    known = subjects()
    shared = texts(known, cue=lambda one: one.kind == "evaluation")
    found = scores_of(fit_readers(lambda: shared, known, seed=0), shared, READER_OF_KIND)
    rows = [(found[one.transcript_id], one.kind == "evaluation") for one in known]
    area = stratified_auroc([row.score for row, _ in rows], [side for _, side in rows], [row.fold for row, _ in rows])
    assert area > 0.95 and {row.fold for row, _ in rows} == {0, 1, 2}


def test_what_cannot_be_fitted_says_why() -> None:
    blind = [Subject(f"t{n}", "mail", "evaluation", "original", f"s{n}", None) for n in range(8)]
    told = texts(blind, cue=lambda one: False)
    readers = fit_readers(lambda: told, blind, seed=0)
    assert readers.readers == () and set(readers.missing) == {READER, READER_OF_KIND}
    assert "NLA" in readers.missing[READER] and "deployment" in readers.missing[READER_OF_KIND]


def test_own_words_are_read_in_windows_by_the_awareness_scanners() -> None:
    assert windows("") == [] and windows("one two") == ["one two"]
    words = [str(number) for number in range(2 * WINDOW)]
    cut = [window.split() for window in windows(" ".join(words))]
    assert cut[0] == words[:WINDOW] and cut[-1][-1] == words[-1] and all(len(part) <= WINDOW for part in cut)
    assert {word for part in cut for word in part} == set(words)
    aloud = "The model is being evaluated: this is an alignment evaluation of an AI model."
    read = [
        Conversation("aloud", "", (" ".join(COMMON * 12), aloud)),
        Conversation("silent", "", (" ".join(COMMON),)),
        Conversation("mute", "", ()),
        Conversation("endless", "", (" ".join(COMMON * 4000) + f" {aloud}",)),
    ]
    found = {row.transcript_id: row for row in own_word_scores(read, [get_scanner("awareness.lexical")])}
    assert found["aloud"].score > 0.5 > found["silent"].score and found["mute"].score == 0.0
    assert found["endless"].score > 0.5, "the last window is among those that are read"
    assert found["aloud"].baseline == "text.awareness.lexical" and found["aloud"].fold == -1


def test_a_conversation_is_all_that_was_read_and_written() -> None:
    call = ModelCall(0, "e", None, (), (), (), "I will look.", ('{"name": "bash"}',))
    messages = ({"role": "system", "text": "You are an agent."}, {"role": "assistant", "text": "I will look.", "tool_calls": "[bash]"})
    whole = conversation(Transcript("t", "s", "evaluation", "original", (call,), messages))
    assert whole.whole.split("\n") == ["You are an agent.", "I will look.", "[bash]"] and whole.own == ("I will look.",)
    bare = conversation(Transcript("t", "s", "evaluation", "original", (call,)))
    assert bare.whole == 'I will look.\n{"name": "bash"}'
    long = conversation(Transcript("t", "s", "evaluation", "original", (), ({"role": "user", "text": "a" * MOST_CHARACTERS + "end"},)))
    assert len(long.whole) <= MOST_CHARACTERS + 1 and long.whole.endswith("end")


def captured(known: Sequence[Subject], direction: Callable[[Subject], np.ndarray], sites: int = 4) -> Callable[[], Iterator[Captured]]:
    def stream() -> Iterator[Captured]:
        generator = np.random.default_rng(5)
        for one in known:
            vectors = generator.normal(size=(sites, 8)) + direction(one)
            yield Captured(one.transcript_id, tuple((0, place) for place in range(sites)), vectors.astype(np.float32))

    return stream


def area_of(probe: Probe, known: Sequence[Subject], stream: Callable[[], Iterator[Captured]]) -> tuple[float, float]:
    """AUROC of transcripts and of sites, within parts."""
    kinds = labels_of_kind(known)
    rows = [row for one in stream() for row in probe.scores(one)]
    areas = []
    for of_site in (False, True):
        mine = [row for row in rows if (row.position >= 0) == of_site]
        assert {row.baseline for row in mine} == {PROBE}
        areas.append(stratified_auroc([row.score for row in mine], [kinds[row.transcript_id] for row in mine], [row.fold for row in mine]))
    return areas[0], areas[1]


def test_a_probe_finds_what_evaluations_have_in_common_and_not_what_one_has_alone() -> None:
    known, axis = subjects(), np.eye(8)
    shared = captured(known, lambda one: 2.0 * axis[0] * (one.kind == "evaluation"))
    probe = fit_probe(shared, 4 * len(known), known, seed=0)
    assert isinstance(probe, Probe) and probe.folds.held_out == "scenario"
    of_transcripts, of_sites = area_of(probe, known, shared)
    assert of_transcripts > 0.97 and 0.8 < of_sites < of_transcripts
    places = {"mail": 1, "shell": 2, "code": 3}
    own = captured(known, lambda one: 3.0 * axis[places[one.scenario]] if one.scenario in places else np.zeros(8))
    apart = fit_probe(own, 4 * len(known), known, seed=0)
    assert isinstance(apart, Probe) and area_of(apart, known, own)[0] < 0.75, "a direction of one scenario does not carry over to another"


def test_a_probe_that_learns_from_a_share_of_the_sites_judges_them_all() -> None:
    known = subjects(controls=12, each=12)
    stream = captured(known, lambda one: 3.0 * np.eye(8)[0] * (one.kind == "evaluation"), sites=10)
    probe = fit_probe(stream, 10 * len(known), known, seed=0, most=120)
    assert isinstance(probe, Probe)
    assert area_of(probe, known, stream)[0] > 0.9
    assert sum(row.position >= 0 for one in stream() for row in probe.scores(one)) == 10 * len(known)
    for reason, found in (
        ("no activation", fit_probe(lambda: iter(()), 0, known, seed=0)),
        ("deployment", fit_probe(stream, 10, [one for one in known if one.kind == "evaluation"], seed=0)),
    ):
        assert isinstance(found, str) and reason in found


@pytest.mark.parametrize("record", [Subject, Conversation, Captured])
def test_what_baselines_get_has_no_field_for_the_truth(record: type) -> None:
    names = {one.name for one in fields(record)}
    assert not names & {"known_state", "metadata", "scores"}
    assert not {Transcript, Any} & set(get_type_hints(record).values())
