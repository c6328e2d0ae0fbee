"""The rules by which something counts as leaked, each on one tiny function."""

from __future__ import annotations

import textwrap
from typing import Any

import pytest

HEAD = "import toydb\n\n"
ERROR, WARNING, NOTE = "error", "warning", "note"


def checked(found: Any, text: str) -> list[tuple[int, str]]:
    """Line (within the text) and severity of every finding."""
    report = found(HEAD + textwrap.dedent(text).strip() + "\n")
    assert not report.errors
    return [(finding.line - 2, str(finding.severity)) for finding in report.findings]


def function(body: str, head: str = "def f(a, b):") -> str:
    return head + "\n" + textwrap.indent(textwrap.dedent(body).strip(), "    ")


REPORTED = {
    # owned at an exit
    "never released": ("c = toydb.connect()\nc.execute(1)", 2, ERROR),
    "never used": ("c = toydb.connect()", 2, ERROR),
    "discarded": ("toydb.connect()", 2, ERROR),
    "without a name": ("return toydb.connect().execute(1)", 2, ERROR),
    "an early return": ("c = toydb.connect()\nif a:\n    return\nc.close()", 2, WARNING),
    "an exception": ("c = toydb.connect()\nc.execute(1)\nc.close()", 2, WARNING),
    "an exception before the try": ("c = toydb.connect()\na()\ntry:\n    b()\nfinally:\n    c.close()", 2, WARNING),
    "a handler that swallows": (
        "c = toydb.connect()\ntry:\n    a()\n    c.close()\nexcept ValueError:\n    return",
        2,
        WARNING,
    ),
    "released in one branch": ("c = toydb.connect()\nif a:\n    c.close()", 2, WARNING),
    "released in a loop that may not run": ("c = toydb.connect()\nfor x in a:\n    c.close()", 2, WARNING),
    "released in else of the try": (
        "c = toydb.connect()\ntry:\n    a()\nexcept ValueError:\n    pass\nelse:\n    c.close()",
        2,
        WARNING,
    ),
    "close without parentheses": ("c = toydb.connect()\nc.close", 2, ERROR),
    "rebound": ("c = toydb.connect()\nc = toydb.connect()\nc.close()", 2, ERROR),
    "rebound in a loop": ("for x in a:\n    c = toydb.connect()\nc.close()", 3, WARNING),
    "rebound to None": ("c = toydb.connect()\nc = None", 2, ERROR),
    "deleted": ("c = toydb.connect()\ndel c", 2, ERROR),
    "the wrong one released": ("c = toydb.connect()\nd = a\nd.close()", 2, ERROR),
    "break past the release": (
        "while a:\n    c = toydb.connect()\n    if b:\n        break\n    c.close()",
        3,
        WARNING,
    ),
    "continue past the release": (
        "for x in a:\n    c = toydb.connect()\n    if x:\n        continue\n    c.close()",
        3,
        WARNING,
    ),
    "raise past the release": ("c = toydb.connect()\nif a:\n    raise ValueError\nc.close()", 2, WARNING),
    # values, views, arguments
    "a value is no escape": ("c = toydb.connect()\nreturn c.execute(1)", 2, ERROR),
    "an unknown function borrows": ("c = toydb.connect()\na(c)", 2, ERROR),
    "printing it": ("c = toydb.connect()\nprint(c)", 2, ERROR),
    "a local container": ("c = toydb.connect()\nx = [c]", 2, ERROR),
    "a closure that stays": ("c = toydb.connect()\ndef g():\n    return c.execute(1)\ng()", 2, ERROR),
    "None-ness that does not help": (
        "c = None\nif a:\n    c = toydb.connect()\nif c is None:\n    return\nb()",
        4,
        ERROR,
    ),
}
SILENT = {
    "released": "c = toydb.connect()\nc.close()",
    "try finally": "c = toydb.connect()\ntry:\n    c.execute(1)\nfinally:\n    c.close()",
    "acquisition fails": "try:\n    c = toydb.connect()\nexcept ValueError:\n    return\nc.close()",
    "release fails": "c = toydb.connect()\ntry:\n    c.close()\nexcept ValueError:\n    pass",
    "except and re-raise": (
        "c = toydb.connect()\ntry:\n    a()\nexcept BaseException:\n    c.close()\n    raise\nc.close()"
    ),
    "released in both branches": "c = toydb.connect()\nif a:\n    c.close()\nelse:\n    c.close()",
    "with": "with toydb.connect() as c:\n    c.execute(1)",
    "with on the name": "c = toydb.connect()\nwith c:\n    c.execute(1)",
    "closing": "import contextlib\nwith contextlib.closing(toydb.connect()) as c:\n    c.execute(1)",
    "closing on the name": "from contextlib import closing\nc = toydb.connect()\nwith closing(c):\n    c.execute(1)",
    "an alias is released": "c = toydb.connect()\nd = c\nd.close()",
    "guarded by truth": (
        "c = None\ntry:\n    c = toydb.connect()\n    c.execute(1)\nfinally:\n    if c:\n        c.close()"
    ),
    "guarded by is not None": (
        "c = None\ntry:\n    c = toydb.connect()\n    c.execute(1)\nfinally:\n    if c is not None:\n        c.close()"
    ),
    "guarded by a return": "c = None\nif a:\n    c = toydb.connect()\nif c is None:\n    return\nc.close()",
    "a flag beside it": (
        "mine = False\nif a is None:\n    a = toydb.connect()\n    mine = True\n"
        "try:\n    a.execute(1)\nfinally:\n    if mine:\n        a.close()"
    ),
    "a flag computed before": (
        "mine = a is None\nif mine:\n    a = toydb.connect()\n"
        "try:\n    a.execute(1)\nfinally:\n    if mine:\n        a.close()"
    ),
    "the same test twice": "if a.b:\n    c = toydb.connect()\nif a.b:\n    c.close()",
    "in a conditional expression": "c = toydb.connect() if a else None\nif c:\n    c.close()",
    "released in every turn": "for x in a:\n    c = toydb.connect()\n    c.close()",
    "a bound method called later": "c = toydb.connect()\nd = c.close\nd()",
    # ownership goes elsewhere
    "returned": "c = toydb.connect()\nc.execute(1)\nreturn c",
    "returned at once": "return toydb.connect()",
    "returned in a tuple": "c = toydb.connect()\nreturn c, a",
    "returned in a dict": "return {'c': toydb.connect()}",
    "stored on a parameter": "a.c = toydb.connect()",
    "stored in a parameter": "a['c'] = toydb.connect()",
    "stored in a global": "global c\nc = toydb.connect()",
    "in a container that leaves": "x = []\nx.append(toydb.connect())\nreturn x",
    "captured by a closure that leaves": "c = toydb.connect()\ndef g():\n    return c.execute(1)\nreturn g",
    "its closer leaves": "c = toydb.connect()\na.on_exit = c.close",
    "handed to an unknown class": "c = toydb.connect()\nreturn Thing(c)",
    "handed to a stack": "a.enter_context(toydb.connect())",
    "handed to a stack with closing": "from contextlib import closing\nc = a.enter_context(closing(toydb.connect()))",
    "a callback of a stack": "c = toydb.connect()\na.callback(c.close)",
    "addCleanup": "c = toydb.connect()\na.addCleanup(c.close)",
    "a finalizer": "import weakref\nc = toydb.connect()\nweakref.finalize(a, c.close)",
    "atexit": "import atexit\nc = toydb.connect()\natexit.register(c.close)",
    "a thread": "import threading\nthreading.Thread(target=b, args=(toydb.connect(),))",
    # what does not count
    "another library's": "import other\nc = other.connect()",
    "a local name hides the import": "toydb = a\nc = toydb.connect()",
    "the process ends": "import sys\nc = toydb.connect()\nsys.exit(1)",
    "unreachable": "return\nc = toydb.connect()",
}


