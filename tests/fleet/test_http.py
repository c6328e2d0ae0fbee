"""Repositories behind a web server, and to whom the token is shown."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from leakfix.fleet import checkout
from leakfix.fleet.result import Status
from leakfix.fleet.task import Task, examine

from .conftest import LEAKY, MakeRepository

pytestmark = pytest.mark.usefixtures("private_temporary")


class Server(ThreadingHTTPServer):
    """Serves the repositories below a folder as forges do."""

    folder = ""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.authorizations: list[str | None] = []


class Handler(BaseHTTPRequestHandler):
    """Hands a request to git."""

    server: Server

    def do_GET(self) -> None:
        self.server.authorizations.append(self.headers["Authorization"])
        path, _, query = self.path.partition("?")
        if path.startswith("/moved/"):
            self.send_response(301)
            self.send_header("Location", self.path.removeprefix("/moved"))
            self.end_headers()
            return
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": self.server.folder,
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers["Git-Protocol"] or "",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers["Content-Type"] or "",
            "HTTP_CONTENT_ENCODING": self.headers["Content-Encoding"] or "",
        }
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        done = subprocess.run(["git", "http-backend"], env=environment, input=body, capture_output=True, check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self.send_response(int(fields.pop("Status", "200")[:3]))
        for name, value in fields.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server of the folder in which repositories are made."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as running:
        running.folder = str(tmp_path / "repositories")
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_a_repository_behind_a_web_server(
    repository: MakeRepository, server: Server, git: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEAKFIX_TOKEN", "very-secret")
    folder = repository("leaky", {"a.py": LEAKY})
    first = git(folder, "rev-parse", "main")
    git(
        folder, "update-ref", "refs/heads/main", git(folder, "commit-tree", "-m", "x", "-p", first, f"{first}^{{tree}}")
    )
    root = f"http://127.0.0.1:{server.server_port}"
    for url, ref in ((f"{root}/leaky", None), (f"{root}/leaky", first), (f"{root}/moved/leaky", "main")):
        result = examine(Task(url, ref))
        assert (result.status, len(result.findings)) == (Status.CHECKED, 1), result.message
    missing = examine(Task(f"{root}/none"))
    assert (missing.status, "not found" in missing.message) == (Status.FAILED, True)
    assert set(server.authorizations) == {None}


TOLD = {
    "https://github.com/some/where": True,
    "https://github.com.example.org/some/where": False,
    "https://example.org/github.com/": False,
    "http://github.com/some/where": False,
}


@pytest.mark.parametrize("url", TOLD)
def test_the_token_is_shown_to_its_forge_alone(url: str, monkeypatch: pytest.MonkeyPatch, tree: Path) -> None:
    monkeypatch.delenv("GITHUB_SERVER_URL", raising=False)
    monkeypatch.setenv("LEAKFIX_TOKEN", "very-secret")
    asked = ["git", "config", "--get-urlmatch", "http.extraHeader", url]
    done = subprocess.run(asked, env=dict(checkout._environment(url)), capture_output=True, text=True, check=False)
    assert done.stdout.startswith("Authorization: Basic ") == TOLD[url]
