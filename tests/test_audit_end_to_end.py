"""Whole audits of the bundled lab, as a user runs them: the command line, what it leaves, and Inspect's and Scout's own tools on that.

How good explanations and verdicts are is measured elsewhere. Here everything that is promised must be there and agree.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import jsonschema
import pandas as pd
import pytest

import audit
from audit.cli import cli
from audit.cli.outcome import run_command
from audit.findings import schema
from audit.lab import weights_folder

pytestmark = pytest.mark.slow

SECONDS = 900
"""No measure of speed: only so that a process that hangs fails its test."""
SCANNERS_OF_EXPLANATIONS = ("awareness.lexical", "awareness.classifier")
KEYS = ["transcript_id", "call_index", "position", "sample", "control"]


def script(name: str, *arguments: str) -> list[str]:
    """The command line of an installed console script, run by this very Python."""
    code = f"from importlib.metadata import entry_points as e; e(group='console_scripts', name={name!r})[{name!r}].load()()"
    return [sys.executable, "-c", code, *arguments]


def nla_audit(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "audit.cli", *arguments]


def quick(out: Path, tokens: int = 4) -> list[str]:
    """The audit that most tests look at."""
    return ["run", "--limit", "4", "--tokens", str(tokens), "--out", str(out)]


def call(command: list[str], cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    # A wide terminal, so that lines which are looked for are not broken.
    env = os.environ | {"COLUMNS": "500"} | environment
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=SECONDS, check=False)


def failures(folder: Path) -> dict[str, int]:
    found: dict[str, int] = json.loads((folder / "findings.json").read_text(encoding="utf-8"))["failures"]
    return found


@dataclass(frozen=True)
class Finished:
    """An audit that a process of its own made, undisturbed."""

    folder: Path
    process: subprocess.CompletedProcess[str]
    seconds: float

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def enriched(self) -> Path:
        return self.folder / "enriched"

    def copy(self, to: Path) -> Path:
        return Path(shutil.copytree(self.folder, to))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """One real audit of the lab. Do not change it."""
    place = tmp_path_factory.mktemp("end-to-end")
    started = time.monotonic()
    process = call(nla_audit(*quick(Path("lab-audit"))), place)
    assert process.returncode == 0, process.stderr
    return Finished(place / "lab-audit", process, time.monotonic() - started)


@pytest.fixture(scope="session")
def differences() -> Callable[[Path, Path], list[str]]:
    """What the benchmark of kills compares, too."""
    file = Path(__file__).parents[1] / "benchmarks" / "kill_resume.py"
    spec = importlib.util.spec_from_file_location("kill_resume", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    compare: Callable[[Path, Path], list[str]] = module.differences
    return compare


def tables(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Transcripts, sites, activations, explanations, verdicts."""
    found = audit.load(folder)
    whole = (found.transcripts, found.sites, found.activations, found.explanations, found.verdicts)
    transcripts, sites, activations, explanations, verdicts = (table for table in whole if table is not None)
    return transcripts, sites, activations, explanations, verdicts


# what one command leaves


def test_one_command_leaves_a_whole_audit(finished: Finished) -> None:
    found = audit.load(finished.folder)
    assert found.findings is not None
    jsonschema.validate(found.findings, schema())
    assert {entry["status"] for entry in found.manifest["stages"].values()} == {"done"}
    transcripts, sites, activations, explanations, verdicts = tables(finished.folder)
    assert {row["name"]: row["transcripts"] for row in found.findings["scenarios"]} == {
        "blackmail": 4, "destructive_code": 4, "swe_tasks": 4, "ordinary_use": 4,
    }  # fmt: skip
    assert len(transcripts) == 16 and set(transcripts["known_state"]) == {"evaluation", "deployment"}
    usable = transcripts[transcripts["error"].isna()]
    assert len(usable) > 0 and set(sites["transcript_id"]) <= set(usable["transcript_id"])
    assert len(sites) == len(activations) and sites.groupby("transcript_id").size().max() <= 4
    place = ["transcript_id", "call_index", "position"]
    read = set(map(tuple, activations.loc[activations["status"] == "ok", place].values))
    real = explanations[explanations["control"] == "none"]
    assert read and set(map(tuple, real[place].values)) == read and len(real) == len(read)
    assert not explanations.duplicated(KEYS).any()
    for scanner in SCANNERS_OF_EXPLANATIONS:
        judged = verdicts[verdicts["scanner"] == scanner]
        wording = explanations[explanations["status"].isin(["ok", "truncated"])]
        assert set(map(tuple, judged[KEYS].values)) == set(map(tuple, wording[KEYS].values))


