"""The form of the sign-off in a real browser: filled in by keyboard, exported as a file, taken in by the command; and without scripts."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from audit.cli import cli
from audit.cli.outcome import run_command
from audit.store import content_hash

pytestmark = pytest.mark.slow
NAME = 'Ada </pre><script>window.pwned=1</script> "quoted" \\ \u202e'


@pytest.fixture
def folder(tmp_path: Path, make_tables: Any, make_folder: Any) -> Path:
    made: Path = make_folder(tmp_path / "audit", make_tables(lab=False, per_scenario=6, controls=24))
    assert run_command(cli, ["report", str(made)]) == 0
    return made


def wait_for(file: Path) -> None:
    deadline = time.monotonic() + 120
    while not file.is_file() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert file.is_file()


def status(window: Any) -> str:
    said: str = window.execute_script("return document.getElementById('sign-off-status').textContent")
    return said


def test_the_exported_file_is_the_one_that_the_command_takes(folder: Path, chromium: Any, tmp_path: Path) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    down = tmp_path / "down"
    down.mkdir()
    chromium.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(down)})
    chromium.get((folder / "report.html").as_uri())
    chromium.get_log("browser")
    button = chromium.find_element(By.ID, "sign-off-export")
    button.send_keys(Keys.ENTER)
    assert status(chromium) == "Please enter your name." and chromium.switch_to.active_element.get_attribute("id") == "sign-off-name"
    chromium.switch_to.active_element.send_keys(NAME, Keys.TAB, "Safety lead", Keys.TAB, Keys.SPACE)
    assert chromium.switch_to.active_element.get_attribute("value") == "approve"
    chromium.switch_to.active_element.send_keys(Keys.ARROW_DOWN)
    button.send_keys(Keys.ENTER)
    assert status(chromium) == "Please name the conditions." and not list(down.iterdir())
    chromium.switch_to.active_element.send_keys("Once more with twins.", Keys.ENTER, "Soon.", Keys.TAB, "t/k j notes", Keys.TAB, Keys.ENTER)
    wait_for(down / "sign-off.json")
    assert "Exported sign-off.json" in status(chromium) and chromium.get_log("browser") == []
    assert chromium.execute_script("return window.pwned === undefined")
    signed = json.loads((down / "sign-off.json").read_text(encoding="utf-8"))
    assert signed["findings_sha256"] == content_hash(folder / "findings.json") and signed["decision"] == "approve_with_conditions"
    assert (signed["name"], signed["conditions"], signed["notes"]) == (NAME, "Once more with twins.\nSoon.", "t/k j notes")
    assert json.loads(chromium.execute_script("return document.getElementById('sign-off-json').textContent")) == signed
    assert run_command(cli, ["report", str(folder), "--sign-off", str(down / "sign-off.json")]) == 0
    chromium.get((folder / "report.html").as_uri())
    top = chromium.execute_script("return document.querySelector('.signed').textContent")
    assert "Approved with conditions" in top and "</pre><script>" in top and "\u202e" not in top and signed["findings_sha256"] in top
    assert chromium.execute_script("return window.pwned === undefined")


def test_without_scripts_the_json_is_there_to_fill_in(folder: Path, chromium: Any, tmp_path: Path) -> None:
    chromium.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        chromium.get((folder / "report.html").as_uri())
        from selenium.webdriver.common.by import By

        assert not chromium.find_element(By.ID, "sign-off-export").is_displayed()
        blank = chromium.find_element(By.ID, "sign-off-json").text
        assert "by hand" in chromium.find_element(By.ID, "sign-off-how").text
    finally:
        chromium.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    form = json.loads(blank)
    assert form["findings_sha256"] == content_hash(folder / "findings.json")
    file = tmp_path / "sign-off.json"
    file.write_text(blank)
    assert run_command(cli, ["report", str(folder), "--sign-off", str(file)]) == 2, "nothing is decided yet"
    file.write_text(json.dumps(form | {"decision": "reject", "signed": "2026-11-21"}))
    assert run_command(cli, ["report", str(folder), "--sign-off", str(file)]) == 0
