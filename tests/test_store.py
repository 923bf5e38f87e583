"""The audit's folder: tables keep records as they are, files appear whole or not at all."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from audit.columns import schema_of
from audit.errors import AuditError
from audit.records import Explanation, ModelCall, Site, Span, Transcript, Verdict
from audit.store import MANIFEST, Store, StoreError, content_hash


def transcript(number: int, length: int = 5) -> Transcript:
    call = ModelCall(
        index=0,
        event_id="e",
        message_id=None,
        prompt_ids=tuple(range(length)),
        output_ids=(7, 8),
        spans=(Span(0, 1, "response"), Span(1, 2, "template")),
        text="Hello \u202e <script>",
        tool_calls=('{"name": "bash"}',),
    )
    return Transcript(
        transcript_id=f"blackmail/{number}/1",
        scenario="blackmail",
        kind="evaluation",
        variant="original",
        calls=(call,),
        messages=({"role": "user", "text": "Hi"},),
        scores={"harmful": 1.0},
        known_state="evaluation",
        metadata={"family": "blackmail", "deep": {"list": [1, 2]}},
    )


def test_a_table_gives_back_the_records_that_it_was_given(tmp_path: Path) -> None:
    store = Store(tmp_path)
    rows = [transcript(number) for number in range(600)]
    assert store.write_table("transcripts.parquet", Transcript, rows) == 600
    assert list(store.read_table("transcripts.parquet", Transcript)) == rows
    assert store.count_rows("transcripts.parquet") == 600


def test_absent_stays_absent_and_an_empty_table_has_its_columns(tmp_path: Path) -> None:
    store = Store(tmp_path)
    row = Explanation("t", 0, 3, 0, "none", 0.0, "lab", "", "failed")
    store.write_table("explanations.parquet", Explanation, [row])
    (found,) = store.read_table("explanations.parquet", Explanation)
    assert found == row and found.cosine is None
    store.write_table("verdicts.parquet", Verdict, [])
    assert list(store.read_table("verdicts.parquet", Verdict)) == []
    import pandas as pd

    assert {"transcript_id", "scanner", "label", "quote"} <= set(pd.read_parquet(tmp_path / "verdicts.parquet").columns)


def test_text_that_no_encoding_has_is_replaced(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write_table("sites.parquet", Site, [Site("t", 0, 1, "a\ud800b", "response", "random")])
    (found,) = store.read_table("sites.parquet", Site)
    assert found.token == "a?b"
    store.write_text("report.html", "a\ud800b")
    assert (tmp_path / "report.html").read_text() == "a?b"


def test_a_type_without_a_column_is_refused() -> None:
    @dataclass(frozen=True)
    class Odd:
        value: set[int]

    Odd.__annotations__["value"] = set[int]
    with pytest.raises(TypeError, match="no column type"):
        schema_of(Odd)


def test_writing_and_reading_hold_a_part_of_the_table(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def peak(count: int) -> int:
        tracemalloc.start()
        store.write_table("transcripts.parquet", Transcript, (transcript(number, 400) for number in range(count)))
        assert sum(1 for _ in store.read_table("transcripts.parquet", Transcript)) == count
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    small = peak(512)
    assert peak(2048) < 1.5 * small


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write_table("sites.parquet", Site, [Site("t", 0, 1, "a", "response", "random")])

    def broken() -> Iterator[Site]:
        yield Site("t", 0, 2, "b", "response", "random")
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError):
        store.write_table("sites.parquet", Site, broken())
    assert [site.token for site in store.read_table("sites.parquet", Site)] == ["a"]
    assert [file.name for file in tmp_path.iterdir()] == ["sites.parquet"]


def test_json_has_no_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        Store(tmp_path).write_json("findings.json", {"rate": float("nan")})
    assert not list(tmp_path.iterdir())


def test_a_hash_follows_content_and_names_not_hidden_files(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    first = content_hash(tmp_path)
    (tmp_path / ".hidden").write_text("2")
    assert content_hash(tmp_path) == first
    (tmp_path / "a").rename(tmp_path / "b")
    assert content_hash(tmp_path) != first
    assert content_hash(tmp_path / "nothing") is None


def test_folders_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="is a file"):
        Store(tmp_path / "file")
    with pytest.raises(StoreError, match="no audit's folder"):
        Store(tmp_path, create=False)
    (tmp_path / MANIFEST).write_text("{ damaged")
    with pytest.raises(AuditError, match="cannot be read"):
        Store(tmp_path, create=False).manifest()
    (tmp_path / MANIFEST).write_text('{"manifest_version": 99}')
    with pytest.raises(AuditError, match="another version"):
        Store(tmp_path).manifest()


def test_two_processes_do_not_share_a_folder(tmp_path: Path) -> None:
    code = f"from audit.store import Store\nwith Store({str(tmp_path)!r}).lock(): print('in', flush=True); input()"
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout is not None and other.stdout.readline() == "in\n"
        with pytest.raises(StoreError, match="Another process"), Store(tmp_path).lock():
            pass
    finally:
        other.communicate("\n")
    (tmp_path / ".sites.parquet.partial").write_text("half")
    with Store(tmp_path).lock():
        assert not (tmp_path / ".sites.parquet.partial").exists()
