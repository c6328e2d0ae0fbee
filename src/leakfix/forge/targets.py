"""Which repository on which forge: from an address, a job's variables and the user's words."""

from __future__ import annotations

import os
from dataclasses import dataclass

from leakfix.forge.patience import Patience
from leakfix.forge.protocol import Forge, ForgeError, Unauthorized
from leakfix.forge.remote import address_of

TOKENS = {
    "github": ("LEAKFIX_TOKEN", "GITHUB_TOKEN", "GH_TOKEN"),
    "gitlab": ("LEAKFIX_TOKEN", "GITLAB_TOKEN"),
}


@dataclass(frozen=True)
class Target:
    """A repository. server: scheme and host of git's server; path: the repository's there and on the forge."""

    kind: str
    server: str
    path: str
    api_url: str
    token: str

    @property
    def url(self) -> str:
        """Where git finds it, without credentials."""
        return f"{self.server}/{self.path}.git"

    def beside(self, push_url: str) -> str:
        """The address of another repository as the forge gives it, on the server that was named to us."""
        return f"{self.server}/{address_of(push_url)[2]}.git"

    def connected(self, patience: Patience) -> Forge:
        """The forge. Raises ModuleNotFoundError where its client is not installed."""
        if self.kind == "github":
            from leakfix.forge.github import GithubForge

            return GithubForge(self.api_url, self.path, self.token, patience)
        from leakfix.forge.gitlab import GitlabForge

        return GitlabForge(self.api_url, self.path, self.token, patience)


def target_of(url: str, kind: str | None, api_url: str | None) -> Target:
    """The repository of an address, with the token that the environment has for its forge. Raises ForgeError."""
    server, host, path = address_of(url)
    found = kind or next((name for name in TOKENS if name in host), None)
    if found is None:
        raise ForgeError(f"{host}: say which forge this is by --forge github or --forge gitlab")
    token = next((os.environ[name] for name in TOKENS[found] if os.environ.get(name)), "")
    if not token:
        raise Unauthorized(f"no token: set one of {', '.join(TOKENS[found])}")
    return Target(found, server, path, api_url or _api_of(found, server, host), token)


def _api_of(kind: str, server: str, host: str) -> str:
    if kind == "gitlab":
        return server
    return "https://api.github.com" if host == "github.com" else f"{server}/api/v3"


def job_url() -> str:
    """The repository a job is for (GitHub Actions, GitLab CI); empty outside of one."""
    if os.environ.get("GITHUB_REPOSITORY"):
        return f"{os.environ.get('GITHUB_SERVER_URL', 'https://github.com')}/{os.environ['GITHUB_REPOSITORY']}"
    return os.environ.get("CI_PROJECT_URL", "")
