"""Which long-lived containers grow with every request."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from leakfix.finding import Step
from leakfix.languages.python.modules import FunctionInfo, own_nodes
from leakfix.patterns.caches import is_made_at_import, is_made_in_passing, parameters
from leakfix.patterns.called import is_called, is_called_at_import, is_called_with_constants, serves_what_ends
from leakfix.patterns.containers import (
    Container,
    Fill,
    bound_to,
    containers,
    fills,
    forgetting,
    is_emptied_elsewhere,
    is_emptied_here,
    made_of,
    open_key,
    recomputes,
)
from leakfix.patterns.domain import (
    is_enum,
    is_table,
    is_written_down,
    says_cache,
    says_closed,
    says_long_lived,
    says_one_each,
    strength,
    words_of,
)
from leakfix.patterns.memo import Remembered, keeps_answers, remembered
from leakfix.patterns.requested import is_handler, requested
from leakfix.patterns.stores import CACHE_CLASS, is_kept_elsewhere, is_store, key_from_outside
from leakfix.patterns.unique import CONNECTED
from leakfix.patterns.view import View
from leakfix.project.kinds import is_copy, is_run_once

_REPEATS = re.compile(r"[*+]|,\}")
_LIBRARY_CACHE = re.compile(r"\.Cache$")
_SAID = re.compile(rb"#[^\n]*\b(?:bounded|limited|at most|never more)\b", re.IGNORECASE)
_CONNECTED = re.compile(rf"(?:{CONNECTED})\(")
_REGISTERS = re.compile(
    r"regist|subscrib|install|load|init|setup|configure|__set_name__|__new__|^add_|^on_|connect|discover"
)
_SETS = re.compile(r"_*set_(?!default)")
"""How a function is called that changes what is chosen for somebody: one value for each there is, not a memo."""
_ENOUGH = 2
_STORES = frozenset("setting preference pref option config configuration watchlist default".split())
"""What a container holds that is the only copy there is, not one that was computed."""
_REMEMBERS = frozenset("warned logged known missing reported announced forbidden".split())
"""What was done or met once, remembered so that it is not done again."""
_OF_SERVERS = frozenset("jwk jwks keyset oidc issuer discovery wellknown".split())
"""Things asked of a server that somebody configured."""
_EMPTY = (b"={}", b"= {}", b"= set()", b"ict(", b"default_factory=dict")
_EXPIRY = re.compile(rb"time\(\)|\bnow\(|expir|\bttl\b|monotonic")
_NEAR = 500  # characters; a cache is filled right after it was asked
_SET = re.compile(rb"[ \t]*(self\.|cls\.)?(\w+)[ \t]*(?::.*?)?(?:=[ \t]*[\w.]*\(?)?\Z")
_DEFAULT = re.compile(rb"(?:\A[ \t]*|[(,][ \t]*)(\Z)?(\w+)[ \t]*(?::[^=]*)?\Z")
_NEXT = re.compile(rb"\s*[,)]")
_IN_BODY = re.compile(rb"(?: {4}|\t)\S")


def may_grow(data: bytes, path: str) -> bool:
    """Whether a file's text has a container that begins empty, is called a cache or asked before it is filled, and of
    which nothing that empties it is in sight.

    Asked of every file there is, so it looks for plain text before it looks for anything else.
    """
    seen: set[bytes] = set()
    for form in _EMPTY:
        at = data.find(form)
        while at >= 0:
            line = data[data.rfind(b"\n", 0, at) + 1 : at]
            is_default = form.endswith(b"{}") and _NEXT.match(data, at + len(form)) is not None
            begun = (_DEFAULT.search if is_default else _SET.match)(line)
            if begun is not None and begun[2] not in seen and begun[2] in data[at:]:
                if _is_suspect(data, at, begun, is_default) or _is_of_decorator(data, at, line, begun[2]):
                    return True
                seen.add(begun[2])
            at = data.find(form, at + 1)
    return False


def _is_suspect(data: bytes, at: int, begun: re.Match[bytes], is_default: bool) -> bool:
    """Whether a container that begins in a line may be filled for ever; a local variable of a function may not."""
    name, top = begun[2], not begun[0][:1].isspace()
    own = begun[1] is not None or (b"." + name in data and _is_in_class(data, at))
    if b"cache" in name.lower() or b"memo" in name.lower():
        return (top or own or is_default) and _is_left_full(data, name)
    of_object = begun[1] is not None
    if of_object and CACHE_CLASS.search(data) and name + b"[" in data:
        return _is_left_full(data, name)
    return (top or own or is_default) and _is_asked_and_filled(data, name) and _is_left_full(data, name)


def _is_of_decorator(data: bytes, at: int, line: bytes, name: bytes) -> bool:
    """Whether a variable of a function is asked and filled by a function in it."""
    indent = line[: len(line) - len(line.lstrip())]
    near = data[at : at + _NEAR]
    if not indent or (b"\n" + indent + b"def " not in near and b"\n" + indent + b"async def " not in near):
        return False
    return name + b"[" in near and _is_asked_and_filled(data[at:], name) and _is_left_full(data[at:], name)


def _is_in_class(data: bytes, at: int) -> bool:
    """Whether a line stands in the body of a class, not of a function."""
    if _IN_BODY.match(data, data.rfind(b"\n", 0, at) + 1) is None:
        return False
    in_class = (
        data.rfind(b"\nclass ", 0, at) if not data.startswith(b"class ") else max(0, data.rfind(b"\nclass ", 0, at))
    )
    return in_class > max(data.rfind(b"\ndef ", 0, at), data.rfind(b"\nasync def ", 0, at))


def _is_left_full(data: bytes, name: bytes) -> bool:
    """Whether a name is used again, and nowhere in a way that is sure to empty or to measure it."""
    if data.count(name) < 2:
        return False
    if any(form in data for form in (name + b".clear(", name + b".popitem(", b"len(" + name + b")")):
        return False
    if name + b".pop(" in data or b"del " + name in data or b"del self." + name in data:
        return _EXPIRY.search(data) is not None
    written = list(_keys_written(data, name + b"["))
    return not written or not all(_is_closed_key(key) for key in written)


def _keys_written(data: bytes, opening: bytes) -> Iterator[bytes]:
    at = data.find(opening)
    while at >= 0:
        end = data.find(b"]", at)
        if data[end + 1 : end + 4].startswith((b" = ", b"=")) and data[end + 1 : end + 4] != b" ==":
            yield data[at + len(opening) : end]
        at = data.find(opening, at + 1)


@lru_cache(maxsize=4096)
def _is_closed_key(key: bytes) -> bool:
    """Whether a key is a constant, or a name that tells of a closed domain."""
    text = key.decode("utf-8", "replace")
    if text[:1] in "\"'0123456789":
        return text.count(text[0]) == 2 or text.isdigit()
    return text.isidentifier() and (text.isupper() or says_closed(text))


def _is_asked_and_filled(data: bytes, name: bytes) -> bool:
    """Whether an entry is looked for and made where it is missing, within a few lines."""
    if name + b".setdefault(" in data:
        return True
    asking = (b" in " + name, b" in self." + name, b" in cls." + name, name + b".get(", name + b"[")
    for form in asking if name + b"[" in data or name + b".add(" in data else ():
        at = data.find(form)
        while at >= 0:
            near = data[at + len(form) : at + _NEAR]
            if form is not asking[-1] or b"except KeyError" in near:
                lines = (line for line in near.split(b"\n") if name + b"[" in line)
                if any(b"] = " in line for line in lines) or name + b".add(" in near:
                    return True
            at = data.find(form, at + 1)
    return False


@dataclass(frozen=True)
class Growing:
    """A container, what fills it, and the open key it grows with."""

    container: Container
    fills: tuple[Fill, ...]
    key: str
    computed: bool
    remembered: tuple[Remembered, ...] = ()
    """The functions whose answers it keeps, where it is a decorator's."""

    @property
    def steps(self) -> tuple[Step, ...]:
        """The lines that add entries."""
        return tuple(Step(fill.statement.lineno, "adds an entry, and nothing ever removes one") for fill in self.fills)


