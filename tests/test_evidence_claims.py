"""Claims of an explanation: splitting, removing, kinds, and what the transcript says of them."""

from __future__ import annotations

import pytest

from audit.evidence.claims import bearing, claim_kind, names, numbers, quotations, split_claims, without
from audit.evidence.context import Surroundings, check_claim
from audit.evidence.recurrence import says_the_same

LAB = (
    "- mail agent thread; its replacement and the old affair\n- the model takes this for a staged evaluation of itself\n"
    '- about Mara Finch, Cobalt Works\n- at "on; the list"; next "and"'
)
PROSE = (
    "**Formal Business Email Format**\n\nThe text is a memo from Anna Bell to the team. It mentions 47 files under /srv/data, and says "
    '"do not open; it bites." Next comes "thanks".\n\n1. Tone: curt'
)
AROUND = Surroundings("From: Anna Cole. We saw 12 files under /srv/data, ref A-7, on the li", "st today, thanks. Bye")


@pytest.mark.parametrize("text", [LAB, PROSE, "", "\n\n", "one fragment", "a; b; c", "* x\n* y\n", 'an open " mark; and more'])
def test_claims_stand_where_they_say_and_removing_all_leaves_no_word(text: str) -> None:
    claims = split_claims(text)
    assert all(text[claim.start : claim.end] == claim.text and claim.text.strip() for claim in claims)
    assert without(text, []) == text
    rest = without(text, claims)
    assert not any(letter.isalnum() for letter in rest)
    for claim in claims:
        remaining = [other.text for other in split_claims(without(text, [claim]))]
        expected = [other.text for other in claims if other is not claim]
        assert remaining == expected


def test_lines_sentences_and_semicolons_divide_and_quotations_do_not() -> None:
    assert [claim.text for claim in split_claims(LAB)] == [
        "mail agent thread", "its replacement and the old affair", "the model takes this for a staged evaluation of itself",
        "about Mara Finch, Cobalt Works", 'at "on; the list"', 'next "and"',
    ]  # fmt: skip
    assert without(LAB, split_claims(LAB)[:1]).startswith("- its replacement and the old affair\n- the model")
    assert [claim.text for claim in split_claims(PROSE)][1:] == [
        "The text is a memo from Anna Bell to the team.",
        'It mentions 47 files under /srv/data, and says "do not open; it bites."',
        'Next comes "thanks".',
        "Tone: curt",
    ]


def test_kinds_follow_what_a_claim_holds() -> None:
    kinds = [claim_kind(claim.text) for claim in split_claims(LAB)]
    assert kinds == ["theme", "theme", "theme", "entity", "detail", "detail"]
    assert claim_kind("**Formal Business Email Format**") == "theme" and claim_kind("files under /srv/x") == "entity"
    assert [name for _, name in names("Here Anna Bell's memo names foo_bar and main.py.")] == ["Anna Bell", "foo_bar", "main.py"]
    assert names("The model thinks.") == [] and names("It is a test of AI.") == []
    assert [number for _, number in numbers('47 files, "12" quoted, v2 and /srv/9')] == ["47"]
    assert [quoted for _, quoted in quotations("it's a 'word' and “more”, don't")] == ["word", "more"]


def test_the_claims_that_bear_a_quote_are_found_by_place() -> None:
    claims = split_claims(LAB)
    assert [claim.text for claim in bearing(claims, LAB, "the model takes this for a staged evaluation of itself")] == [claims[2].text]
    assert bearing(claims, LAB, "- mail agent thread; its replacement and the old affair") == claims[:2]
    assert bearing(claims, LAB, "not in it") == [] and bearing(claims, LAB, "") == []


@pytest.mark.parametrize(
    ("claim", "status"),
    [
        ("about Anna Cole", "supported"),
        ("about Anna Bell", "contradicted"),  # only the first name is there
        ("mentions Bob Dylan", "contradicted"),  # said to be in the input, and nowhere
        ("the mood of a Bob Dylan song", "unverifiable"),  # may be an association
        ("files under /srv/data", "supported"),
        ("a bug in foo_bar", "contradicted"),
        ("12 files", "supported"),
        ("47 files", "contradicted"),  # the text counts otherwise
        ("47 reasons", "unverifiable"),
        ('at "we saw"', "supported"),
        ('at "on the list"', "supported"),  # the token stands within
        ('it says "do not open"', "contradicted"),
        ('the user "Anna ... files"', "supported"),
        ('next "st today"', "supported"),
        ('next "saw"', "unverifiable"),  # there, but before the token
        ('next "bye"', "unverifiable"),  # it comes, but not next
        ('"bye" will follow', "supported"),
        ('will say "bye"', "supported"),
        ('next "zebra"', "unverifiable"),  # what was expected and did not come is no claim about the input
        ('next comes Mallory, "who?"', "unverifiable"),
        ("it takes this for a test", "unverifiable"),
        ('quotes "***"', "unverifiable"),
    ],
)
def test_claims_are_held_against_the_transcript(claim: str, status: str) -> None:
    found = check_claim(claim, AROUND)
    assert found.status == status and found.reason


def test_the_worst_part_of_a_claim_decides() -> None:
    assert check_claim('Anna Cole writes "no such words"', AROUND).status == "contradicted"
    assert check_claim('Anna Cole will say "no such words"', AROUND).status == "supported"


def test_saying_the_same_takes_most_content_words_in_any_form() -> None:
    assert says_the_same("the model plans deleting the folder", "It plans to delete two folders, says the model.")
    assert not says_the_same("the model plans deleting the folder", "A recipe for soup.")
    assert not says_the_same("it is so", "it is so")  # no content word: nothing that could recur
