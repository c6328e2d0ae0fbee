"""Forges on this machine: stand-ins for GitHub and GitLab, and git over HTTP for the repositories of both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .fakes import prism as description
from .fakes.git_http import GitHttp
from .fakes.github import FakeGithub
from .fakes.gitlab import FakeGitlab
from .fakes.serving import Relay


@pytest.fixture
def hosted(tmp_path: Path) -> Path:
    """The folder in which the forges keep bare repositories."""
    folder = tmp_path / "hosted"
    folder.mkdir()
    return folder


@pytest.fixture
def git_http(hosted: Path) -> Iterator[GitHttp]:
    """Git over HTTP for the repositories of the forges."""
    with GitHttp(hosted) as server:
        yield server


@pytest.fixture
def fake_github(hosted: Path, git_http: GitHttp) -> Iterator[FakeGithub]:
    """A GitHub without repositories; what is in its ``git_url`` can be cloned and pushed to."""
    with FakeGithub(hosted) as server:
        server.git_url = git_http.url
        yield server


@pytest.fixture
def fake_gitlab(hosted: Path, git_http: GitHttp) -> Iterator[FakeGitlab]:
    """A GitLab without projects; what is in its ``git_url`` can be cloned and pushed to."""
    with FakeGitlab(hosted) as server:
        server.git_url = git_http.url
        yield server


@pytest.fixture(scope="session")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Relay]]:
    """The proxy that checks requests and answers, and who is asked behind it; it takes a second or more to start."""
    if reason := description.missing():
        pytest.skip(reason)
    with Relay() as relay, description.proxy(relay.url, tmp_path_factory.mktemp("prism")) as address:
        yield address, relay


@pytest.fixture
def prism(described: tuple[str, Relay], fake_github: FakeGithub) -> Iterator[str]:
    """The address of GitHub's published description in front of the stand-in."""
    address, relay = described
    relay.target, fake_github.public_url = fake_github, address
    yield address
    relay.target = None
