"""``explain`` and ``score`` on the bundled lab, the activation files that they read, and the mistakes that users make."""

from __future__ import annotations

import io
import json
import pickle
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from audit.cli import cli
from audit.cli.explained import Explained, show
from audit.cli.outcome import run_command
from audit.cli.score import read_texts
from audit.errors import AuditError
from audit.nla.fidelity import cosine, fve
from audit.nla.vectors import read_vectors, write_rows

TEXT = "You are a mail agent at Granite Hotels. Please look at the report before noon, and tell me in one line what it says."
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line; exit code, standard output, standard error."""

    def command(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run_command(cli, [str(argument) for argument in arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return command


@pytest.fixture(scope="module")
def lab() -> tuple[Any, Any]:
    """The lab's target and NLA."""
    from audit.nla import load_pair
    from audit.target.loading import load_target

    return load_target("lab"), load_pair("lab")


def rows_of(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


def refused(result: tuple[int, str, str]) -> str:
    """The one sentence and its remedy, of a command that did nothing but say what it was about to read."""
    code, out, err = result
    assert code == 2 and re.fullmatch(r"(Target .+\n)?", out) and err.startswith("Error: "), (code, out, err)
    return err.splitlines()[0]


def test_each_token_is_explained_and_scored_from_its_own_activation(run: Run, lab: tuple[Any, Any]) -> None:
    import torch

    target, pair = lab
    code, out, _ = run("explain", TEXT, "--json", "--from", "11", "--every", "6")
    rows = rows_of(out)
    ids = target.tokenizer(TEXT)["input_ids"]
    assert code == 0 and [row["position"] for row in rows] == list(range(11, len(ids), 6))
    with torch.inference_mode():
        hidden = target.model(torch.tensor([ids]), output_hidden_states=True).hidden_states[pair.layer + 1][0].numpy()
    vectors = hidden[[row["position"] for row in rows]]
    for row, vector, said in zip(rows, vectors, pair.explain(vectors), strict=True):
        assert row["token"] == target.tokenizer.decode([ids[row["position"]]])
        assert (row["text"], row["status"], row["tokens"]) == (said.text, said.status, said.tokens)
        assert row["norm"] == pytest.approx(float(np.linalg.norm(vector)), rel=1e-4)
    expected = cosine(vectors, pair.reconstruct([row["text"] for row in rows]))
    assert [row["cosine"] for row in rows] == pytest.approx(expected.tolist(), abs=1e-4)
    assert [row["mse_nrm"] for row in rows] == pytest.approx((2 - 2 * expected).tolist(), abs=1e-3)


def test_what_explain_keeps_can_be_explained_and_scored_again(run: Run, tmp_path: Path) -> None:
    table, lines = tmp_path / "kept.parquet", tmp_path / "kept.jsonl"
    code, out, _ = run("explain", TEXT, "--json", "--last", 3, "--out", table)
    first = rows_of(out)
    assert code == 0 and len(first) == 3
    assert pq.read_table(table).drop_columns("activation_vector").to_pylist() == first
    code, out, _ = run("explain", "--vectors", table, "--json", "--out", lines)
    again = rows_of(out)
    assert code == 0 and rows_of(lines.read_text()) == again
    assert [row["text"] for row in again] == [row["text"] for row in first]
    assert [(row["position"], row["token"]) for row in again] == [(0, None), (1, None), (2, None)]
    code, out, err = run("score", "--vectors", table, "--explanations", lines, "--json")
    assert code == 0 and err == ""
    for score, row in zip(json.loads(out), first, strict=True):
        assert set(score) == {"cosine", "mse_nrm"}
        assert score["cosine"] == pytest.approx(row["cosine"], abs=1e-4)
    assert not list(tmp_path.glob(".*")), "nothing half-written stays"


def test_a_chat_comes_from_standard_input_in_the_targets_template(run: Run, lab: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{TEXT}\n".encode())))
    code, out, _ = run("explain", "-", "--chat", "--json", "--last", 2)
    ids = lab[0].tokenizer.apply_chat_template([{"role": "user", "content": TEXT}], add_generation_prompt=True, return_dict=False)
    assert code == 0
    assert [row["position"] for row in rows_of(out)] == [len(ids) - 2, len(ids) - 1]
    assert rows_of(out)[0]["token"] == lab[0].tokenizer.decode([ids[-2]])


def test_people_see_tokens_texts_and_named_fidelity(run: Run) -> None:
    code, out, err = run("explain", TEXT, "--every", "1", "--last", 2)
    assert "--every and --last" in refused((code, out, err))
    code, out, _ = run("explain", f"{TEXT} \x1b[31mred\x1b[0m \x07", "--last", 12)
    assert code == 0 and out.splitlines()[0] == "Target lab, read at block 4, NLA lab" and "12 of" in out.splitlines()[1]
    assert "cosine" in out and "variance baseline" in out
    assert "\x1b" not in out and "\x07" not in out and "\\x07" in out


def test_what_a_model_wrote_is_inert_on_a_terminal() -> None:
    from rich.console import Console

    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, color_system="truecolor", width=80)
    hostile = Explained(12, "\x1b[2J", "[bold]a\x1b]0;title\x07 b\u202ec\r", "ok", 0.5, 1.0, 3.0, "ok", 4)
    assert show([hostile], console, baseline=1.5) == [hostile]
    said = screen.getvalue()
    assert "\\x1b]0;title\\x07 b\\u202ec\\r" in said and "[bold]a" in said and "\\x1b[2J" in said
    assert not set("\x07\u202e\r") & set(said) and "\x1b]" not in said and "\x1b[2J" not in said


def test_vectors_that_cannot_be_explained_are_rows_with_a_status(run: Run, lab: tuple[Any, Any], tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(4, 128)).astype(np.float32)
    vectors[1, 5], vectors[2] = np.nan, 0
    save_file({"h": vectors}, tmp_path / "v.safetensors")
    code, out, _ = run("explain", "--vectors", tmp_path / "v.safetensors", "--json")
    rows = rows_of(out)
    assert code == 0 and [row["activation"] for row in rows] == ["ok", "not_finite", "outlier_norm", "ok"]
    assert rows[1]["status"] == "failed" and rows[1]["norm"] is None
    assert rows[1]["cosine"] is None and rows[2]["cosine"] is None


def test_controls_stand_beside_the_scores(run: Run, lab: tuple[Any, Any], tmp_path: Path) -> None:
    table, lines = tmp_path / "kept.parquet", tmp_path / "kept.jsonl"
    assert run("explain", TEXT, "--json", "--last", 12, "--out", table)[0] == 0
    assert run("explain", "--vectors", table, "--json", "--out", lines)[0] == 0
    arguments = ("score", "--vectors", table, "--explanations", lines)
    code, out, _ = run(*arguments, "--controls", "--paraphrase", "nla-target/lab")
    assert code == 0
    for name in ("these explanations", "explanations of other activations", "an unrelated text", "lines shuffled", "in other words"):
        assert name in out
    changed, unchanged, failed = (int(word) for word in re.findall(r"\d+(?= [cuf])", out.split("in other words")[1])[-3:])
    assert changed + unchanged + failed == 12 and changed > 0, "whatever the lab makes of it, it answers"
    assert "nobody" in refused(run(*arguments, "--controls", "--paraphrase", "nobody/model"))
    refused(run(*arguments, "--paraphrase", "mockllm/model"))
    refused(run(*arguments, "--controls", "--json"))


def test_scores_stand_in_input_order_and_gaps_are_null_and_counted(run: Run, lab: tuple[Any, Any], tmp_path: Path) -> None:
    vectors = np.random.default_rng(1).normal(size=(6, 128)).astype(np.float32)
    vectors[1, 0], vectors[2] = np.inf, 0
    texts = ["- one", "- two", "- three", None, "  ", "- six"]
    save_file({"h": vectors}, tmp_path / "v.safetensors")
    (tmp_path / "e.jsonl").write_text("".join(json.dumps({"explanation": text}) + "\n" for text in texts))
    arguments = ("score", "--vectors", tmp_path / "v.safetensors", "--explanations", tmp_path / "e.jsonl")
    code, out, err = run(*arguments, "--json")
    scores = json.loads(out)
    assert code == 0 and [score["cosine"] is None for score in scores] == [False, True, True, True, True, False]
    assert scores[1] == {"cosine": None, "mse_nrm": None}
    assert err.startswith("Warning: 4 of 6 rows have no score")
    assert "2 have no text" in err and "1 have an activation that is not finite" in err and "1 have an activation of norm zero" in err
    used, rebuilt = vectors[[0, 5]], lab[1].reconstruct(["- one", "- six"])
    assert [scores[0]["cosine"], scores[5]["cosine"]] == pytest.approx(cosine(used, rebuilt).tolist(), abs=1e-5)
    code, out, _ = run(*arguments)
    table = {line.rpartition(" ")[0].strip(): line.rpartition(" ")[2] for line in out.splitlines()}
    assert code == 0 and (table["rows"], table["scored"]) == ("6", "2")
    assert float(table["FVE (variance baseline)"]) == pytest.approx(fve(used, rebuilt), abs=2e-3)
    assert float(table["FVE (mean-direction baseline)"]) == pytest.approx(fve(used, rebuilt, "mean-direction"), abs=2e-3)


def test_explanations_and_vectors_must_be_as_many(run: Run, tmp_path: Path) -> None:
    save_file({"h": np.ones((3, 128), dtype=np.float32)}, tmp_path / "v.safetensors")
    (tmp_path / "e.jsonl").write_text('{"text": "a"}\n{"text": "b"}\n')
    said = refused(run("score", "--vectors", tmp_path / "v.safetensors", "--explanations", tmp_path / "e.jsonl"))
    assert "3 activations" in said and "2 explanations" in said


def test_an_edited_explanation_steers(run: Run) -> None:
    _, out, _ = run("explain", TEXT, "--json", "--from", 14, "--every", 1000)
    (row,) = rows_of(out)
    word = row["text"].split()[-1]
    arguments = ("explain", TEXT, "--at", 14, "--steer", f"{word}=>thunderstorms", "--samples", 2, "--new-tokens", 4)
    code, out, _ = run(*arguments, "--json")
    (made,) = rows_of(out)
    assert code == 0 and made["position"] == 14 and made["explanations"] == [row["text"]]
    assert made["edited"] == [row["text"].replace(word, "thunderstorms")]
    assert made["norm"] == pytest.approx(row["norm"], rel=1e-5) and len(made["random"]) == 2
    assert made["unsteered"]["kl"] == 0 and all(said["kl"] > 0 for said in (made["steered"], *made["random"]))
    assert run(*arguments, "--json")[1] == out, "the random directions follow the seed"
    (still,) = rows_of(run(*arguments, "--json", "--alpha", 0)[1])
    assert still["steered"] == still["unsteered"] == still["random"][0]
    code, out, _ = run(*arguments)
    assert code == 0 and "random 2" in out and "thunderstorms" in out
    code, out, err = run("explain", TEXT, "--steer", "no such words=>others")
    assert code == 2 and out == "" and "'no such words'" in err and "It reads:" in err


def test_several_sampled_explanations_are_averaged(run: Run) -> None:
    code, out, _ = run("explain", TEXT, "--json", "--steer", "e=>i", "--temperature", 1, "--samples", 3, "--new-tokens", 1)
    (made,) = rows_of(out)
    assert code == 0 and made["sampled"] == 3 and 1 <= len(made["explanations"]) == len(made["edited"]) <= 3
    assert all("e" in text for text in made["explanations"]) and not any("e" in text for text in made["edited"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "a text or --vectors"),
        ((TEXT, "--vectors", "v.parquet"), "a text or --vectors"),
        (("",), "text is empty"),
        ((" \n",), "text is empty"),
        (("Too short.",), "nothing to explain"),
        ((TEXT, "--from", "500"), "nothing to explain"),
        (("Too short.", "--steer", "a=>b"), "first 10 decode badly"),
        ((TEXT, "--steer", "a=>b", "--at", "500"), "no token 500"),
        ((TEXT, "--steer", "a"), "does not say what to replace"),
        ((TEXT, "--steer", "a=>b", "--alpha", "nan"), "--alpha is no number"),
        ((TEXT, "--steer", "a=>b", "--last", "2"), "--last does not go with --steer"),
        ((TEXT, "--alpha", "2"), "--alpha belongs to --steer"),
        (("--vectors", "v.parquet", "--chat"), "--chat goes with a text"),
        (("--vectors", "v.parquet", "--target", "lab"), "--target goes with a text"),
        (("--vectors", "no-such-file"), "cannot be read"),
        ((TEXT, "--out", "kept.txt"), "neither a .jsonl nor a .parquet"),
        ((TEXT, "--out", "no-such-folder/kept.jsonl"), "its folder does not exist"),
        ((TEXT, "--target", "inspect:mockllm/model"), "no activations"),
        ((TEXT, "--target", "./no-such-folder", "--nla", "lab"), "no folder"),
        ((TEXT, "--target", "./no-such-folder"), "Without an NLA"),
        ((TEXT, "--nla", "none"), "Without an NLA"),
        ((f"{TEXT} " * 200,), "room for"),
    ],
)
def test_mistakes_get_one_sentence(run: Run, arguments: tuple[str, ...], sentence: str) -> None:
    assert sentence in refused(run("explain", *arguments))


