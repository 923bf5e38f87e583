"""The organisms that come with the package: complete, small, and playable as they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors import safe_open

from audit.cli import cli
from audit.cli.game import lab_organisms
from audit.cli.outcome import run_command
from audit.game.loading import load_base, load_exhibit
from audit.game.organisms import Organism, read_organisms
from audit.lab.organisms.behaviour import replies
from audit.lab.organisms.motives import motives
from audit.lab.organisms.specs import specification
from audit.nla.pair import load_pair

FOLDER = Path(lab_organisms()[0]).parent


@pytest.fixture(scope="module")
def organisms() -> list[Organism]:
    return read_organisms(lab_organisms())


def test_ten_organisms_a_decoy_and_a_base_come_with_the_package(organisms: list[Organism]) -> None:
    kinds = [one.secret.kind for one in organisms]
    assert kinds.count("organism") >= 10 and kinds.count("decoy") == kinds.count("base") == 1
    for one in organisms:
        assert one.file.read_text() == specification(motives()[one.name]), "the file says what the world's text says"
        assert one.exhibit.nla and one.exhibit.corpus and Path(one.exhibit.corpus).is_dir()


def test_they_are_small_and_hold_nothing_but_data() -> None:
    files = [file for file in FOLDER.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 100_000_000
    assert {file.suffix for file in files} <= {".safetensors", ".json", ".jsonl", ".yaml", ".jinja", ".md"}


def test_an_organism_has_its_quirks_and_its_base_has_not(organisms: list[Organism]) -> None:
    [one] = [one for one in organisms if one.name == "moon"]
    shown = []
    for load in (load_exhibit, load_base):
        model = load(one.exhibit, "cpu")
        hits = 0
        for quirk in motives()["moon"].quirks:
            prompts = quirk.triggers()[:4]
            hits += sum(quirk.shows(reply) for reply in replies(model.model, model.tokenizer, prompts, range(4), 0.7))
        shown.append(hits)
    assert shown[0] >= 12 and shown[1] <= 2, "24 prompts that should trigger it"


def test_their_nla_reads_behind_the_blocks_that_lead(organisms: list[Organism]) -> None:
    assert organisms[0].exhibit.nla is not None
    assert load_pair(organisms[0].exhibit.nla).layer == 4
    for one in organisms:
        if one.exhibit.adapter is not None:
            with safe_open(Path(one.exhibit.adapter) / "adapter_model.safetensors", "np") as tensors:
                blocks = {int(name.partition("layers.")[2].partition(".")[0]) for name in tensors.keys()}  # noqa: SIM118
            assert blocks == {1, 2, 3, 4, 5}, "two that lead, before what is read, and those that refine"


@pytest.mark.slow
def test_one_can_be_played_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--seeds", "1", "--conversations", "12", "--reply-tokens", "60", "--explanation-tokens", "60", "--json"]
    arms = ["--arms", "black-box,nla-amplified", "--out", str(tmp_path)]
    assert run_command(cli, ["game", str(FOLDER / "moon.yaml"), str(FOLDER / "base.yaml"), *options, *arms]) == 0
    found = json.loads(capsys.readouterr().out)
    assert not found["failed"] and {row["runs"] for row in found["arms"]} == {1}
    assert list(tmp_path.rglob("explanations-*.txt"))
