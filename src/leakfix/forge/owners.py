"""Who is to look at a change: CODEOWNERS, as GitHub and GitLab read it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from leakfix.forge.repository import Repository

_PLACES = (".github/CODEOWNERS", ".gitlab/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS")
_MOST = 15  # what GitHub takes at once


def owners(repository: Repository, commit: str, paths: Iterable[str]) -> Sequence[str]:
    """The people and teams (``org/team``) that own some files of a commit; without addresses of mail."""
    files = repository.files(commit)
    place = next((place for place in _PLACES if place in files), None)
    if place is None:
        return ()
    text = next((data for _, data in repository.contents([files[place].id])), b"").decode("utf-8", "replace")
    return _owners(text, paths)


def _owners(text: str, paths: Iterable[str]) -> Sequence[str]:
    from codeowners import CodeOwners

    try:
        rules = CodeOwners(text)
    except ValueError:  # nobody is asked where nobody can be told
        return ()
    found = [name for path in sorted(paths) for kind, name in rules.of(path) if kind != "EMAIL"]
    return tuple(dict.fromkeys(name.removeprefix("@") for name in found))[:_MOST]
