"""What a project's own files say about how it is run: workers, servers, a pooler in front of the database."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from contextlib import suppress

from leakfix.codemod import View
from leakfix.project.files import read_file
from leakfix.project.mentions import project_root
from leakfix.project.trace import names_like

_TELLING = re.compile(
    r"gunicorn[\w.]*\.py|Procfile[\w.]*|[\w.-]*Dockerfile[\w.-]*|(?:docker-)?compose[\w.-]*\.ya?ml|pgbouncer[\w.-]*\.ini|"
    r"\.env[\w.-]*|[\w-]*(?:entrypoint|start|run|serve|gunicorn|uvicorn|uwsgi)[\w-]*\.sh|[\w.-]*uwsgi[\w.-]*\.ini|"
    r"(?:railway|fly|nixpacks)\.toml|(?:railway\.json|render\.ya?ml|app\.ya?ml)|[\w-]+\.service|supervisor\w*\.conf"
)
_REQUIRING = re.compile(r"[\w.-]*requirements[\w.-]*\.(?:txt|in)|(?:base|prod|production)\.txt|pyproject\.toml|Pipfile")
_FOLDERS = ("", "docker", "deploy", "deployment", "config", "scripts", "compose", "conf")
_ONE_OFF = re.compile(
    r"(?:^|/)(?:scripts?|tools?|alembic|migrations?|notebooks?|tutorials?|samples?|demos?|seeds?)/|"
    r"(?:^|/)(?:env|setup|seed\w*|(?:init|create|setup|reset|drop|migrate|populate|load)_\w+)\.py$"
)
_MOST_BYTES = 200_000
_ASSIGNED = re.compile(r"(?m)^workers[ \t]*=[ \t]*(\d+)[ \t]*(?:#.*)?$")
_GIVEN = re.compile(r"(?m)^[^#\n]*(?:gunicorn|uvicorn|hypercorn)[^\n]*?(?:--workers|[ \"']-w)[\"', \t=]+(\d+)")
_CONCURRENCY = re.compile(r"(?m)^[^#\n]*\bWEB_CONCURRENCY[\"']?[ \t]*[:=][ \t]*[\"']?(\d+)")


RECYCLING = ("max_requests", "limit_max_requests")
_RECYCLED = re.compile(r"(?m)^[^#\n]*\bmax[-_](?:requests|worker[-_]lifetime)[\"']?[ \t]*[=:,]?[ \t\"']*[1-9]")
"""gunicorn, uvicorn (``--limit-max-requests``), hypercorn and uWSGI end a process after so many requests or seconds."""
_CONFIGURED = re.compile(
    rb"(?m)^max_requests[ \t]*=[ \t]*[1-9](?=[\s\S]*^bind\b|[\s\S]*^work\w+[ \t]*=)|limit_max_requests=[1-9]"
)
_TASKS = ("CELERY_WORKER_MAX_TASKS_PER_CHILD", "worker_max_tasks_per_child", "CELERYD_MAX_TASKS_PER_CHILD", "Q_CLUSTER")
_ENDED = re.compile(rb"(?i)(?:max_tasks_per_child[\"']?|[\"']recycle[\"'])[ \t]*[=:][ \t]*[1-9]")
"""Celery ends a worker after so many tasks, and django-q by its ``recycle``."""
_OF_WORKERS = re.compile(r"(?:^|/)(?:\w*tasks|cron\w*|jobs|workers?|celery)[/.]")


def is_recycled(view: View) -> bool:
    """Whether the processes that run a file are replaced every so often, so that what grows in them stays bounded."""
    if view.once("servers that are replaced", lambda: _is_server_recycled(view)):
        return True
    if _OF_WORKERS.search(view.module.path) is None:
        return False
    return view.once(
        "workers that are replaced", lambda: any(_ENDED.search(text) for word in _TASKS for text in view.texts(word))
    )


def _is_server_recycled(view: View) -> bool:
    if any(map(_RECYCLED.search, deployment(view.module.path).values())):
        return True
    return any(_CONFIGURED.search(text) for word in RECYCLING for text in view.texts(word))


def is_one_off(path: str) -> bool:
    """Whether a file, by its path, is run once by hand and not by what serves the project."""
    return _ONE_OFF.search(path) is not None


def deployment(path: str) -> dict[str, str]:
    """The texts that tell how a file's project is run, by their path from its root."""
    return _texts(path, _FOLDERS, _TELLING)


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
