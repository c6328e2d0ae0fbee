"""From what somebody writes for a database to a login; drivers are imported here and only when one is needed."""

from __future__ import annotations

import importlib
import re
from typing import Any

from leakfix.watch import WatchError
from leakfix.watch.protocol import Login

_KINDS = {
    "postgres": ("postgresql", "PostgreSQLLogin", "psycopg"),
    "postgresql": ("postgresql", "PostgreSQLLogin", "psycopg"),
    "cockroach": ("postgresql", "PostgreSQLLogin", "psycopg"),
    "cockroachdb": ("postgresql", "PostgreSQLLogin", "psycopg"),
    "mysql": ("mysql", "MySQLLogin", "PyMySQL"),
    "mariadb": ("mysql", "MySQLLogin", "PyMySQL"),
}
_SCHEME = re.compile(r"(?P<kind>[A-Za-z]+)(?:\+\w+)?://")
_PAIRS = re.compile(r"\s*\w+\s*=")


def login_for(dsn: str) -> Login:
    """The login a URL, or libpq's ``name=value`` pairs, stands for. Raises WatchError, which repeats nothing of it.

    ``postgresql+asyncpg://`` and the like, as SQLAlchemy's settings have them, are read as well.
    """
    scheme = _SCHEME.match(dsn)
    kind = scheme["kind"].lower() if scheme else "postgresql" if _PAIRS.match(dsn) else ""
    if kind not in _KINDS:
        raise WatchError(
            "this is no address of a database that can be watched: "
            "it begins with postgresql://, cockroachdb://, mysql:// or mariadb://"
        )
    module, name, driver = _KINDS[kind]
    plain = f"{'mysql' if module == 'mysql' else 'postgresql'}://{dsn[scheme.end() :]}" if scheme else dsn
    login: Login = getattr(_imported(module, driver), name).of(plain)
    return login


def _imported(module: str, driver: str) -> Any:
    try:
        return importlib.import_module(f"leakfix.watch.{module}")
    except ImportError as error:
        raise WatchError(f"this needs {driver}, which is not installed: pip install 'leakfix[watch]'") from error
