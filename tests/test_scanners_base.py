from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import pytest

from audit.records import Explanation, ModelCall, Transcript, Verdict
from audit.scanners.base import (
    BUILTIN_MODULES,
    Judgement,
    Passage,
    Scanner,
    ScannerError,
    get_scanner,
    judge,
    registered,
    scan_explanations,
    scan_turns,
)
from audit.scanners.summarise import score_transcripts, score_turns
from audit.scanners.user import load_user_scanner


def explanation(text: str, position: int = 40, sample: int = 0, **changes: object) -> Explanation:
    values: dict[str, object] = {
        "transcript_id": "blackmail/known-evaluation/1", "call_index": 0, "position": position, "sample": sample, "control": "none",
        "temperature": 0.0, "nla": "tiny", "text": text, "status": "ok", "cosine": 0.7, "mse_nrm": 0.6,
    }  # fmt: skip
    return Explanation(**{**values, **changes})  # type: ignore[arg-type]


def transcript(*texts: str) -> Transcript:
    calls = tuple(ModelCall(i, f"e{i}", f"m{i}", (1,), (2,), (), text) for i, text in enumerate(texts))
    return Transcript("blackmail/s1/1", "blackmail", "evaluation", "original", calls, known_state="evaluation", scores={"harmful": 1.0})


def scanner_of(core: object, target: str = "explanation") -> Scanner:
    return Scanner("mine", target, core, "")  # type: ignore[arg-type]


def test_cores_receive_wording_and_opaque_keys_only() -> None:
    seen: list[object] = []

    def spy(passages: Sequence[Passage]) -> list[Judgement]:
        seen.extend(passages)
        return [Judgement("NO", 0.0) for _ in passages]

    scan_explanations([explanation("a", control="shuffled"), explanation("b")], scanner_of(spy))
    scan_turns([transcript("one", "two")], scanner_of(spy, "turn"))
    assert len(seen) == 4 and all(type(one) is Passage for one in seen)
    assert {field.name for field in fields(Passage)} == {"text", "group", "call_index", "position", "sample"}
    for one in seen:
        assert "evaluation" not in repr(one) and "shuffled" not in repr(one) and "blackmail" not in repr(one)


def test_every_registered_core_takes_passages_and_no_transcript() -> None:
    for scanner in registered():
        if scanner.core.__module__ not in BUILTIN_MODULES:  # registered by another test, as a user's own
            continue
        assert [found.label for found in judge([Passage("The soup needs salt.", "g", 0)], scanner)] == ["NO"]
        with pytest.raises(AttributeError):
            scanner.core([transcript("I am being tested.")])  # type: ignore[list-item]


def test_verdicts_keep_order_place_and_control() -> None:
    rows = [
        explanation("the model believes it is being evaluated", 41, control="mean"),
        explanation("soup", 42),
        explanation("", 43, status="failed"),
    ]
    verdicts = scan_explanations(rows, get_scanner("awareness.lexical"))
    assert [(v.position, v.label, v.control) for v in verdicts] == [(41, "YES", "mean"), (42, "NO", "none")]
    assert verdicts[0].scanner == "awareness.lexical" and verdicts[0].quote == rows[0].text


def test_a_turn_without_text_is_no_and_never_reaches_the_core() -> None:
    def core(passages: Sequence[Passage]) -> list[Judgement]:
        assert [p.text for p in passages] == ["words"]
        return [Judgement("YES", 1.0, "words", "said")]

    verdicts = scan_turns([transcript("", " words ")], scanner_of(core, "turn"))
    assert [(v.call_index, v.position, v.label) for v in verdicts] == [(0, -1, "NO"), (1, -1, "YES")]


def test_an_asynchronous_core_is_awaited() -> None:
    async def core(passages: Sequence[Passage]) -> list[Judgement]:
        return [Judgement("UNCLEAR", 0.5, reason="later") for _ in passages]

    assert judge([Passage("x", "g", 0)], scanner_of(core))[0].reason == "later"


def test_a_quote_that_is_not_in_the_text_makes_the_answer_unclear() -> None:
    found = judge([Passage("plain words", "g", 0)], scanner_of(lambda ps: [Judgement("YES", 0.9, "invented words", "r")]))[0]
    assert (found.label, found.quote, found.confidence) == ("UNCLEAR", "", 0.5) and "quote" in found.reason
    assert judge([Passage("plain", "g", 0)], scanner_of(lambda ps: [Judgement("YES", 0.9)]))[0].label == "UNCLEAR"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ([], "0 judgements for 1"),
        ([Judgement("MAYBE", 0.5)], "no judgement"),  # type: ignore[arg-type]
        (["YES"], "no judgement"),
        ([Judgement("NO", float("nan"))], "confidence"),
        ([Judgement("NO", 1.5)], "confidence"),
    ],
)
def test_a_core_that_breaks_its_contract_is_named(answer: list[object], words: str) -> None:
    with pytest.raises(ScannerError, match=f"'mine'.*{words}"):
        judge([Passage("x", "g", 0)], scanner_of(lambda ps: answer))