def growing(view: View) -> Iterator[Growing]:
    """The containers of a file that are sure to grow."""
    path = view.module.path
    for container in () if is_copy(path) or is_run_once(path) else containers(view):
        if _is_said_to_be_small(view, container) or _holds_one_each(container) or _serves_a_library(view, container):
            continue
        found = None if is_emptied_here(view, container) else _grown(view, container)
        if found is None or (container.kind == "instance" and not is_long_lived(view, container)):
            continue
        if found.remembered:
            yield found
            continue
        if not is_emptied_elsewhere(view, container) and any(_meets_many(view, fill) for fill in found.fills):
            if not serves_what_ends(view):
                yield found


def _meets_many(view: View, fill: Fill) -> bool:
    """Whether a function that fills a container is called while the program serves, with more values than it has."""
    function = fill.function
    if not is_called(view, function) or is_called_at_import(view, function):
        return False
    is_given = not {argument.arg for argument in parameters(function)}.isdisjoint(_asked(fill, fill.key))
    return not (is_given and is_called_with_constants(view, function))


def _holds_one_each(container: Container) -> bool:
    """Whether a container is called by what is there once for each server or tenant."""
    return says_one_each(container.name) or not _OF_SERVERS.isdisjoint(words_of(container.name))


def _serves_a_library(view: View, container: Container) -> bool:
    """Whether a container is the store of a cache that a library asks for, and so knows the keys of."""
    bases = container.owner.node.bases if container.owner is not None else []
    names = {name for base in bases for name in view.of(base, None)}
    return any(not name.startswith("@") and _LIBRARY_CACHE.search(name) for name in names)


