"""Random functions round an acquisition: repaired, they do what they did and leave nothing open."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from leakfix import engine
from leakfix.config import Config
from leakfix.registry import Registry

DRIVER = '''
"""A driver that counts with strong references, and fails where it is told to."""

OPEN, TRACE, PLAN = [], [], {}


class Failure(Exception):
    pass


class Closed(Exception):
    pass


def start(fail_at, choices):
    OPEN.clear()
    TRACE.clear()
    PLAN.update(calls=0, fail_at=fail_at, choices=iter(choices))


def step(what):
    PLAN["calls"] += 1
    if PLAN["calls"] in (PLAN["fail_at"], 200):
        raise Failure(what)
    TRACE.append(what)
    return 1


def choose():
    step("choose")
    return next(PLAN["choices"], False)


def items():
    for number in range(3):
        step("item")
        yield number


class Scope:
    def __enter__(self):
        step("enter")
        return self

    def __exit__(self, *error):
        TRACE.append(("leave", error[0]))


class Connection:
    def __init__(self):
        step("connect")
        OPEN.append(self)

    def execute(self, what):
        if self not in OPEN:
            TRACE.append("misused")
            raise Closed(what)
        return step(("execute", what))

    def query(self, what):
        self.execute(what)
        return Rows(self)

    def commit(self):
        self.execute("commit")

    def close(self):
        if self in OPEN:
            OPEN.remove(self)

    def __enter__(self):
        return self

    def __exit__(self, kind, *rest):
        if HOW == "transaction" and self in OPEN:
            TRACE.append("rolled back" if kind else "committed")
        if HOW != "transaction":
            self.close()


class Rows:
    def __init__(self, connection):
        self.connection = connection

    def fetchall(self):
        self.connection.execute("fetch")
        return [1, 2]

    def __iter__(self):
        return iter(self.fetchall())


def connect():
    return Connection()
'''

ROW = {
    "id": "toydb/connection",
    "noun": "connection",
    "acquire": ["toydb.connect"],
    "values": ["execute", "fetchall", "commit"],
}

HEAD = """\
from contextlib import closing, suppress

import toydb


def use(connection):
    connection.execute(20)


"""
USES = (
    "total += connection.execute(1)",
    "connection.execute(2)",
    "connection.commit()",
    "rows = connection.query(3)",
    "total += len(connection.query(4).fetchall())",
    "total += sum(row for row in connection.query(5))",
    "total += sum([row + 1 for row in connection.query(6)])",
    "total += toydb.choose() and connection.execute(7)",
    "total += connection.execute(8) if toydb.choose() else 1",
    "use(connection)",
    "total += (lambda: connection.execute(9))()",
    "return connection.execute(10)",
    "return [row for row in connection.query(11)]",
    "connection.close()",
    "if connection:\n    connection.close()",
    "if connection is not None:\n    connection.close()",
    "connection.commit()\nconnection.close()\nreturn total",
    "with connection:\n    connection.execute(12)",
    "with closing(connection):\n    connection.execute(13)",
    "connection.execute('''text\n  over lines\n''')",
    "total += connection.execute(\n    # why\n    14\n)  # so",
)
PLAIN = (
    "total += 1",
    "toydb.step('plain')",
    "toydb.step('plain')  # a comment",
    "# a comment alone\ntotal += 2",
    "toydb.step('''more\nlines''')",
    "return total",
    "return",
    "raise ValueError(total)",
    "raise toydb.Failure",
    "assert toydb.choose()",
    "if toydb.choose():\n    return total",
    "if toydb.choose():\n    raise ValueError",
    "pass",
)
IN_LOOPS = ("break", "continue", "if toydb.choose():\n    break", "if toydb.choose():\n    continue")
ACQUIRED = (
    "connection = toydb.connect()",
    "connection = toydb.connect()\ntotal += connection.execute(0)",
    "connection = None\ntry:\n    connection = toydb.connect()\n    {inner}\n"
    "finally:\n    if connection:\n        connection.close()",
    "connection = None\ntry:\n    connection = toydb.connect()\n    {inner}\nexcept toydb.Failure:\n    {handler}",
    "try:\n    connection = toydb.connect()\nexcept toydb.Failure:\n    return -1",
    "connection = toydb.connect() if toydb.choose() else None",
    "if toydb.choose():\n    connection = toydb.connect()\nelse:\n    connection = toydb.connect()",
    "if toydb.choose():\n    connection = toydb.connect()\nelse:\n    return -2",
    "connection = None\nif toydb.choose():\n    connection = toydb.connect()",
    "connection = toydb.connect()\ntry:\n    {inner}\nfinally:\n    connection.close()",
    "connection = toydb.connect()\ntry:\n    {inner}\nexcept Exception:\n    connection.close()\n    raise",
    "with toydb.connect() as connection:\n    {inner}",
    "with toydb.Scope(), toydb.connect() as connection:\n    {inner}",
    "for item in toydb.items():\n    connection = toydb.connect()\n    {inner}",
    "connection = None\nfor item in toydb.items():\n    if connection is None or toydb.choose():\n"
    "        connection = toydb.connect()\n    {inner}",
    "for item in toydb.items():\n    if toydb.choose() or item == 0:\n"
    "        connection = toydb.connect()\n    {inner}",
    "connections = [toydb.connect() for _ in range(2)]\nconnection = connections[0]\nfor item in connections:\n"
    "    item.close()\nconnection = toydb.connect()",
    "total += toydb.connect().execute(15)\nreturn total",
    "if (connection := toydb.connect()):\n    {inner}",
    "total += len(toydb.connect().query(16).fetchall())\nreturn total",
)


def indented(text: str, by: str = "    ") -> str:
    """The text one level deeper; lines inside the test's own string literals stay where they are."""
    lines, inside = [], False
    for line in text.split("\n"):
        lines.append(line if inside or not line else by + line)
        inside ^= line.count("'''") % 2 == 1
    return "\n".join(lines)


