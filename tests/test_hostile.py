"""Files nobody should write: the run ends, says what is wrong, and looks at everything else all the same."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from leakfix.lifetimes.solver import Solution, Solver
from leakfix.lifetimes.summaries import Summaries

LEAK = "import toydb\n\ndef f():\n    c = toydb.connect()\n    c.execute(1)\n"


@pytest.fixture(autouse=True)
def _recursion() -> Iterator[None]:
    """The engine raises the limit for the files of a run; other tests shall not notice."""
    limit = sys.getrecursionlimit()
    yield
    sys.setrecursionlimit(limit)


UNREADABLE = {
    "Python 2": (b"import toydb\nprint 'connect'\n", "this looks like Python 2"),
    "Python 2's except": (b"import toydb\ntry:\n    toydb.connect()\nexcept ValueError, e:\n    pass\n", "Python 2"),
    "newer syntax": (
        b"import toydb\ndef f(:\n    toydb.connect()\n",
        "not valid in Python {}.{}: if the file uses newer syntax, run leakfix with the Python the project runs on",
    ),
    "a wrong cookie": (b"# coding: klingon\nimport toydb\ntoydb.connect()\n", "unknown encoding"),
    "bytes that do not fit": (b"import toydb\ntoydb.connect('\xff')\n", "utf-8"),
    "bytes that do not fit the cookie": (b"# coding: ascii\nimport toydb\ntoydb.connect('\xe9')\n", "ascii"),
    "NUL bytes": (b"import toydb\ntoydb.connect()\n\0\n", "null bytes"),
    "not Python at all": (b"\x7fELF\nimport toydb connect \x01\x02\x03", "line 1"),
    "a merge conflict": (b"import toydb\n<<<<<<< HEAD\ntoydb.connect()\n=======\n>>>>>>> other\n", "line 2"),
}


@pytest.mark.parametrize(("data", "message"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_what_cannot_be_read_is_told_and_the_rest_is_analysed(data: bytes, message: str, found: Any) -> None:
    report = found({"bad.py": data, "good.py": LEAK})
    assert [error.path for error in report.errors] == ["bad.py"]
    assert message.format(*sys.version_info[:2]) in report.errors[0].message
    assert "\n" not in report.errors[0].message
    assert [finding.path for finding in report.findings] == ["good.py"]


def test_a_latin_1_file_is_read_and_repaired_in_its_encoding(found: Any) -> None:
    text = "# coding: latin-1\n" + LEAK.replace("execute(1)", "execute('é')")
    report = found({"case.py": text.encode("latin-1")})
    assert [finding.line for finding in report.findings] == [5]
    (repaired,) = found.repairs(report)
    assert "        c.execute('é')\n".encode("latin-1") in repaired.after.raw


def test_an_empty_file_and_one_without_a_line_end(found: Any) -> None:
    report = found({"empty.py": b"", "case.py": LEAK.rstrip("\n")})
    assert not report.errors
    assert [finding.path for finding in report.findings] == ["case.py"]


def nested_calls(depth: int) -> str:
    return "import toydb\n\ndef g():\n    return " + "a(" * depth + "toydb.connect()" + ")" * depth + "\n"


def nested_operators(depth: int) -> str:
    return "import toydb\n\ndef g():\n    toydb.connect()\n    return " + " + ".join(["1"] * depth) + "\n"


def nested_attributes(depth: int) -> str:
    return "import toydb\n\ndef g(a):\n    toydb.connect()\n    return a" + ".b()" * depth + "\n"


def nested_branches(depth: int) -> str:
    """``elif`` after ``elif``: nested in the tree, flat in the file."""
    arms = "".join(f"    elif a == {n}:\n        c.execute({n})\n" for n in range(depth))
    return f"import toydb\n\ndef g(a):\n    c = toydb.connect()\n    if a is None:\n        pass\n{arms}    c.close()\n"


NESTED = {
    "calls, 150": nested_calls(150),
    "calls, 1,000": nested_calls(1000),
    "operators, 1,000": nested_operators(1000),
    "operators, 20,000": nested_operators(20_000),
    "method chain, 1,000": nested_attributes(1000),
    "elif, 1,000": nested_branches(1000),
    "brackets, 1,000": "import toydb\nx = " + "[" * 1000 + "toydb.connect()" + "]" * 1000 + "\n",
    "lambdas, 1,000": "import toydb\nx = " + "lambda: " * 1000 + "toydb.connect()\n",
    "not, 1,000": "import toydb\nx = " + "not " * 1000 + "toydb.connect()\n",
    "if, 99": "import toydb\n\ndef g(a):\n"
    + "".join("    " * n + "if a:\n" for n in range(1, 96))
    + "    " * 96
    + "toydb.connect()\n",
    "if, 1,000": "import toydb\n"
    + "".join(" " * n + "if a:\n" for n in range(1000))
    + " " * 1000
    + "toydb.connect()\n",
    "functions, 90": "import toydb\n"
    + "".join(" " * n + "def f():\n" for n in range(90))
    + " " * 90
    + "toydb.connect()\n",
}


@pytest.mark.parametrize("text", NESTED.values(), ids=NESTED.keys())
def test_deep_nesting_ends_and_the_rest_is_analysed(text: str, found: Any) -> None:
    report = found({"deep.py": text, "good.py": LEAK})
    assert "good.py" in [finding.path for finding in report.findings]
    for error in report.errors:
        assert error.path == "deep.py"
        assert "deep" in error.message or "many" in error.message


def test_a_generated_file_of_five_megabytes(found: Any) -> None:
    row = f"    ('name', 12345, {'value' * 40!r}, None, 3.25),\n"
    text = "import toydb\n\nROWS = [\n" + row * (5_000_000 // len(row)) + "]\n\n" + LEAK
    report = found(text)
    assert not report.errors
    assert [finding.function for finding in report.findings] == ["f"]


MOST_STEPS = 1_000_000


@pytest.fixture
def states(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many states each exploration went through; far too many, or too many questions, end the test."""
    counts: list[int] = []
    total = [0]
    step, explore, fresh = Solver._step, Solver._explore, Summaries.fresh

    def spend() -> None:
        total[0] += 1
        assert total[0] < MOST_STEPS, "this would take too long"

    def counted(self: Solver, number: int, state: Any) -> Any:
        spend()
        counts[-1] += 1
        return step(self, number, state)

    def explored(self: Solver, start: Any) -> Solution:
        counts.append(0)
        return explore(self, start)

    def asked(self: Summaries, name: str) -> Any:
        spend()
        return fresh(self, name)

    monkeypatch.setattr(Solver, "_step", counted)
    monkeypatch.setattr(Solver, "_explore", explored)
    monkeypatch.setattr(Summaries, "fresh", asked)
    return counts