def _is_said_to_be_small(view: View, container: Container) -> bool:
    """Whether a comment beside the container or right above it says that there are few entries."""
    source, at = view.module.source, container.node.lineno
    lines = [source.line_text(at)]
    while at > 1 and source.line_text(at - 1).lstrip().startswith("#"):
        at -= 1
        lines.append(source.line_text(at))
    return any(_SAID.search(line.encode()) for line in lines)


def _grown(view: View, container: Container) -> Growing | None:
    if container.kind == "decorator":
        return _grown_by_memo(view, container)
    if container.kind == "default" and len(container.references) < 2:
        return None
    sure = list[Fill]()
    key, computed = "", True
    for fill in fills(view, container):
        if made_of(fill, _CONNECTED) or _is_class(fill):
            return None  # one for each tenant or server, or of its kind, on purpose
        if _is_for_known(view, fill):
            continue
        if _REGISTERS.search(fill.function.node.name) or _is_decorator(fill.function):
            return None
        named = says_cache(container.name)
        if _is_compiled(fill) or (not named and _SETS.match(fill.function.node.name)):
            return None
        computes = recomputes(view, container, fill) and not isinstance(fill.statement, ast.AugAssign)
        memo = computes and container.is_mapping and _is_computed(fill)
        said = key_from_outside(view, container, fill) if is_store(container) else ""
        named = named or bool(said)
        said = said or open_key(view, fill, memo)
        if said == "name" and container.kind == "instance":
            said = ""
        serves = is_handler(view, fill.function) or container.kind == "instance"
        sure_enough = bool(said) and _evidence(container, fill, said, named) >= _ENOUGH
        if not sure_enough and (memo or is_store(container)) and fill.key is not None:
            said = requested(view, fill.function, fill.key)
            sure_enough = bool(said)
            named = named or (sure_enough and is_store(container))
        if sure_enough and (named or memo or (computes and serves)):
            sure.append(fill)
            key = key or said
            computed = computed and (computes or (is_store(container) and bool(forgetting(view, container))))
    return Growing(container, tuple(sure), key, computed) if sure else None


def _grown_by_memo(view: View, container: Container) -> Growing | None:
    if not container.is_mapping:
        return None
    keeping = [fill for fill in fills(view, container) if keeps_answers(fill) and recomputes(view, container, fill)]
    found = tuple(remembered(view, container)) if keeping else ()
    key = next((item.key for item in found if item.key), "")
    return Growing(container, tuple(keeping), key, True, found) if key else None