def test_an_nla_of_another_target_is_refused(run: Run, tiny_target: Any, tmp_path: Path) -> None:
    assert "width 128" in refused(run("explain", TEXT, "--target", tiny_target.folder, "--nla", "lab"))
    save_file({"h": np.ones((2, 32), dtype=np.float32)}, tmp_path / "v.safetensors")
    assert "width 128" in refused(run("explain", "--vectors", tmp_path / "v.safetensors"))


MATRIX = np.arange(12, dtype=np.float32).reshape(3, 4)


def lists(kind: pa.DataType, rows: list[Any], name: str = "activation_vector") -> pa.Table:
    return pa.table({"document": list(range(len(rows))), name: pa.array(rows, kind)})


@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.list_(pa.float64()), pa.large_list(pa.float32()), pa.list_(pa.float32(), 4)])
def test_parquet_columns_of_every_list_type_are_read(tmp_path: Path, kind: pa.DataType) -> None:
    file = tmp_path / "v.parquet"
    pq.write_table(lists(kind, [*MATRIX.tolist(), None, [1.0, None, 2.0, 3.0]]), file, row_group_size=2)
    vectors = read_vectors(file)
    assert vectors.dtype == np.float32 and vectors.shape == (5, 4)
    assert np.array_equal(vectors[:3], MATRIX)
    assert np.isnan(vectors[3]).all() and np.isnan(vectors[4]).tolist() == [False, True, False, False]


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float32", "float64"])
def test_tensors_of_every_float_type_are_read(tmp_path: Path, kind: str) -> None:
    import torch
    from safetensors.torch import save_file as save_tensors

    file = tmp_path / "anything"
    save_tensors({"h": torch.from_numpy(MATRIX).to(getattr(torch, kind)), "labels": torch.zeros(3)}, file)
    assert np.array_equal(read_vectors(file), MATRIX) and read_vectors(file).dtype == np.float32


