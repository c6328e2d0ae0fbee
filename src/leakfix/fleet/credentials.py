"""The forge's token: from the environment alone, so that it stands in no process list and in no results."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping

TOKENS = ("LEAKFIX_TOKEN", "GITHUB_TOKEN", "GH_TOKEN")


def token() -> str | None:
    """The first token that is set."""
    return next((value for name in TOKENS if (value := os.environ.get(name, "").strip())), None)


def server() -> str:
    """The forge the token is for, without a final slash."""
    return os.environ.get("GITHUB_SERVER_URL", "https://github.com").rstrip("/")


def header() -> tuple[str, str] | None:
    """The git setting that shows the token to its forge and to no other host."""
    value = token()
    if value is None or not server().startswith("https://"):
        return None
    encoded = base64.b64encode(f"x-access-token:{value}".encode()).decode("ascii")
    return f"http.{server()}/.extraHeader", f"Authorization: Basic {encoded}"


def without_tokens(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment for programs that need no token."""
    return {name: value for name, value in environment.items() if name not in TOKENS}
