"""What a file is for, as far as its path tells."""

from __future__ import annotations

import re

_TESTING = re.compile(
    r"(?:^|/)(?:(?:[a-z]+_)?tests?|testing|testsuite|conftest\.py|benchmarks?|examples?|docs?)(?:/|$)"
    r"|(?:^|/)test_[^/]*$|(?:^|/|_)tests?\.py$"
)

_COPY = re.compile(r"(?:^|/)[^/]*(?:(?<!\d)20\d\d-?[01]\d-?[0-3]\d(?!\d)[^/]*|_old|_bak|_backup)/")


_COMMAND = re.compile(r"(?:^|/)management/commands/[^/]+$")
_RUN_ONCE = re.compile(r"(?:^|/)(?:management/commands|(?:\w+_)?migrations?|\w*alembic\w*|bin|scripts?)/")


def is_command(path: str) -> bool:
    """Whether a file is a command of Django."""
    return _COMMAND.search(path) is not None


def is_run_once(path: str) -> bool:
    """Whether a file is a command, a migration or a script: a process of its own that ends when it has done."""
    return _RUN_ONCE.search(path) is not None


def is_copy(path: str) -> bool:
    """Whether a file stands in a folder that is called a copy that was put aside, of what runs elsewhere."""
    return _COPY.search(path) is not None


def is_test(path: str) -> bool:
    """Whether a file belongs to tests, benchmarks, examples or documentation: it lives no longer than one run."""
    return _TESTING.search(path) is not None
