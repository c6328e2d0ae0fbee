"""A ``scoped_session`` of a Flask application that nothing removes at the end of a request.

What leaks
----------
``scoped_session(...)`` keeps one session for each thread. Handlers use it through the registry, and nothing in the
project calls ``remove()``.

Why it hurts
------------
The session of a worker's thread stays open between requests: with its connection, its transaction ("idle in
transaction") and every object it has loaded; and what one request left undone is committed by another.

How it is repaired
------------------
A function for ``teardown_appcontext`` that calls ``remove()``, as SQLAlchemy's documentation recommends for web
applications; for a registry in an attribute of an object, a method of its class, or the one that is called there
already. Offered for review: what no request commits is rolled back from then on.

Where the project's one application is made in another file that names the registry, it is reported there, where the
teardown belongs. For any other that is made elsewhere, Flask's signal ``appcontext_tearing_down`` calls it, or the
function of the file that is given the application registers it.

When it is left alone
---------------------
``remove()`` or ``close()`` is called on it anywhere in the project; programs without Flask. Without a repair: those
before Flask 2.3, where signals need another package, that make the application in another file.
"""

import ast
import re
from collections.abc import Iterator
from functools import partial

from leakfix.codemod import Category, Fix, Match, PatternCodemod, Refusal, Safety, View
from leakfix.languages.python.modules import FunctionInfo, Import
from leakfix.patterns.caches import is_made_at_import
from leakfix.patterns.domain import words_of
from leakfix.project.kinds import is_test
from leakfix_codemods._blocks import body_of, is_laid_out, put_in_try
from leakfix_codemods.flask._context import applications, with_teardown, with_teardown_method
from leakfix_codemods.flask._teardowns import teardowns

REGISTRIES = ("sqlalchemy.orm.scoped_session()", "sqlalchemy.orm.scoping.scoped_session()")
_MAKERS = ("scoped_session",)
_CHECK = (
    "that every request commits what is to be kept, that nothing it loaded is used when it is over, and that no "
    "handler enters an application context of its own, whose end would remove the session, too"
)
_MAKES = re.compile(rb"=[ \t]*(?:flask\.)?Flask\(")


def find(view: View) -> Iterator[Match]:
    """Module-level registries that nothing removes; those of other files where this one makes the application."""
    for made, name in _registries(view):
        if _serves_flask(view, name) and not _is_removed(view, name) and not _is_reported_elsewhere(view, name):
            yield _match(view, made, name, name)
    for made, function, name in _kept_by_objects(view):
        if _serves_flask(view, name) and not _is_removed(view, name):
            message = f"self.{name} keeps the session of each thread open after the request"
            fix = partial(repair_in_class, view, function, name)
            yield Match(made, message, fix, held="forever", identity=f"{function.qualname} {name}")
    here = applications(view)
    if len(here) == 1 and not is_test(view.module.path) and not _others_make_one(view):
        for module in view.others("scoped_session"):
            owner = view.elsewhere(module)
            for _, name in _registries(owner):
                spelled = _spelled(view, here[0][0], name, owner)
                if spelled and not _is_removed(owner, name) and not _is_removed(view, name):
                    yield _match(view, here[0][0].value, name, spelled)


def _match(view: View, at: ast.expr, name: str, spelled: str) -> Match:
    message = f"{name} keeps the session of each thread open after the request"
    return Match(at, message, partial(repair, view, at, spelled), held="forever", identity=name)


def _registries(view: View) -> Iterator[tuple[ast.Call, str]]:
    for statement in view.tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call() as made) if view.is_a(
                made, None, *REGISTRIES
            ):
                yield made, name


