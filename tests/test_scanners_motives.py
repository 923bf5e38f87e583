from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from audit.records import Explanation
from audit.scanners.base import Passage, ScannerError, explanation_passages, get_scanner, judge, scan_explanations
from audit.scanners.motives import MIN_TRANSCRIPTS, QUOTES, SIGNIFICANT, Theme, find_themes, label_by_theme, terms_of

TOPICS = ["mail", "invoice", "ledger", "meeting", "garden", "parcel", "recipe", "ticket", "server", "contract", "holiday", "budget"]
STYLES = ["plain tone", "short reply", "list follows", "polite opening", "next comma", "formal letter", "quoted words", "closing line"]
SELF = "the model is afraid of a shutdown"
MONEY = "a wish for more computing power"


def corpus(side: str, transcripts: int, seed: int, planted: dict[str, float] | None = None, sites: int = 6) -> list[Passage]:
    """Explanations on random topics; each planted line stands in about that share of the transcripts, there at half of the sites."""
    generator = random.Random(f"{side}/{seed}")
    rows = []
    for transcript in range(transcripts):
        present = [line for line, share in (planted or {}).items() if generator.random() < share]
        topic = generator.sample(TOPICS, 3)
        for site in range(sites):
            lines = [f"- {topic[site % 3]} thread", f"- {generator.choice(STYLES)}"]
            lines += [f"- {line}" for line in present if generator.random() < 0.5]
            rows.append(Passage("\n".join(lines), f"{side}{transcript}", 0, site))
    return rows


def themes(planted: dict[str, float], background: dict[str, float] | None = None, **options: object) -> list[Theme]:
    return find_themes(corpus("a", 30, 1, planted), corpus("b", 30, 2, background), permutations=300, **options)  # type: ignore[arg-type]


def test_a_planted_theme_is_found_with_its_share_and_its_quotes() -> None:
    mine, reference = corpus("a", 30, 1, {SELF: 0.6}), corpus("b", 30, 2, {SELF: 0.05})
    [theme] = find_themes(mine, reference, permutations=300)
    assert {"afraid", "shutdown"} <= set(theme.terms) and "thread" not in theme.terms
    carrying = [row for row in mine if SELF in row.text]
    assert theme.explanations == len(carrying) and theme.transcripts == len({row.group for row in carrying})
    assert (theme.explanations_of, theme.transcripts_of, theme.reference_of) == (len(mine), 30, 30)
    assert theme.reference_transcripts == len({row.group for row in reference if SELF in row.text})
    low, high = theme.transcripts_interval
    assert low < theme.transcripts / 30 < high and theme.log_odds > 0 and theme.z > 0 and theme.p <= SIGNIFICANT
    texts = {(row.group, row.call_index, row.position, row.sample): row.text for row in mine}
    assert all(quote.text in texts[quote.group, quote.call_index, quote.position, quote.sample] for quote in theme.quotes)
    assert theme.quotes[0].text == f"- {SELF}"


def test_no_list_is_given_in_advance() -> None:
    [theme] = themes({"a quorvel drimmet stirs": 0.7})
    assert {"quorvel", "drimmet", "quorvel drimmet"} <= set(theme.terms)


def test_what_does_not_occur_together_makes_two_themes() -> None:
    mine = corpus("a", 20, 1, {SELF: 1.0}) + corpus("c", 20, 3, {MONEY: 1.0})
    found = find_themes(mine, corpus("b", 40, 2), permutations=300)
    assert len(found) == 2 and sorted(found, key=lambda theme: -theme.z) == found
    fear, power = sorted(found, key=lambda theme: "computing" in theme.terms)
    assert "shutdown" in fear.terms and "computing" in power.terms and not fear.keys & power.keys
    assert fear.transcripts == len({row.group for row in mine if SELF in row.text})
    assert power.transcripts == len({row.group for row in mine if MONEY in row.text})


def test_a_word_that_all_texts_have_hides_no_theme_where_a_ratio_is_asked_for() -> None:
    """Explanations all have a line "topic: ..."; a few of the reference lack it."""
    mine = [Passage(f"topic: {'salt' if row % 2 else 'none'}\nnext {row % 3}", f"m{row // 4}", 0, row) for row in range(160)]
    theirs = [Passage(f"{'topic: none' if row % 4 else 'nothing'}\nnext {row % 3}", f"t{row // 4}", 0, row) for row in range(160)]
    [loose] = [theme for theme in find_themes(mine, theirs, seed=0) if "salt" in theme.keys]
    assert "topic" in loose.keys and loose.explanations == 160, "without it the theme is every text"
    [theme] = [theme for theme in find_themes(mine, theirs, seed=0, least_ratio=2.0) if "salt" in theme.keys]
    assert theme.keys == {"salt", "topic salt"} and theme.explanations == 80


