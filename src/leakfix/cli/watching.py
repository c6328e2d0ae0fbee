"""``leakfix check --watch``: the same check again whenever a file changes.

Every check is a process of its own, as if it had been typed again: nothing that one has parsed or remembered is in the
way of the next.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

import click

from leakfix.config import Config, ConfigError, load
from leakfix.project.discover import discover
from leakfix.project.manifest import MANIFESTS

_NAMES = ("leakfix.toml", *MANIFESTS)
_PAUSE = 0.5  # seconds between two looks; longer where a look takes long
_SHARE = 5  # a look may take one part in this many of the time

Snapshot = dict[str, tuple[int, int]]


def watch(arguments: Sequence[str], paths: Sequence[str], config_file: str | None, isolated: bool) -> int:
    """Check, and check again after every change, until somebody presses Ctrl-C."""
    command = [sys.executable, "-P", "-m", "leakfix", "check", *(item for item in arguments if item != "--watch")]
    try:
        for _ in _changes(paths, config_file, isolated):
            if sys.stdout.isatty():
                click.clear()
            subprocess.run(command, check=False)
            click.echo("Waiting for changes; Ctrl-C ends it.", err=True)
    except KeyboardInterrupt:
        pass
    return 0


def _changes(paths: Sequence[str], config_file: str | None, isolated: bool) -> Iterator[None]:
    """Now, and after each change."""
    before = _look(paths, config_file, isolated)
    yield
    while True:
        started = time.monotonic()
        now = _look(paths, config_file, isolated)
        if now != before:
            before = now
            yield
        time.sleep(max(_PAUSE, _SHARE * (time.monotonic() - started)) if now == before else 0)


def _look(paths: Sequence[str], config_file: str | None, isolated: bool) -> Snapshot:
    """When each file was changed that a check reads, and how large it is."""
    try:
        config = load(config_file, isolated=isolated)
        files = discover(paths, config).files
    except ConfigError:  # as the check has said; until it is mended everything is looked at
        config = Config()
        files = discover(paths, config).files
    folders = {os.path.dirname(file) for file in files} | {path for path in paths if os.path.isdir(path)} | {""}
    beside = [os.path.join(folder, name) for folder in folders for name in _NAMES]
    settings = [config.file] if config.file is not None else []
    return dict(filter(None, map(_state, [*files, *beside, *settings])))


def _state(path: str) -> tuple[str, tuple[int, int]] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return path, (status.st_mtime_ns, status.st_size)