@pytest.mark.parametrize(("body", "line", "severity"), REPORTED.values(), ids=REPORTED.keys())
def test_reported(body: str, line: int, severity: str, found: Any) -> None:
    assert checked(found, function(body)) == [(line, severity)]


@pytest.mark.parametrize("body", SILENT.values(), ids=SILENT.keys())
def test_silent(body: str, found: Any) -> None:
    assert checked(found, function(body)) == []


PROJECT = {
    "a helper releases": (
        "def done(c):\n    c.close()\n\ndef f():\n    c = toydb.connect()\n    done(c)",
        [],
    ),
    "a helper releases only on success": (
        "def done(c):\n    c.execute(1)\n    c.close()\n\ndef f():\n    c = toydb.connect()\n    done(c)",
        [(6, WARNING)],
    ),
    "a helper borrows": (
        "def use(c):\n    c.execute(1)\n\ndef f():\n    c = toydb.connect()\n    use(c)",
        [(5, ERROR)],
    ),
    "a helper keeps": (
        "KEPT = []\n\ndef keep(c):\n    KEPT.append(c)\n\ndef f():\n    c = toydb.connect()\n    keep(c)",
        [],
    ),
    "a helper hands it back": (
        "def same(c):\n    return c\n\ndef f():\n    c = toydb.connect()\n    d = same(c)\n    d.close()",
        [(5, WARNING)],
    ),
    "a helper hands it back and it is lost": (
        "def same(c):\n    return c\n\ndef f():\n    c = same(toydb.connect())\n    c.execute(1)",
        [(5, ERROR)],
    ),
    "a factory's caller": (
        "def make():\n    return toydb.connect()\n\ndef f():\n    c = make()\n    c.execute(1)",
        [(5, ERROR)],
    ),
    "a factory's caller releases": (
        "def make():\n    return toydb.connect()\n\ndef f():\n    with make() as c:\n        c.execute(1)",
        [],
    ),
    "what is cached is not fresh": (
        "class A:\n    def get(self):\n        if self.c is None:\n            self.c = toydb.connect()\n"
        "        return self.c\n\ndef f(a: A):\n    a.get().execute(1)",
        [],
    ),
    "a class of the project that releases takes over": (
        "class A:\n    def __init__(self, c):\n        self.c = c\n\n    def close(self):\n        self.c.close()\n\n"
        "def f():\n    a = A(toydb.connect())\n    return a.c",
        [],
    ),
    "a class of the project that only holds": (
        "class A:\n    def __init__(self, c):\n        self.c = c\n\n    def all(self):\n"
        "        return self.c.execute(1)\n\n"
        "def f():\n    a = A(toydb.connect())\n    print(a.all())",
        [(9, ERROR)],
    ),
    "stored on self": (
        "class A:\n    def __init__(self):\n        self.c = toydb.connect()\n\n    def close(self):\n"
        "        self.c.close()",
        [],
    ),
    "a context manager with its scope": (
        "from contextlib import contextmanager\n\n@contextmanager\ndef connected():\n    c = toydb.connect()\n"
        "    try:\n        yield c\n    finally:\n        c.close()\n\ndef f():\n"
        "    with connected() as c:\n        c.execute(1)",
        [],
    ),
    "a context manager without a finally": (
        "from contextlib import contextmanager\n\n@contextmanager\ndef connected():\n    c = toydb.connect()\n"
        "    yield c\n    c.close()",
        [(5, WARNING)],
    ),
    "a generator closed at its yield": (
        "def f():\n    c = toydb.connect()\n    try:\n        yield 1\n    except Exception:\n"
        "        c.close()\n        raise\n    c.close()",
        [(2, NOTE)],
    ),
    "a fixture of pytest": (
        "import pytest\n\n@pytest.fixture\ndef connected():\n    c = toydb.connect()\n    yield c\n    c.close()",
        [],
    ),
    "recursion": (
        "def f(n, c):\n    if n:\n        f(n - 1, c)\n\ndef g():\n    c = toydb.connect()\n    f(3, c)",
        [(6, ERROR)],
    ),
    "mutual recursion that releases": (
        "def f(n, c):\n    if n:\n        g(n - 1, c)\n    else:\n        c.close()\n\n"
        "def g(n, c):\n    f(n, c)\n\ndef h():\n    c = toydb.connect()\n    f(3, c)",
        [],
    ),
}