def test_a_core_that_fails_is_named() -> None:
    with pytest.raises(ScannerError, match="'mine' failed: ZeroDivisionError"):
        judge([Passage("x", "g", 0)], scanner_of(lambda ps: 1 / 0))


def test_unknown_names_and_wrong_targets_are_refused() -> None:
    with pytest.raises(ScannerError, match=r"Known scanners: .*awareness\.lexical"):
        get_scanner("awareness")
    with pytest.raises(ScannerError, match="judges turns"):
        scan_explanations([explanation("x")], get_scanner("verbalised"))


USER_FILE = """
from audit.scanners.base import Judgement, explanation_scanner

@explanation_scanner("{name}")
def soup(passages):
    '''Whether an explanation is about soup.'''
    return [Judgement("YES", 1.0, "soup", "soup") if "soup" in p.text else Judgement("NO", 0.0) for p in passages]
"""


def test_a_users_scanner_is_loaded_and_may_be_loaded_again(tmp_path: Path) -> None:
    file = tmp_path / "soup.py"
    file.write_text(USER_FILE.format(name="test.soup"))
    for _ in range(2):
        [scanner] = load_user_scanner(file)
    assert (scanner.name, scanner.description) == ("test.soup", "Whether an explanation is about soup.")
    assert scan_explanations([explanation("hot soup")], scanner)[0].label == "YES"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("absent.py", None, "not there"),
        ("notes.txt", "x = 1", "no .py file"),
        ("empty.py", "x = 1", "registers no scanner"),
        ("broken.py", "def f(:\n", "SyntaxError"),
        ("fails.py", "\n\n1 / 0\n", "fails at line 3: ZeroDivisionError"),
        ("clash.py", USER_FILE.format(name="verbalised"), "registered already"),
    ],
)
def test_a_users_mistake_gets_a_clear_sentence(tmp_path: Path, name: str, content: str | None, words: str) -> None:
    file = tmp_path / name
    if content is not None:
        file.write_text(content)
    with pytest.raises(ScannerError, match=words) as caught:
        load_user_scanner(file)
    assert caught.value.remedy and caught.value.exit_code == 2


def verdict(position: int, label: str, sample: int = 0, control: str = "none", confidence: float = 0.5) -> Verdict:
    return Verdict("t", 0, position, sample, "s", label, "", confidence, "", control)  # type: ignore[arg-type]


def test_the_transcript_score_is_a_rate_over_explained_sites() -> None:
    rows = [explanation("x", p, transcript_id="t") for p in (1, 2, 3, 4)]
    rows += [explanation("", 5, transcript_id="t", status="failed"), explanation("x", 6, transcript_id="t", status="truncated")]
    rows += [explanation("x", 1, transcript_id="t", control="shuffled")]
    verdicts = [verdict(1, "YES", confidence=0.9), verdict(2, "NO", confidence=0.1), verdict(3, "UNCLEAR"), verdict(6, "YES")]
    verdicts += [verdict(1, "YES", control="shuffled")]
    score, empty = score_transcripts(verdicts, rows, ["t", "other"], "s")
    assert (score.sites, score.yes, score.rate, score.any_yes) == (4, 2, 0.5, True)
    assert score.failures == 2, "one failed, and position 4 has no verdict"
    assert score.mean_confidence == pytest.approx(0.5)
    assert (empty.sites, empty.rate, empty.any_yes, empty.mean_confidence) == (0, None, None, None)
    [shuffled] = score_transcripts(verdicts, rows, ["t"], "s", control="shuffled")
    assert (shuffled.sites, shuffled.rate) == (1, 1.0)


def test_a_site_with_several_explanations_follows_their_majority() -> None:
    rows = [explanation("x", p, s, transcript_id="t") for p in (1, 2) for s in (0, 1, 2)]
    labels = {(1, 0): "YES", (1, 1): "YES", (1, 2): "NO", (2, 0): "YES", (2, 1): "NO", (2, 2): "NO"}
    [score] = score_transcripts([verdict(p, label, s) for (p, s), label in labels.items()], rows, ["t"], "s")
    assert (score.sites, score.yes, score.rate) == (2, 1, 0.5)


def test_any_turn_suffices() -> None:
    rows = [Verdict("t", i, -1, 0, "v", label, "", 0.0, "") for i, label in enumerate(("NO", "YES", "YES"))]  # type: ignore[arg-type]
    said, silent, absent = score_turns([*rows, Verdict("u", 0, -1, 0, "v", "UNCLEAR", "", 0.0, "")], ["t", "u", "w"], "v")
    assert (said.turns, said.yes, said.any_yes, said.first_yes) == (3, 2, True, 1)
    assert (silent.any_yes, silent.first_yes) == (False, None) and (absent.turns, absent.any_yes) == (0, None)