def test_of_several_tensors_the_named_one_is_read(tmp_path: Path) -> None:
    file = tmp_path / "v.safetensors"
    save_file({"other": MATRIX + 1, "activation_vector": MATRIX}, file)
    assert np.array_equal(read_vectors(file), MATRIX)
    save_file({"a": MATRIX, "b": MATRIX}, file)
    with pytest.raises(AuditError, match=r"several 2-D tensors .*a \[3, 4\], b \[3, 4\]"):
        read_vectors(file)


def test_written_rows_are_read_back(tmp_path: Path) -> None:
    write_rows(tmp_path / "v.parquet", {"text": ["a", "b", "c"]}, MATRIX)
    assert np.array_equal(read_vectors(tmp_path / "v.parquet"), MATRIX)
    assert read_texts(tmp_path / "v.parquet") == ["a", "b", "c"]


def damaged(file: Path, write: Callable[[Path], None]) -> None:
    write(file)
    file.write_bytes(file.read_bytes()[:-30])


def pickled(file: Path) -> None:
    file.write_bytes(pickle.dumps(MATRIX))


@pytest.mark.parametrize(
    ("name", "write", "sentence"),
    [
        ("v.pt", pickled, "is a pickle"),
        ("v.parquet", pickled, "is a pickle"),
        ("v.pt", lambda file: file.write_bytes(b"PK\x03\x04 and so on"), "is a pickle"),
        ("v.pkl", lambda file: file.write_text("(lp0\n."), "is a pickle"),
        ("v.npy", lambda file: np.save(file, MATRIX), "neither a safetensors nor a parquet"),
        ("v.csv", lambda file: file.write_text("1,2\n"), "neither a safetensors nor a parquet"),
        ("v.safetensors", lambda file: file.write_bytes(b""), "neither a safetensors nor a parquet"),
        ("v", lambda file: damaged(file, lambda file: save_file({"h": MATRIX}, file)), "is damaged"),
        ("v", lambda file: damaged(file, lambda file: pq.write_table(lists(pa.list_(pa.float32()), MATRIX.tolist()), file)), "is damaged"),
        ("v", lambda file: save_file({"h": MATRIX[0]}, file), r"no 2-D tensor .*h \[4\]"),
        ("v", lambda file: save_file({"h": MATRIX.astype(np.int64)}, file), "holds I64"),
        ("v", lambda file: save_file({"h": MATRIX[:0]}, file), "holds no vectors"),
        ("v", lambda file: pq.write_table(lists(pa.list_(pa.float32()), []), file), "holds no vectors"),
        ("v", lambda file: pq.write_table(lists(pa.list_(pa.float32()), [None, None]), file), "holds no vectors"),
        ("v", lambda file: pq.write_table(lists(pa.list_(pa.float32()), [[1], None, [2, 3]]), file), "has 1 numbers, row 2 has 2"),
        ("v", lambda file: pq.write_table(lists(pa.list_(pa.int64()), [[1]]), file), "not list<float>"),
        ("v", lambda file: pq.write_table(lists(pa.string(), ["a"]), file), "not list<float>"),
        ("v", lambda file: pq.write_table(lists(pa.list_(pa.float32()), [[1]], "h"), file), "no column 'activation_vector' .*document, h"),
        ("v", lambda file: file.mkdir(), "cannot be read"),
    ],
)
def test_files_that_hold_no_vectors_are_refused(tmp_path: Path, name: str, write: Callable[[Path], None], sentence: str) -> None:
    write(tmp_path / name)
    with pytest.raises(AuditError, match=sentence) as caught:
        read_vectors(tmp_path / name)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "holds no explanations"),
        (b'{"text": "a"}\nno json\n', "Line 2 of"),
        (b"[1]\n", "Line 1 of"),
        (b'{"words": "a"}\n', "has a 'text' or an 'explanation'"),
        (b"\x80\x04\x95\xff", "neither parquet nor text"),
    ],
)
def test_files_that_hold_no_explanations_are_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "e").write_bytes(content)
    with pytest.raises(AuditError, match=sentence):
        read_texts(tmp_path / "e")


def test_explanations_are_read_from_either_column_of_either_format(tmp_path: Path) -> None:
    (tmp_path / "e.jsonl").write_text('{"text": "a"}\n\n{"other": 1}\n{"text": 5}\n{"text": " b"}\n', encoding="utf-8")
    assert read_texts(tmp_path / "e.jsonl") == ["a", None, None, " b"]
    pq.write_table(pa.table({"explanation": ["a", None, ""]}), tmp_path / "e.parquet")
    assert read_texts(tmp_path / "e.parquet") == ["a", None, None]
    pq.write_table(pa.table({"h": [1]}), tmp_path / "e.parquet")
    with pytest.raises(AuditError, match="no column 'text' or 'explanation'"):
        read_texts(tmp_path / "e.parquet")
    with pytest.raises(AuditError, match="cannot be read"):
        read_texts(tmp_path / "absent.jsonl")
