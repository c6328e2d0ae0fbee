"""The DATABASES of a settings module: their keys, and what the project says about the server in front of them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from leakfix.codemod import View
from leakfix.project.deployment import deployment, requirements

POSTGRES = frozenset(
    {
        "django.db.backends.postgresql",
        "django.db.backends.postgresql_psycopg2",
        "django.contrib.gis.db.backends.postgis",
    }
)
_ORACLE = frozenset({"django.db.backends.oracle"})
_NOT_SERVED = re.compile(r"(?:^|[/_.-])(?:tests?|testing|dev|development|local|ci|debug|example|sample)(?:[/_.-]|$)")
_ASGI_SETTING = re.compile(rb"(?m)^[ \t]*ASGI_APPLICATION[ \t]*(?::[^=\n]+)?=")
_ASGI_SERVER = re.compile(
    r"(?m)^(?=[^#\n]*\b(?:uvicorn|daphne|hypercorn|UvicornWorker|granian)\b)[^#\n]*\b(?:asgi|get_asgi_application)\b"
)
_WSGI_SERVER = re.compile(r"(?m)^[^#\n]*\bwsgi\b")
_ASGI_REQUIRED = re.compile(r"(?m)^[ \t]*[\"']?(?:daphne|uvicorn|hypercorn)\b")
_OTHER_ASGI = re.compile(r"(?mi)^[ \t]*[\"']?(?:fastapi|starlette|litestar|quart)\b")
_POOL_MODE = re.compile(r"(?im)^[^#;\n]*\b(?:PGBOUNCER_)?POOL_MODE\b[\"']?[ \t]*[:=][ \t]*[\"']?(\w+)")
_LOCAL = frozenset({"", "localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Database:
    """One entry of DATABASES. key: its alias, as written. whole: no ``**`` stands in it, nothing is set in it later."""

    key: ast.expr
    alias: str
    node: ast.Dict
    whole: bool

    @cached_property
    def entries(self) -> dict[str, ast.expr]:
        """Its settings by their names."""
        return entries_of(self.node)

    @property
    def engine(self) -> str:
        """The backend, where it is written as a string."""
        value = self.entries.get("ENGINE")
        return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else ""

    @property
    def options(self) -> ast.Dict | None:
        """OPTIONS, where it is written as a dict."""
        value = self.entries.get("OPTIONS")
        return value if isinstance(value, ast.Dict) else None

    @property
    def has_pool(self) -> bool:
        """Whether the backend is asked to pool connections itself."""
        return self.options is not None and "pool" in entries_of(self.options) and self.engine in POSTGRES | _ORACLE

    @property
    def is_remote(self) -> bool:
        """Whether a host is named, and not the local one."""
        host = self.entries.get("HOST")
        if host is None:
            return False
        return not (isinstance(host, ast.Constant) and (host.value in _LOCAL or str(host.value).startswith("/")))


def entries_of(node: ast.Dict) -> dict[str, ast.expr]:
    """The entries of a dict whose keys are strings."""
    return {
        key.value: value
        for key, value in zip(node.keys, node.values, strict=True)
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    }


def databases(view: View) -> Iterator[Database]:
    """The entries of DATABASES in a settings module; none in one for tests or for a developer's machine."""
    if _NOT_SERVED.search(view.module.path):
        return
    touched = {
        node.attr if isinstance(node, ast.Attribute) else "[]"
        for node in ast.walk(view.tree)
        if isinstance(node, ast.Attribute | ast.Subscript) and _is_databases(node.value)
    }
    for statement in view.tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id="DATABASES")], value=ast.Dict() as outer):
                pass
            case ast.AnnAssign(target=ast.Name(id="DATABASES"), value=ast.Dict() as outer):
                pass
            case _:
                continue
        for key, value in zip(outer.keys, outer.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(value, ast.Dict):
                yield Database(key, str(key.value), value, None not in value.keys and not touched)


def _is_databases(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "DATABASES"


def position_of(node: ast.Dict, name: str) -> int:
    """Where a key stands in a dict."""
    return next(at for at, key in enumerate(node.keys) if isinstance(key, ast.Constant) and key.value == name)


def seconds(node: ast.expr | None) -> float | None:
    """A number of seconds as written, products included; infinite for None, which keeps connections for good."""
    match node:
        case ast.Constant(value=None):
            return float("inf")
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return float(number)
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            factors = seconds(left), seconds(right)
            return factors[0] * factors[1] if factors[0] is not None and factors[1] is not None else None
    return None


def why_asgi(view: View) -> str:
    """What tells that a project is served by ASGI; "" where nothing does, or where it is served by WSGI."""
    texts = deployment(view.module.path)
    for name, text in texts.items():
        if _ASGI_SERVER.search(text):
            return name
    if any(_WSGI_SERVER.search(text) for text in texts.values()):
        return ""
    if _ASGI_SETTING.search(view.module.source.data):
        return "ASGI_APPLICATION"
    if view.module.stars and any(_ASGI_SETTING.search(text) for text in view.texts("ASGI_APPLICATION")):
        return "ASGI_APPLICATION"
    required = requirements(view.module.path)
    if any(_OTHER_ASGI.search(text) for text in required.values()):
        return ""
    return next((name for name, text in required.items() if _ASGI_REQUIRED.search(text)), "")


def why_pooled(view: View, database: Database) -> str:
    """What tells that a database is reached through PgBouncer in transaction mode; "" where nothing does."""
    said = ""
    for name in ("HOST", "PORT"):
        value = database.entries.get(name)
        texts = [str(item.value) for item in ast.walk(value) if isinstance(item, ast.Constant)] if value else []
        if any("pgbouncer" in text.lower() for text in texts) or (name == "PORT" and "6432" in texts):
            said = said or name
    modes = {mode.lower() for text in deployment(view.module.path).values() for mode in _POOL_MODE.findall(text)}
    return said if not modes or "transaction" in modes else ""
