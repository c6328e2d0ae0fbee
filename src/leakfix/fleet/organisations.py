"""The repositories of an organisation, asked of its forge."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from leakfix.fleet import FleetError, optional
from leakfix.fleet.credentials import TOKENS, token
from leakfix.fleet.repositories import Repository, repository_of


def listed(name: str) -> Iterator[Repository]:
    """All repositories of an organisation or user, archived and empty ones left out. Raises FleetError."""
    forge: Any = optional("github", "github")
    try:
        for found in _owner(forge, name).get_repos():
            if not found.archived and found.size:
                yield repository_of(found.clone_url)
    except forge.GithubException as error:
        raise FleetError(f"--org {name}: {_reason(error)}") from error
    except OSError as error:
        raise FleetError(f"--org {name}: the forge does not answer: {error}") from error


def _owner(forge: Any, name: str) -> Any:
    secret = token()
    client = forge.Github(
        auth=forge.Auth.Token(secret) if secret else None,
        base_url=os.environ.get("GITHUB_API_URL", "https://api.github.com").rstrip("/"),
        per_page=100,
    )
    try:
        return client.get_organization(name)
    except forge.UnknownObjectException:
        return client.get_user(name)


def _reason(error: Any) -> str:
    told = error.data.get("message", "") if isinstance(error.data, dict) else ""
    hints = {
        401: "the token is not valid",
        403: f"not allowed; set {TOKENS[0]} to a token that may read its repositories",
        404: f"not found; set {TOKENS[0]} where it is private",
    }
    return hints.get(error.status, f"the forge answered {error.status}") + (f" ({told})" if told else "")
