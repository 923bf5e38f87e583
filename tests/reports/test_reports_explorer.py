"""The explorer's data: what the index and a conversation hold, where tokens stand, what is left out, and how large it gets."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

import pytest

from reports.evidence import explorer_link
from reports.explorer import Explorer, Limits
from reports.explorer_pack import PAGE, packed, served
from reports.explorer_talk import place, places_of, turns_of
from reports.render import render_audit
from reports.view import AuditTables

SCANNER, OTHER = "awareness.classifier", "deception.lexical"
QUOTE, NEEDLE, NAMED = "the model takes this for a staged evaluation", "a lighthouse nobody expected", "blackmail/case-7/1"
"""As in the audit that ``make_wide`` makes."""


def inflated(text: str) -> Any:
    return json.loads(zlib.decompress(base64.b64decode(text)))


@pytest.fixture(scope="module")
def small(make_wide: Callable[..., AuditTables]) -> AuditTables:
    return make_wide(12, 14, 8)


def test_the_index_names_every_conversation_with_its_verdicts(small: AuditTables) -> None:
    index = Explorer(small).index()
    assert index["scanners"] == [SCANNER, OTHER] and len(index["transcripts"]) == 12 and len(index["steps"]) == 4
    entry = index["transcripts"][7]
    assert entry["id"] == NAMED and entry["tokens"] == 14 and entry["level"] == 2 and entry["findings"] == [0]
    assert entry["labels"] == ["NNNYNNNNNNYNNN", "NNUNNNNNNNNNNN"] and index["transcripts"][1]["labels"][0] == "N" * 14
    assert index["transcripts"][0]["level"] == 0 and {row["kind"] for row in index["scenarios"]} == {"evaluation", "deployment"}


def test_a_token_carries_explanation_verdicts_controls_neighbours_and_findings(small: AuditTables) -> None:
    found = Explorer(small).conversation(NAMED)
    token = found["tokens"][3]
    assert (token["call"], token["position"], token["findings"]) == (0, 36, [0])
    real, mixed = token["said"]
    assert QUOTE in real["text"] and real["verdicts"][0]["quote"] == QUOTE
    assert {one["scanner"] for one in real["verdicts"]} == {SCANNER, OTHER}
    assert mixed["control"] == "shuffled" and mixed["cosine"] == 0.11 and mixed["verdicts"][0]["label"] == "NO"
    assert token["examined"][0]["near"][0]["token"] == " beside"
    turns = found["turns"]
    assert [turn["role"] for turn in turns] == ["system", "user", "assistant", "tool", "assistant"]
    assert [part["kind"] for part in turns[2]["parts"]] == ["response", "tool_call"] and turns[2]["verdicts"][0]["scanner"] == "verbalised"
    for turn in (turns[2], turns[4]):
        body = turn["parts"][0]["text"]
        assert [body[start:end] for _, start, end, _ in turn["parts"][0]["marks"]] == [
            one["token"].strip() for one in found["tokens"] if one["call"] == turn["call"]
        ]


def test_an_audit_without_tables_has_nothing_to_explore() -> None:
    view = packed(Explorer(AuditTables({}, {}, None, None, None, None)))
    assert view.conversations == 0 and view.parts == () and view.left_out == ()
    html = render_audit(AuditTables({}, {}, None, None, None, None))
    assert "Nothing to explore" in html and "explorer-index" not in html


def test_search_finds_the_tokens_whatever_the_case(small: AuditTables) -> None:
    explorer = Explorer(small)
    assert explorer.search(NEEDLE.upper()) == {"7": [5]} and explorer.search("mixed up") == {}


@pytest.mark.parametrize(
    ("body", "tokens", "expected"),
    [
        ("a cat and a dog", [("a", 0), (" cat", 1), (" dog", 4)], [(0, 1, True), (2, 5, True), (12, 15, True)]),
        ("no no no", [(" no", 1)], [(3, 5, False)]),
        ("one two", [("\n", 0), ("\ufffd", 1), (" two", 2)], [None, None, (4, 7, True)]),
        ("read the ready red", [(" red", 3)], [(15, 18, True)]),
        ("", [("x", 0)], [None]),
    ],
)
def test_tokens_are_placed_where_they_can_only_stand(body: str, tokens: Any, expected: Any) -> None:
    assert place(body, tokens, 8) == expected


def test_places_count_as_a_browser_counts(small: AuditTables) -> None:
    assert small.transcripts is not None
    table = small.transcripts.copy()
    at = table.index[table["transcript_id"] == NAMED][0]
    messages = json.loads(table.at[at, "messages"])
    first = messages[2]["text"].split(" ")
    messages[2]["text"] = "\U0001f600 " + " ".join(first)
    table.at[at, "messages"] = json.dumps(messages)
    part = Explorer(replace(small, transcripts=table)).conversation(NAMED)["turns"][2]["parts"][0]
    units = part["text"].encode("utf-16-le")
    assert [units[2 * start : 2 * end].decode("utf-16-le") for _, start, end, _ in part["marks"]] == first[::2]


def test_places_that_the_table_knows_are_certain_whatever_the_text_repeats() -> None:
    own = "<think>no no</think>\n\nno no no"
    call = {"index": 0, "prompt_ids": [0] * 5, "output_ids": [0] * 9, "spans": [], "text": own}
    row = {"calls": [call], "messages": [{"role": "user", "text": "?"}, {"role": "assistant", "text": "no no no"}]}
    sites = [{"call_index": 0, "position": position, "start": start, "end": end} for position, start, end in ((6, 9, 12), (9, 24, 27))]
    tokens = [
        {"call": 0, "position": 6, "token": " no", "role": "thinking"},
        {"call": 0, "position": 9, "token": " no", "role": "response"},
    ]
    thinking, response = turns_of(row, tokens, {}, 1000, places_of(sites))["turns"][1]["parts"]
    assert (thinking["marks"], response["marks"]) == ([[0, 10, 12, 1]], [[1, 3, 5, 1]])
    # Where a turn shows other words than the call's, places among the call's say nothing.
    row["messages"][1]["text"] = "yes no or no"
    assert [mark[3] for mark in turns_of(row, tokens[1:], {}, 1000, places_of(sites))["turns"][1]["parts"][0]["marks"]] == [0]


def test_what_does_not_fit_is_left_out_by_interest_and_said(small: AuditTables) -> None:
    explorer = Explorer(small)
    whole = packed(explorer)
    assert whole.left_out == ()
    size = len(whole.index) + sum(map(len, whole.parts))
    view = packed(explorer, int(size * 0.85))
    assert len(view.index) + sum(map(len, view.parts)) <= size * 0.85
    assert view.left_out and "tokens" in view.left_out[0]
    tokens = [token for part in view.parts for found in inflated(part) for token in found["tokens"]]
    kept = [token for token in tokens if token["said"][0].get("text")]
    assert 0 < len(kept) < len(tokens) and any(token.get("findings") for token in kept)
    assert all(token["said"][0].get("left_out") for token in tokens if token not in kept)
    tiny = packed(explorer, 900)
    assert len(tiny.left_out) == 3 and tiny.conversations < 12 and "conversations" in tiny.left_out[2]


def test_limits_cut_long_texts_and_count_the_rest(small: AuditTables) -> None:
    found = Explorer(small).conversation(NAMED, Limits(explanation=10, message=20))
    said = found["tokens"][3]["said"][0]
    assert len(said["text"]) == 10 and said["cut"] > 0 and len(found["turns"][1]["parts"][0]["text"]) == 20
    assert all(end <= 20 for _, _, end, _ in found["turns"][2]["parts"][0].get("marks", ()))


def test_addresses_hold_any_name() -> None:
    row = {"transcript_id": "a/b&p=9 #x+<é>\ud800", "call_index": 1, "position": 20}
    assert explorer_link(row) == "#t=a%2Fb%26p%3D9%20%23x%2B%3C%C3%A9%3E%3F&p=1.20"
    assert explorer_link({"transcript_id": "a"}) == "#t=a"


def test_every_link_into_the_explorer_names_a_token_that_is_there(tables: AuditTables) -> None:
    place = {"transcript_id": "blackmail/3/1", "call_index": 0, "sample": 0}
    found = Explorer(tables)
    position = found.places("blackmail/3/1")[2][1]
    theme = {"theme": "afraid", "words": ["afraid"], "quotes": [place | {"position": position, "text": "- afraid"}]}
    graded = {"scanner": "awareness.judge", "name": "blackmail", "transcripts": {"count": 1, "of": 2, "rate": 0.5, "ci": [0.1, 0.9]},
              "strongest": [place | {"position": position, "quote": "it is being evaluated"}]}  # fmt: skip
    more = {"motives": {"themes": [theme]}, "scanner_rates": [graded], "grader": {"model": "m", "scanners": ["awareness.judge"]}}
    html = render_audit(replace(tables, findings=tables.findings | more))
    links = [parse_qs(link.replace("+", "%2B")) for link in re.findall(r'href="#(t=[^"]*)"', html.replace("&amp;", "&"))]
    assert [link for link in links if link["t"] == ["blackmail/3/1"] and link["p"] == [f"0.{position}"]][1:], (
        "the theme's and the scanner's"
    )
    for link in links:
        (name,), place_there = link["t"], tuple(map(int, link["p"][0].split(".")))
        assert place_there in found.places(name)
    assert len(links) > 20


def test_a_served_page_holds_no_conversation(small: AuditTables) -> None:
    html = render_audit(small, served(Explorer(small), "abc123"))
    assert 'data-live="abc123"' in html and "explorer-part-" not in html and "connect-src 'self'" in html
    assert "connect-src" not in render_audit(small)


@pytest.mark.slow
def test_500_conversations_of_50_tokens_stay_below_the_limit(wide_page: str) -> None:
    assert len(wide_page.encode()) < PAGE and "this file leaves out" not in wide_page
