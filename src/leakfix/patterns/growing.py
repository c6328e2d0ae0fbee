"""Which long-lived containers grow with every request, and the bound a dict among them gets."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from leakfix.finding import Fix, Refusal, Requirement, Safety, Step
from leakfix.languages.python.modules import FunctionInfo, FunctionNode, own_nodes
from leakfix.languages.python.names import Place
from leakfix.patterns.caches import MOST_ENTRIES, parameters
from leakfix.patterns.containers import Container, Fill, containers, fills, is_emptied, open_key, recomputes
from leakfix.patterns.domain import says_closed
from leakfix.patterns.view import View
from leakfix.repairs.python.imports import imported
from leakfix.repairs.python.layout import Layout, first_line

_CACHE = re.compile(r"cache|memo(?!ry)", re.IGNORECASE)
_LONG_LIVED = re.compile(r"(?:Manager|Adapter|Bot|Client|Server|Provider|Store|Registry|Backend)$")
_LOCK = re.compile(r"(?:^|[._])r?(?:lock|mutex)$", re.IGNORECASE)
_IDENTITY = re.compile(r"\btype\(\w+,|(?:Lock|Semaphore|Event|Condition|Queue|Task|Thread|Timer|create_task)\(")
_CHANCE = re.compile(r"\brandom\b|\brand(?:int|range|bits|bytes)?\(|\buuid\d|\bsecrets\b|\burandom\b|\btoken_")
_SAID = re.compile(rb"#[^\n]*\b(?:bounded|limited|at most|never more)\b", re.IGNORECASE)
_OF_ITS_KIND = re.compile(
    r"(?:Client|Session|Engine|Connection|Pool|sessionmaker|create_\w*(?:engine|pool|client)|connect)\("
)
_REGISTERS = re.compile(
    r"regist|subscrib|install|load|init|setup|configure|__set_name__|__new__|^add_|^on_|connect|discover"
)
_CHANGES = frozenset("append add update extend insert remove discard pop setdefault popleft appendleft".split())
_ROUTES = frozenset(
    "route get post put patch delete head options websocket api_route before_request after_request".split()
)
_EMPTY = (b"= {}", b"ache={}", b"= set()", b"ict(")
_EXPIRY = re.compile(rb"time\(\)|\bnow\(|expir|\bttl\b|monotonic")
_MOST_VALUES = 12
_NEAR = 500  # characters; a cache is filled right after it was asked
_NAME = re.compile(rb"[ \t]*(?:self\.|cls\.|def .*?[(,] *)?(\w+)")


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
            name = _NAME.match(line)
            if name is not None and name[1] not in seen:
                seen.add(name[1])
                if _is_suspect(data, line, name):
                    return True
            at = data.find(form, at + 1)
    return False


_SERVING = re.compile(rb"while (?:True|1)\b[\s\S]*?(?:await |sleep\()")


def _is_suspect(data: bytes, line: bytes, match: re.Match[bytes]) -> bool:
    """Whether a container that begins in a line may be filled for ever; a local variable of a function may not."""
    name, top = match[1], match.start(1) == 0
    own = b"." in line[: match.end(1)]
    if _called_cache(line):
        return (top or own or b"." + name in data or b"def " in line) and _is_left_full(data, name)
    if not (top or own) or not _is_asked_and_filled(data, name) or not _is_left_full(data, name):
        return False
    return top or b" not in self." + name + b":" in data or _SERVING.search(data) is not None


def _called_cache(line: bytes) -> bool:
    lowered = line.lower()
    return b"cache" in lowered or b"memo" in lowered


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

    @property
    def steps(self) -> tuple[Step, ...]:
        """The lines that add entries."""
        return tuple(Step(fill.statement.lineno, "adds an entry, and nothing ever removes one") for fill in self.fills)


def growing(view: View) -> Iterator[Growing]:
    """The containers of a file that are sure to grow."""
    for container in containers(view):
        if _is_said_to_be_small(view, container):
            continue
        found = _grown(view, container)
        if found is None or (container.kind == "instance" and not _is_long_lived(view, container)):
            continue
        if not is_emptied(view, container):
            yield found


def _is_said_to_be_small(view: View, container: Container) -> bool:
    """Whether a comment beside the container or right above it says that there are few entries."""
    source, at = view.module.source, container.node.lineno
    lines = [source.line_text(at)]
    while at > 1 and source.line_text(at - 1).lstrip().startswith("#"):
        at -= 1
        lines.append(source.line_text(at))
    return any(_SAID.search(line.encode()) for line in lines)


def _grown(view: View, container: Container) -> Growing | None:
    if container.kind == "default" and len(container.references) < 2:
        return None
    sure = list[Fill]()
    key, computed = "", True
    for fill in fills(view, container):
        if _made_of(fill, _OF_ITS_KIND):
            return None  # one for each tenant or server, on purpose
        if _REGISTERS.search(fill.function.node.name) or _is_decorator(fill.function):
            return None
        named = _CACHE.search(container.name) is not None
        computes = recomputes(view, container, fill) and not isinstance(fill.statement, ast.AugAssign)
        memo = computes and container.is_mapping and _is_computed(fill)
        said = open_key(view, fill, memo)
        if said == "name" and container.kind == "instance":
            said = ""
        serves = is_handler(view, fill.function) or container.kind == "instance"
        if said and (named or memo or (computes and serves)):
            sure.append(fill)
            key = key or said
            computed = computed and computes
    return Growing(container, tuple(sure), key, computed) if sure else None


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


def is_handler(view: View, function: FunctionInfo) -> bool:
    """Whether a web framework calls a function for a request."""
    for decorator in function.node.decorator_list:
        if isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Attribute):
            if decorator.func.attr in _ROUTES:
                return True
    return any(argument.arg == "request" for argument in parameters(function))


def _is_long_lived(view: View, container: Container) -> bool:
    """Whether objects of a class live as long as the program: one is made when a module is imported."""
    assert container.owner is not None
    name = container.owner.node.name
    if _LONG_LIVED.search(name) or _runs_for_ever(container):
        return True
    made = re.compile(
        rf"^\w+[ \t]*(?::[^=\n]+)?=[ \t]*(?:\w+\.)*{name}\(|def [^\n]*=\s*{name}\(".encode(), re.MULTILINE
    )
    return made.search(view.module.source.data) is not None


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


def guarded(view: View, found: Growing, library: Requirement, made: str) -> Fix | Refusal:
    """A bound before every statement that adds an entry, or a mapping of a library that has one.

    made: what of the library makes a mapping of at most ``maxsize`` entries.
    """
    container = found.container
    if not container.is_mapping:
        return Refusal(
            f"what {container.name} holds is not computed again: how much of it to keep is for you to decide"
        )
    if not found.computed:
        return Refusal(
            f"an entry of {container.name} that goes is not computed again: which to drop is for you to decide"
        )
    if any(_made_of(fill, _IDENTITY) for fill in found.fills):
        return Refusal(f"what {container.name} holds may be in use when it goes: which to drop is for you to decide")
    if any(_made_of(fill, _CHANCE) for fill in found.fills):
        return Refusal(f"what {container.name} holds is not the same when it is computed again")
    read = _why_read(view, found)
    if read:
        return Refusal(f"{container.name} {read}: an entry that goes would be missed there")
    if any(_is_state(view, container, fill) for fill in found.fills):
        return Refusal(f"what {container.name} holds is not computed from its key alone: it would be lost")
    if view.may_use(library) and _keeps_together(view, container):
        return _by_library(view, container, library, made)
    layout = view.layout()
    for fill in {fill.statement: fill for fill in found.fills}.values():
        reason = _guard(view, layout, container, fill)
        if reason:
            return Refusal(reason)
    check = "that the oldest entries may go and be computed again, and that nobody changes what he got from it"
    return Fix(f"keep at most {MOST_ENTRIES:,} entries", Safety.REVIEW, tuple(layout.edits), check)


def _why_read(view: View, found: Growing) -> str:
    """How entries are read where nothing computes a missing one; "" where each reader makes what it does not find."""
    container = found.container
    keys: dict[FunctionInfo, set[str]] = {}
    for fill in found.fills:
        if fill.key is None:
            return "is filled in another function"
        if any(
            isinstance(at, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp)
            for at in _above(view, fill.key)
        ):
            return "is filled in a comprehension"
        if isinstance(fill.statement, ast.Assign) and len(fill.statement.targets) > 1:
            if sum(isinstance(target, ast.Subscript) for target in fill.statement.targets) > 1:
                return "is filled under two keys at once"
        keys.setdefault(fill.function, set()).add(ast.unparse(fill.key))
    if any(len(known) > 1 for known in keys.values()):
        return "is filled under several keys in one function"
    answered = set()
    for node, function in container.references:
        parent = view.parents[node]
        if function is None or node is container.node or isinstance(getattr(node, "ctx", None), ast.Store):
            continue
        match parent:
            case ast.Subscript(slice=key, ctx=ast.Load()):
                if function not in keys or ast.unparse(key) not in keys[function]:
                    return "is read without being asked first"
                answered.add(function)
            case ast.Attribute(attr="get" | "setdefault"):
                answered.add(function)
            case ast.Subscript() | ast.Compare():
                pass
            case (
                ast.Attribute()
                | ast.For()
                | ast.comprehension()
                | ast.Return()
                | ast.Call()
                | ast.Starred()
                | ast.keyword()
            ):
                return "is used as a whole"
    if any(function not in answered for function in keys):
        return "is not answered from"
    if container.kind == "module" and any(
        _read_elsewhere(container.name).search(text) for text in view.texts(container.name)
    ):
        return "is read in another file"
    return ""


def _above(view: View, node: ast.AST) -> Iterator[ast.AST]:
    at: ast.AST | None = view.parents.get(node)
    while at is not None and not isinstance(at, ast.stmt):
        yield at
        at = view.parents.get(at)


def _read_elsewhere(name: str) -> re.Pattern[bytes]:
    return re.compile(rb"\b" + re.escape(name.encode()) + rb"(?:\[|\.(?!clear\b|pop\b)|\))")


def _keeps_together(view: View, container: Container) -> bool:
    """Whether a dict can become a cache of the library: used as a mapping only, and by one thread at a time.

    Such a mapping is no dict, and mostly not safe between threads: reading reorders it.
    """
    statement = view.statement_of(container.node)
    if container.kind == "default" or not isinstance(statement, ast.Assign) or _last_word(container.node) != "dict":
        return False
    held: set[str | None] = set()
    for node, function in container.references:
        user = view.parents[node]
        if user is statement:
            continue
        match user:
            case ast.Subscript(value=value) if value is node:
                pass
            case ast.Compare(ops=[ast.In() | ast.NotIn()], comparators=[value]) if value is node:
                pass
            case ast.Attribute(attr="get" | "setdefault") if isinstance(view.parents[user], ast.Call):
                pass
            case _:
                return False
        inside = isinstance(function and function.node, ast.AsyncFunctionDef)
        held.add("" if inside else _lock_round(view, node))
    is_one = len(held) == 1 and None not in held
    return is_one and container.kind in ("module", "class") and not next(view.texts(container.name), None)


def _last_word(node: ast.expr) -> str:
    made = node.func if isinstance(node, ast.Call) else node
    return "dict" if isinstance(node, ast.Dict) else getattr(made, "attr", getattr(made, "id", ""))


def _lock_round(view: View, node: ast.AST) -> str | None:
    """The lock in whose ``with`` a node stands: one with a plain name, the same for everybody."""
    at: ast.AST | None = node
    while at is not None and not isinstance(at, ast.FunctionDef | ast.AsyncFunctionDef):
        for item in at.items if isinstance(at, ast.With) else ():
            if isinstance(item.context_expr, ast.Name | ast.Attribute) and _LOCK.search(ast.unparse(item.context_expr)):
                return ast.unparse(item.context_expr)
        at = view.parents.get(at)
    return None


def _by_library(view: View, container: Container, library: Requirement, made: str) -> Fix:
    layout = view.layout()
    spelled = imported(view.module, layout, library.imported, made)
    layout.replace(layout.span(container.node), f"{spelled}(maxsize={MOST_ENTRIES})")
    title = f"keep the {MOST_ENTRIES:,} entries used last"
    check = "that entries may go at any time and be computed again, and that lock files are brought up to date"
    return Fix(title, Safety.REVIEW, tuple(layout.edits), check, (library,))


def _is_state(view: View, container: Container, fill: Fill) -> bool:
    """Whether an entry is changed after it was made, or made of something else than what the function is given."""
    for node, _ in container.references:
        entry = view.parents[node]
        if isinstance(entry, ast.Subscript) and entry.value is node:
            above = view.parents[entry]
            if isinstance(above, ast.AugAssign) and above.target is entry:
                return True
            if isinstance(above, ast.Subscript) and isinstance(above.ctx, ast.Store | ast.Del):
                return True
            if (
                isinstance(above, ast.Attribute)
                and above.attr in _CHANGES
                and isinstance(view.parents[above], ast.Call)
            ):
                return True
    given = {argument.arg for argument in parameters(fill.function)} - {"self", "cls"}
    if fill.value is None or _is_changed_later(view, container):
        return True
    bound = list(_bound_to(fill, {node.id for node in ast.walk(fill.value) if isinstance(node, ast.Name)}))
    grown = any(_reads(container, value) and not _looks_up(value) for value in (fill.value, *bound))
    behind = _names_behind(fill, fill.value, 0)
    return given.isdisjoint(behind) or grown or _makes_changing(view, fill, fill.value)


def _reads(container: Container, value: ast.expr) -> bool:
    return any(getattr(node, "id", getattr(node, "attr", "")) == container.name for node in ast.walk(value))


def _looks_up(value: ast.expr) -> bool:
    """Whether a value is just an entry, as it was found."""
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
        return value.func.attr in ("get", "setdefault") and isinstance(value.func.value, ast.Name | ast.Attribute)
    return isinstance(value, ast.Subscript) and isinstance(value.value, ast.Name | ast.Attribute)


def _is_changed_later(view: View, container: Container) -> bool:
    """Whether an entry that was taken out into a variable is changed there."""
    for node, function in container.references:
        taken: ast.AST = view.parents[node]
        while isinstance(taken, ast.Subscript | ast.Attribute | ast.Call):
            taken = view.parents[taken]
        if function is not None and isinstance(taken, ast.Assign) and node not in taken.targets:
            names = {target.id for target in taken.targets if isinstance(target, ast.Name)}
            if any(_changes(item, names) for item in own_nodes(function.node)):
                return True
    return False


def _changes(item: ast.AST, names: set[str]) -> bool:
    """Whether a node changes what one of the names holds."""
    match item:
        case ast.Attribute(value=owner, ctx=ast.Store()):
            return _root(owner) in names
        case ast.Call(func=ast.Attribute(value=owner, attr=method)) if method in _CHANGES:
            return _root(owner) in names
    return False


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _makes_changing(view: View, fill: Fill, value: ast.expr) -> bool:
    """Whether what is kept is an object of the project whose methods change it."""
    names = {node.id for node in ast.walk(value) if isinstance(node, ast.Name)}
    for made in (value, *_bound_to(fill, names)):
        for name in view.of(made.func, fill.function) if isinstance(made, ast.Call) else ():
            found = view.names.class_(name)
            if found is not None and any(_sets(method.node) for method in found[1].methods.values()):
                return True
    return False


def _sets(method: FunctionNode) -> bool:
    stores = (n for n in own_nodes(method) if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store))
    return method.name != "__init__" and next(stores, None) is not None


def _made_of(fill: Fill, pattern: re.Pattern[str]) -> bool:
    """Whether what is kept is made by a call of some kind, there or where its variable is bound."""
    values = [fill.value] if fill.value is not None else []
    for value in values:
        if pattern.search(ast.unparse(value)):
            return True
        names = {node.id for node in ast.walk(value) if isinstance(node, ast.Name)}
        if len(values) < _MOST_VALUES:
            values += [bound for bound in _bound_to(fill, names) if bound not in values]
    return False


def _bound_to(fill: Fill, names: set[str]) -> Iterator[ast.expr]:
    for statement in own_nodes(fill.function.node):
        if isinstance(statement, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id in names for target in statement.targets
        ):
            yield statement.value


def _names_behind(fill: Fill, value: ast.expr, depth: int) -> set[str]:
    names = {node.id for node in ast.walk(value) if isinstance(node, ast.Name)}
    found = set(names)
    for statement in own_nodes(fill.function.node) if depth < 3 else ():
        if isinstance(statement, ast.Assign) and statement.value is not value:
            bound = {node.id for target in statement.targets for node in ast.walk(target) if isinstance(node, ast.Name)}
            if bound & names:
                found |= _names_behind(fill, statement.value, depth + 1)
    return found


def _guard(view: View, layout: Layout, container: Container, fill: Fill) -> str:
    statement = fill.statement
    if not isinstance(statement, ast.Assign | ast.Expr | ast.Return | ast.AnnAssign) or not layout.stands_alone(
        statement
    ):
        return "it is filled in a statement that cannot be preceded by another"
    target = next((node for node, _ in container.references if _within(view, node, statement)), None)
    if target is None:
        return "it is filled through a function of another file"
    text = layout.text(target)
    if _shadows(view, fill.function, ("len", "next", "iter", "list")):
        return "len, next, iter or list means something else there"
    indent = layout.indent_of(statement.lineno)
    unit = _unit(fill.function.node, layout)
    layout.add_before(
        statement.lineno,
        f"{indent}while len({text}) >= {MOST_ENTRIES}:",
        f"{indent}{unit}{text}.pop(next(iter(list({text}))), None)",
    )
    return ""


def _within(view: View, node: ast.AST, statement: ast.stmt) -> bool:
    return view.statement_of(node) is statement


def _shadows(view: View, function: FunctionInfo, names: tuple[str, ...]) -> bool:
    return any(view.names.name(name, _place(view, function)) != (f"builtins.{name}",) for name in names)


def _place(view: View, function: FunctionInfo) -> Place:
    return Place(view.module, function)


def _unit(function: FunctionNode, layout: Layout) -> str:
    """By how much a function's body is indented more than the function."""
    body = layout.indent_of(first_line(function.body[0]))
    return body.removeprefix(layout.indent_of(function.lineno)) or "    "
