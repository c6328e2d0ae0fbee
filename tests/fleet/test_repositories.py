"""What a list of repositories may say."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from leakfix.fleet import FleetError, organisations
from leakfix.fleet.repositories import Repository, listed_in, repository_of

GOOD = {
    "https://example.org/a/b": ("https://example.org/a/b", None),
    "https://example.org/a/b.git main": ("https://example.org/a/b.git", "main"),
    "https://example.org/a/b/\t@release/1.0": ("https://example.org/a/b", "release/1.0"),
    "ssh://git@example.org:2222/a/b v1.0": ("ssh://git@example.org:2222/a/b", "v1.0"),
    "git@example.org:a/b.git @" + "a" * 40: ("git@example.org:a/b.git", "a" * 40),
    "file:///tmp/a%20b": ("file:///tmp/a%20b", None),
    "/srv/git/a": ("/srv/git/a", None),
}
BAD = {
    "--upload-pack=touch x": "option",
    "-oProxyCommand=x": "option",
    "ext::sh -c 'touch x'": "may run programs",
    "ext::sh": "may run programs",
    "fd::17": "may run programs",
    "ftp://example.org/a": "use one of",
    "javascript://example.org/a": "use one of",
    "https://user:secret@example.org/a": "password or token",
    "https://secret@example.org/a": "password or token",
    "ssh://user:secret@example.org/a": "password or token",
    "ssh://-oProxyCommand=x/a": "no host",
    "ssh://-oProxyCommand=x@example.org/a": "option",
    "https:///a": "no host",
    "https://example.org:port/a": "no valid address",
    "https://[::1/a": "no valid address",
    "https://example.org/a --upload-pack=x": "no branch",
    "https://example.org/a +refs/heads/main:refs/heads/x": "no branch",
    "https://example.org/a main..other": "no branch",
    "https://example.org/a main@{1}": "no branch",
    "https://example.org/a @": "no branch",
    "https://example.org/a main more": "more than",
    "https://example.org/a\x00b": "cannot be seen",
    "https://example.org/a\rhttps://example.org/b": "cannot be seen",
    "https://example.org/a\x1b[2K": "cannot be seen",
    "https://example.org/a\u2028b": "cannot be seen",
    "https://example.org/\u202egro": "cannot be seen",
    "https://example.org/\udcff": "cannot be seen",
}


@pytest.mark.parametrize("line", GOOD)
def test_lines_that_are_taken(line: str) -> None:
    assert repository_of(line) == Repository(*GOOD[line])


@pytest.mark.parametrize("line", BAD, ids=ascii)
def test_lines_that_are_refused(line: str) -> None:
    with pytest.raises(FleetError, match=BAD[line]):
        repository_of(line)


def test_a_relative_path_is_taken_from_the_working_directory(tree: Path) -> None:
    assert repository_of("some/where") == Repository(str(tree / "some" / "where"))


def test_a_list_has_comments_and_names_each_once(tree: Path) -> None:
    lines = (
        "\ufeff# mine\r\n\n https://example.org/a # the first\r\nhttps://example.org/a.git\nhttps://example.org/a v1"
    )
    (tree / "list").write_text(lines, "utf-8", newline="")
    found = listed_in("list")
    assert found == [Repository("https://example.org/a"), Repository("https://example.org/a", "v1")]


def test_every_bad_line_is_told_with_its_number(tree: Path) -> None:
    (tree / "list").write_bytes(b"/a\n-x\n/b\next::sh\n/\xff\n")
    with pytest.raises(FleetError) as caught:
        listed_in("list")
    assert [line.split(" ")[0] for line in str(caught.value).split("\n")] == ["list:2:", "list:4:", "list:5:"]


class Forge:
    """As much of a forge's library as is used."""

    class GithubException(Exception):
        def __init__(self, status: int) -> None:
            self.status, self.data = status, {"message": "so it is"}

    class UnknownObjectException(GithubException):
        pass

    Auth = SimpleNamespace(Token=lambda secret: f"auth {secret}")

    def __init__(self, owners: dict[str, list[Any]], status: int = 404) -> None:
        self.owners, self.status, self.asked = owners, status, {}  # type: ignore[var-annotated]

    def Github(self, **options: Any) -> Forge:
        self.asked = options
        return self

    def get_organization(self, name: str) -> Any:
        raise self.UnknownObjectException(404)

    def get_user(self, name: str) -> Any:
        if name not in self.owners:
            raise self.GithubException(self.status)
        return SimpleNamespace(get_repos=lambda: self.owners[name])


def served(name: str, archived: bool = False, size: int = 1) -> Any:
    return SimpleNamespace(clone_url=f"https://github.com/some/{name}.git", archived=archived, size=size)


def test_an_organisation_is_asked_for_with_a_token_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    forge = Forge({"some": [served("a"), served("old", archived=True), served("empty", size=0), served("b")]})
    monkeypatch.setattr(organisations, "optional", lambda *_: forge)
    monkeypatch.setenv("LEAKFIX_TOKEN", "secret")
    found = list(organisations.listed("some"))
    assert [one.url for one in found] == ["https://github.com/some/a.git", "https://github.com/some/b.git"]
    assert forge.asked["auth"] == "auth secret"


@pytest.mark.parametrize(
    ("status", "reason"), [(401, "not valid"), (403, "LEAKFIX_TOKEN"), (404, "private"), (500, "500")]
)
def test_what_a_forge_refuses_is_told(monkeypatch: pytest.MonkeyPatch, status: int, reason: str) -> None:
    monkeypatch.setattr(organisations, "optional", lambda *_: Forge({}, status))
    with pytest.raises(FleetError, match=reason):
        list(organisations.listed("some"))