def test_a_function_of_three_thousand_statements(found: Any, states: list[int]) -> None:
    lines = ["    c = toydb.connect()", *("    c.execute(a)" for _ in range(3000)), "    c.close()"]
    report = found("import toydb\n\ndef f(a):\n" + "\n".join(lines) + "\n")
    assert not report.errors
    assert [finding.line for finding in report.findings] == [4]
    assert max(states) < 20_000


def test_a_function_too_large_to_analyse_is_told(found: Any) -> None:
    lines = ["    c = toydb.connect()", *("    c.execute(a)" for _ in range(25_000))]
    report = found("import toydb\n\ndef f(a):\n" + "\n".join(lines) + "\n")
    assert report.findings or report.errors


def test_three_hundred_acquisitions_in_one_function(found: Any, states: list[int]) -> None:
    lines = []
    for number in range(300):
        lines += [f"    c{number} = toydb.connect()", f"    c{number}.execute({number})"]
    report = found("import toydb\n\ndef f():\n" + "\n".join(lines) + "\n")
    assert not report.errors
    assert len(report.findings) == 300
    assert max(states) < 20_000


def test_many_branches_do_not_multiply(found: Any, states: list[int]) -> None:
    """Each of 60 flags could be true or false: 2 ** 60 paths, but not as many states."""
    flags = "".join(f"    f{n} = a[{n}] is None\n" for n in range(60))
    tests = "".join(f"    if f{n}:\n        c.execute({n})\n" for n in range(60)) * 2
    report = found(f"import toydb\n\ndef f(a):\n{flags}    c = toydb.connect()\n{tests}    c.close()\n")
    assert not report.errors
    assert [finding.function for finding in report.findings] == ["f"]
    assert sum(states) < 400_000


