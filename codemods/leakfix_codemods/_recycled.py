"""Processes that are replaced after some thousand requests or tasks: what grows in them stays bounded."""

from __future__ import annotations

import re

from leakfix.codemod import View
from leakfix.patterns.called import users
from leakfix.project.deployment import deployment

_SETTINGS = ("max_requests", "limit_max_requests")
_TASKS = ("CELERY_WORKER_MAX_TASKS_PER_CHILD", "worker_max_tasks_per_child", "CELERYD_MAX_TASKS_PER_CHILD", "Q_CLUSTER")
RECYCLING = (*_SETTINGS, *_TASKS)
"""Words of files that may say so."""
_SERVERS = r"gunicorn|uvicorn|hypercorn|uwsgi"
_RECYCLED = re.compile(rf"(?i)(?:{_SERVERS})[^#]*?max[-_](?:requests|worker[-_]lifetime)[\"']?\s*[-=:,]?[ \t\"']*[1-9]")
"""gunicorn, uvicorn (``--limit-max-requests``), hypercorn and uWSGI end a process after so many requests or seconds."""
_OF_SERVER = re.compile(rf"(?:{_SERVERS})[\w.-]*\.(?:ini|py|conf)$")
_SET = re.compile(r"(?m)^max[-_](?:requests|worker[-_]lifetime)[ \t]*=[ \t]*[1-9]")
_IN_CODE = re.compile(
    rb"(?m)^max_requests[ \t]*=[ \t]*[1-9](?=[\s\S]*^(?:bind|workers|worker_class|timeout)[ \t]*=)"
    rb"|^(?:bind|workers|worker_class|timeout)[ \t]*=(?=[\s\S]*^max_requests[ \t]*=[ \t]*[1-9])"
    rb"|\buvicorn\.run\([^)]*limit_max_requests=[1-9]"
)
_PROCESS = re.compile(r"(?m)^(\w+):[ \t]*(\S.*)$")
_ELSE = re.compile(r"celery|rq\b|beat|migrate|^release$")
"""What of a Procfile does not run what serves requests; its workers are asked about on their own."""
_PARTS = re.compile(r"\n(?=[ \t]{0,4}[\w.-]+:[ \t]*\n)|\n(?=[^\s-])")
"""Where the next service, section or command begins."""
_ENDED = re.compile(rb"(?i)(?:max_tasks_per_child[\"']?|[\"']recycle[\"'])[ \t]*[=:][ \t]*[1-9]")
"""Celery ends a worker after so many tasks, and django-q by its ``recycle``."""
_OF_WORKERS = re.compile(r"(?:^|/)(?:\w*tasks|cron\w*|jobs|workers?|celery)[/.]")


def is_recycled(view: View) -> bool:
    """Whether the processes that run a file are replaced every so often."""
    if view.once("servers that are replaced", lambda: _is_server_recycled(view)):
        return True
    ended = view.once(
        "workers that are replaced", lambda: any(_ENDED.search(text) for word in _TASKS for text in view.texts(word))
    )
    return ended and _serves_workers(view)


def _serves_workers(view: View) -> bool:
    """Whether a file is one of tasks, or only those name what it defines."""
    path = view.module.path
    if _OF_WORKERS.search(path) is not None:
        return True
    found = users(view)
    return bool(found) and all(_OF_WORKERS.search(user) is not None for user in found)


def _is_server_recycled(view: View) -> bool:
    files = deployment(view.module.path)
    for name, text in files.items():
        if name.rpartition("/")[2].startswith("Procfile") and not _all_are_replaced(text):
            return False
    if any(_tells(name, text) for name, text in files.items()):
        return True
    return any(_IN_CODE.search(text) for word in _SETTINGS for text in view.texts(word))


def _all_are_replaced(procfile: str) -> bool:
    """Whether a file of processes that serve has none that runs for ever."""
    return all(
        _RECYCLED.search(command) or _ELSE.search(command) or _ELSE.search(name) or "gunicorn" in command
        for name, command in _PROCESS.findall(procfile)
    )


def _tells(name: str, text: str) -> bool:
    """Whether a file says it in a server's command, or is a server's own and sets it."""
    if _OF_SERVER.search(name):
        return _SET.search(text) is not None
    commands = re.sub(r"\\\n", " ", re.sub(r"(?m)#.*$", "", text))
    return any(_RECYCLED.search(part) for part in _PARTS.split(commands))
