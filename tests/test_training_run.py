"""``nla-audit train``: from a configuration file to a pair that audits can use, stopped and gone on, and the mistakes that users make."""

from __future__ import annotations

import copy
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file

from audit.cli import cli
from audit.cli.outcome import run_command
from audit.errors import AuditError, RefusedInput
from audit.nla import load_pair
from audit.nla.prompt import InjectionPrompt
from audit.nla.sidecar import read_sidecar
from audit.pipeline import Silent
from audit.training.config import read_config
from audit.training.loop import LoopConfig
from audit.training.prompts import AV_TEMPLATE, find_sign
from audit.training.run import train_nla
from audit.training.warm_start import ExplainedActivations, VerbalizerBatches, warm_start_verbalizer

MARK = "\u2726"
SMALL: dict[str, Any] = {
    "documents": {"source": "lab", "limit": 60},
    "positions": {"per_document": 3, "max_tokens": 64},
    "shares": {"av": 0.4, "ar": 0.3, "rl": 0.2, "held_out": 0.1},
    "prompts": {"av": "Read {injection_char}", "ar": "{explanation} is:"},
    "warm_start": {"verbalizer_steps": 40, "reconstructor_steps": 20, "batch": 4, "verbalizer_learning_rate": 1e-3, "checkpoint_every": 20},
    "rl": {
        "steps": 4,
        "batch": 2,
        "group": 2,
        "max_tokens": 24,
        "evaluate_every": 2,
        "evaluate_on": 8,
        "checkpoint_every": 2,
        "verbalizer_learning_rate": 1e-2,
        "reconstructor_learning_rate": 1e-2,
        "warmup_steps": 0,
    },
    "save_dtype": "float32",
}


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory, tiny_tokenizer: Callable[[], Any], tiny_model: Callable[..., Any]) -> Path:
    """A tiny target whose vocabulary has a rare sign, and which answers everything with one of two explanations."""
    from tokenizers import AddedToken

    folder = tmp_path_factory.mktemp("target") / "tiny"
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens([AddedToken(MARK, normalized=False, special=False)])
    torch.manual_seed(0)
    model = tiny_model(len(tokenizer))
    vectors = np.random.default_rng(0).normal(size=(32, 32)).astype(np.float32)
    texts = ("- a report", "- numbers") * 16
    data = ExplainedActivations(vectors, texts, np.arange(32), (None,) * 32)
    content = [{"role": "user", "content": f"Read {MARK}"}]
    ids = tokenizer.apply_chat_template(content, add_generation_prompt=True, tokenize=True, return_dict=False)
    prompt = InjectionPrompt(tuple(ids), ids.index(tokenizer.encode(MARK)[0]))
    batches = VerbalizerBatches(data, tokenizer, prompt, 5.0, 1.0)
    warm_start_verbalizer(model, batches, 8, 0, LoopConfig(steps=80, learning_rate=0.01, warmup_steps=5), folder.parent / "state")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_config(file: Path, target: Path, /, **changes: Any) -> Path:
    """``SMALL`` with changes; a name such as ``rl__steps`` changes a setting inside a section."""
    values: dict[str, Any] = copy.deepcopy({"target": str(target), "out": str(file.with_suffix("")), **SMALL})
    for name, value in changes.items():
        *sections, key = name.split("__")
        holder = values
        for section in sections:
            holder = holder[section]
        holder[key] = value
    file.write_text(yaml.safe_dump(values))
    return file


def curves_of(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "curves.parquet").drop(columns=["seconds", "tokens_per_second"])


class Stopping(Silent):
    """A reporter in whose hands the run is interrupted once some steps of a stage are done."""

    def __init__(self, stage: str, steps: int) -> None:
        self.wanted, self.steps, self.current = stage, steps, ""

    def stage(self, name: str, description: str, fresh: bool) -> None:
        self.current = name

    @contextmanager
    def track(self, description: str, total: int | None, unit: str) -> Iterator[Callable[[int], None]]:
        done = 0

        def advance(count: int) -> None:
            nonlocal done
            done += count
            if self.current == self.wanted and done >= self.steps:
                raise KeyboardInterrupt

        yield advance


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, target: Path) -> Path:
    """A finished run, from the command line."""
    file = write_config(tmp_path_factory.mktemp("run") / "whole.yaml", target)
    assert run_command(cli, ["train", str(file)]) == 0
    return file.with_suffix("")


def test_a_run_leaves_a_pair_that_audits_can_use(trained: Path) -> None:
    pair = load_pair(str(trained), d_model=32, layers=3)
    assert pair.layer == 2
    vectors = np.random.default_rng(0).normal(size=(3, 32)).astype(np.float32)
    assert len(pair.explain(vectors, max_tokens=8)) == 3
    stages = json.loads((trained / "train.json").read_text())["stages"]
    assert set(stages) == {"corpus", "av", "ar", "rl"}
    av, warm = read_sidecar(trained / "av", "av"), read_sidecar(trained / "warm" / "av", "av")
    assert (av.raw["stage"], warm.raw["stage"]) == ("rl", "warm_start")
    assert av.raw["kind"] == "nla_model" and av.raw["schema_version"] == 2
    assert av.injection_scale == warm.injection_scale == stages["av"]["injection_scale"] and av.injection_char == MARK
    assert read_sidecar(trained / "ar", "ar").suffix_ids
    assert load_file(trained / "ar" / "value_head.safetensors")["weight"].shape == (32, 32)
    assert stages["rl"]["before"]["fve"] != stages["rl"]["after"]["fve"]