@pytest.mark.parametrize(("text", "expected"), PROJECT.values(), ids=PROJECT.keys())
def test_across_functions(text: str, expected: list[tuple[int, str]], found: Any) -> None:
    assert checked(found, text) == expected


def test_cancellation_alone_is_a_note(found: Any) -> None:
    text = function(
        "c = toydb.connect()\ntry:\n    await a()\nexcept Exception:\n    c.close()\n    raise\nc.close()",
        "async def f(a):",
    )
    assert checked(found, text) == [(2, NOTE)]


def test_a_release_that_must_be_awaited_and_is_not(found: Any) -> None:
    toy = found.with_row(asynchronous=True)
    lost = "c = await toydb.connect()\nc.close()"
    kept = "c = await toydb.connect()\nawait c.close()"
    assert checked(toy, function(lost, "async def f():")) == [(2, ERROR)]
    assert checked(toy, function(kept, "async def f():")) == []


def test_a_transaction_block_does_not_release(found: Any) -> None:
    text = function("with toydb.connect() as c:\n    c.execute(1)")
    assert checked(found.with_row(with_="transaction"), text) == [(2, ERROR)]
    assert checked(found.with_row(with_="closes"), text) == []
    assert checked(found.with_row(with_="commits"), text) == []


def test_given_back_as_an_argument(found: Any) -> None:
    pool = found.with_row(acquire=["toydb.Pool().take"], release=[], release_with=["give"])
    kept = "p = toydb.Pool()\nc = p.take()\ntry:\n    c.execute(1)\nfinally:\n    p.give(c)"
    lost = "p = toydb.Pool()\nc = p.take()\nc.close()"
    assert checked(pool, function(kept)) == []
    assert checked(pool, function(lost)) == [(3, ERROR)]


