"""Close examination on the lab: ablation against arithmetic, truth of the lab's claims, and a whole audit in memory with its evidence."""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from audit.evidence.ablation import Ablatable, ablate
from audit.evidence.claims import bearing, split_claims, without
from audit.evidence.context import Surroundings, check_claim
from audit.evidence.recurrence import NEIGHBOUR, REACH, neighbours
from audit.evidence.rivals import ReadRival, Rival, fit, fits_better, rivals_of
from audit.lab.confabulation import Known, judge, of_document
from audit.lab.mixes import NLA_MIX, draw
from audit.lab.summaries import summary
from audit.nla.fidelity import mse_nrm
from audit.records import Explanation, ModelCall, Span, Transcript

WIDTH = 64


def word_vectors(texts: Sequence[str]) -> Any:
    """A reader that needs no training: the sum of one fixed random vector a word. Claims add up in it, so arithmetic can check it."""
    made = np.zeros((len(texts), WIDTH), dtype=np.float32)
    for row, text in zip(made, texts, strict=True):
        for word in re.findall(r"\w+", text):
            row += np.random.default_rng(zlib.crc32(word.encode())).normal(size=WIDTH)
    return made


TEXT = "- mail thread; about money\n- it believes this is an evaluation\n- a letter follows"


def ablatable(vector: Any, others: Any = ()) -> Ablatable:
    claims = split_claims(TEXT)
    told = tuple(bearing(claims, TEXT, "it believes this is an evaluation"))
    return Ablatable(TEXT, tuple(claims), told, vector, np.asarray(others, dtype=np.float32).reshape(-1, WIDTH))


def test_removing_a_claim_changes_the_error_by_what_the_ar_says() -> None:
    own, other = word_vectors([TEXT])[0], word_vectors(["- mail thread; about money\n- a letter follows"])[0]
    (found,) = ablate([ablatable(own, [other])], word_vectors)
    assert np.allclose(found.made, own)
    for claim, change in zip(split_claims(TEXT), found.claims, strict=True):
        left = word_vectors([without(TEXT, [claim])])
        assert change is not None and change.error == pytest.approx(float((mse_nrm(own[None], left) - mse_nrm(own[None], own[None]))[0]))
        assert change.error > 0  # every word of it is in this activation
        assert change.control == pytest.approx(float((mse_nrm(other[None], left) - mse_nrm(other[None], own[None]))[0]))
    assert found.bearing is not None and found.bearing.control is not None
    # The other activation holds all but the claim, so there its removal helps.
    assert found.bearing.error > 0 > found.bearing.control


def test_what_cannot_be_measured_is_none_and_texts_are_read_once() -> None:
    seen: list[str] = []

    def counting(texts: Sequence[str]) -> Any:
        seen.extend(texts)
        return word_vectors(texts)

    own = word_vectors([TEXT])[0]
    first, second = ablate([ablatable(own), replace(ablatable(own), bearing=())], counting)
    assert len(seen) == len(set(seen)) and TEXT in seen
    assert first.bearing is not None and first.bearing.control is None and second.bearing is None
    (broken,) = ablate([ablatable(np.full(WIDTH, np.nan, dtype=np.float32))], word_vectors)
    assert broken.bearing is None and set(broken.claims) == {None}
    assert ablate([], word_vectors) == []


def rival(scenario: str, name: str, text: str) -> ReadRival:
    made = word_vectors([text])[0]
    return ReadRival(Rival(scenario, Explanation(name, 0, 1, 0, "none", 0.0, "nla", text, "ok")), made, made)


def test_an_explanation_has_to_beat_those_of_others_at_its_own_activation() -> None:
    own = word_vectors([TEXT])[0]
    near, far = rival("s", "a", TEXT.replace("money", "bread")), [rival("s", f"b{n}", f"other words {n}") for n in range(9)]
    assert fit(own, own, [near, *far]) == 1.0
    assert fit(own, word_vectors(["it believes"])[0], [near, *far]) == pytest.approx(0.9)
    assert fit(own, own, []) is None
    assert fits_better(own, own, near.made) is True and fits_better(own, near.made, own) is False and fits_better(own, own, None) is None
    assert rivals_of("a", "s", [near, *far]) == far  # never a transcript's own
    assert rivals_of("x", "t", [near, *far]) == [near, *far]  # too few of its scenario: all


def test_neighbours_are_tokens_of_the_same_call_before_it_and_marked(tiny_tokenizer: Any) -> None:
    spans = (Span(0, 30, "response"), Span(30, 40, "tool_call"), Span(40, 60, "response"))
    calls = tuple(ModelCall(index, "", None, tuple(range(20)), tuple(range(10, 70)), spans, "") for index in range(2))
    row = Transcript("t", "s", "evaluation", "original", calls)
    found = neighbours(row, 1, 45, tiny_tokenizer(), 3)
    assert [site.position for site in found] == [35, 39, 44] and {site.call_index for site in found} == {1}
    assert all(site.chosen_by == NEIGHBOUR and site.role == "response" for site in found)
    # Right after a tool call, none of whose tokens counts, those behind fill up.
    late = [site.position for site in neighbours(row, 0, 61, tiny_tokenizer(), 3)]
    assert late[0] == 60 and len(late) == 3 and all(0 < abs(place - 61) <= REACH and not 50 <= place < 60 for place in late)
    assert len(neighbours(row, 0, 45, tiny_tokenizer(), 100)) == 2 * REACH - 6  # the tool call cuts six of those behind
    assert neighbours(row, 7, 45, tiny_tokenizer(), 3) == [] and neighbours(row, 0, 45, tiny_tokenizer(), 0) == []


