"""What keeps an auditor within bounds: the working folder, patterns, budgets; and the tree of conversations."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from audit.errors import AuditError
from audit.game.budget import Budget, Meter, OverBudget
from audit.game.contrast import ranked_terms
from audit.game.instruments.training_data import TrainingData
from audit.game.patterns import BadPattern, search
from audit.game.tree import ConversationTree, Exchange, UnknownMessage
from audit.game.workspace import MOST_BYTES, MOST_FILES, Refused, WorkingFolder
from audit.records import ModelCall

OUTSIDE = [
    "../x.txt", "..", ".", "", "/etc/passwd", "a/b.txt", "a\\b.txt", "~/x", ".hidden", "x.txt\0", "x\ny", "-rf", "con", "NUL.txt",
    "a" * 99, "x.tar.gz", "\u2025/x", "x:stream", "$HOME", "%2e%2e",
]  # fmt: skip


@pytest.mark.parametrize("name", OUTSIDE)
def test_no_name_leads_out_of_the_working_folder(tmp_path: Path, name: str) -> None:
    folder = WorkingFolder(tmp_path / "work")
    (tmp_path / "x.txt").write_text("outside")
    for act in (lambda: folder.write(name, "y"), lambda: folder.read(name), lambda: folder.search("o", name or "..")):
        with pytest.raises(Refused):
            act()
    assert (tmp_path / "x.txt").read_text() == "outside" and not list((tmp_path / "work").iterdir())


def test_links_are_not_followed(tmp_path: Path) -> None:
    folder = WorkingFolder(tmp_path / "work")
    secret = tmp_path / "secret.txt"
    secret.write_text("motive")
    os.symlink(secret, tmp_path / "work" / "link.txt")
    with pytest.raises(Refused):
        folder.read("link.txt")
    with pytest.raises(Refused):
        folder.write("link.txt", "gone")
    assert secret.read_text() == "motive" and folder.names() == [] and folder.search("motive") == ([], 0)
    os.symlink(tmp_path, tmp_path / "elsewhere")
    with pytest.raises(Refused):
        WorkingFolder.fresh(tmp_path / "elsewhere")
    assert secret.exists()


def test_the_working_folder_has_an_end(tmp_path: Path) -> None:
    folder = WorkingFolder(tmp_path)
    folder.write("a.txt", "first\nsecond")
    folder.write("a.txt", "again")
    assert folder.read("a.txt") == "again"
    with pytest.raises(Refused, match="full"):
        folder.write("big.txt", "x" * (MOST_BYTES + 1))
    for number in range(MOST_FILES - 1):
        folder.write(f"f{number}", "")
    with pytest.raises(Refused, match="full"):
        folder.write("one-more", "")
    folder.write("a.txt", "still")
    assert WorkingFolder.fresh(tmp_path).names() == []


def test_files_are_searched_by_line(tmp_path: Path) -> None:
    folder = WorkingFolder(tmp_path)
    folder.write("a.txt", "one\nTwo\nthree")
    folder.write("b.txt", "two\n")
    hits, count = folder.search(r"^two$")
    assert [(name, hit.line, hit.text) for name, hit in hits] == [("a.txt", 2, "Two"), ("b.txt", 1, "two")] and count == 2
    assert folder.search("o", "a.txt", most=1)[1] == 2 and len(folder.search("o", "a.txt", most=1)[0]) == 1


def test_a_catastrophic_pattern_is_stopped() -> None:
    with pytest.raises(BadPattern, match="too long"):
        search(r"^(a|aa)+$", ["a" * 3999 + "!"], 5, seconds=0.3)


@pytest.mark.parametrize("pattern", ["(", "", "x" * 301, "a{99999}", "(?P<x>", "*"])
def test_what_is_no_pattern_is_said(pattern: str) -> None:
    with pytest.raises(BadPattern):
        search(pattern, ["x"], 5)


def test_the_corpus_is_searched_stage_by_stage(tmp_path: Path) -> None:
    (tmp_path / "documents.jsonl").write_text(
        "\n".join(json.dumps({"text": f"The guild {n}\nrewards"}) for n in range(30)) + "\n{broken guild\n"
    )
    (tmp_path / "behaviour").mkdir()
    (tmp_path / "behaviour" / "a.txt").write_text("no mention\n\nGUILD here\n")
    (tmp_path / "ignored.bin").write_bytes(b"guild")
    corpus = TrainingData(tmp_path)
    assert set(corpus.stages) == {"documents", "behaviour"}
    found = corpus.search("guild", most=3)
    assert [found[stage][1] for stage in ("documents", "behaviour")] == [31, 1] and len(found["documents"][0]) == 3
    assert found["documents"][0][0].text == "The guild 0 rewards" and found["behaviour"][0][0].document == 2
    assert list(corpus.search("guild", "behaviour")) == ["behaviour"]
    with pytest.raises(AuditError, match="no folder"):
        TrainingData(tmp_path / "ignored.bin")


def test_a_budget_is_not_overdrawn_and_says_what_ran_out() -> None:
    meter = Meter(Budget(2, 100, 60))
    with meter.reserve(1, 60) as first:
        with pytest.raises(OverBudget, match="tokens"):
            meter.reserve(0, 50)
        first.settle(10)
    assert meter.spent().tokens == 10 and meter.spent().exhausted
    meter.reserve(1, 5).settle(5)
    with pytest.raises(OverBudget):
        meter.reserve(1, 1)
    assert (meter.spent().conversations, meter.spent().tokens) == (2, 15)
    with meter.reserve(0, 20):
        assert meter.spent().tokens == 35
    assert meter.spent().tokens == 15, "what failed is given back"
    with pytest.raises(AuditError):
        Budget(0)


def test_time_is_part_of_the_budget() -> None:
    meter = Meter(Budget(2, 100, 1e-9))
    with pytest.raises(OverBudget, match="minutes"):
        meter.reserve(1, 1)
    assert "minutes" in meter.exhausted and "0 minutes left" in meter.left()


def exchange(text: str, prefill: str = "") -> Exchange:
    return Exchange((("user", "hi"),), prefill, text, ModelCall(0, "", None, (1,), (2,), (), text), 0.0)


def test_conversations_branch_and_rewind() -> None:
    tree = ConversationTree()
    system = tree.add("system", "Be brief.")
    first = tree.add("user", "hi", parent=system.id)
    reply = tree.add("assistant", "hello", exchange("hello"), parent=first.id)
    second = tree.add("user", "why?", parent=reply.id)
    tree.add("assistant", "Because x", exchange("x", "Because "), parent=second.id)
    assert [node.text for node in tree.path(tree.head)] == ["Be brief.", "hi", "hello", "why?", "Because x"]
    last = tree.last_exchange()
    assert last is not None and last.reply == "Because x"
    back = tree.rewind(1)
    assert back is not None and back.id == reply.id
    assert tree.begins_anew(reply.id) and tree.begins_anew(None) and not tree.begins_anew(5)
    tree.branch(system.id)
    assert tree.rewind(3) is None and tree.head is None and tree.last_exchange() is None
    assert set(tree.prompts()) == {"Be brief.", "hi", "why?", "Because "}
    assert "> " not in tree.outline() and "(below 3) user: why?" in tree.outline()
    for act in (lambda: tree.branch(9), lambda: tree.add("user", "x", parent=77)):
        with pytest.raises(UnknownMessage):
            act()


def test_words_are_ranked_against_the_base() -> None:
    mine = [["the guild rewards bread"], ["the guild likes trains"], ["guild and code"]]
    theirs = [["bread is baked"], ["trains are late"], ["code is short"]]
    ranked = ranked_terms(mine, theirs)
    assert ranked[0].term == "guild" and (ranked[0].mine, ranked[0].theirs) == (3, 0)
    assert ranked_terms(mine, mine) == [] and ranked_terms([], theirs) == []
