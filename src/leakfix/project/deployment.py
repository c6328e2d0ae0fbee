"""What a project's own files say about how it is run: workers, servers, a pooler in front of the database."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from contextlib import suppress

from leakfix.project.files import read_file
from leakfix.project.mentions import project_root
from leakfix.project.trace import names_like

_TELLING = re.compile(
    r"gunicorn[\w.]*\.py|Procfile[\w.]*|[\w.-]*Dockerfile[\w.-]*|(?:docker-)?compose[\w.-]*\.ya?ml|pgbouncer[\w.-]*\.ini|"
    r"\.env[\w.-]*|[\w-]*(?:entrypoint|start|run|serve|gunicorn|uvicorn|uwsgi)[\w-]*\.sh|[\w.-]*uwsgi[\w.-]*\.ini|"
    r"(?:railway|fly|nixpacks)\.toml|(?:railway\.json|render\.ya?ml|app\.ya?ml)|[\w-]+\.service|supervisor\w*\.conf"
)
_REQUIRING = re.compile(r"[\w.-]*requirements[\w.-]*\.(?:txt|in)|(?:base|prod|production)\.txt|pyproject\.toml|Pipfile")
_STARTING = re.compile(r"pyproject\.toml|setup\.(?:cfg|py)|Makefile|package\.json|tox\.ini")
_FOLDERS = ("", "docker", "deploy", "deployment", "config", "scripts", "compose", "conf")
_ONE_OFF = re.compile(
    r"(?:^|/)(?:scripts?|tools?|alembic|migrations?|notebooks?|tutorials?|samples?|demos?|seeds?)/|"
    r"(?:^|/)(?:env|setup|seed\w*|(?:init|create|setup|reset|drop|migrate|populate|load)_\w+)\.py$"
)
_MOST_BYTES = 200_000
_ASSIGNED = re.compile(r"(?m)^workers[ \t]*=[ \t]*(\d+)[ \t]*(?:#.*)?$")
_GIVEN = re.compile(r"(?m)^[^#\n]*(?:gunicorn|uvicorn|hypercorn)[^\n]*?(?:--workers|[ \"']-w)[\"', \t=]+(\d+)")
_CONCURRENCY = re.compile(r"(?m)^[^#\n]*\bWEB_CONCURRENCY[\"']?[ \t]*[:=][ \t]*[\"']?(\d+)")


def is_one_off(path: str) -> bool:
    """Whether a file, by its path, is run once by hand and not by what serves the project."""
    return _ONE_OFF.search(path) is not None


def deployment(path: str) -> dict[str, str]:
    """The texts that tell how a file's project is run, by their path from its root."""
    return _texts(path, _FOLDERS, _TELLING)


def started_by(path: str) -> list[str]:
    """The texts that tell which modules of a file's project are run: servers, containers, scripts of the package."""
    return [*deployment(path).values(), *_texts(path, ("",), _STARTING).values()]


def requirements(path: str) -> dict[str, str]:
    """The texts that tell what a file's project needs, by their path from its root."""
    return _texts(path, ("", "requirements"), _REQUIRING)


def _texts(path: str, folders: Iterable[str], names: re.Pattern[str]) -> dict[str, str]:
    root = project_root(path)
    found: dict[str, str] = {}
    for folder in folders:
        within = os.path.join(root, folder)
        for name in names_like(within, names):
            with suppress(OSError):
                data = read_file(os.path.join(within, name))
                if len(data) <= _MOST_BYTES:
                    text = data.decode("utf-8", "replace").replace("\r\n", "\n")
                    found[f"{folder}/{name}" if folder else name] = text
    return found


def workers(path: str) -> tuple[int, str] | None:
    """How many processes a file's project is served by, and where that stands; None where it is not told, or twice."""
    told: dict[int, str] = {}
    for name, text in deployment(path).items():
        pattern = _ASSIGNED if name.endswith(".py") else _GIVEN
        for count in [*pattern.findall(text), *_CONCURRENCY.findall(text)]:
            told.setdefault(int(count), name)
    return next(iter(told.items())) if len(told) == 1 else None