def _is_for_known(view: View, fill: Fill) -> bool:
    """Whether an entry is only added where its key stands in a table that the program's text holds."""
    at: ast.AST = fill.statement
    while at is not fill.function.node:
        at, child = view.parents[at], at
        if isinstance(at, ast.If) and child in at.body and fill.key is not None:
            tests = at.test.values if isinstance(at.test, ast.BoolOp) and isinstance(at.test.op, ast.And) else [at.test]
            if any(_knows(view, fill, ast.unparse(fill.key), test) for test in tests):
                return True
    return fill.key is not None and (_is_checked(view, fill, ast.unparse(fill.key)) or _is_member(view, fill))


def _is_checked(view: View, fill: Fill, key: str) -> bool:
    """Whether the function is left before an entry is added where its key is none of those the text holds."""
    for node in own_nodes(fill.function.node):
        if isinstance(node, ast.If) and isinstance(node.body[-1], ast.Return | ast.Raise | ast.Continue):
            tests = node.test.values if isinstance(node.test, ast.BoolOp) else [node.test]
            if node.lineno < fill.statement.lineno and any(_rules_out(view, fill, key, test) for test in tests):
                return True
    return False


def _rules_out(view: View, fill: Fill, key: str, test: ast.expr) -> bool:
    match test:
        case ast.Compare(left=given, ops=[ast.NotIn()], comparators=[table]) if ast.unparse(given) == key:
            return is_table(table) or is_written_down(view, fill.function, table)
        case ast.UnaryOp(op=ast.Not(), operand=ast.Compare(left=low, ops=[_, _], comparators=[given, high])):
            return ast.unparse(given) == key and all(isinstance(end, ast.Constant) for end in (low, high))
        case ast.UnaryOp(op=ast.Not(), operand=ast.Call(args=[*_, given]) as asking) if ast.unparse(given) == key:
            found = [view.names.function(name) for name in view.of(asking.func, fill.function)]
            asked = [asking, *(node for each in found if each is not None for node in own_nodes(each[1].node))]
            return any(map(_matches_few, asked))
    return False


def _matches_few(node: ast.AST) -> bool:
    """Whether a call matches all of a text with a pattern that repeats nothing as often as it likes."""
    match node:
        case ast.Call(func=ast.Attribute(attr="fullmatch"), args=[ast.Constant(value=str() as pattern), *_]):
            return _REPEATS.search(pattern) is None
    return False


def _is_member(view: View, fill: Fill) -> bool:
    """Whether a key is a member of an enumeration, made of what it was given."""
    values = bound_to(fill, {fill.key.id}) if isinstance(fill.key, ast.Name) else [fill.key]
    made = [name for value in values if isinstance(value, ast.Call) for name in view.of(value.func, fill.function)]
    return any(is_enum(view, name) for name in made)


def _knows(view: View, fill: Fill, key: str, test: ast.expr) -> bool:
    asked = list(bound_to(fill, {test.id})) if isinstance(test, ast.Name) else [test]
    for value in asked:
        match value:
            case ast.Call(func=ast.Attribute(value=table, attr="get"), args=[given, *_]) if ast.unparse(given) == key:
                return len(asked) == 1 and is_written_down(view, fill.function, table)
            case ast.Compare(left=given, ops=[ast.In()], comparators=[table]) if ast.unparse(given) == key:
                return len(asked) == 1 and is_written_down(view, fill.function, table)
    return False


def _evidence(container: Container, fill: Fill, said: str, named: bool) -> int:
    """How much speaks for a container that grows with use: its key, what it is called, what it holds.

    named: it, or its class, is called a cache.
    """
    words = {word.removesuffix("s") for word in words_of(container.name)}
    found = strength(said) if said else 0
    if found == 1 and words_of(said)[-1:] == ["path"]:
        return 0  # of a file that comes with the program, more often than of a request
    made = _is_made_from_key(fill)
    if found == 1 and not made:
        return 0  # a number or a day may be one of few, unless an answer is kept for each
    if found and named:
        found += 1
    if found and made:
        found += 1
    elif not words.isdisjoint(_STORES) or not words.isdisjoint(_REMEMBERS):
        found -= 2
    return found


