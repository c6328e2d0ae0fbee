"""The services: how each is built, filled and started, and what its clients ask for.

A mix of requests holds every leak that a request can reach, beside correct routes. None changes what another is told,
not even those that write: they are refused, or write what is there already, or what nobody asks for. So an answer
depends on its request alone, and what a service says before and after its repair can be compared.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field

from prove.load import Route
from prove.process import HOST


@dataclass(frozen=True)
class Service:
    """A service; in its commands ``{python}`` is this Python and ``{port}`` the port it is to listen on."""

    name: str
    title: str
    folder: str  # in fixtures/apps
    server: tuple[str, ...]
    ready: str  # a path that answers once it runs
    rate: int  # requests per second that its clients ask for
    routes: tuple[Route, ...]
    build: tuple[tuple[str, ...], ...] = ()  # once its code is as it is to be run
    prepare: tuple[tuple[str, ...], ...] = ()  # once for each database, to make its tables
    rows: str = ""  # SQL that fills them
    settings: Mapping[str, str] = field(default_factory=dict)
    database_options: str = ""  # at the end of the URL
    pools: str = ""  # what it allows itself, for people
    program: str = ""  # that it is built with

    def leaky_share(self) -> float:
        """How much of what is asked for goes to routes that leak, at least on some path."""
        return sum(route.weight for route in self.routes if route.leaks) / sum(route.weight for route in self.routes)

    def missing(self) -> str:
        """Why it cannot be run here, if so."""
        if self.program and shutil.which(self.program) is None:
            return f"{self.program} is not installed"
        return ""


FASTAPI = Service(
    name="fastapi",
    title="FastAPI, SQLModel, asyncpg: an order service",
    folder="fastapi_orders",
    server=(
        *("{python}", "-m", "uvicorn", "orders.main:app", "--host", HOST, "--port", "{port}"),
        *("--log-level", "warning", "--timeout-graceful-shutdown", "1"),
    ),
    ready="/reports/status",
    rate=120,
    prepare=(("{python}", "-c", "from orders.database import create_tables; create_tables()"),),
    rows="""
        insert into price (item, cents) select 'item ' || n, n * 10 from generate_series(1, 20000) n;
        insert into stock (item, quantity) select 'item ' || n, n % 9 from generate_series(1, 200) n;
        insert into customer (name, country) select 'customer ' || n, 'DE' from generate_series(1, 500) n;
        insert into orders (customer_id, status)
            select 1 + n % 400, case when n <= 20 then 'open' else 'shipped' end from generate_series(1, 2000) n;
        insert into line (order_id, item, quantity)
            select 1 + n % 1900, 'item ' || n % 300, 1 + n % 9 from generate_series(1, 2000) n;
    """,
    settings={"POOL_TIMEOUT": "1"},
    pools="SQLAlchemy's pool as it is by default, 5 connections and 10 more, with a timeout of 1 s instead of 30 s; "
    "asyncpg's pool of 4, which waits without a limit",
    routes=(
        Route(24, "GET", "/orders/{n}", 1, 2100, leaks=True),
        Route(12, "GET", "/orders/{n}/status", 1, 2100, leaks=True),
        Route(12, "GET", "/customers/{n}", 1, 520, leaks=True),
        Route(12, "GET", "/customers/{n}/orders", 1, 520, leaks=True),
        Route(6, "PUT", "/customers/{n}/country?country=DE", 1, 520, leaks=True),
        Route(3, "POST", "/customers", body={"name": "customer 1", "country": "DE"}, leaks=True),
        Route(6, "POST", "/orders/{n}/merge/1", 100, 2000, leaks=True),
        Route(9, "GET", "/lines/{n}", 1, 2100, leaks=True),
        Route(3, "GET", "/reports/quantity/item%20{n}", 1, 310, leaks=True),
        Route(3, "GET", "/reports/largest", leaks=True),
        Route(18, "GET", "/prices/item%20{n}", 1, 20000, leaks=True),
        Route(1, "GET", "/stock/item%20{n}", 1, 210, leaks=True),
        Route(1, "POST", "/stock/item%20{n}/take?quantity=99", 1, 210, leaks=True),
        Route(1, "GET", "/export/lines.csv", leaks=True),
        Route(4, "GET", "/orders?status=open"),
        Route(2, "GET", "/orders/{n}/lines", 1, 2000),
        Route(2, "GET", "/reports/status"),
        Route(1, "GET", "/export/items.csv"),
        Route(1, "GET", "/stock/total"),
        Route(1, "GET", "/countries/DE"),
        Route(1, "POST", "/orders/{n}/ship", 100, 2000),
    ),
)
FLASK = Service(
    name="flask",
    title="Flask, psycopg2, SQLAlchemy: a library",
    folder="flask_library",
    server=(
        "{python}",
        "-m",
        "waitress",
        f"--listen={HOST}:{{port}}",
        "--threads=8",
        "--call",
        "library.app:create_app",
    ),
    ready="/health",
    rate=120,
    prepare=(("{python}", "-c", "from library.database import create_tables; create_tables()"),),
    rows="""
        insert into members (name, blocked) select 'member ' || n, n % 3 = 0 from generate_series(1, 300) n;
        insert into books (title, author, copies)
            select 'Volume ' || n, 'author ' || n % 500, n % 4 from generate_series(1, 5000) n;
        insert into loans (book_id, member_id, returned)
            select 1 + n % 4000, 1 + n % 200, n % 5 <> 0 from generate_series(1, 5000) n;
    """,
    pools="psycopg2's pool of 8, which fails at once where none is free; SQLAlchemy's, 5 and 10 more",
    routes=(
        Route(6, "GET", "/books/{n}", 1, 5100, leaks=True),
        Route(2, "GET", "/books/{n}/available", 1, 5000, leaks=True),
        Route(4, "GET", "/members/{n}", 1, 310, leaks=True),
        Route(1, "POST", "/members", body={"name": "member 1"}, leaks=True),
        Route(1, "POST", "/loans", body={"book": 1, "member": 3}, leaks=True),
        Route(1, "POST", "/loans/{n}/return", 5001, 6000, leaks=True),
        Route(2, "GET", "/statistics/lent", leaks=True),
        Route(2, "GET", "/statistics/popular/{n}", 1, 5000, leaks=True),
        Route(1, "GET", "/export/books.csv", leaks=True),
        Route(6, "GET", "/books?author=author%20{n}", 0, 510),
        Route(4, "GET", "/members"),
        Route(2, "GET", "/statistics/copies"),
        Route(1, "GET", "/export/loans.csv"),
        Route(1, "GET", "/loans/policy"),
        Route(2, "GET", "/health"),
    ),
)
DJANGO = Service(
    name="django",
    title="Django: a shop",
    folder="django_shop",
    server=("{python}", "-m", "waitress", f"--listen={HOST}:{{port}}", "--threads=8", "project.wsgi:application"),
    ready="/reports/stock/",
    rate=80,
    prepare=(
        ("{python}", "manage.py", "migrate", "--verbosity", "0"),
        ("{python}", "manage.py", "load_sample", "--size", "3000"),
    ),
    pools="none: Django connects for each request and closes the connection at its end",
    routes=(
        Route(12, "POST", "/orders/{n}/notify/", 11, 3000, leaks=True),
        Route(4, "GET", "/reports/revenue/", leaks=True),
        Route(6, "GET", "/reports/customers/{n}/", 1, 1600, leaks=True),
        Route(1, "GET", "/products.csv", leaks=True),
        Route(1, "GET", "/prices/", leaks=True),
        Route(1, "GET", "/greetings/", leaks=True),
        Route(6, "GET", "/products/{n}/", 1, 3100),
        Route(6, "GET", "/products/?page={n}", 0, 600),
        Route(2, "GET", "/reports/stock/"),
        Route(1, "GET", "/customers.csv"),
        Route(2, "POST", "/orders/{n}/remind/", 11, 3000),
        Route(2, "POST", "/orders/{n}/cancel/", 11, 3000),
    ),
)
ECHO = Service(
    name="echo",
    title="Go, Echo, database/sql: users",
    folder="echo_users",
    program="go",
    build=(("go", "build", "-o", "users", "."),),
    server=("./users",),
    ready="/check",
    rate=160,
    settings={"GOFLAGS": "-mod=mod"},
    database_options="&sslmode=disable",
    pools="database/sql's pool as it is by default, without a limit; PostgreSQL sets one",
    routes=(
        Route(2, "GET", "/users?credits={n}", 100, 220, leaks=True),
        Route(1, "GET", "/newest", leaks=True),
        Route(1, "POST", "/users/{n}/seen", 3, 20, leaks=True),
        Route(1, "POST", "/transfer?credits=" + "x" * 100, leaks=True),
        Route(1, "POST", "/import?names=", leaks=True),
        Route(8, "GET", "/names/{n}", 1, 100000, leaks=True),
        Route(2, "GET", "/check", leaks=True),
        Route(10, "GET", "/users/{n}", 1, 24),
    ),
)
SERVICES = {service.name: service for service in (FASTAPI, FLASK, DJANGO, ECHO)}
