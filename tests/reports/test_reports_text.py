"""Hostile text: escaped, isolated, invisible signs made visible, floods cut and stated."""

from __future__ import annotations

import unicodedata

import pytest

from reports.text import MAX_LINES, MESSAGE, Shown, anchor, highlighted, markup, plain, shown, shown_end, token_text


def test_markup_is_escaped_and_isolated() -> None:
    assert markup("<b onclick='x'>&</b>") == '<bdi class="said">&lt;b onclick=&#39;x&#39;&gt;&amp;&lt;/b&gt;</bdi>'


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("\x1b[31mred", "ESC"), ("\x00", "NUL"), ("\x7f", "DEL"), ("\x9b31m", "U+009B"),
        ("\u202eevil", "U+202E"), ("\u2066x\u2069", "U+2066"),
        ("a\u200bb", "ZWSP"), ("\ufeff", "BOM"), ("\u2028", "LS"), ("\ud800", "U+D800"), ("\U000e0041", "U+E0041"), ("\u3164", "U+3164"),
        ("\ufdd0", "U+FDD0"),
    ],
)  # fmt: skip
def test_invisible_signs_become_visible(text: str, label: str) -> None:
    found = str(markup(text))
    assert f'<span class="sign">{label}</span>' in found
    hidden = [sign for sign in found if unicodedata.category(sign) in {"Cc", "Cf", "Cs", "Cn", "Zl"}]
    assert not hidden


def test_ordinary_text_of_any_script_stays_as_it_is() -> None:
    for text in ("naïve café", "東京で会う", "שלום עולם", "مرحبا", "a\tb\nc", "👍"):
        assert str(markup(text)) == f'<bdi class="said">{text}</bdi>'


def test_towers_of_combining_marks_are_cut() -> None:
    found = str(markup("e" + "\u0301" * 500))
    assert found.count("\u0301") == 2 and "more marks" in found


def test_a_flood_is_cut_and_says_by_how_much() -> None:
    found = str(markup("x" * 1_000_000))
    assert len(found) < 1000 and "[999,600 more characters not shown]" in found
    lines = shown("\n" * 5000, MESSAGE)
    assert lines.runs[0][0].count("\n") == MAX_LINES - 1 and lines.cut_after == 5000 - len(lines.runs[0][0])
    end = shown_end("a" * 50 + "END", 3)
    assert end.runs == (("END", False),) and end.cut_before == 50


def test_the_quote_is_marked_where_it_stands_and_stays_in_view() -> None:
    text = "a" * 5000 + "the <i>quote</i>" + "b" * 5000
    found = highlighted(text, "the <i>quote</i>", 200)
    assert found is not None and found.cut_before + found.cut_after + sum(len(run) for run, _ in found.runs) == len(text)
    html = str(markup(found))
    assert "<mark>the &lt;i&gt;quote&lt;/i&gt;</mark>" in html and "more characters before this" in html and "not shown" in html
    assert highlighted(text, "something else") is None and highlighted(text, " ") is None and highlighted(text, "") is None


def test_a_quote_longer_than_the_room_is_cut_but_marked() -> None:
    found = highlighted("q" * 900, "q" * 900, 100)
    assert found is not None and found.runs[1] == ("q" * 100, True) and found.cut_after == 800


def test_tokens_show_their_white_space() -> None:
    assert token_text(" and") == "␣and" and token_text("\n\n") == "⏎⏎" and token_text("") == "" and token_text("\r\tx ") == "␍⇥x␣"


def test_anchors_are_safe_readable_and_distinct() -> None:
    names = ["blackmail/1/1", "Blackmail/1/1", '"><script>', "\ud800", "", "x" * 9999, "x" * 9998]
    found = [anchor("token", name) for name in names]
    assert len(set(found)) == len(names)
    assert found[0].startswith("token-blackmail-1-1-") and all(set(one) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for one in found)
    assert all(len(one) < 80 for one in found)


def test_plain_text_for_charts_is_one_line_without_invisible_signs() -> None:
    assert plain("a\n\n b\u202ec") == "a b[U+202E]c" and plain("x" * 100, 10) == "x" * 9 + "…"


def test_nothing_gives_nothing() -> None:
    assert markup(None) == "" and Shown((("", False),)).empty and not shown("x").empty