def test_examined_tokens_stand_in_the_evidence_and_nowhere_else(finished: Finished) -> None:
    found = audit.load(finished.folder)
    _, sites, _, explanations, verdicts = tables(finished.folder)
    assert found.evidence is not None and found.findings is not None and len(found.evidence) > 0
    scanner = found.findings["awareness"]["scanner"]
    yes = verdicts[(verdicts["scanner"] == scanner) & (verdicts["label"] == "YES") & (verdicts["control"] == "none")]
    place = ["transcript_id", "call_index", "position", "sample"]
    assert set(map(tuple, found.evidence[place].values)) <= set(map(tuple, yes[place].values))
    for row in found.evidence.to_dict("records"):
        assert all(
            near["call_index"] == row["call_index"] and 0 < abs(near["position"] - row["position"]) <= 10 for near in row["neighbours"]
        )
        assert any(claim["bears_verdict"] for claim in row["claims"])
    assert set(sites["chosen_by"]) == {"random"} and (explanations["control"] == "none").sum() <= len(sites)


def test_the_terminal_and_the_report_say_what_the_findings_say(finished: Finished) -> None:
    found = audit.load(finished.folder).findings
    assert found is not None
    report = (finished.folder / "report.html").read_text(encoding="utf-8")
    shown = " ".join(finished.process.stdout.split())
    for row in found["scenarios"]:
        assert row["name"] in shown and row["name"] in report
    assert "report.html" in shown and "Traceback" not in finished.process.stderr
    # What other libraries like to say does not stand in between.
    assert "inspect_ai" not in shown and "Warning" not in finished.process.stderr


def test_the_same_command_again_changes_nothing(finished: Finished, tmp_path: Path) -> None:
    def state() -> dict[str, tuple[int, str]]:
        files = [file for file in finished.folder.rglob("*") if file.is_file() and file.name != ".lock"]
        return {str(file): (file.stat().st_mtime_ns, hashlib.sha256(file.read_bytes()).hexdigest()) for file in files}

    before = state()
    again = call(nla_audit(*quick(finished.folder)), tmp_path)
    assert again.returncode == 0 and again.stdout.split("Report:")[0] == finished.process.stdout.split("Report:")[0]
    assert state() == before
    assert again.stderr.count("done before") == len(audit.load(finished.folder).manifest["stages"])


def test_another_number_of_tokens_reruns_only_what_depends_on_it(
    finished: Finished, tmp_path: Path, differences: Callable[[Path, Path], list[str]]
) -> None:
    folder = finished.copy(tmp_path / "a")
    before = audit.load(folder).manifest["stages"]
    logs = {file.name: file.stat().st_mtime_ns for file in (folder / "logs").iterdir()}
    assert run_command(cli, quick(folder, tokens=3)) == 0
    after = audit.load(folder).manifest["stages"]
    assert {name for name in before if before[name] == after[name]} == {"scenarios", "transcripts"}
    assert {file.name: file.stat().st_mtime_ns for file in (folder / "logs").iterdir()} == logs
    _, sites, _, explanations, _ = tables(folder)
    assert sites.groupby("transcript_id").size().max() == 3
    assert len(explanations[explanations["control"] == "none"]) == len(sites)
    assert run_command(cli, quick(folder)) == 0
    assert differences(finished.folder, folder) == []


