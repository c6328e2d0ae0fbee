"""Branches on a forge's git server, moved without the user's clone: its configuration is not read, let alone its hooks.

The token goes to git in its environment (``http.extraHeader`` through GIT_CONFIG_COUNT), never in an argument, an
address or a file.
"""

from __future__ import annotations

import base64
import contextlib
import re
import tempfile
from collections.abc import Iterator
from urllib.parse import urlsplit

from leakfix.forge.patience import Patience
from leakfix.forge.protocol import ForgeError, NotAllowed, Raced, Rejected, Unauthorized, Unavailable
from leakfix.forge.repository import GitFailed, Repository

_SSH = re.compile(r"(?:ssh://)?(?:[\w.-]+@)(?P<host>[\w.-]+)(?::\d+)?[:/](?P<path>.+)")


class Remote:
    """One git server's repository, and a local one without a work tree to make commits for it in."""

    def __init__(self, repository: Repository, url: str, token: str, patience: Patience) -> None:
        self.repository = repository
        self.url = url
        self._token = token
        self._patience = patience

    def tips(self, pattern: str) -> dict[str, str]:
        """The branches of a pattern and their commits."""
        told = self._run("ls-remote", "--quiet", self.url, f"refs/heads/{pattern}")
        pairs = (line.split("\t") for line in told.decode("utf-8", "surrogateescape").splitlines())
        return {ref.removeprefix("refs/heads/"): commit for commit, ref in pairs}

    def fetch(self, commit: str, depth: int = 1) -> None:
        """Have a commit, and those before it as far as asked for."""
        options = ("--quiet", "--no-tags", "--no-write-fetch-head", f"--depth={depth}")
        self._run("fetch", *options, self.url, commit)

    def push(self, branch: str, commit: str, expected: str | None) -> None:
        """Put a branch on a commit if it still is where it was (None: not there). Raises Raced where it is not."""
        self._push(branch, f"{commit}:refs/heads/{branch}", expected)

    def delete(self, branch: str, expected: str) -> None:
        """Remove a branch if it still is where it was. Raises Raced where it is not."""
        self._push(branch, f":refs/heads/{branch}", expected)

    def _push(self, branch: str, refspec: str, expected: str | None) -> None:
        lease = f"--force-with-lease=refs/heads/{branch}:{expected or ''}"
        self._run("push", "--quiet", "--no-verify", lease, self.url, refspec)

    def _run(self, *command: str) -> bytes:
        def run() -> bytes:
            try:
                return self.repository.run(*command)
            except GitFailed as error:
                problem = _problem(str(error).replace(self._token, "***") if self._token else str(error))
            raise problem

        return self._patience.call(run)


@contextlib.contextmanager
def workshop(borrowed: Repository | None, url: str, user: str, token: str) -> Iterator[Repository]:
    """A repository of its own for a while, that may talk to one server with a token."""
    address = urlsplit(url)
    credentials = base64.b64encode(f"{user}:{token}".encode()).decode()
    settings = {
        "credential.helper": "",
        "protocol.ext.allow": "never",
        "gc.auto": "0",
        f"http.{address.scheme}://{address.netloc}/.extraHeader": f"Authorization: Basic {credentials}",
    }
    with tempfile.TemporaryDirectory(prefix="leakfix-") as folder:
        repository = Repository.scratch(folder, borrowed, settings if token else {})
        try:
            yield repository
        finally:
            repository.close()


def address_of(url: str) -> tuple[str, str, str]:
    """Scheme and host, the host alone, and the path of a repository's address, without credentials or ``.git``.

    ssh addresses become https ones. Raises ForgeError.
    """
    if "://" not in url or url.startswith("ssh://"):
        match = _SSH.fullmatch(url)
        if match is None:
            raise ForgeError(f"{url}: not the address of a repository on a forge")
        return f"https://{match['host']}", match["host"], _path(match["path"])
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ForgeError(f"{parts.scheme}://...: not the address of a repository on a forge")
    host = parts.hostname if parts.port is None else f"{parts.hostname}:{parts.port}"
    return f"{parts.scheme}://{host}", parts.hostname, _path(parts.path)


def _path(path: str) -> str:
    return path.strip("/").removesuffix(".git")


_RACED = re.compile(
    r"stale info|fetch first|non-fast-forward"  # found by the server when it looked
    r"|is at [0-9a-f]+ but expected|reference already exists|unable to create \S+\.lock"  # when it wrote
)


def _problem(said: str) -> ForgeError:
    lowered = said.lower()
    if _RACED.search(lowered):
        return Raced(f"somebody pushed in between: {said}")
    if "protected branch" in lowered or "hook declined" in lowered or "not allowed to" in lowered:
        return NotAllowed(f"the server refuses the branch: {said}")
    if "authentication failed" in lowered or "could not read username" in lowered or "error: 401" in lowered:
        return Unauthorized(f"git was not let in; the token is wrong or has expired: {said}")
    if "error: 403" in lowered or "denied" in lowered:
        return NotAllowed(f"the token may not do this: {said}")
    if re.search(r"error: (?:5\d\d|429)|could not resolve|connection|timed out|early eof|hung up|rpc failed", lowered):
        return Unavailable(f"git's server: {said}")
    return Rejected(f"git: {said}")