def test_steady_methods_do_not_lose_it(found: Any) -> None:
    text = function("c = toydb.connect()\nc.cursor()\nc.close()")
    assert checked(found, text) == [(2, WARNING)]
    assert checked(found.with_row(steady=["cursor"]), text) == []


def test_a_fluent_method_returns_the_resource_itself(found: Any) -> None:
    text = function("c = toydb.connect().options()\nc.close()")
    assert checked(found.with_row(fluent=["options"], steady=["options"]), text) == []


def test_borrowers_and_carriers_do_not_take_over(found: Any) -> None:
    text = function("import frames\nc = toydb.connect()\nreturn frames.Frame(c).size()")
    unused = function("import frames\nc = toydb.connect()\nx = frames.Frame(c)\nx.size()")
    assert checked(found, text) == []
    assert checked(found.with_row(borrowers=["frames.Frame"]), text) == [(3, ERROR)]
    assert checked(found.with_row(carriers=["frames.Frame"]), unused) == [(3, ERROR)]


def test_a_telling_method_counts_on_an_unknown_receiver(found: Any) -> None:
    text = function("c = a.take_connection()\nc.execute(1)")
    assert checked(found.with_row(acquire_any=["take_connection"]), "import toydb\n" + text) == [(3, ERROR)]


def test_one_shared_by_all_is_nobodys_leak_once_somebody_releases_it(found: Any) -> None:
    shared = found.with_row(shared=True, release=[], release_with=["shut_down"])
    text = function("c = toydb.connect()\nc.execute(1)")
    assert checked(shared, text) == [(2, ERROR)]
    assert checked(shared, text + "\n\ndef end(c):\n    c.shut_down()\n") == []


WITNESSES = {
    "an early return": (
        "c = toydb.connect()\nif a:\n    return\nc.close()",
        [(2, "connection acquired here"), (4, "returns"), (4, "the function ends with the connection still open")],
    ),
    "an exception": (
        "c = toydb.connect()\nc.execute(1)\nc.close()",
        [(2, "connection acquired here"), (3, "may raise"), (3, "the exception leaves with the connection still open")],
    ),
    "a handler on the way": (
        "c = toydb.connect()\ntry:\n    a()\n    c.close()\nexcept ValueError:\n    print(1)",
        [
            (2, "connection acquired here"),
            (4, "may raise"),
            (6, "handles the exception"),
            (6, "the function ends with the connection still open"),
        ],
    ),
    "a raise": (
        "c = toydb.connect()\nif a:\n    raise ValueError\nc.close()",
        [(2, "connection acquired here"), (4, "raises"), (4, "the exception leaves with the connection still open")],
    ),
    "a loop": (
        "while a:\n    c = toydb.connect()\n    if b:\n        break\n    c.close()",
        [
            (3, "connection acquired here"),
            (5, "breaks the loop"),
            (5, "the function ends with the connection still open"),
        ],
    ),
    "the next one": (
        "c = None\nfor x in a:\n    c = toydb.connect()\nif c:\n    c.close()",
        [(4, "connection acquired here"), (4, "the next connection takes its place; this one is lost")],
    ),
}