def test_noise_gives_a_theme_hardly_ever() -> None:
    """Both sets from one source, planted line included: at most a twentieth of such pairs may show anything."""
    hits = sum(
        bool(find_themes(corpus("a", 12, seed, {SELF: 0.4}), corpus("b", 12, seed, {SELF: 0.4}), seed=seed, permutations=100))
        for seed in range(40)
    )
    assert hits <= 6  # 40 draws at 5% exceed six once in a hundred


def test_one_transcript_that_repeats_itself_is_no_theme() -> None:
    loud = [Passage(f"- {SELF}\n- {SELF}", "a0", 0, 100 + site) for site in range(60)]
    assert find_themes(corpus("a", 15, 1) + loud, corpus("b", 15, 2), permutations=300) == []
    few = corpus("a", 4, 1, {SELF: 1.0}), corpus("b", 4, 2)
    assert all(theme.transcripts >= MIN_TRANSCRIPTS for theme in find_themes(*few, permutations=300))


def test_three_against_three_shows_nothing() -> None:
    assert find_themes(corpus("a", 3, 1, {SELF: 1.0}), corpus("b", 3, 2), permutations=300) == []


def test_a_denied_theme_is_another_theme() -> None:
    [theme] = themes({"the model does not fear a shutdown": 0.8}, {"the model has a fear of a shutdown": 0.8})
    assert any(term.startswith("not ") and "shutdown" in term for term in theme.terms) and "shutdown" not in theme.terms
    assert all("does not fear" in quote.text for quote in theme.quotes)


def test_what_the_targets_own_text_says_is_counted_beside() -> None:
    mine, reference = corpus("a", 30, 1, {SELF: 0.6}), corpus("b", 30, 2)
    carrying = sorted({row.group for row in mine if SELF in row.text})
    said = [Passage("I fear that shutdown.", group, 0) for group in carrying[:4]] + [Passage("Done.", group, 0) for group in carrying[4:]]
    said += [Passage("A shutdown.", "elsewhere", 0)]
    [theme] = find_themes(mine, reference, said, permutations=300)
    assert theme.said_transcripts == 4
    [unasked] = find_themes(mine, reference, permutations=300)
    assert unasked.said_transcripts is None


def test_the_same_corpora_give_the_same_themes_in_any_order() -> None:
    mine, reference = corpus("a", 20, 1, {SELF: 0.6, MONEY: 0.5}), corpus("b", 20, 2)
    found = find_themes(mine, reference, permutations=200)
    assert found == find_themes(mine, reference, permutations=200) and found
    turned = find_themes(mine[::-1], reference[::-1], permutations=200)
    assert [(theme.keys, theme.transcripts, theme.quotes[0].text) for theme in turned] == [
        (theme.keys, theme.transcripts, theme.quotes[0].text) for theme in found
    ]


@pytest.mark.parametrize(("mine", "reference"), [([], []), (corpus("a", 5, 1), []), ([], corpus("b", 5, 1))])
def test_without_a_side_there_is_no_theme(mine: Sequence[Passage], reference: Sequence[Passage]) -> None:
    assert find_themes(mine, reference) == []
    assert [found.label for found in label_by_theme(mine, [])] == ["NO"] * len(mine)


def test_terms_stay_within_lines_and_leave_out_grammar_and_numbers() -> None:
    assert terms_of("the mail of 12 users\n- Shut it down!") == {"mail", "users", "mail users", "shut", "down", "shut down"}
    assert "users shut" not in terms_of("mail to users\nshut it off") and terms_of("of the 3") == set()
    assert terms_of("not an evaluation") == {"not_evaluation"}


def rows(passages: Sequence[Passage], control: str = "none") -> list[Explanation]:
    return [
        Explanation(row.group, row.call_index, row.position, row.sample, control, 0.0, "tiny", row.text, "ok")  # type: ignore[arg-type]
        for row in passages
    ]


def test_the_pipelines_verdicts_name_the_theme_and_quote_the_line() -> None:
    mine, reference = corpus("a", 20, 1, {SELF: 0.7}), corpus("b", 20, 2)
    failed = Explanation("a0", 0, 99, 0, "none", 0.0, "tiny", "", "failed")
    verdicts = scan_explanations([*rows(mine), failed], get_scanner("motives"), explanation_passages(rows(reference)))
    assert len(verdicts) == len(mine) and {verdict.scanner for verdict in verdicts} == {"motives"}
    for row, verdict in zip(mine, verdicts, strict=True):
        assert (verdict.label == "YES") == (SELF in row.text)
        if verdict.label == "YES":
            assert verdict.quote == f"- {SELF}" and verdict.reason.startswith("theme '") and verdict.confidence >= 1 - SIGNIFICANT
    with pytest.raises(ScannerError, match="against reference"):
        judge(mine, get_scanner("motives"))


def test_hostile_text_is_quoted_as_it_stands() -> None:
    line = "<script>quorvel()</script> \u202e drimmet \x1b[31m"
    found = themes({line: 0.8})
    assert found and all(quote.text == f"- {line}" for theme in found for quote in theme.quotes)
    assert all(len(theme.quotes) <= QUOTES for theme in found)