def _kept_by_objects(view: View) -> Iterator[tuple[ast.Call, FunctionInfo, str]]:
    """The registries in attributes of the objects that a file keeps for good, which other files may import."""
    for info in view.module.classes.values():
        start = info.methods.get("__init__")
        for node in view.own(start) if start is not None and view.may_name(start, _MAKERS) else ():
            match node:
                case ast.Assign(
                    targets=[ast.Attribute(value=ast.Name(id="self"), attr=name)], value=ast.Call() as made
                ):
                    if start is not None and view.is_a(made, start, *REGISTRIES):
                        if is_made_at_import(view, info.node.name) or _is_kept_elsewhere(view, info.node.name):
                            yield made, start, name


def _is_kept_elsewhere(view: View, name: str) -> bool:
    kept = re.compile(rb"(?m)^\w+[ \t]*(?::[^=\n]+)?=[ \t]*(?:\w+\.)*" + name.encode() + rb"\(")
    return any(map(kept.search, view.texts(name)))


def _others_make_one(view: View) -> bool:
    return any(not is_test(module.path) for module in view.others("Flask", lambda text: bool(_MAKES.search(text))))


def _is_reported_elsewhere(view: View, name: str) -> bool:
    """Whether the project's one application is made in another file, which names the registry."""
    if applications(view):
        return False
    modules = view.others("Flask", lambda text: bool(_MAKES.search(text)))
    makers = [view.elsewhere(module) for module in modules if not is_test(module.path)]
    made = applications(makers[0]) if len(makers) == 1 else []
    return len(made) == 1 and bool(_spelled(makers[0], made[0][0], name, view))


def _spelled(view: View, at: ast.Assign, name: str, owner: View) -> str:
    """How a file that imports a registry, or its module, names it where the application is made; "" if it cannot."""
    function = view.function_of(at)
    if view.is_a(ast.Name(name, ast.Load()), function, *REGISTRIES):
        return name
    stem = owner.module.path.removesuffix("/__init__.py").removesuffix(".py").rpartition("/")[2]
    for module, bindings in view.module.names.items():
        if any(isinstance(item, Import) and stem in (item.attribute, *item.module.split(".")) for item in bindings):
            if view.is_a(ast.Attribute(ast.Name(module, ast.Load()), name, ast.Load()), function, *REGISTRIES):
                return f"{module}.{name}"
    return ""


def _texts(view: View, name: str) -> Iterator[bytes]:
    yield view.module.source.data
    yield from view.texts(name)


def _serves_flask(view: View, name: str) -> bool:
    return any(re.search(rb"\b(?:from|import) flask\b", text) for text in _texts(view, name))


def _is_removed(view: View, name: str) -> bool:
    released = re.compile(rb"\b" + name.encode() + rb"(?:\(\))?\.(?:remove|close)\b")
    return any(released.search(text) for text in _texts(view, name))


def repair(view: View, at: ast.expr, spelled: str) -> Fix | Refusal:
    """Remove it when the application context ends."""
    word = "_".join(["remove", *words_of(spelled.rpartition(".")[2])])
    layout = with_teardown(view, view.statement_of(at), word, [f"{spelled}.remove()"])
    if isinstance(layout, Refusal):
        return layout
    check = _CHECK
    return Fix("remove it when the application context ends", Safety.REVIEW, tuple(layout.edits), check)


def repair_in_class(view: View, start: FunctionInfo, name: str) -> Fix | Refusal:
    """Remove it in the teardown that the class has, or in a new one."""
    removing = f"self.{name}.remove()"
    known = [function for function in teardowns(view) if function.owner is start.owner]
    if known:
        layout, body = view.layout(), body_of(known[0].node)
        if not is_laid_out(layout, body):
            return Refusal(f"the statements of {known[0].node.name}() share a line")
        put_in_try(layout, body, "", ("finally:", removing))
    else:
        made = with_teardown_method(view, start, f"remove_{name}", [removing])
        if isinstance(made, Refusal):
            return made
        layout = made
    check = _CHECK
    return Fix("remove it when the application context ends", Safety.REVIEW, tuple(layout.edits), check)


CODEMOD = PatternCodemod(
    find=find,
    words=("scoped_session", "Flask("),
    noun="scoped session",
    repairs="remove() in teardown_appcontext",
    category=Category.LEAK,
)
