"""One commit of a repository, fetched so that nothing in it, and nobody who serves it, can run anything.

No configuration but what stands here, no hooks, templates, filters, submodules or helpers, no question on a terminal,
and one protocol: that of the address.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass

from leakfix.fleet import children
from leakfix.fleet.credentials import header, without_tokens

FULL_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SETTINGS = {
    "advice.detachedHead": "false",
    "core.fsmonitor": "false",
    "core.hooksPath": os.devnull,
    "core.attributesFile": os.devnull,
    "core.untrackedCache": "false",
    "credential.helper": "",
    "fetch.recurseSubmodules": "false",
    "gc.auto": "0",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "60",
    "init.defaultBranch": "checked",
    "maintenance.auto": "false",
    "protocol.version": "2",
    "submodule.recurse": "false",
    "transfer.bundleURI": "false",
}
_LONGEST_REASON = 500


class GitFailed(Exception):
    """The commit could not be had; the message says why."""


@dataclass(frozen=True)
class Tip:
    """A commit, and the name under which its repository shows it; None where it was named itself."""

    commit: str
    name: str | None


@dataclass(frozen=True)
class Remote:
    """A repository somewhere.

    workspace: the folder git runs in.
    deadline: when to give up, on the clock of ``time.monotonic``.
    """

    url: str
    workspace: str
    deadline: float

    def resolve(self, ref: str | None) -> Tip:
        """The commit a branch or tag is at now. Raises GitFailed and what ``children.run`` raises."""
        if ref is not None and FULL_ID.fullmatch(ref):
            return Tip(ref, None)
        wanted = ref or "HEAD"
        shown = _names(self._git("ls-remote", "--", self.url, wanted, f"{wanted}^{{}}"))
        for name in (wanted, f"refs/tags/{wanted}", f"refs/heads/{wanted}", f"refs/{wanted}"):
            if name in shown:
                return Tip(shown.get(f"{name}^{{}}", shown[name]), name)
        if ref is None:
            raise GitFailed("it has no commit yet, or no default branch; name a branch after the address")
        raise GitFailed(f"it has no branch or tag {ref!r}; a commit is named by all of its digits")

    def check_out(self, tip: Tip, folder: str) -> str:
        """Write the files of a commit to a new folder; returns the commit, which is another if it moved meanwhile."""
        kind = ["--object-format=sha256"] if len(tip.commit) == 64 else []
        self._git("init", "--quiet", "--template=", *kind, "--", folder)
        commit = self._fetched(tip, folder)
        self._git("-C", folder, "checkout", "--quiet", "--force", "--detach", commit, "--")
        return commit

    def _fetched(self, tip: Tip, folder: str) -> str:
        fetch = ("-C", folder, "fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules", "--", self.url)
        try:
            self._git(*fetch, tip.commit)
            return tip.commit
        except GitFailed:
            if tip.name is None:
                raise
        # a server may serve only what has a name
        self._git(*fetch, tip.name)
        return self._git("-C", folder, "rev-parse", "--verify", "FETCH_HEAD^{commit}").strip()

    def _git(self, *arguments: str) -> str:
        command = ("git", "--no-pager", *arguments)
        ended = children.run(command, self.workspace, _environment(self.url), self.deadline - time.monotonic())
        if ended.code < 0:
            raise GitFailed(f"git was killed by signal {-ended.code}")
        if ended.code or ended.output is None:
            raise GitFailed(_reason(ended.told) or f"git ended with {ended.code}")
        return ended.output.decode("utf-8", "backslashreplace")


def _names(listing: str) -> dict[str, str]:
    pairs = (line.partition("\t") for line in listing.splitlines())
    return {name: commit for commit, _, name in pairs if FULL_ID.fullmatch(commit)}


def _reason(told: str) -> str:
    """What went wrong in git's words, without progress and advice."""
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    faults = [line for line in lines if line.startswith(("fatal:", "error:", "remote:", "ssh:"))]
    return "; ".join(dict.fromkeys(faults or lines[-3:]))[:_LONGEST_REASON]


def _environment(url: str) -> Mapping[str, str]:
    kept = {name: value for name, value in without_tokens(os.environ).items() if not name.startswith("GIT_")}
    secret = header()
    settings = [*_SETTINGS.items(), *([secret] if secret else [])]
    numbered = {f"GIT_CONFIG_KEY_{number}": key for number, (key, _) in enumerate(settings)}
    numbered |= {f"GIT_CONFIG_VALUE_{number}": value for number, (_, value) in enumerate(settings)}
    return (
        kept
        | numbered
        | {
            "GIT_CONFIG_COUNT": str(len(settings)),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_SYSTEM": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_ALLOW_PROTOCOL": _protocol(url),
            "GIT_ASKPASS": "",
            "GIT_LFS_SKIP_SMUDGE": "1",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_SSH_COMMAND": "ssh -o BatchMode=yes",
            "GIT_TERMINAL_PROMPT": "0",
            "LC_ALL": "C",
        }
    )


def _protocol(url: str) -> str:
    scheme, separator, _ = url.partition("://")
    if separator:
        return scheme
    return "file" if url.startswith("/") else "ssh"
