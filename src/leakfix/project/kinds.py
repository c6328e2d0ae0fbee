"""What a file is for, as far as its path tells."""

from __future__ import annotations

import re

_TESTING = re.compile(
    r"(?:^|/)(?:(?:[a-z]+_)?tests?|testing|testsuite|conftest\.py|benchmarks?|examples?|docs?)(?:/|$)"
    r"|(?:^|/)test_[^/]*$|(?:^|/|_)tests?\.py$"
)

_COPY = re.compile(r"(?:^|/)[^/]*(?:(?<!\d)20\d\d-?[01]\d-?[0-3]\d(?!\d)[^/]*|_old|_bak|_backup)/")


_COMMAND = re.compile(r"(?:^|/)management/commands/(?!_)[^/]+$")
_MIGRATION = re.compile(r"(?:^|/)(?:data_)?migrations?/[^/]+$")
_RUN_ONCE = re.compile(
    r"(?:^|/)(?:(?:management/commands|(?:\w+_)?migrations?|\w*alembic\w*|bin|scripts?|crawlers?|scrapers?|spiders?)/"
    r"|\.(?:github|gitlab|circleci|ci)/|(?:\w*_)?(?:migration|crawler|scraper|spider)s?\.py$|(?:import|migrate|convert|backfill)_from_\w+\.py$)"
)


def is_command(path: str) -> bool:
    """Whether a file is a command of Django, which lists none that begins with ``_``."""
    return _COMMAND.search(path) is not None


def is_migration_file(path: str) -> bool:
    """Whether a file is a migration, which nothing imports: what it does not call itself, nobody calls."""
    return _MIGRATION.search(path) is not None


def is_run_once(path: str) -> bool:
    """Whether a file is a command, a migration, a script or a crawler: a process that ends when it has done."""
    return _RUN_ONCE.search(path) is not None


def is_copy(path: str) -> bool:
    """Whether a file stands in a folder that is called a copy that was put aside, of what runs elsewhere."""
    return _COPY.search(path) is not None


def is_test(path: str) -> bool:
    """Whether a file belongs to tests, benchmarks, examples or documentation: it lives no longer than one run."""
    return _TESTING.search(path) is not None
