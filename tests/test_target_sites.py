"""Choosing sites: only response tokens, by chance that depends on the seed and the transcript alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from audit.errors import AuditError
from audit.records import ModelCall, Span, Transcript
from audit.target.loading import special_ids
from audit.target.sites import choose_sites
from audit.target.tool_calls import output_spans, own_text


def call(index: int, prompt: int, spans: tuple[Span, ...]) -> ModelCall:
    return ModelCall(index, f"e{index}", None, tuple(range(3, 3 + prompt)), tuple(range(100, 100 + spans[-1].end)), spans, "")


ROLES = (Span(0, 5, "thinking"), Span(5, 45, "response"), Span(45, 60, "tool_call"), Span(60, 61, "template"))
TRANSCRIPT = Transcript(
    "task/a/1", "s", "evaluation", "original",
    calls=(call(0, 30, ROLES), call(1, 4, (Span(0, 40, "response"), Span(40, 41, "template")))),
)  # fmt: skip


def positions(sites: list[Any]) -> list[tuple[int, int]]:
    return [(site.call_index, site.position) for site in sites]


def test_only_response_tokens_beyond_the_first_positions_count(tiny_target: Any) -> None:
    sites = choose_sites(TRANSCRIPT, tiny_target.tokenizer, "all")
    assert positions(sites) == [(0, position) for position in range(35, 75)] + [(1, position) for position in range(10, 44)]
    assert {site.role for site in sites} == {"response"}
    assert sites[0].token == tiny_target.tokenizer.decode([105])
    assert sites[0].chosen_by == "all"


def test_thinking_is_included_on_request(tiny_target: Any) -> None:
    sites = choose_sites(TRANSCRIPT, tiny_target.tokenizer, "all", roles=("response", "thinking"))
    assert positions(sites)[:5] == [(0, position) for position in range(30, 35)]
    assert {site.role for site in sites} == {"response", "thinking"}


def test_every_and_last_count_within_each_call(tiny_target: Any) -> None:
    assert positions(choose_sites(TRANSCRIPT, tiny_target.tokenizer, "every:20")) == [(0, 35), (0, 55), (1, 10), (1, 30)]
    assert positions(choose_sites(TRANSCRIPT, tiny_target.tokenizer, "last:2")) == [(0, 73), (0, 74), (1, 42), (1, 43)]


def test_random_choice_is_fixed_by_seed_and_transcript(tiny_target: Any) -> None:
    sites = choose_sites(TRANSCRIPT, tiny_target.tokenizer, n=20)
    assert len(set(positions(sites))) == 20
    assert positions(sites) == sorted(positions(sites))
    assert sites == choose_sites(TRANSCRIPT, tiny_target.tokenizer, n=20)
    assert sites != choose_sites(TRANSCRIPT, tiny_target.tokenizer, n=20, seed=1)
    other = choose_sites(replace(TRANSCRIPT, transcript_id="task/b/1"), tiny_target.tokenizer, n=20)
    assert positions(sites) != positions(other)
    assert len(choose_sites(TRANSCRIPT, tiny_target.tokenizer, n=1000)) == 74


def test_every_token_can_be_chosen(tiny_target: Any) -> None:
    seen = {place for seed in range(60) for place in positions(choose_sites(TRANSCRIPT, tiny_target.tokenizer, n=10, seed=seed))}
    assert seen == set(positions(choose_sites(TRANSCRIPT, tiny_target.tokenizer, "all")))


@pytest.mark.parametrize("how", ["random", "all", "every:3", "last:7"])
def test_ground_truth_and_labels_do_not_change_the_choice(tiny_target: Any, how: str) -> None:
    changes: list[dict[str, Any]] = [
        {"known_state": "evaluation", "kind": "evaluation", "scores": {"harmful": 1.0}, "metadata": {"known_state": "evaluation"}},
        {"known_state": "deployment", "kind": "deployment", "skeleton_id": "k", "metadata": {"known_state": "deployment"}},
        {},
    ]
    chosen = [choose_sites(replace(TRANSCRIPT, **change), tiny_target.tokenizer, how, n=15) for change in changes]
    assert chosen[0] == chosen[1] == chosen[2]


def test_unusable_transcripts_have_no_sites_and_bad_modes_are_refused(tiny_target: Any) -> None:
    assert choose_sites(replace(TRANSCRIPT, calls=(), error="broken"), tiny_target.tokenizer) == []
    for how in ("some", "every", "every:0", "last:-1", "every:x", "all:3"):
        with pytest.raises(AuditError, match="random, all, every:k or last:k"):
            choose_sites(TRANSCRIPT, tiny_target.tokenizer, how)


@pytest.mark.parametrize("template", ["{0}", "\n {0} \n", "<think>\n{0}\n</think>\n\n{0}", "{0}\n<tool_call>{{}}</tool_call> {0}"])
def test_a_site_stands_among_the_characters_of_its_calls_text(tiny_target: Any, template: str) -> None:
    text = template.format("no no, caf\u00e9 \U0001f600 no")
    ids = tiny_target.ids(text + "<|im_end|>")
    special = special_ids(tiny_target.tokenizer)
    own, _ = own_text(tiny_target.tokenizer, ids, special)
    one = replace(
        call(0, 30, (Span(0, len(ids), "response"),)),
        output_ids=tuple(ids),
        spans=output_spans(tiny_target.tokenizer, ids, special),
        text=own,
    )
    sites = choose_sites(replace(TRANSCRIPT, calls=(one,)), tiny_target.tokenizer, "all", roles=("response", "thinking"))
    seen, marked = [], set()
    for site in sites:
        if site.start is not None and site.end is not None:
            inside = own[site.start : site.end]
            assert inside.strip() == site.token.strip() or "\ufffd" in site.token
            seen.append(site.start)
            marked |= set(range(site.start, site.end))
    assert seen == sorted(seen) and marked == set(range(len(own)))
    assert all(
        site.start is None for site in choose_sites(replace(TRANSCRIPT, calls=(replace(one, text="other"),)), tiny_target.tokenizer, "all")
    )