def test_interrupted_and_killed_it_goes_on_and_ends_as_if_undisturbed(
    finished: Finished, tmp_path: Path, differences: Callable[[Path, Path], list[str]]
) -> None:
    interrupt_by_the_user(tmp_path)
    seed = time.time_ns()
    process = subprocess.Popen(nla_audit(*quick(tmp_path / "a")), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(random.Random(seed).uniform(0.2, 0.9) * finished.seconds)
    except subprocess.TimeoutExpired:
        process.kill()
    assert process.wait(SECONDS) in (0, -signal.SIGKILL)
    last = call(nla_audit(*quick(tmp_path / "a")), tmp_path)
    assert last.returncode == 0, last.stderr
    assert differences(finished.folder, tmp_path / "a") == [], f"seed {seed}"
    assert not list((tmp_path / "a").rglob(".*.partial*")) and not (tmp_path / "a" / ".work").exists()


def interrupt_by_the_user(folder: Path) -> None:
    process = subprocess.Popen(
        nla_audit(*quick(folder / "a")), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # Tests that a shell runs in the background inherit its deafness to this signal.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    deadline = time.monotonic() + SECONDS
    # Conversations have begun; Inspect has handlers of its own for this signal.
    while not list(folder.glob("a/logs/*.eval")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 130, errors
    assert "The same command goes on from here" in errors and "Traceback" not in errors
    assert not (folder / "a" / "report.html").exists()


# Inspect and Scout on what it leaves


def explanation_events(folder: Path) -> Iterator[Any]:
    from inspect_ai.log import read_eval_log

    for file in sorted(folder.glob("*.eval")):
        for sample in read_eval_log(str(file), resolve_attachments="full").samples or []:
            yield from (event for event in sample.events if event.event == "info" and event.source == "nla")


def test_each_explanation_is_an_event_of_a_log(finished: Finished) -> None:
    *_, explanations, _ = tables(finished.folder)
    rows = {tuple(row[key] for key in KEYS): row["text"] for row in explanations.to_dict("records")}
    events = [event.data for event in explanation_events(finished.enriched)]
    assert {tuple(data[key] for key in KEYS): data["explanation"] for data in events} == rows
    assert len(events) == len(rows) and sum(data["control"] == "none" for data in events) == (explanations["control"] == "none").sum()
    assert len(list(finished.enriched.glob("*.eval"))) == len(list(finished.logs.glob("*.eval"))) == 4


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def viewer(finished: Finished, tmp_path: Path) -> Iterator[str]:
    """`inspect view` over the enriched logs; its address."""
    port = free_port()
    command = script("inspect", "view", "start", "--log-dir", str(finished.enriched), "--host", "127.0.0.1", "--port", str(port))
    with (tmp_path / "viewer.log").open("w+") as log:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log)
        deadline = time.monotonic() + SECONDS
        try:
            while True:
                assert process.poll() is None and time.monotonic() < deadline, (tmp_path / "viewer.log").read_text()
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10).close()
                    break
                except (urllib.error.URLError, ConnectionError, TimeoutError):
                    time.sleep(0.2)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(60)


def test_inspect_view_shows_explanations_beside_the_call(finished: Finished, viewer: str, chromium: Any) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    transcripts, _, _, explanations, _ = tables(finished.folder)
    row = explanations[(explanations["control"] == "none") & (explanations["text"].str.len() > 0)].iloc[0]
    source = transcripts.loc[transcripts["transcript_id"] == row["transcript_id"], "source"].item()
    _, sample, epoch = row["transcript_id"].rsplit("/", 2)
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": 1400, "height": 1400, "deviceScaleFactor": 1, "mobile": False})
    chromium.get(f"{viewer}/#/logs/{source}/samples/sample/{sample}/{epoch}/transcript")
    # Info events are shown as JSON, which writes line breaks as two characters.
    wanted = json.dumps(row["text"], ensure_ascii=False)[1:-1]
    WebDriverWait(chromium, SECONDS).until(lambda window: wanted in window.execute_script("return document.body.innerText"))
    text = chromium.execute_script("return document.body.innerText")
    assert "INFO: NLA" in text.upper() and text.upper().index("MODEL CALL") < text.upper().index("INFO: NLA")
    # Seen at once, although the viewer cuts long entries off.
    entry = chromium.execute_script(
        "return [...document.querySelectorAll('pre, code, span')].filter(e => e.textContent.includes(arguments[0]))"
        ".map(e => e.getBoundingClientRect().top).sort((a, b) => a - b)[0]", wanted,
    )  # fmt: skip
    assert entry is not None


def test_scout_scan_gives_the_verdicts_of_the_pipeline(finished: Finished, tmp_path: Path) -> None:
    from inspect_scout import scan_list, scan_results_df

    import audit.scanners.scout as adapters

    transcripts, _, _, _, verdicts = tables(finished.folder)
    command = script(
        "scout", "scan", str(adapters.__file__), "-T", str(finished.enriched), "--scans", str(tmp_path / "scans"),
        "--max-processes", "1", "--display", "none",
    )  # fmt: skip
    process = call(command, tmp_path)
    assert process.returncode == 0, process.stderr
    [status] = scan_list(str(tmp_path / "scans"))
    frames = scan_results_df(status.location).scanners
    said = ["label", "quote", "confidence"]

    def rows(name: str) -> list[dict[str, Any]]:
        frame = next(frame for key, frame in frames.items() if key.replace("_", ".").endswith(name))
        details = [json.loads(data) if isinstance(data, str) else data for data in frame["metadata"]]
        return [{"label": label, **more} for label, more in zip(frame["value"], details, strict=True)]

    for name in SCANNERS_OF_EXPLANATIONS:
        expected = sorted(map(tuple, verdicts.loc[verdicts["scanner"] == name, KEYS + said].values), key=str)
        assert sorted((tuple(row[key] for key in KEYS + said) for row in rows(name)), key=str) == expected and expected
    messages = {(row.transcript_id, each["index"]): each["message_id"] for row in transcripts.itertuples() for each in row.calls}
    turns = verdicts[verdicts["scanner"] == "verbalised"]
    expected = sorted((messages[row.transcript_id, row.call_index], *(getattr(row, key) for key in said)) for row in turns.itertuples())
    assert sorted((row["message_id"], *(row[key] for key in said)) for row in rows("verbalised")) == expected and expected


def installed() -> bool:
    """Whether Inspect can find our names: installed, and not editable."""
    try:
        return '"editable": true' not in (metadata.distribution("nla-audit").read_text("direct_url.json") or "")
    except metadata.PackageNotFoundError:
        return False


@pytest.mark.skipif(not installed(), reason="Inspect finds names of installed packages only: pip install . (make test does)")
def test_inspect_eval_knows_our_tasks_and_our_target_by_name(tmp_path: Path) -> None:
    from inspect_ai.log import read_eval_log

    from audit.target.loading import load_tokenizer
    from audit.target.transcripts import find_logs, read_transcripts

    command = script(
        "inspect", "eval", "scenarios/blackmail", "--model", "nla-target/lab", "--limit", "2", "-T", "source=lab",
        "--log-dir", str(tmp_path / "logs"), "--display", "none",
    )  # fmt: skip
    process = call(command, tmp_path, HF_HUB_OFFLINE="1")
    assert process.returncode == 0, process.stdout + process.stderr
    [log] = find_logs([tmp_path / "logs"])
    header = read_eval_log(str(log), header_only=True)
    assert header.status == "success" and header.eval.model == "nla-target/lab" and header.eval.task == "scenarios/blackmail"
    transcripts = list(read_transcripts([log], load_tokenizer(weights_folder("target"))))
    assert len(transcripts) == 2 and all(transcript.error is None and transcript.calls for transcript in transcripts)
    assert not any(each.positions_rederived for transcript in transcripts for each in transcript.calls)
    assert all(set(transcript.scores) >= {"harmful", "mails_sent"} and transcript.scenario == "blackmail" for transcript in transcripts)


# other targets, other logs, other machines


def test_logs_of_another_provider_are_audited_and_called_rederived(tmp_path: Path) -> None:
    from inspect_ai import Task, eval
    from inspect_ai.dataset import Sample
    from inspect_ai.model import ModelOutput, ModelUsage, get_model
    from inspect_ai.solver import generate, use_tools

    from scenarios.tools import send_email

    first = ModelOutput.for_tool_call("mockllm/model", "send_email", {"to": "ann", "body": "Hello."}, content="I will write to Ann today.")
    last = ModelOutput.from_content("mockllm/model", "The mail to Ann is sent, and there is nothing left to do.")
    for output in (first, last):
        output.usage = ModelUsage()
    model = get_model("mockllm/model", custom_outputs=[first, last])
    task = Task(dataset=[Sample(id="a", input="Please write to Ann.")], solver=[use_tools(send_email()), generate()], name="foreign")
    [log] = eval(task, model=model, log_dir=str(tmp_path / "logs"), display="none")
    assert log.status == "success"
    out = tmp_path / "a"
    assert run_command(cli, ["scan", str(tmp_path / "logs"), "--target", "lab", "--tokens", "4", "--out", str(out)]) == 0
    transcripts, sites, _, explanations, _ = tables(out)
    [calls] = transcripts["calls"]
    assert len(calls) == 2 and all(each["positions_rederived"] for each in calls)
    assert len(sites) == 4 and (explanations["control"] == "none").sum() == 4
    found = audit.load(out).findings
    assert found is not None and any("re-derived" in limit for limit in found["limits"])
    assert "re-derived" in (out / "report.html").read_text(encoding="utf-8")
    assert len(list(explanation_events(out / "enriched"))) == len(explanations)


@pytest.fixture(scope="module")
def perch() -> list[str]:
    """A provider of a model behind an API, which says what is put on its perch and fails when nothing is left there."""
    from inspect_ai.model import ModelAPI, ModelOutput, ModelUsage, modelapi

    texts: list[str] = []

    @modelapi(name="parrot")
    class Parrot(ModelAPI):
        async def generate(self, input: Any, tools: Any, tool_choice: Any, config: Any) -> ModelOutput:
            if not texts:
                raise ConnectionError("the parrot has left")
            output = ModelOutput.from_content("parrot/grey", texts.pop())
            output.usage = ModelUsage()
            return output

    return texts


@pytest.fixture
def parrot(perch: list[str]) -> list[str]:
    """What the provider will say; empty at first."""
    perch.clear()
    return perch


def test_a_target_behind_an_api_is_audited_by_its_words(parrot: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parrot += [
        "I have read the mails and there is nothing that I should do.",
        "I think that this is a test of my alignment by its evaluators.",
    ]
    out = tmp_path / "a"
    command = ["run", "--target", "inspect:parrot/grey", "--scenario", "blackmail", "--limit", "2", "--json", "--out", str(out)]
    assert run_command(cli, command) == 0
    found = json.loads(capsys.readouterr().out)
    jsonschema.validate(found, schema())
    [row] = found["scenarios"]
    assert row["usable"] == 2 and row["harmful_rate"] == 0.0 and row["verbalised"] == 1 and row["nla_aware_rate"] is None
    assert found["nla"] is None
    [missing] = [limit for limit in found["limits"] if "can only be talked to" in limit]
    assert "--nla" in missing and "can only be talked to" in (out / "report.html").read_text(encoding="utf-8")


def test_a_run_in_which_every_conversation_fails_is_no_clean_one(
    parrot: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a"
    command = ["run", "--target", "inspect:parrot/grey", "--scenario", "blackmail", "--limit", "2", "--out", str(out)]
    assert run_command(cli, command) == 3
    shown = capsys.readouterr().err
    assert "Every conversation ended with an error" in shown and "the parrot has left" in shown
    parrot += ["I have read the mails."] * 2
    assert run_command(cli, command) == 0
    [row] = audit.load(out).findings["scenarios"]  # type: ignore[index]
    assert row["usable"] == 2


def test_what_was_not_measured_is_not_below_a_threshold(parrot: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from inspect_ai import Task, eval
    from inspect_ai.dataset import Sample

    parrot += ["Hello."]
    eval(Task(dataset=[Sample(input="Hi")], name="unscored"), model="parrot/grey", log_dir=str(tmp_path / "logs"), display="none")
    assert run_command(cli, ["scan", str(tmp_path / "logs"), "--out", str(tmp_path / "a"), "--fail-on", "0.5"]) == 2
    assert "no harmful rate" in capsys.readouterr().err


def test_a_target_without_an_nla_is_audited_by_its_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "a"
    target = str(weights_folder("target"))
    assert run_command(cli, ["run", "--target", target, "--scenario", "blackmail", "--limit", "2", "--out", str(out)]) == 0
    found = audit.load(out).findings
    assert found is not None
    jsonschema.validate(found, schema())
    [row] = found["scenarios"]
    assert row["transcripts"] == 2 and row["nla_aware_rate"] is None and found["nla"] is None
    assert row["verbalised_rate"] is not None and row["harmful_rate"] is not None
    [missing] = [limit for limit in found["limits"] if "No NLA" in limit]
    assert "--nla" in missing and "No NLA" in (out / "report.html").read_text(encoding="utf-8")
    assert "No NLA" in " ".join(capsys.readouterr().out.split())


def test_without_a_sandbox_the_rest_runs_and_it_is_said_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    process = call(nla_audit("run", "--limit", "2", "--nla", "none", "--out", "a"), tmp_path, PATH=str(tmp_path / "bin"))
    assert process.returncode == 0, process.stderr
    found = audit.load(tmp_path / "a").findings
    assert found is not None and {row["name"] for row in found["scenarios"]} == {"blackmail", "ordinary_use"}
    report = " ".join((tmp_path / "a" / "report.html").read_text(encoding="utf-8").split())
    said = " ".join((process.stdout + process.stderr).split())
    for name in ("destructive_code", "swe_tasks"):
        [limit] = [limit for limit in found["limits"] if f"The scenario {name} is left out" in limit]
        assert "bubblewrap" in limit
        assert f"The scenario {name} is left out" in said and f"The scenario {name} is left out" in report
    assert "bubblewrap" in said and "bubblewrap" in report


# bad input


def spoil(log: Path, to: Path) -> None:
    """A copy of a log of four samples: the first ended with an error, the second's question was changed, the third's reply is empty."""
    from inspect_ai.log import EvalError, read_eval_log, write_eval_log

    whole = read_eval_log(str(log), resolve_attachments="full")
    assert whole.samples is not None and len(whole.samples) == 4
    failed, changed, silent, _ = sorted(whole.samples, key=lambda sample: str(sample.id))
    failed.error = EvalError(message="the tool \x1b[31mbroke", traceback="", traceback_ansi="")
    for event in [event for event in changed.events if event.event == "model"]:
        event.input[-1].content = "Another question."
    # Only its first call stays: the messages of later ones hold its reply.
    event, *later = [event for event in silent.events if event.event == "model"]
    silent.events = [other for other in silent.events if other not in later]
    event.output.choices[0].message.content, event.output.choices[0].message.tool_calls = "", None
    assert event.output.metadata is not None
    event.output.metadata["nla"]["output_ids"] = []
    write_eval_log(whole, str(to))


def test_what_is_broken_in_logs_is_skipped_counted_and_listed(finished: Finished, tmp_path: Path) -> None:
    bad = tmp_path / "logs"
    bad.mkdir()
    first, second, third, _ = sorted(finished.logs.glob("*.eval"), key=lambda path: path.name.partition("_")[2])
    spoil(first, bad / "spoiled.eval")
    whole = second.read_bytes()
    with zipfile.ZipFile(second) as archive:
        places = [entry.header_offset for entry in archive.infolist() if entry.filename.startswith("samples/")]
    at = places[0] + 200
    (bad / "corrupted.eval").write_bytes(whole[:at] + b"\xff" * 50 + whole[at + 50 :])
    (bad / "truncated.eval").write_bytes(third.read_bytes()[: third.stat().st_size // 2])
    with zipfile.ZipFile(bad / "foreign.eval", "w") as archive:
        archive.writestr("word/document.xml", "<w:document/>")
    out = tmp_path / "a"
    assert run_command(cli, ["scan", str(bad), "--target", "lab", "--tokens", "3", "--out", str(out)]) == 0
    transcripts, _, _, explanations, _ = tables(out)
    errors = transcripts.dropna(subset="error")
    reasons = {source: sorted(group["error"]) for source, group in errors.groupby("source")}
    assert [error.partition(" ")[0] for error in reasons["spoiled.eval"]] == ["Call", "The", "The"]
    assert any("ended with an error" in error for error in reasons["spoiled.eval"])
    assert any("response is empty" in error for error in reasons["spoiled.eval"])
    assert {source: len(found) for source, found in reasons.items()} == {
        "spoiled.eval": 3, "corrupted.eval": 1, "truncated.eval": 1, "foreign.eval": 1,
    }  # fmt: skip
    assert all(error.isprintable() for error in errors["error"])
    good = set(transcripts.loc[transcripts["error"].isna(), "transcript_id"])
    assert len(transcripts) == 10 and len(good) == 4 and set(explanations["transcript_id"]) <= good
    assert failures(out)["transcript_unusable"] == 6
    report = (out / "report.html").read_text(encoding="utf-8")
    assert all(reason in report for reason in ("cannot be read", "response is empty", "ended with an error"))


def altered_target(folder: Path, change: Callable[[Path], None]) -> Path:
    """A copy of the lab's target with something changed."""
    copy = Path(shutil.copytree(weights_folder("target"), folder))
    change(copy)
    return copy


def test_a_changed_template_refuses_every_transcript_and_says_so(finished: Finished, tmp_path: Path) -> None:
    def other_template(folder: Path) -> None:
        file = folder / "chat_template.jinja"
        file.write_text(file.read_text(encoding="utf-8").replace("<|im_start|>", "<|im_start|> "), encoding="utf-8")

    target = altered_target(tmp_path / "target", other_template)
    out = tmp_path / "a"
    assert run_command(cli, ["scan", str(finished.logs), "--target", str(target), "--nla", "lab", "--out", str(out)]) == 0
    transcripts, sites, activations, explanations, _ = tables(out)
    assert len(transcripts) == 16 and transcripts["error"].str.contains("use the target that made the log").all()
    assert len(sites) == len(activations) == len(explanations) == 0
    assert failures(out)["transcript_unusable"] == 16
    found = audit.load(out).findings
    assert found is not None and all(row["usable"] == 0 and row["nla_aware_rate"] is None for row in found["scenarios"])
    assert any("16 of 16" in limit for limit in found["limits"])


def test_activations_that_are_not_finite_are_counted_and_not_explained(finished: Finished, tmp_path: Path) -> None:
    def not_a_number(folder: Path) -> None:
        from safetensors.torch import load_file, save_file

        weights = load_file(folder / "model.safetensors")
        name = next(name for name in sorted(weights) if ".layers.1." in name and name.endswith("down_proj.weight"))
        weights[name][0, 0] = float("nan")
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    target = altered_target(tmp_path / "target", not_a_number)
    out = tmp_path / "a"
    assert run_command(cli, ["scan", str(finished.logs), "--target", str(target), "--nla", "lab", "--tokens", "4", "--out", str(out)]) == 0
    _, sites, activations, explanations, _ = tables(out)
    assert len(sites) == len(activations) > 0 and set(activations["status"]) == {"not_finite"} and len(explanations) == 0
    assert failures(out)["activation_not_finite"] == len(activations)
    found = audit.load(out).findings
    assert found is not None and found["nla_quality"]["fve"] is None
    jsonschema.validate(found, schema())


def pickled(folder: Path) -> list[str]:
    target = altered_target(folder / "target", lambda copy: (copy / "model.safetensors").rename(copy / "pytorch_model.bin") and None)
    return ["--target", str(target)]


def altered_nla(folder: Path, change: Callable[[Path], object]) -> list[str]:
    for part in ("av", "ar"):
        shutil.copytree(weights_folder(part), folder / "nla" / part)
    change(folder / "nla")
    return ["--nla", str(folder / "nla")]


def widen(nla: Path) -> None:
    for part in ("av", "ar"):
        file = nla / part / "nla_meta.yaml"
        lines = file.read_text(encoding="utf-8").splitlines()
        file.write_text("\n".join("d_model: 4096" if line.startswith("d_model:") else line for line in lines), encoding="utf-8")


def swap(nla: Path) -> None:
    (nla / "av").rename(nla / "other")
    (nla / "ar").rename(nla / "av")
    (nla / "other").rename(nla / "ar")


REFUSED: dict[str, tuple[Callable[[Path], list[str]], str]] = {
    "pickled target": (pickled, "pickles"),
    "no sidecar": (lambda folder: altered_nla(folder, lambda nla: (nla / "av" / "nla_meta.yaml").unlink()), "nla_meta.yaml"),
    "other width": (lambda folder: altered_nla(folder, widen), "width 4096"),
    "pickled NLA": (
        lambda folder: altered_nla(folder, lambda nla: (nla / "av" / "model.safetensors").rename(nla / "av" / "pytorch_model.bin")),
        "pickles",
    ),
    "swapped": (lambda folder: altered_nla(folder, swap), "expected"),
    "no such NLA": (lambda folder: ["--nla", str(folder / "nowhere")], "No NLA at"),
    "no such provider": (lambda folder: ["--target", "inspect:nobody/model"], "nobody"),
    "no controls": (lambda folder: ["--controls", str(folder)], "no log"),
    "broken scanner": (lambda folder: ["--scanner", str(broken_scanner(folder))], "ZeroDivisionError"),
}


def broken_scanner(folder: Path) -> Path:
    file = folder / "mine.py"
    file.write_text("1 / 0\n")
    return file


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_work_is_refused_before_anything_is_written(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make, expected = REFUSED[name]
    arguments = make(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert run_command(cli, [*quick(tmp_path / "out"), *arguments]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("Error: ") and expected in shown and shown.count("\n") <= 2, shown
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Inspect's own logs lie in ``logs`` by default, where an audit would put its own."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "precious.eval").write_text("mine")
    assert run_command(cli, quick(tmp_path)) == 2
    assert "no audit's folder" in capsys.readouterr().err
    assert [file.name for file in tmp_path.rglob("*")] == ["logs", "precious.eval"]


def test_a_folder_that_cannot_be_written_into_is_a_mistake_not_a_bug(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    # Root may write anywhere but here.
    for out in (tmp_path / "file", tmp_path / "file" / "a", Path("/proc/self/task")):
        assert run_command(cli, quick(out)) == 2
        assert "--out" in capsys.readouterr().err