def test_nested_finally_does_not_multiply(found: Any, states: list[int]) -> None:
    """Every ``finally`` is passed in several ways; twelve in each other would be copied without end."""
    opened = "".join("    " * (n + 1) + "try:\n" for n in range(12))
    closed = "".join("    " * (n + 1) + f"finally:\n{'    ' * (n + 2)}a({n})\n" for n in reversed(range(12)))
    text = f"import toydb\n\ndef f(a):\n    c = toydb.connect()\n{opened}{'    ' * 13}a()\n{closed}    c.close()\n"
    report = found({"case.py": text, "good.py": LEAK})
    assert "good.py" in [finding.path for finding in report.findings]
    assert sum(states) < 400_000


def test_an_import_cycle_of_fifty_modules(found: Any) -> None:
    files = {
        f"m{n}.py": f"import toydb\nfrom m{(n + 1) % 50} import *\nfrom m{(n + 1) % 50} import make as further\n\n"
        f"def use{n}():\n    c = further()\n    c.execute(toydb)\n"
        for n in range(50)
    }
    files["m25.py"] += "\ndef make():\n    return toydb.connect()\n"
    report = found(files)
    assert not report.errors
    assert "m24.py" in [finding.path for finding in report.findings]


def test_names_that_mean_each_other(found: Any) -> None:
    report = found(
        {"a.py": "from b import x\nimport toydb\ny = x\n", "b.py": "from a import y\nx = y\n", "good.py": LEAK}
    )
    assert [finding.path for finding in report.findings] == ["good.py"]


def test_classes_that_inherit_from_each_other(found: Any) -> None:
    text = "import toydb\n\nclass A(B):\n    pass\n\nclass B(A):\n    pass\n\nclass C(C):\n    pass\n\n"
    report = found(text + "def g():\n    A().make()\n    C().make(toydb.connect())\n\n" + LEAK)
    assert not report.errors
    assert "f" in [finding.function for finding in report.findings]


def test_a_call_chain_of_three_hundred_functions(found: Any, states: list[int]) -> None:
    chain = "".join(f"def f{n}(c):\n    f{n + 1}(c)\n\n\n" for n in range(300))
    text = f"import toydb\n\n\n{chain}def f300(c):\n    c.close()\n\n\ndef f():\n    c = toydb.connect()\n    f0(c)\n"
    report = found({"case.py": text, "good.py": LEAK})
    assert not report.errors
    assert "good.py" in [finding.path for finding in report.findings]
    assert sum(states) < 100_000


def test_a_chain_of_three_hundred_factories(found: Any, states: list[int]) -> None:
    chain = "".join(f"def f{n}():\n    return f{n + 1}()\n\n\n" for n in range(300))
    text = f"import toydb\n\n\n{chain}def f300():\n    return toydb.connect()\n\n\ndef f():\n    f0()\n"
    report = found({"case.py": text, "good.py": LEAK})
    assert not report.errors
    assert "good.py" in [finding.path for finding in report.findings]


def test_functions_that_all_call_each_other(found: Any, states: list[int]) -> None:
    """Twenty functions, each handing its argument to all the others: the summaries do not multiply."""
    calls = "".join(f"    f{n}(c)\n" for n in range(20))
    text = "import toydb\n\n" + "".join(f"def f{n}(c):\n{calls}\n" for n in range(20))
    report = found(text + "def f():\n    c = toydb.connect()\n    f0(c)\n")
    assert not report.errors
    assert [finding.function for finding in report.findings] == ["f"]
    assert sum(states) < 400_000
