"""The report with its explorer from a local server: conversations are given one by one, so that no audit is too large.

It listens on this machine only, answers only who knows the random path, reads and never writes, and has no directory to list.
"""

from __future__ import annotations

import hmac
import json
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from audit.errors import AuditError
from reports.explorer import Explorer, Limits
from reports.explorer_pack import served
from reports.render import render_audit
from reports.view import AuditTables

HOST = "127.0.0.1"
KNOWN_HOSTS = {"127.0.0.1", "localhost"}
"""Names under which a browser may ask. Any other is a foreign page that had its name resolve to this machine."""
LIMITS = Limits(explanation=20_000, message=50_000)
"""One conversation at a time may be long."""
QUERY = 200
"""Characters of a search."""
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True)
class Source:
    """Where an audit comes from."""

    load: Callable[[], AuditTables]
    """Reads the audit's folder. Raises ``AuditError``."""
    revision: Callable[[], str]
    """Another text as soon as the folder holds another state; letters and digits only."""


@dataclass(frozen=True)
class State:
    """One state of the audit, in memory."""

    revision: str
    page: bytes
    explorer: Explorer


class OnDisk:
    """The audit as it stands on disk: read anew when a page is asked for and its revision has changed."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.lock = threading.Lock()
        self.state = self._read()

    def current(self) -> State:
        """The state on disk. Raises ``AuditError`` if the folder cannot be read."""
        with self.lock:
            if self.source.revision() != self.state.revision:
                self.state = self._read()
            return self.state

    def _read(self) -> State:
        revision = self.source.revision()
        tables = self.source.load()
        explorer = Explorer(tables)
        page = render_audit(tables, served(explorer, revision)).encode("utf-8", "replace")
        return State(revision, page, explorer)


class ViewServer(ThreadingHTTPServer):
    """Serves one audit under a path that nobody can guess. Raises ``OSError`` if the port is taken; port 0 takes a free one."""

    daemon_threads = True

    def __init__(self, source: Source, port: int = 0) -> None:
        self.secret = secrets.token_urlsafe(16)
        # The port first: that it is taken should not take an audit's reading to find out.
        super().__init__((HOST, port), Handler)
        try:
            self.audit = OnDisk(source)
        except BaseException:
            self.server_close()
            raise

    @property
    def url(self) -> str:
        """The address of the page, secret included."""
        return f"http://{HOST}:{self.server_address[1]}/{self.secret}/"


class Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD for the page, its conversations and its search; everything else is refused."""

    server: ViewServer
    protocol_version = "HTTP/1.1"
    server_version = "nla-audit"
    sys_version = ""
    timeout = 60

    def do_GET(self) -> None:
        """The page, ``part/<revision>/<number>``, or ``search/<revision>?q=<words>``."""
        if not self._is_known():
            return self._refuse(HTTPStatus.FORBIDDEN, "This server answers requests for this machine's own names only.")
        address = urlsplit(self.path)
        secret, _, rest = address.path.removeprefix("/").partition("/")
        if not hmac.compare_digest(secret.encode("utf-8", "replace"), self.server.secret.encode()):
            return self._refuse(HTTPStatus.NOT_FOUND, "There is nothing here.")
        kind, _, place = rest.partition("/")
        try:
            if not rest:
                return self._page()
            if kind == "part":
                return self._part(*place.partition("/")[::2])
            if kind == "search":
                return self._search(place, parse_qs(address.query).get("q", [""])[0])
        except AuditError as error:
            return self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        self._refuse(HTTPStatus.NOT_FOUND, "There is nothing here.")

    do_HEAD = do_GET

    def _is_known(self) -> bool:
        """Whether the request was meant for this machine, not for a foreign name that was pointed at it."""
        try:
            name = urlsplit(f"//{self.headers.get('Host', '')}").hostname
        except ValueError:
            return False
        return name in KNOWN_HOSTS

    def _page(self) -> None:
        self._answer(HTTPStatus.OK, "text/html; charset=utf-8", self.server.audit.current().page)

    def _part(self, revision: str, number: str) -> None:
        state = self.server.audit.state
        if revision != state.revision:
            return self._refuse(HTTPStatus.CONFLICT, "The audit has changed on disk.")
        if not (number.isascii() and number.isdigit() and len(number) < 10 and int(number) < len(state.explorer)):
            return self._refuse(HTTPStatus.NOT_FOUND, "There is no such conversation.")
        self._json([state.explorer.conversation(state.explorer.names[int(number)], LIMITS)])

    def _search(self, revision: str, words: str) -> None:
        state = self.server.audit.state
        if revision != state.revision:
            return self._refuse(HTTPStatus.CONFLICT, "The audit has changed on disk.")
        self._json(state.explorer.search(words[:QUERY]) if words else {})

    def _json(self, value: Any) -> None:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        self._answer(HTTPStatus.OK, "application/json", text.encode("utf-8", "replace"))

    def _refuse(self, status: HTTPStatus, words: str) -> None:
        self._answer(status, "text/plain; charset=utf-8", (words + "\n").encode("utf-8", "replace"))

    def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **HEADERS}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: addresses hold the secret, and what is asked for is nobody's business."""
