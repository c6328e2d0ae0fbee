"""What is read from an address, and that nothing shows its password."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from leakfix.watch import WatchError
from leakfix.watch.logins import login_for

Invoke = Callable[..., Any]

PASSWORD = "hunter2 and more"
ESCAPED = "hunter2%20and%20more"


@pytest.mark.parametrize(
    ("dsn", "label"),
    [
        (f"postgresql://app:{ESCAPED}@db.example:5433/shop?sslmode=require", "app@db.example:5433/shop"),
        (f"postgres://app:{ESCAPED}@db.example/shop", "app@db.example/shop"),
        (f"postgresql+asyncpg://app:{ESCAPED}@db.example/shop", "app@db.example/shop"),
        (f"cockroachdb://app:{ESCAPED}@db.example:26257/shop", "app@db.example:26257/shop"),
        (f"host=db.example user=app password='{PASSWORD}' dbname=shop", "app@db.example/shop"),
        ("postgresql:///shop?host=/run/postgresql", "/run/postgresql/shop"),
        ("postgresql:///", "localhost/"),
    ],
)
def test_addresses_of_postgresql(dsn: str, label: str) -> None:
    pytest.importorskip("psycopg")
    assert login_for(dsn).label == label


@pytest.mark.parametrize(
    ("dsn", "label"),
    [
        (f"mysql://app:{ESCAPED}@db.example:3307/shop", "app@db.example:3307/shop"),
        (f"mysql+pymysql://app:{ESCAPED}@db.example/shop?charset=utf8mb4", "app@db.example:3306/shop"),
        ("mariadb://db.example", "db.example:3306/"),
        ("mysql://app@localhost/shop?unix_socket=/run/mysqld.sock", "app@/run/mysqld.sock:3306/shop"),
    ],
)
def test_addresses_of_mysql(dsn: str, label: str) -> None:
    pytest.importorskip("pymysql")
    assert login_for(dsn).label == label


@pytest.mark.parametrize("kind", ["postgresql", "mysql"])
@pytest.mark.parametrize(
    "password", ["top@secret", "top/secret", "top?secret", "top#secret", "12/secret", "%zz/secret"]
)
def test_a_password_that_is_not_escaped_is_not_repeated(kind: str, password: str, invoke: Invoke) -> None:
    pytest.importorskip({"postgresql": "psycopg", "mysql": "pymysql"}[kind])
    result = invoke("watch", "--once", f"{kind}://app:{password}@127.0.0.1:1/shop")
    assert result.code == 2
    assert "secret" not in result.out + result.err
    assert "top" not in result.out + result.err


@pytest.mark.parametrize("kind", ["postgresql", "mysql"])
def test_a_server_that_is_not_there(kind: str, invoke: Invoke) -> None:
    pytest.importorskip({"postgresql": "psycopg", "mysql": "pymysql"}[kind])
    for options in (["--once"], ["--once", "--output-format", "json"], []):
        result = invoke("watch", f"{kind}://app:{ESCAPED}@127.0.0.1:1/shop", *options)
        assert (result.code, result.out) == (2, "")
        assert result.err.startswith("error: ")
        assert "Connection refused" in result.err
        assert "hunter2" not in result.err
        assert "Traceback" not in result.err


def test_a_password_the_driver_repeats_is_masked() -> None:
    pytest.importorskip("psycopg")
    login: Any = login_for(f"postgresql://app:{ESCAPED}@db.example/shop")
    assert login.masked(f"no {PASSWORD}\n, {ESCAPED}") == "no *** , ***"
    assert "hunter2" not in repr(login)


@pytest.mark.parametrize("dsn", ["oracle://app:hunter2@db/shop", "hunter2", "postgresql", "https://hunter2"])
def test_what_is_no_address(dsn: str, invoke: Invoke) -> None:
    with pytest.raises(WatchError, match="begins with postgresql://") as raised:
        login_for(dsn)
    assert "hunter2" not in str(raised.value)
    assert invoke("watch", dsn).code == 2


def test_one_database_is_named_and_a_second_argument_not_repeated(invoke: Invoke, monkeypatch: Any) -> None:
    monkeypatch.delenv("LEAKFIX_DSN", raising=False)
    assert invoke("watch").code == 2
    result = invoke("watch", "--once", "first", "postgresql://app:hunter2@db/shop")
    assert result.code == 2
    assert "hunter2" not in result.err


@pytest.mark.parametrize(
    ("scheme", "module", "driver"),
    [("postgresql", "psycopg", "psycopg"), ("mysql", "pymysql", "PyMySQL")],
)
def test_a_missing_driver(
    scheme: str, module: str, driver: str, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, f"leakfix.watch.{scheme}", raising=False)
    result = invoke("watch", "--once", f"{scheme}://app:hunter2@127.0.0.1:1/shop")
    assert result.code == 2
    assert result.err == f"error: this needs {driver}, which is not installed: pip install 'leakfix[watch]'\n"


def test_a_missing_prometheus_client(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("psycopg")
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.delitem(sys.modules, "leakfix.watch.metrics", raising=False)
    result = invoke("watch", "--prometheus", "0", "postgresql://app:hunter2@127.0.0.1:1/shop")
    assert result.code == 2
    assert "pip install 'leakfix[watch]'" in result.err


@pytest.mark.parametrize("options", [["--once"], ["--output-format", "json"]])
def test_prometheus_goes_alone(options: list[str], invoke: Invoke) -> None:
    assert invoke("watch", "--prometheus", "0", *options, "postgresql://127.0.0.1:1/shop").code == 2