@st.composite
def blocks(draw: st.DrawFn, depth: int, used: bool, loop: bool, lazy: bool) -> str:
    """A suite; ``used``: there is a connection, ``loop``: in a loop, ``lazy``: in a generator."""
    kinds = ["plain", "use", "use", "use", "use"] if used else ["plain"]
    kinds += ["loop"] if loop else []
    kinds += ["yield"] if lazy else []
    kinds += ["nested"] * 3 if depth else []
    parts = []
    for _ in range(draw(st.integers(1, 3))):
        match draw(st.sampled_from(kinds)):
            case "plain":
                parts.append(draw(st.sampled_from(PLAIN)))
            case "use":
                parts.append(draw(st.sampled_from(USES)))
            case "loop":
                parts.append(draw(st.sampled_from(IN_LOOPS)))
            case "yield":
                parts.append(draw(st.sampled_from(["yield total", "total += (yield total) or 0"])))
            case _:
                parts.append(draw(compounds(depth - 1, used, loop, lazy)))
    return "\n".join(parts)


@st.composite
def compounds(draw: st.DrawFn, depth: int, used: bool, loop: bool, lazy: bool) -> str:
    def suite(inside_loop: bool = loop) -> str:
        return indented(draw(blocks(depth, used, inside_loop, lazy)))

    kind = draw(st.sampled_from(["if", "for", "while", "try", "finally", "scope", "suppress", "match"]))
    orelse = draw(st.booleans())
    if kind == "if":
        head = draw(st.sampled_from(["toydb.choose()", "not toydb.choose()", "total > 1 and toydb.choose()"]))
        return f"if {head}:\n{suite()}" + (f"\nelse:\n{suite()}" if orelse else "")
    if kind in ("for", "while"):
        head = "for item in toydb.items():" if kind == "for" else "while toydb.choose():"
        return f"{head}\n{suite(True)}" + (f"\nelse:\n{suite()}" if orelse else "")
    if kind == "try":
        caught = draw(
            st.sampled_from(["toydb.Failure", "Exception", "(ValueError, toydb.Failure)", "ValueError as error"])
        )
        text = f"try:\n{suite()}\nexcept {caught}:\n{suite()}"
        text += f"\nelse:\n{suite()}" if orelse else ""
        return text + (
            f"\nfinally:\n    {draw(_ENDINGS if used else st.just('total += 3'))}" if draw(st.booleans()) else ""
        )
    if kind == "finally":
        return f"try:\n{suite()}\nfinally:\n    {draw(_ENDINGS if used else st.just('total += 4'))}"
    if kind == "match":
        return f"match toydb.choose():\n    case True:\n{indented(suite())}\n    case _:\n{indented(suite())}"
    head = "toydb.Scope()" if kind == "scope" else "suppress(toydb.Failure)"
    return f"with {head}:\n{suite()}"


_ENDINGS = st.sampled_from(
    [
        "total += 5",
        "connection.close()",
        "toydb.step('last')",
        "connection.commit()",
        "if connection:\n        connection.close()",
    ]
)