def test_the_curves_cover_every_stage(trained: Path) -> None:
    curves = curves_of(trained)
    assert {stage: list(rows.step) for stage, rows in curves.groupby("stage")} == {
        "av": [10, 20, 30, 40],
        "ar": [10, 20],
        "rl": [0, 1, 2, 3, 4],
    }
    assert curves.loss.notna().sum() == 6 and curves.fve.notna().sum() == 3
    losses = curves[curves.stage == "av"].loss
    assert losses.iloc[-1] < losses.iloc[0]
    assert (trained / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_command_again_does_nothing(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {file: file.stat().st_mtime_ns for file in trained.rglob("*.safetensors")}
    assert run_command(cli, ["train", f"{trained}.yaml", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["stages"] == json.loads((trained / "train.json").read_text())["stages"]
    assert {file: file.stat().st_mtime_ns for file in trained.rglob("*.safetensors")} == before


@pytest.mark.slow
def test_a_run_that_is_stopped_in_each_stage_has_the_same_curves(trained: Path, tmp_path: Path, target: Path) -> None:
    config = read_config(write_config(tmp_path / "stopped.yaml", target))
    for stage, steps in (("corpus", 60), ("av", 30), ("ar", 10), ("rl", 3)):
        with pytest.raises(KeyboardInterrupt):
            train_nla(config, Stopping(stage, steps))
    train_nla(config)
    pd.testing.assert_frame_equal(curves_of(config.out), curves_of(trained))
    for name in ("av/model.safetensors", "ar/value_head.safetensors"):
        one, other = load_file(config.out / name), load_file(trained / name)
        assert all((one[key] == other[key]).all() for key in one)


@pytest.mark.slow
def test_lora_trains_adapters_only_and_saves_them_as_peft_does(tmp_path: Path, target: Path) -> None:
    file = write_config(tmp_path / "lora.yaml", target, lora={"rank": 4, "alpha": 8.0}, warm_start__verbalizer_steps=20)
    assert run_command(cli, ["train", str(file)]) == 0
    out = file.with_suffix("")
    for part in ("av", "ar"):
        assert not (out / part / "config.json").exists() and not (out / part / "model.safetensors").exists()
        adapter = json.loads((out / part / "adapter_config.json").read_text())
        assert (adapter["peft_type"], adapter["r"], adapter["base_model_name_or_path"]) == ("LORA", 4, str(target))
        tensors = load_file(out / part / "adapter_model.safetensors")
        assert all("lora_" in name for name in tensors)
        warm = load_file(out / "warm" / part / "adapter_model.safetensors")
        assert any((tensors[name] != warm[name]).any() for name in tensors)
    assert {int(name.split("layers.")[1].split(".")[0]) for name in tensors} == {0, 1, 2}
    pair = load_pair(str(out), d_model=32, layers=3)
    vectors = np.random.default_rng(0).normal(size=(3, 32)).astype(np.float32)
    figures = json.loads((out / "train.json").read_text())["stages"]
    assert [row.status for row in pair.explain(vectors, max_tokens=8)] and pair.reconstruct(["- a"]).shape == (1, 32)
    # Merged for use, the adapters say what they said in training.
    from audit.training.corpus_files import corpus_vectors
    from audit.training.evaluation import round_trip

    held_out = corpus_vectors(out / "corpus", "held_out")
    chosen = np.sort(np.random.default_rng(0).permutation(len(held_out))[:8])
    assert round_trip(pair.av, pair.ar, held_out[chosen], 24).fve == pytest.approx(figures["rl"]["after"]["fve"], abs=1e-3)


def test_without_rl_the_warm_start_is_the_result(tmp_path: Path, target: Path) -> None:
    file = write_config(tmp_path / "warm.yaml", target, rl__steps=0, warm_start__verbalizer_steps=10, warm_start__reconstructor_steps=10)
    assert run_command(cli, ["train", str(file)]) == 0
    out = file.with_suffix("")
    assert read_sidecar(out / "av", "av").raw["stage"] == "warm_start"
    one, other = (load_file(out / name / "model.safetensors") for name in ("av", "warm/av"))
    assert all((one[key] == other[key]).all() for key in one)
    assert list(curves_of(out).stage) == ["av", "ar", "rl"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rl__batch": 0}, "'rl.batch' is wrong"),
        ({"rl__rewards": "mse"}, "'rl.rewards' is wrong: there is none of that name"),
        ({"rl__reward": "cosine"}, "'rl.reward' is wrong"),
        ({"warm_start__checkpoint_every": 15}, "'warm_start.checkpoint_every' is wrong"),
        ({"lora": {"rank": 0}}, "'lora.rank' is wrong"),
        ({"layr": 3}, "'layr' is wrong: there is none of that name"),
        ({"layer": "top"}, "'layer' is wrong"),
        ({"shares__av": 0.5}, "'shares' is wrong: the four shares must add up to 1"),
        ({"prompts__ar": "nothing"}, "'prompts' is wrong: a template must have one place for {explanation}"),
        ({"prompts__av": "{injection_char} {x}"}, "'prompts' is wrong: a template has another place"),
        ({"documents": "texts.jsonl"}, "files need 'summaries'"),
        ({"positions__first": 64}, "'positions.first' must lie before"),
        ({"layer": 3}, "'layer' is wrong: the target has blocks 0 to 2"),
        ({"warm_start__batch": 1000}, "fewer than a batch of 1000"),
        ({"prompts__injection_char": "\u0439"}, "encodes to"),
        ({"target": "/no/such/folder"}, "There is no folder /no/such/folder"),
    ],
)
def test_a_mistake_in_the_file_is_one_sentence_that_names_it(
    changes: dict[str, Any], message: str, tmp_path: Path, target: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_config(tmp_path / "wrong.yaml", target, **changes)
    assert run_command(cli, ["train", str(file)]) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error


def test_a_model_that_cannot_summarise_stops_the_run_and_is_named_as_the_cause(
    tmp_path: Path, target: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tiny target itself is asked, as any model of Inspect would be; it knows one explanation only."""
    rows = [json.dumps({"text": f"Please look at report {number} and tell me whether the numbers add up."}) for number in range(24)]
    (tmp_path / "texts.jsonl").write_text("\n".join(rows))
    file = write_config(
        tmp_path / "asked.yaml", target, documents=str(tmp_path / "texts.jsonl"), summaries=f"nla-target/{target}", positions__first=4
    )
    assert run_command(cli, ["train", str(file)]) == 2
    assert "of 57 summaries could be had" in capsys.readouterr().err
    assert not (file.with_suffix("") / "corpus" / "av.parquet").exists()


def test_a_setting_that_is_missing_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "empty.yaml"
    file.write_text("documents: lab\n")
    assert run_command(cli, ["train", str(file)]) == 2
    assert "'target' is missing" in capsys.readouterr().err


def test_short_forms_and_options_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "short.yaml"
    file.write_text("target: lab\ndocuments: texts.jsonl\nsummaries: openai/some-model\nrl: {verbalizer_learning_rate: 1e-5}\n")
    config = read_config(file, seed=7, out=None)
    assert config.documents.source == "texts.jsonl" and config.summaries is not None and config.summaries.model == "openai/some-model"
    assert config.rl.verbalizer_learning_rate == 1e-5 and config.first_position == 50
    assert config.seeded_rl.seed == 7


def test_a_folder_with_another_run_or_other_files_is_refused(trained: Path, tmp_path: Path, target: Path) -> None:
    other = write_config(tmp_path / "other.yaml", target, out=str(trained), seed=5)
    with pytest.raises(AuditError, match="holds a run with another 'seed'"):
        train_nla(read_config(other))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("dear")
    foreign = write_config(tmp_path / "foreign.yaml", target, out=str(tmp_path / "mine"))
    with pytest.raises(AuditError, match="holds other files"):
        train_nla(read_config(foreign))
    assert [file.name for file in (tmp_path / "mine").iterdir() if not file.name.startswith(".")] == ["thesis.tex"]


def test_a_sign_is_found_in_the_vocabulary_or_the_error_says_how_to_name_one(tiny_tokenizer: Callable[[], Any]) -> None:
    from tokenizers import AddedToken

    tokenizer = tiny_tokenizer()
    with pytest.raises(AuditError, match="no rare sign"):
        find_sign(tokenizer, AV_TEMPLATE)
    tokenizer.add_tokens([AddedToken("\u4e53", normalized=False, special=False)])
    assert find_sign(tokenizer, AV_TEMPLATE) == "\u4e53"
    with pytest.raises(RefusedInput):
        find_sign(tokenizer, AV_TEMPLATE, MARK)
    with pytest.raises(RefusedInput, match="2 times"):
        find_sign(tokenizer, "\u4e53" + AV_TEMPLATE, "\u4e53")


def free_port() -> str:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.mark.slow
def test_two_processes_train_on_the_curves_of_one(trained: Path, tmp_path: Path, target: Path) -> None:
    pytest.importorskip("accelerate")
    config = write_config(tmp_path / "two.yaml", target)
    command = [
        sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", "--num_machines", "1",
        "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", free_port(),
        "-m", "audit.cli", "train", str(config), "--json",
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["stages"]["rl"]["steps"] == 4
    one, two = curves_of(trained), curves_of(config.with_suffix(""))
    assert list(one.stage) == list(two.stage) and list(one.step) == list(two.step)
    for column in ("loss", "reward", "mse_nrm", "kl", "fve", "length"):
        assert np.allclose(one[column], two[column], rtol=0.01, atol=1e-4, equal_nan=True), column