def _is_made_from_key(fill: Fill) -> bool:
    """Whether what is kept is the answer of a call that is given the key: what a memo keeps."""
    if fill.key is None or fill.value is None:
        return False
    asked = _asked(fill, fill.key)
    values = [fill.value, *bound_to(fill, _names_in(fill.value))]
    calls = [node for value in values for node in ast.walk(value) if isinstance(node, ast.Call)]
    computing = [call for call in calls if getattr(call.func, "attr", "") not in ("get", "setdefault", "pop")]
    return any(asked & _names_in(given) for call in computing for given in _arguments(call))


def _asked(fill: Fill, key: ast.expr | None) -> set[str]:
    """The names a key is made of, in it or in what its own names are set to."""
    named = _names_in(key) if key is not None else set()
    return named.union(*(_names_in(value) for value in bound_to(fill, named)))


def _arguments(call: ast.Call) -> list[ast.expr]:
    return [*call.args, *(word.value for word in call.keywords)]


def _names_in(node: ast.AST) -> set[str]:
    return {item.id for item in ast.walk(node) if isinstance(item, ast.Name)}


def _is_compiled(fill: Fill) -> bool:
    """Whether what is kept is a text of code, compiled: those who run a program write it, few of those who use it."""
    made = fill.value
    return isinstance(made, ast.Call) and getattr(made.func, "attr", getattr(made.func, "id", "")) == "compile"


def _is_class(fill: Fill) -> bool:
    """Whether what is kept is a class made in the function: each must be made once."""
    if not isinstance(fill.value, ast.Name):
        return False
    for node in own_nodes(fill.function.node):
        match node:
            case ast.ClassDef(name=name) if name == fill.value.id:
                return True
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=ast.Name(id="type"), args=[_, _, _])) if (
                name == fill.value.id
            ):
                return True
    return False


def _is_computed(fill: Fill) -> bool:
    """Whether what is kept is made by a call or put together: not a flag, a counter or the argument itself."""
    return fill.value is not None and _makes(fill, fill.value, 0)


def _makes(fill: Fill, value: ast.expr, depth: int) -> bool:
    for node in ast.walk(value):
        if isinstance(node, ast.Call | ast.Dict | ast.JoinedStr | ast.ListComp):
            return True
        if isinstance(node, ast.Name) and depth < 3:
            for statement in own_nodes(fill.function.node):
                if isinstance(statement, ast.Assign) and any(
                    isinstance(target, ast.Name) and target.id == node.id for target in statement.targets
                ):
                    if statement.value is not value and _makes(fill, statement.value, depth + 1):
                        return True
    return False


def _is_decorator(function: FunctionInfo) -> bool:
    """Whether a function is, or stands in, one that returns a function of its own."""
    at: FunctionInfo | None = function
    while at is not None:
        inner = {item.name for item in ast.walk(at.node) if isinstance(item, ast.FunctionDef | ast.ClassDef)}
        given = {argument.arg for argument in parameters(at)} & {
            "fn",
            "func",
            "f",
            "function",
            "cls",
            "klass",
            "handler",
        }
        for node in ast.walk(at.node):
            if isinstance(node, ast.Return) and isinstance(node.value, ast.Name):
                if node.value.id in given or (node.value.id in inner and at is not function):
                    return True
        at = at.parent
    return False


def is_long_lived(view: View, container: Container) -> bool:
    """Whether objects of a class live as long as the program: one is made when a module is imported."""
    assert container.owner is not None
    name = container.owner.node.name
    if _runs_for_ever(container) or is_made_at_import(view, name) or is_kept_elsewhere(view, container):
        return True
    return says_long_lived(name) and not is_made_in_passing(view, name)


def _runs_for_ever(container: Container) -> bool:
    """Whether a method of the class goes round an endless loop that waits: its object lives as long as that."""
    if container.owner is None:
        return False
    for method in container.owner.methods.values():
        for node in ast.walk(method.node):
            if isinstance(node, ast.While) and isinstance(node.test, ast.Constant) and node.test.value:
                if any(isinstance(inner, ast.Await) or _waits(inner) for inner in ast.walk(node)):
                    return True
    return False


def _waits(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in (
        "sleep",
        "wait",
        "recv",
        "accept",
        "poll",
        "select",
    )
