"""``nla-audit view``: who is answered, what is given, what is refused, and that it follows the folder."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from audit.cli import cli
from audit.cli.outcome import run_command
from audit.cli.view import source_of, start
from audit.errors import AuditError
from audit.store import MANIFEST, Store
from reports.serve import ViewServer
from reports.view import AuditTables

NAMED, NEEDLE = "blackmail/case-7/1", "a lighthouse nobody expected"
"""As in the audit that ``make_wide`` makes."""


def write_audit(folder: Path, tables: AuditTables) -> Store:
    """The tables as an audit's folder."""
    folder.mkdir(exist_ok=True)
    for name in ("transcripts", "sites", "explanations", "verdicts", "evidence"):
        getattr(tables, name).to_parquet(folder / f"{name}.parquet")
    (folder / "findings.json").write_text(json.dumps(tables.findings), encoding="utf-8")
    (folder / MANIFEST).write_text(json.dumps(tables.manifest), encoding="utf-8")
    return Store(folder, create=False)


@pytest.fixture
def folder(tmp_path: Path, make_wide: Callable[..., AuditTables]) -> Path:
    return write_audit(tmp_path / "audit", make_wide(8, 7, 5)).folder


@pytest.fixture
def server(folder: Path) -> Iterator[ViewServer]:
    with start(Store(folder, create=False), 0) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield found
        found.shutdown()


def ask(server: ViewServer, path: str, method: str = "GET", **headers: str) -> tuple[HTTPResponse, str]:
    """Asks for a path below the secret one, or for an absolute path."""
    host, port = server.server_address[:2]
    connection = HTTPConnection(str(host), int(port), timeout=60)
    connection.request(method, path if path.startswith("/") else urlsplit(server.url).path + path, headers=headers)
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer, body


def test_the_page_comes_without_its_conversations_and_they_come_one_by_one(server: ViewServer) -> None:
    answer, page = ask(server, "")
    assert answer.status == 200 and 'id="explorer-index"' in page and "explorer-part-" not in page and "connect-src 'self'" in page
    assert answer.headers["Cache-Control"] == "no-store" and answer.headers["X-Content-Type-Options"] == "nosniff"
    answer, body = ask(server, f"part/{server.audit.state.revision}/7")
    (found,) = json.loads(body)
    assert answer.status == 200 and len(found["tokens"]) == 7 and NEEDLE in found["tokens"][5]["said"][0]["text"]
    answer, body = ask(server, f"search/{server.audit.state.revision}?q=LIGHTHOUSE%20nobody")
    assert json.loads(body) == {"7": [5]}
    answer, body = ask(server, "", "HEAD")
    assert answer.status == 200 and body == "" and int(answer.headers["Content-Length"]) == len(page.encode())


def test_only_this_machine_is_answered(server: ViewServer) -> None:
    assert server.server_address[0] == "127.0.0.1"
    for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", "[", ""):
        answer, body = ask(server, "", Host=host)
        assert answer.status == 403 and "explorer" not in body, host
    for host in ("localhost:9999", "127.0.0.1"):
        assert ask(server, "", Host=host)[0].status == 200


@pytest.mark.parametrize(
    "path",
    ["/", "/index.html", "/x/", "/../audit.json", "audit.json", "../", "part/", "part/REVISION/8", "part/REVISION/-1", "part/REVISION/%32",
     "part/REVISION/99999999999", "static/../../findings.json"],
)  # fmt: skip
def test_nothing_else_is_there(server: ViewServer, path: str) -> None:
    answer, body = ask(server, path.replace("REVISION", server.audit.state.revision))
    assert answer.status in (404, 409) and len(body) < 60 and "manifest" not in body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_it_only_reads(server: ViewServer, folder: Path, method: str) -> None:
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert ask(server, "", method)[0].status == 501
    ask(server, "")
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_it_follows_the_folder(server: ViewServer, folder: Path, make_wide: Callable[..., AuditTables]) -> None:
    old = server.audit.state
    write_audit(folder, make_wide(9, 3, 5))
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    (folder / MANIFEST).write_text(json.dumps(manifest | {"changed": 1}), encoding="utf-8")
    assert ask(server, f"part/{old.revision}/0")[0].status == 200, "a page that is open goes on with what it was made of"
    _, page = ask(server, "")
    new = server.audit.state
    assert new.revision != old.revision and f'data-live="{new.revision}"' in page and len(new.explorer) == 9
    answer, body = ask(server, f"part/{old.revision}/0")
    assert answer.status == 409 and "changed" in body
    assert ask(server, f"part/{new.revision}/8")[0].status == 200


def test_a_folder_that_cannot_be_read_any_more_is_said_so(server: ViewServer, folder: Path) -> None:
    (folder / "verdicts.parquet").write_bytes(b"no table")
    (folder / MANIFEST).write_text(json.dumps({"manifest_version": 1, "stages": {}}), encoding="utf-8")
    answer, body = ask(server, "")
    assert answer.status == 503 and "cannot be read" in body


def test_mistakes_are_told_in_one_sentence(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(cli, ["view", str(tmp_path), "--no-browser"]) == 2
    assert "is no audit's folder" in capsys.readouterr().err
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert run_command(cli, ["view", str(folder), "--no-browser", "--port", str(port)]) == 2
    error = capsys.readouterr().err
    assert f"Port {port} cannot be used: address already in use." in error and "--port" in error and "Traceback" not in error


def test_a_damaged_table_is_named(folder: Path) -> None:
    (folder / "sites.parquet").write_bytes(b"no table")
    with pytest.raises(AuditError, match="cannot be read"):
        source_of(Store(folder, create=False)).load()


@pytest.mark.slow
def test_in_the_browser_it_asks_its_own_server_only(server: ViewServer, chromium: Any) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    def until(script: str) -> None:
        WebDriverWait(chromium, 60, 0.05).until(lambda _: chromium.execute_script(script))

    chromium.get("about:blank")
    for log in ("browser", "performance"):
        chromium.get_log(log)
    chromium.get(f"{server.url}#t=blackmail%2Fcase-7%2F1&p=0.36")
    until("return document.getElementById('explorer').dataset.ready === '1'")
    assert chromium.execute_script("return document.querySelector('#explorer-head h3 bdi').textContent") == NAMED
    chromium.find_element("id", "explorer-search").send_keys(NEEDLE)
    until("return document.getElementById('explorer-status').textContent === '1 token in 1 of 8 conversations'")
    entries = [json.loads(entry["message"])["message"] for entry in chromium.get_log("performance")]
    asked = [entry["params"]["request"]["url"] for entry in entries if entry["method"] == "Network.requestWillBeSent"]
    asked = [url for url in asked if not url.startswith(("data:", "about:"))]
    assert len(asked) >= 3 and all(url.startswith(server.url) for url in asked)
    assert [entry["message"] for entry in chromium.get_log("browser")] == []
    server.audit.state = replace(server.audit.state, revision="another")
    chromium.find_element("id", "explorer-reset").click()
    until("return document.getElementById('explorer-row-0')")
    chromium.execute_script("document.getElementById('explorer-row-0').click()")
    until("return document.getElementById('explorer-status').textContent.includes('has changed on disk')")