@st.composite
def functions(draw: st.DrawFn) -> str:
    """A module with one function ``job`` that acquires a connection."""
    lazy = draw(st.integers(0, 4)) == 0
    before = draw(st.sampled_from(["", "toydb.step('first')\n", "if toydb.choose():\n    return 0\n"]))
    acquired = draw(st.sampled_from(ACQUIRED))
    looping = "for item" in acquired
    for slot in ("{inner}", "{handler}"):
        if slot in acquired:
            column = next(line for line in acquired.split("\n") if slot in line).index(slot) // 4
            text = draw(blocks(1, True, looping, lazy))
            for _ in range(column):
                text = indented(text)
            acquired = acquired.replace("    " * column + slot, text)
    rest = draw(blocks(2, True, False, lazy)) + "\n" if "connection" in acquired else ""
    if draw(st.integers(0, 5)) == 0:
        text = indented(before + acquired + "\n" + rest + "total += 6")
        body = "for turn in toydb.items():\n" + text
    else:
        body = before + acquired + "\n" + rest
    body = "total = 0\n" + body.rstrip("\n") + ("\nyield -1" if lazy else "") + "\nreturn total"
    return HEAD + "def job():\n" + indented(body) + "\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project folder, with the driver importable from elsewhere."""
    root = tmp_path_factory.mktemp("properties")
    module = ModuleType("toydb")
    exec(compile(DRIVER, "toydb.py", "exec"), vars(module))
    sys.modules["toydb"] = module
    (root / "pyproject.toml").write_text("")
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(12_000)  # the engine raises it to this, which hypothesis does not like to see
    yield root
    sys.setrecursionlimit(limit)
    del sys.modules["toydb"]


@pytest.fixture(scope="module")
def rules() -> Callable[[str], tuple[Config, Registry]]:
    """The driver's row with each meaning ``with`` may have."""
    found = {}
    for how in ("none", "closes", "transaction"):
        config = Config(select=("toydb/connection",), resources=({**ROW, "with": how},))
        found[how] = config, Registry.load(config)
    return lambda how: found[how]


RUNS = [
    (fail_at, choices)
    for choices in ((), (True,) * 6, (True, False, True, True, False), (False, True, False, True))
    for fail_at in (None, 1, 2, 3, 4, 5, 6, 8, 11)
]


# A name without a connection, which a repair may well put right.
MISUSES = ("raised", UnboundLocalError), ("raised", AttributeError)


def outcomes(text: str, how: str) -> list[tuple[Any, list[Any], int]]:
    """How each run of ``job`` ends, what it did, and how many connections it left open."""
    driver = sys.modules["toydb"]
    driver.HOW = how  # type: ignore[attr-defined]
    found = []
    code = compile(text, "case.py", "exec")
    for fail_at, choices in RUNS:
        for taken in (0, 1, 9) if "yield" in text else (0,):
            space: dict[str, Any] = {}
            exec(code, space)
            driver.start(fail_at, choices)
            try:
                result = space["job"]()
                if hasattr(result, "send"):
                    result = consumed(result, taken)
                ended: Any = ("returned", result)
            except Exception as error:
                ended = ("raised", type(error))
            found.append((ended, list(driver.TRACE), len(driver.OPEN)))
    return found


def consumed(generator: Any, taken: int) -> list[Any]:
    values = []
    for value in generator:
        values.append(value)
        if len(values) > taken:
            break
    generator.close()
    return values


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(text=functions(), how=st.sampled_from(["none", "closes", "transaction"]))
def test_repaired_functions_do_the_same_and_leave_nothing_open(
    text: str, how: str, place: Path, rules: Callable[[str], tuple[Config, Registry]]
) -> None:
    compile(text, "case.py", "exec")
    file = place / "case.py"
    file.write_text(text)
    config, registry = rules(how)
    report = engine.check([str(file)], config, registry, jobs=1)
    assert not report.errors
    repairs = list(engine.repair(report, lambda *_: True))
    after = repairs[0].after.raw.decode() if repairs else text
    remaining = repairs[0].remaining if repairs else report.findings
    shown = f"{how}\n{text}\n-->\n{after}"
    for run, before, now in zip(RUNS, outcomes(text, how), outcomes(after, how), strict=False):
        if before[0] not in MISUSES and "misused" not in before[1]:
            assert now[:2] == before[:2], f"{run}\n{shown}"
        assert now[2] == 0 or remaining, f"{run}: left open by\n{shown}"
        assert now[2] <= before[2], f"{run}: leaks more than before\n{shown}"
