"""Git over HTTP as forges offer it: bare repositories behind git's own server, a token and protected branches."""

from __future__ import annotations

import base64
import binascii
import gzip
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from .github import TOKEN
from .repository import clean_environment
from .serving import Answer, Request, Server

USERS = ("x-access-token", "oauth2")
_HOOK = """#!/bin/sh
while read old new ref; do
    case "$ref" in
    {pattern})
        echo "error: GH006: Protected branch update failed for $ref." >&2
        exit 1
        ;;
    esac
done
"""
_PATH = re.compile(r"/(?P<name>[^.].*?)(\.git)?/(info/refs|git-upload-pack|git-receive-pack)")


class GitHttp(Server):
    """Git on a free port: ``owner/name.git`` of a folder is cloned from ``clone_url("owner/name")``.

    Who has one of ``tokens`` may fetch and push, but for the repositories named in ``read_only``.
    """

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root
        self.tokens = {TOKEN}
        self.read_only: set[str] = set()
        self._races: list[Callable[[], object]] = []

    def clone_url(self, full_name: str, token: str | None = None, user: str = USERS[0]) -> str:
        """Where a repository is cloned from; with the token in it if one is given."""
        address = f"{self.url}/{full_name}.git"
        return address.replace("://", f"://{user}:{token}@") if token else address

    @property
    def writes(self) -> list[Request]:
        """What was pushed, accepted or not; fetching is POST as well, and asking what there is comes first."""
        return [request for request in self.requests if request.path.endswith("/git-receive-pack")]

    @property
    def depths(self) -> set[int | None]:
        """How many commits deep was fetched; None for a whole history."""
        asked = (_plain(request) for request in self.requests if request.path.endswith("/git-upload-pack"))
        fetches = [lines for lines in map(_lines, asked) if any(line.startswith(b"want ") for line in lines)]
        deep = ([int(line[7:]) for line in lines if line.startswith(b"deepen ")] for lines in fetches)
        return {found[0] if found else None for found in deep}

    def protect(self, full_name: str, *patterns: str) -> None:
        """Refuse pushes to branches and tags of these patterns, as in ``refs/heads/*``; none lifts it."""
        hook = self.root / f"{full_name}.git" / "hooks" / "pre-receive"
        hook.parent.mkdir(exist_ok=True)
        hook.unlink(missing_ok=True)
        if patterns:
            hook.write_text(_HOOK.format(pattern="|".join(patterns)), "utf-8")
            hook.chmod(0o755)

    def before_push(self, callback: Callable[[], object]) -> None:
        """Call back once, when a push arrives after its sender was told what there is."""
        self._races.append(callback)

    def answer(self, request: Request) -> Answer:
        match = _PATH.fullmatch(unquote(request.path))
        user, _, token = _credentials(request).partition(":")
        if user not in USERS or token not in self.tokens:
            return Answer(401, b"Invalid username or token.\n", {"WWW-Authenticate": 'Basic realm="git"'})
        if not match or not (self.root / f"{match['name']}.git").is_dir():
            return Answer(404, b"Repository not found.\n")
        service = request.query.get("service", match[3])
        if service == "git-receive-pack" and match["name"] in self.read_only:
            return Answer(403, f"Permission to {match['name']}.git denied to {user}.\n".encode())
        if match[3] == "git-receive-pack" and self._races:
            self._races.pop(0)()
        return self._served(request, f"/{match['name']}.git/{match[3]}", user)

    def _served(self, request: Request, path: str, user: str) -> Answer:
        environment = {
            **clean_environment(),
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REMOTE_USER": user,
            "REMOTE_ADDR": "127.0.0.1",
            "REQUEST_METHOD": request.method,
            "PATH_INFO": path,
            "QUERY_STRING": urlsplit(request.target).query,
            "CONTENT_TYPE": request.headers.get("content-type", ""),
            "CONTENT_LENGTH": str(len(request.content)),
            "HTTP_CONTENT_ENCODING": request.headers.get("content-encoding", ""),
            "GIT_PROTOCOL": request.headers.get("git-protocol", ""),
        }
        command = ["git", "-c", f"safe.directory={self.root}/*", "http-backend"]
        done = subprocess.run(
            command, input=request.content, env=environment, capture_output=True, check=False, timeout=60
        )
        return _parsed(done.stdout)


def _plain(request: Request) -> bytes:
    packed = request.headers.get("content-encoding") == "gzip"
    return gzip.decompress(request.content) if packed else request.content


def _lines(content: bytes) -> list[bytes]:
    """The packet lines of a request: four hexadecimal digits of length, themselves counted; up to 3 are delimiters."""
    lines, at = [], 0
    while at < len(content):
        length = max(int(content[at : at + 4], 16), 4)
        lines.append(content[at + 4 : at + length].strip())
        at += length
    return lines


def _parsed(said: bytes) -> Answer:
    head, _, body = said.partition(b"\r\n\r\n")
    lines = (line.partition(": ") for line in head.decode("latin-1").split("\r\n"))
    headers = {name.title(): value for name, separator, value in lines if separator}
    return Answer(int(headers.pop("Status", "200").split()[0]), body, headers)


def _credentials(request: Request) -> str:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    try:
        return base64.b64decode(value).decode() if scheme.lower() == "basic" else ""
    except (binascii.Error, UnicodeDecodeError):
        return ""
