"""What a name means across files: each case acquires through another road, and must be found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

LOST = "def f():\n    c = {call}\n    c.execute(1)\n"


def lost(call: str) -> str:
    return LOST.format(call=call)


IMPORTS = {
    "import": ("import toydb\n", "toydb.connect()"),
    "import as": ("import toydb as t\n", "t.connect()"),
    "from import": ("from toydb import connect\n", "connect()"),
    "from import as": ("from toydb import connect as open_it\n", "open_it()"),
    "assigned": ("import toydb\nconnect = toydb.connect\n", "connect()"),
    "assigned twice": ("import toydb\nfirst = toydb\nsecond = first.connect\n", "second()"),
    "in a try": ("try:\n    import toydb\nexcept ImportError:\n    toydb = None\n", "toydb.connect()"),
    "one of two": (
        "try:\n    from other import connect\nexcept ImportError:\n    from toydb import connect\n",
        "connect()",
    ),
    "under TYPE_CHECKING": ("import typing\nif typing.TYPE_CHECKING:\n    import toydb\n", "toydb.connect()"),
    "star": ("from toydb import *\n", "connect()"),
    "conditional": ("import toydb, other\nconnect = toydb.connect if other else other.connect\n", "connect()"),
    "a tuple": ("import toydb\nconnect, other = toydb.connect, 1\n", "connect()"),
    "walrus": ("import toydb\n", "(again := toydb.connect)()"),
}


@pytest.mark.parametrize(("head", "call"), IMPORTS.values(), ids=IMPORTS.keys())
def test_in_one_file(head: str, call: str, found: Any) -> None:
    assert [finding.function for finding in found(head + lost(call)).findings] == ["f"]


def test_imported_inside_the_function(found: Any) -> None:
    text = "def f():\n    from toydb import connect\n    c = connect()\n    c.execute(1)\n"
    assert [finding.line for finding in found(text).findings] == [3]


def test_a_parameter_hides_a_global(found: Any) -> None:
    assert found("from toydb import connect\n\ndef f(connect):\n    c = connect()\n").findings == ()


def test_a_function_of_the_project_hides_a_star(found: Any) -> None:
    assert found("from toydb import *\n\ndef connect():\n    return 1\n\n" + lost("connect()")).findings == ()


MAKE = "import toydb\n\ndef make():\n    return toydb.connect()\n"
PROJECTS: dict[str, dict[str, str]] = {
    "a re-export": {"a.py": "from toydb import connect\n", "case.py": "from a import connect\n" + lost("connect()")},
    "a re-export under another name": {
        "a.py": "from toydb import connect as reach\n",
        "case.py": "import a\n" + lost("a.reach()"),
    },
    "a star of the project": {"a.py": "from toydb import *\n", "case.py": "from a import *\n" + lost("connect()")},
    "a factory": {"a.py": MAKE, "case.py": "from a import make\n" + lost("make()")},
    "a factory as": {"a.py": MAKE, "case.py": "from a import make as m\n" + lost("m()")},
    "a factory in a package": {
        "app/__init__.py": "",
        "app/db.py": MAKE,
        "case.py": "from app import db\n" + lost("db.make()"),
    },
    "a dotted import": {"app/__init__.py": "", "app/db.py": MAKE, "case.py": "import app.db\n" + lost("app.db.make()")},
    "a package that re-exports": {
        "app/__init__.py": "from app.db import make\n",
        "app/db.py": MAKE,
        "case.py": "from app import make\n" + lost("make()"),
    },
    "a relative import": {
        "app/__init__.py": "",
        "app/db.py": MAKE,
        "app/case.py": "from .db import make\n" + lost("make()"),
    },
    "a relative import of a module": {
        "app/__init__.py": "",
        "app/db.py": MAKE,
        "app/case.py": "from . import db\n" + lost("db.make()"),
    },
    "a relative import from above": {
        "app/__init__.py": "",
        "app/db.py": MAKE,
        "app/web/__init__.py": "",
        "app/web/case.py": "from ..db import make\n" + lost("make()"),
    },
    "a package that re-exports relatively": {
        "app/__init__.py": "from .db import make\n",
        "app/db.py": MAKE,
        "app/web/__init__.py": "",
        "app/web/case.py": "from .. import make\n" + lost("make()"),
    },
    "a src layout": {
        "src/app/__init__.py": "",
        "src/app/db.py": MAKE,
        "tests/case.py": "from app.db import make\n" + lost("make()"),
    },
    "a package without __init__": {"app/db.py": MAKE, "case.py": "from app.db import make\n" + lost("make()")},
    "a service in a folder of its own": {
        "services/web/app/__init__.py": "",
        "services/web/app/db.py": MAKE,
        "services/web/case.py": "from app.db import make\n" + lost("make()"),
    },
    "a static method": {
        "a.py": "import toydb\n\nclass A:\n    @staticmethod\n    def make():\n        return toydb.connect()\n",
        "case.py": "from a import A\n" + lost("A.make()"),
    },
    "a class method": {
        "a.py": "import toydb\n\nclass A:\n    @classmethod\n    def make(cls):\n        return toydb.connect()\n",
        "case.py": "from a import A\n" + lost("A.make()"),
    },
    "a method of an instance": {
        "a.py": "import toydb\n\nclass A:\n    def make(self):\n        return toydb.connect()\n\nbase = A()\n",
        "case.py": "from a import base\n" + lost("base.make()"),
    },
    "an inherited method": {
        "a.py": "import toydb\n\nclass A:\n    def make(self):\n        return toydb.connect()\n",
        "case.py": "from a import A\n\nclass B(A):\n    pass\n\n" + lost("B().make()"),
    },
    "a subclass of the library's class": {
        "case.py": "import toydb\n\nclass Mine(toydb.Connection):\n    pass\n\n" + lost("Mine()"),
    },
    "another Python's file": {
        "a.py": "print 'old'\n\n" + MAKE,
        "case.py": "from a import make\n" + lost("make()"),
    },
    "modules that import each other": {
        "a.py": "import case\nimport toydb\n\ndef make():\n    return toydb.connect()\n",
        "case.py": "from a import make\n" + lost("make()"),
    },
    "stars that import each other": {
        "a.py": "from case import *\nfrom toydb import connect\n",
        "case.py": "from a import *\n" + lost("connect()"),
    },
}


DEFECTS = {
    "a star of the project": "a file that only imports what acquires is not seen to export it",
    "what a function says it returns": "an unknown call in a return hides the function's annotation",
}


def params(cases: Mapping[str, Any]) -> list[Any]:
    """The cases with their names; known defects are expected to fail."""
    marks = {name: [pytest.mark.xfail(reason=reason)] for name, reason in DEFECTS.items()}
    return [pytest.param(case, id=name, marks=marks.get(name, [])) for name, case in cases.items()]


@pytest.mark.parametrize("files", params(PROJECTS))
def test_across_files(files: dict[str, str], found: Any) -> None:
    toy = found.with_row(acquire=["toydb.connect", "toydb.Connection"])
    findings = [finding for finding in toy(files).findings if finding.path.endswith("case.py")]
    assert [finding.function for finding in findings] == ["f"]


POOL = "toydb.Pool().take"
INSTANCES = {
    "made here": ("import toydb\n", "def f():\n    p = toydb.Pool()\n    c = p.take()\n    c.execute(1)\n"),
    "a global": ("import toydb\np = toydb.Pool()\n", "def f():\n    c = p.take()\n    c.execute(1)\n"),
    "an annotation": ("import toydb\n", "def f(p: toydb.Pool):\n    c = p.take()\n    c.execute(1)\n"),
    "Optional": (
        "import toydb\nfrom typing import Optional\n",
        "def f(p: Optional[toydb.Pool]):\n    c = p.take()\n    c.execute(1)\n",
    ),
    "or None": ("import toydb\n", "def f(p: toydb.Pool | None):\n    c = p.take()\n    c.execute(1)\n"),
    "Annotated": (
        "import toydb\nfrom typing import Annotated\n",
        "def f(p: Annotated[toydb.Pool, 1]):\n    c = p.take()\n    c.execute(1)\n",
    ),
    "a string": ("import toydb\n", "def f(p: 'toydb.Pool'):\n    c = p.take()\n    c.execute(1)\n"),
    "a string in Optional": (
        "import toydb\nfrom typing import Optional\n",
        "def f(p: Optional['toydb.Pool']):\n    c = p.take()\n    c.execute(1)\n",
    ),
    "keyword only": ("from toydb import Pool\n", "def f(*, p: Pool):\n    c = p.take()\n    c.execute(1)\n"),
    "an annotated local": ("import toydb\n", "def f(x):\n    p: toydb.Pool = x\n    c = p.take()\n    c.execute(1)\n"),
    "a default": ("import toydb\np = toydb.Pool()\n", "def f(q=p):\n    c = q.take()\n    c.execute(1)\n"),
    "entered": (
        "import toydb\n",
        "def f():\n    with toydb.Pool() as p:\n        c = p.take()\n        c.execute(1)\n",
    ),
    "a class attribute": (
        "import toydb\n",
        "class A:\n    p = toydb.Pool()\n\n    def f(self):\n        c = self.p.take()\n        c.execute(1)\n",
    ),
    "an annotated class attribute": (
        "import toydb\n",
        "class A:\n    p: toydb.Pool\n\n    def f(self):\n        c = self.p.take()\n        c.execute(1)\n",
    ),
    "set in __init__": (
        "import toydb\n",
        "class A:\n    def __init__(self):\n        self.p = toydb.Pool()\n\n"
        "    def f(self):\n        c = self.p.take()\n        c.execute(1)\n",
    ),
    "a parameter kept in __init__": (
        "import toydb\n",
        "class A:\n    def __init__(self, p: toydb.Pool):\n        self.p = p\n\n"
        "    def f(self):\n        c = self.p.take()\n        c.execute(1)\n",
    ),
    "an attribute of an attribute": (
        "import toydb\n\nclass B:\n    def __init__(self):\n        self.p = toydb.Pool()\n\n",
        "class A:\n    def __init__(self):\n        self.b = B()\n\n"
        "    def f(self):\n        c = self.b.p.take()\n        c.execute(1)\n",
    ),
    "a property": (
        "import toydb\n",
        "class A:\n    @property\n    def p(self):\n        return toydb.Pool()\n\n"
        "    def f(self):\n        c = self.p.take()\n        c.execute(1)\n",
    ),
    "what a function returns": (
        "import toydb\n\ndef pool():\n    return toydb.Pool()\n\n",
        "def f():\n    c = pool().take()\n    c.execute(1)\n",
    ),
    "what a function says it returns": (
        "import toydb, other\n\ndef pool() -> toydb.Pool:\n    return other.pool()\n\n",
        "def f():\n    c = pool().take()\n    c.execute(1)\n",
    ),
    "a part of what a function returns": (
        "import toydb\n\ndef both():\n    return 1, toydb.Pool()\n\n",
        "def f():\n    n, p = both()\n    c = p.take()\n    c.execute(n)\n",
    ),
}


@pytest.mark.parametrize("parts", params(INSTANCES))
def test_instances(parts: tuple[str, str], found: Any) -> None:
    toy = found.with_row(acquire=[POOL])
    assert [finding.function.rpartition(".")[2] for finding in toy("\n".join(parts)).findings] == ["f"]


def test_an_annotation_of_another_type_tells_nothing(found: Any) -> None:
    toy = found.with_row(acquire=[POOL])
    text = "import toydb, other\n\ndef f(p: other.Pool):\n    c = p.take()\n    c.execute(1)\n"
    assert toy(text).findings == ()


def test_names_one_class_is_known_by(found: Any) -> None:
    from leakfix.config import Config
    from leakfix.registry import Registry

    row = {"id": "toydb/connection", "noun": "connection", "acquire": [POOL]}
    type_row = {
        "name": "toydb.Pool",
        "names": ["toydb.core.Pool"],
        "made_by": ["toydb.pool"],
        "instances": ["toydb.POOL"],
    }
    found.config = Config(select=("toydb/connection",), resources=(row,), types=(type_row,))
    found.registry = Registry.load(found.config)
    bodies = ("toydb.core.Pool().take()", "toydb.pool().take()", "toydb.POOL.take()")
    text = "import toydb\n\n" + "\n".join(lost(call).replace("def f", f"def f{n}") for n, call in enumerate(bodies))
    assert [finding.function for finding in found(text).findings] == ["f0", "f1", "f2"]


def test_the_nearest_package_of_a_name_counts(found: Any) -> None:
    files = {
        "app/__init__.py": "",
        "app/db.py": "def make():\n    return 1\n",
        "other/app/__init__.py": "",
        "other/app/db.py": MAKE,
        "other/case.py": "from app.db import make\n" + lost("make()"),
        "case.py": "from app.db import make\n" + lost("make()"),
    }
    assert [finding.path for finding in found(files).findings] == ["other/case.py"]


def test_the_project_does_not_hide_a_library_it_is_not(found: Any) -> None:
    """A folder inside a package is not on the import path: ``import toydb`` there is the library."""
    files = {
        "app/__init__.py": "",
        "app/toydb.py": "def connect():\n    return 1\n",
        "app/case.py": "import toydb\n" + lost("toydb.connect()"),
    }
    assert [finding.path for finding in found(files).findings] == ["app/case.py"]


def test_a_project_module_of_the_library_s_name_hides_it(found: Any) -> None:
    files = {"toydb.py": "def connect():\n    return 1\n", "case.py": "import toydb\n" + lost("toydb.connect()")}
    assert found(files).findings == ()


def test_a_single_file_is_seen_with_what_it_imports(found: Any) -> None:
    found({"app/__init__.py": "from app.db import make\n", "app/db.py": MAKE})
    found({"app/case.py": "from app import make\n" + lost("make()")})
    assert [finding.path for finding in found.checked(["app/case.py"]).findings] == ["app/case.py"]
    assert found.checked(["app/db.py", "app/__init__.py"]).findings == ()
