"""Whole applications, driven before and after their repair: the same answers and rows, and nothing left open.

What must be true of each application once it is repaired is written down here in full, leak by leak.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

pytestmark = pytest.mark.apps

# Rows: the default size of a block of Django and of a named cursor of psycopg2, and what belongs to its last order.
ROWS = 2100
ENTRIES = 4200


@dataclass(frozen=True)
class App:
    """An application, where it runs, and what must be true of it once it is repaired."""

    name: str
    databases: tuple[str, ...]
    modules: tuple[str, ...]  # it needs on every database
    open: Mapping[str, int]  # how many of each kind may stay open
    held: Mapping[str, float]  # how much of each kind may be held
    files: tuple[str, ...]  # that are correct as they are
    definitions: Mapping[str, tuple[str, ...]]  # that are correct as they are, in files with leaks
    programs: tuple[str, ...] = ()  # it is built with


FASTAPI = App(
    name="fastapi_orders",
    databases=("postgresql",),
    modules=("fastapi", "httpx", "sqlmodel", "asyncpg"),
    open={"sessions": 0, "connections": 0, "engines": 0, "acquired": 0, "pools": 0},
    held={"cache": ENTRIES, "rows": ROWS},
    files=("README.md", "drive.py", "orders/__init__.py"),
    definitions={
        "orders/database.py": ("create_tables", "session_scope", "Order"),
        "orders/main.py": ("list_orders", "ship", "merge"),
        "orders/service.py": ("OrderRefused", "ship"),
        "orders/customers.py": ("NewCustomer", "list_customers", "open_order"),
        "orders/lines.py": ("NewLine", "add_line"),
        "orders/stock.py": ("stock_pool", "list_stock", "total_stock"),
        "orders/catalog.py": ("rate_of", "show_price", "show_country"),
        "orders/reports.py": ("orders_by_status",),
        "orders/export.py": ("csv_line", "items", "export_lines", "export_items"),
    },
)
FLASK = App(
    name="flask_library",
    databases=("postgresql",),
    modules=("flask", "sqlalchemy"),
    open={"connections": 0, "slots": 0, "sessions": 0},
    held={"rows": ROWS},
    files=("README.md", "drive.py", "library/__init__.py", "library/database.py"),
    definitions={
        "library/app.py": ("create_app.health",),
        "library/books.py": ("list_books", "remove_book"),
        "library/loans.py": ("show_policy",),
        "library/kiosk.py": ("open_loans",),
        "library/members.py": ("Base", "Member", "list_members", "block_member"),
        "library/statistics.py": ("count_copies",),
        "library/export.py": ("export_loans",),
    },
)
DJANGO = App(
    name="django_shop",
    databases=("sqlite", "postgresql"),
    modules=("django", "celery"),
    open={"connections": 0, "cursors": 0, "transactions": 0},
    held={"rows": ROWS, "kept": 0, "rounds_on_a_connection": 1},
    files=(
        "README.md",
        "drive.py",
        "manage.py",
        "project/__init__.py",
        "project/settings.py",
        "project/urls.py",
        "project/wsgi.py",
        "shop/__init__.py",
        "shop/models.py",
        "shop/migrations/0001_initial.py",
        "shop/management/commands/load_sample.py",
        "shop/management/commands/pay_order.py",
        "shop/management/commands/selections.py",
    ),
    definitions={
        "shop/migrations/0002_fill_slugs.py": ("empty_slugs", "Migration"),
        "shop/payments.py": ("OutOfStock", "refund", "settle"),
        "shop/notifications.py": ("write_reminder", "notify", "remind"),
        "shop/pricing.py": ("PriceBook.count", "CountryBook"),
        "shop/tasks.py": ("restock", "active_products", "value_of_products"),
        "shop/views.py": (
            "csv_line",
            "list_products",
            "show_product",
            "export_customers",
            "show_stock",
            "notify",
            "remind",
            "cancel",
        ),
    },
)
ECHO = App(
    name="echo_users",
    databases=("postgresql",),
    modules=(),
    open={"connections": 0, "statements": 0, "transactions": 0},
    held={"names": 1000},
    files=("README.md", "drive.py", "go.mod", "go.sum"),
    definitions={},
    programs=("go",),
)
APPS = (FASTAPI, FLASK, DJANGO, ECHO)


def _case(app: App, database: str, *more: str) -> Any:
    """Parameters of a test; all of an application and a database run in one process, which drives it once."""
    together = pytest.mark.xdist_group(f"{app.name}-{database}")
    return pytest.param(app, database, *more, id="-".join([app.name, database, *more[1:]]), marks=together)


CASES = [_case(app, database) for app in APPS for database in app.databases]
KINDS = [
    _case(app, database, part, kind)
    for app in APPS
    for database in app.databases
    for part in ("open", "held")
    for kind in getattr(app, part)
]


def definitions(text: str) -> dict[str, str]:
    """The source of every function and class, its decorators included, by its dotted name."""

    def below(node: ast.AST, prefix: str) -> Iterator[tuple[str, str]]:
        for child in ast.iter_child_nodes(node):
            if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            first = min([child, *child.decorator_list], key=lambda part: part.lineno).lineno
            yield prefix + child.name, "".join(lines[first - 1 : child.end_lineno])
            yield from below(child, f"{prefix}{child.name}.")

    lines = text.splitlines(keepends=True)
    return dict(below(ast.parse(text), ""))


def places(report: dict[str, Any], part: str, kind: str) -> str:
    """The steps of the driver, or the caches, that account for a number; one a line."""
    where = report["where"]
    found = (
        {step: left for step, left in where["open"].items() if kind in left} if part == "open" else where.get(kind, {})
    )
    return "".join(f"\n{name}: {size}" for name, size in found.items())


@pytest.mark.parametrize(("app", "database", "part", "kind"), KINDS)
def test_it_leaks_as_written(app: App, database: str, part: str, kind: str, outcome_of: Any) -> None:
    before = outcome_of(app.name, database, app.modules, app.programs).before
    assert before[part].keys() == getattr(app, part).keys()
    assert before[part][kind] > getattr(app, part)[kind]


@pytest.mark.parametrize(("app", "database"), CASES)
def test_the_repair_ends_well(app: App, database: str, outcome_of: Any) -> None:
    outcome = outcome_of(app.name, database, app.modules, app.programs)
    for done in outcome.repairs:
        assert done.returncode in (0, 1), done.stderr
        assert "Traceback" not in done.stderr
    assert outcome.files[0].keys() == outcome.files[1].keys()


@pytest.mark.parametrize(("app", "database"), CASES)
def test_answers_and_rows_are_the_same_after_the_repair(app: App, database: str, outcome_of: Any) -> None:
    outcome = outcome_of(app.name, database, app.modules, app.programs)
    assert len(outcome.before["answers"]) > 30
    assert outcome.after["answers"] == outcome.before["answers"]
    assert outcome.after["data"] == outcome.before["data"]


@pytest.mark.parametrize(("app", "database", "part", "kind"), KINDS)
def test_nothing_leaks_after_the_repair(app: App, database: str, part: str, kind: str, outcome_of: Any) -> None:
    after = outcome_of(app.name, database, app.modules, app.programs).after
    assert after[part][kind] <= getattr(app, part)[kind], places(after, part, kind)


@pytest.mark.parametrize(("app", "database"), CASES)
def test_a_second_repair_changes_nothing(app: App, database: str, outcome_of: Any) -> None:
    outcome = outcome_of(app.name, database, app.modules, app.programs)
    assert outcome.files[2] == outcome.files[1]


@pytest.mark.parametrize(("app", "database"), CASES)
def test_what_is_correct_stays_as_it_is(app: App, database: str, outcome_of: Any) -> None:
    written, repaired, _ = outcome_of(app.name, database, app.modules, app.programs).files
    assert {name: repaired[name] for name in app.files} == {name: written[name] for name in app.files}
    for name, kept in app.definitions.items():
        old, new = definitions(written[name]), definitions(repaired[name])
        assert {each: new.get(each) for each in kept} == {each: old[each] for each in kept}