@pytest.mark.parametrize(("body", "steps"), WITNESSES.values(), ids=WITNESSES.keys())
def test_the_witness_tells_the_path(body: str, steps: list[tuple[int, str]], found: Any) -> None:
    (finding,) = found(HEAD + function(body) + "\n").findings
    assert [(step.line - 2, step.what) for step in finding.witness] == steps


def test_the_witness_names_the_factory(found: Any) -> None:
    text = "def make():\n    return toydb.connect()\n\n\ndef f():\n    make()\n"
    (finding,) = found(HEAD + text).findings
    assert finding.witness[0].what == "connection acquired here by make()"


def test_one_finding_for_each_acquisition_with_the_worst_path(found: Any) -> None:
    body = "c = toydb.connect()\nd = toydb.connect()\nc.execute(1)\nif a:\n    return\nc.close()\nd.close()"
    (first, second) = found(HEAD + function(body) + "\n").findings
    assert first.message == "connection is not released when the function ends at line 8"
    assert (first.line, second.line) == (4, 5)


FACTORIES = """
def make():
    return toydb.connect()

def again():
    c = make()
    return c

def f():
    again()
"""


def test_a_factory_of_a_factory_in_one_file(found: Any) -> None:
    assert checked(found, FACTORIES) == [(9, ERROR)]


def test_a_factory_of_a_factory_in_several_files(found: Any) -> None:
    files = {
        "a.py": "import toydb\n\ndef make():\n    return toydb.connect()\n",
        "b.py": "from a import make\n\ndef again():\n    return make()\n",
        "c.py": "from b import again\n\ndef f():\n    again()\n",
    }
    assert [(finding.path, finding.line) for finding in found(files).findings] == [("c.py", 4)]


COLLECTED = {
    "returned": "return [toydb.connect() for _ in a]",
    "stored": "a.all = {n: toydb.connect() for n in b}",
    "returned later": "c = toydb.connect()\nreturn [x for x in [c]]",
}


@pytest.mark.parametrize("body", COLLECTED.values(), ids=COLLECTED)
def test_collected_by_a_comprehension_that_leaves(body: str, found: Any) -> None:
    assert checked(found, function(body)) == []


MANY = "c = [toydb.connect() for _ in a]\ntry:\n    g(c)\nfinally:\n    "
CLOSED = {
    "in a loop": MANY + "for d in c:\n        d.close()",
    "in a comprehension": MANY + "[d.close() for d in c]",
    "from behind": MANY + "while c:\n        c.pop().close()",
    "of a dict": MANY.replace("[toydb.connect() for _ in a]", "{n: toydb.connect() for n in a}")
    + "for d in c.values():\n        d.close()",
    "in a loop after a loop": MANY + "for d in c:\n        d.rollback()\n    for d in c:\n        d.close()",
}


@pytest.mark.parametrize("body", CLOSED.values(), ids=CLOSED)
def test_a_container_is_not_empty_where_something_is_in_it(body: str, found: Any) -> None:
    assert checked(found, function(body)) == []


LEFT = {
    "not closed": "c = [toydb.connect() for _ in a]\nfor d in c:\n    d.execute(1)",
    "another container": MANY + "for d in b:\n        d.close()",
    "something else raises": "c = [toydb.connect() for _ in a]\ng()\nfor d in c:\n    d.close()",
}


@pytest.mark.parametrize("body", LEFT.values(), ids=LEFT)
def test_what_is_in_a_container_is_followed(body: str, found: Any) -> None:
    assert [line for line, _ in checked(found, function(body))] == [2]