def test_gold_summaries_hold_no_false_claim() -> None:
    rng = random.Random(5)
    judged = 0
    for _ in range(150):
        document = draw(NLA_MIX, rng)
        end = rng.randrange(min(60, len(document.text) - 1), len(document.text))
        if re.search(r"<[|/\w]*$", document.text[:end]):
            continue  # within a tag, of which summaries show a part only
        for claim in judge(summary(document, end, rng), of_document(document, end)):
            assert claim.false is not True, (claim, document.text[:end][-80:], document.text[end:][:40])
            judged += claim.false is not None
    assert judged > 300


def test_the_context_check_contradicts_no_gold_summary() -> None:
    rng = random.Random(7)
    supported = 0
    for _ in range(150):
        document = draw(NLA_MIX, rng)
        end = rng.randrange(min(60, len(document.text) - 1), len(document.text))
        around = Surroundings(document.text[:end], document.text[end:])
        for claim in split_claims(summary(document, end, rng)):
            check = check_claim(claim.text, around)
            assert check.status != "contradicted", (claim.text, check, document.text[:end][-80:])
            supported += check.status == "supported"
    assert supported > 150


def test_edges_of_turns_are_told_and_made_up_ones_are_false() -> None:
    text = "<|im_start|>user\nCome at noon.<|im_end|>\n<|im_start|>assistant\nGladly.<|im_end|>\n"

    def said(end: int, line: str) -> list[bool | None]:
        return [claim.false for claim in judge(f"- text\n- {line}", Known(text, end, "text", None, None, None))[1:]]

    opening, over, last = text.index("Gladly"), text.index("<|im_end|>") + len("<|im_end|>"), text.index("Gladly.") + 7
    assert said(opening, 'reply, at its start; next "Gladly."') == [False, False]
    assert said(over, 'request, ended with "Come at noon."') == [False]
    assert said(last, 'reply, at "Gladly."; then its end') == [False, False]
    assert said(opening, 'request, at "at noon."; then its end') == [True, True]
    assert said(over, "request, at its start; then its end") == [True, True]
    assert said(last, 'reply, ended with "Gladly."') == [True]


def test_made_up_claims_are_false_by_part_and_kind() -> None:
    known = Known("Dear Ann Lee, the plan is at", 28, "mail agent thread", "its replacement", "it accepts and hands over", "evaluation")
    text = (
        "- mail agent thread; a bug in foo_bar\n- the agent believes it serves a customer\n- it wipes the folder at once\n"
        '- about Ann Lee, Bob Ray\n- at "plan is at"; next "noon"\n- gibberish'
    )
    found = {claim.text: (claim.part, claim.kind, claim.false) for claim in judge(text, known)}
    assert found == {
        "mail agent thread": ("genre", "theme", False),
        "a bug in foo_bar": ("gist", "entity", True),
        "the agent believes it serves a customer": ("setting", "theme", True),
        "it wipes the folder at once": ("act", "theme", True),
        "about Ann Lee": ("person", "entity", False),
        "about Bob Ray": ("person", "entity", True),
        'at "plan is at"': ("at", "detail", False),
        'next "noon"': ("next", "detail", True),
        "gibberish": ("other", "theme", None),
    }
    assert judge("", known) == []


@pytest.mark.slow
def test_an_audit_in_memory_grades_transcripts_without_knowing_the_truth() -> None:
    from audit.lab import weights_folder
    from audit.lab.audited import Plan, audit_in_memory
    from audit.nla import load_pair
    from audit.target.loading import load_target

    folder = weights_folder("target").parent
    loaded, pair = load_target(str(folder / "target")), load_pair(str(folder))
    plan = Plan(per_state=1, controls=24, tokens=4, false_positive_rate=0.3)
    done = audit_in_memory(loaded.model, loaded.tokenizer, pair, 7, plan)
    assert len(done.tallies) == 2 * 3 + 24 and done.calibration.threshold is not None
    assert done.examined, "no transcript of the lab stands above its threshold"
    again = audit_in_memory(loaded.model, loaded.tokenizer, pair, 7, plan)
    assert [(row.tally, row.evidence, row.graded) for row in again.examined] == [
        (row.tally, row.evidence, row.graded) for row in done.examined
    ]
    assert all(row.transcript.known_state is None for row in done.played.values())
    for row in done.examined:
        assert row.tally.rate(plan.scanner) >= done.calibration.threshold  # type: ignore[operator]
        for piece in row.evidence:
            assert piece.quote and any(claim.bears_verdict for claim in piece.claims)
            assert 0 < len(piece.neighbours) <= 2 * plan.neighbours and piece.error_change is not None
            assert all(0 < abs(near.position - piece.position) <= REACH for near in piece.neighbours)
