"""The bound a dict that grows gets, and why some get none."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from leakfix.finding import Fix, Refusal, Requirement, Safety
from leakfix.languages.python.modules import FunctionInfo, own_nodes
from leakfix.languages.python.names import Place
from leakfix.patterns.caches import MOST_ENTRIES, parameters, why_not_again
from leakfix.patterns.containers import Container, Fill, bound_to, forgetting, made_of
from leakfix.patterns.growing import Growing
from leakfix.patterns.memo import is_put_on_by_hand
from leakfix.patterns.stores import is_store
from leakfix.patterns.unique import CHANCE, DONE, IN_USE, is_changing
from leakfix.patterns.view import View
from leakfix.repairs.python.imports import imported
from leakfix.repairs.python.layout import Layout

_LOCK = re.compile(r"(?:^|[._])r?(?:lock|mutex)$", re.IGNORECASE)
_IDENTITY = re.compile(rf"\btype\(\w+,|(?:{IN_USE})\(")
_CHANCE = re.compile(CHANCE)
_DONE = re.compile(DONE)
_CHANGES = frozenset("append add update extend insert remove discard pop setdefault popleft appendleft".split())


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
    if found.remembered and is_put_on_by_hand(view, container):
        return Refusal("it is put on functions by hand: whether what they give can be computed again nobody can tell")
    reasons = (why_not_again(item.view, item.function) for item in found.remembered)
    again = next(filter(None, reasons), "")
    if again:
        return Refusal(again)
    if any(made_of(fill, _IDENTITY) for fill in found.fills):
        return Refusal(f"what {container.name} holds may be in use when it goes: which to drop is for you to decide")
    if any(made_of(fill, _CHANCE) for fill in found.fills):
        return Refusal(f"what {container.name} holds is not the same when it is computed again")
    if any(made_of(fill, _DONE) for fill in found.fills):
        return Refusal(f"what {container.name} holds was done once: an entry that goes would have it done again")
    read = _why_read(view, found)
    if read:
        return Refusal(f"{container.name} {read}: an entry that goes would be missed there")
    if any(_is_state(view, container, fill) for fill in found.fills):
        return Refusal(f"what {container.name} holds is not computed from its key alone: it would be lost")
    if view.may_use(library) and _keeps_together(view, container):
        return _by_library(view, container, library, made)
    if _is_filled_elsewhere(view, found):
        return Refusal(f"{container.name} is filled by other statements too: a bound at one of them would not hold")
    layout = view.layout()
    for fill in {fill.statement: fill for fill in found.fills}.values():
        reason = _guard(view, layout, container, fill)
        if reason:
            return Refusal(reason)
    check = "that the oldest entries may go and be computed again, and that nobody changes what he got from it"
    if is_store(container):
        check = "that whoever asks for an entry which has gone makes it anew: none is the only copy of what it holds"
    return Fix(f"keep at most {MOST_ENTRIES:,} entries", Safety.REVIEW, tuple(layout.edits), check)


def _is_filled_elsewhere(view: View, found: Growing) -> bool:
    """Whether a function adds entries in a statement that is not known to let the container grow."""
    known = {fill.statement for fill in found.fills}
    for node, function in found.container.references:
        user = view.parents[node]
        match user:
            case ast.Subscript(value=value, ctx=ast.Store()) if value is node:
                pass
            case ast.Attribute(attr="setdefault" | "update" | "add") if isinstance(view.parents[user], ast.Call):
                pass
            case _:
                continue
        if function is not None and view.statement_of(node) not in known:
            return True
    return False


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
    asked = forgetting(view, container) if is_store(container) else []
    answered = set()
    for node, function in container.references:
        parent = view.parents[node]
        if asked and (_looks_in(parent) if function in asked else _measures(parent)):
            continue
        if function is None or node is container.node or isinstance(getattr(node, "ctx", None), ast.Store):
            continue
        match parent:
            case ast.Subscript(slice=key, ctx=ast.Load()):
                if function not in keys or ast.unparse(key) not in keys[function]:
                    return "is read without being asked first"
                if _runs_between(view, container, parent, function):
                    return "is read when something else has been called since it was asked"
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
    if not asked and any(function not in answered for function in keys):
        return "is not answered from"
    if container.kind == "module" and any(
        _read_elsewhere(container.name).search(text) for text in view.texts(container.name)
    ):
        return "is read in another file"
    return ""


def _looks_in(parent: ast.AST) -> bool:
    """Whether one entry is looked at, taken out or dropped, or all are counted."""
    one = isinstance(parent, ast.Subscript | ast.Compare)
    return one or (isinstance(parent, ast.Attribute) and parent.attr in ("get", "pop")) or _measures(parent)


def _measures(parent: ast.AST) -> bool:
    return isinstance(parent, ast.Call) and isinstance(parent.func, ast.Name) and parent.func.id == "len"


def _above(view: View, node: ast.AST) -> Iterator[ast.AST]:
    at: ast.AST | None = view.parents.get(node)
    while at is not None and not isinstance(at, ast.stmt):
        yield at
        at = view.parents.get(at)


def _read_elsewhere(name: str) -> re.Pattern[bytes]:
    word = re.escape(name.encode())
    return re.compile(rb"\b" + word + rb"(?:\[|\.(?!clear\b|pop\b)|\)|[ \t]+as[ \t])")


def _runs_between(view: View, container: Container, read: ast.AST, function: FunctionInfo) -> bool:
    """Whether something is called between where an entry was looked for, or added, and where it is read.

    Another thread or task may drop the entry meanwhile.
    """
    at = view.statement_of(read).lineno
    known = [
        view.statement_of(node).lineno
        for node, user in container.references
        if user is function and view.statement_of(node).lineno < at
    ]
    last = max(known, default=at)
    filled = {view.statement_of(node) for node, user in container.references if user is function}
    steps = (node for node in own_nodes(function.node) if isinstance(node, ast.Call | ast.Await))
    return any(last < step.lineno < at and view.statement_of(step) not in filled for step in steps)


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


def _is_locked(view: View, container: Container) -> bool:
    """Whether everybody who uses a container holds the same lock."""
    begun = view.statement_of(container.node)
    used = [node for node, function in container.references if function is not None and view.parents[node] is not begun]
    locks = {_lock_round(view, node) for node in used}
    return len(locks) == 1 and None not in locks


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
    bound = list(bound_to(fill, {node.id for node in ast.walk(fill.value) if isinstance(node, ast.Name)}))
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
    """Whether what is kept is an object of the project that changes."""
    names = {node.id for node in ast.walk(value) if isinstance(node, ast.Name)}
    return any(is_changing(view, fill.function, made) for made in (value, *bound_to(fill, names)))


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
    missing = ""
    if any(isinstance(node, ast.Attribute) and node.attr == "setdefault" for node in ast.walk(statement)):
        if not isinstance(fill.key, ast.Name | ast.Attribute | ast.Constant):
            return "whether an entry is added is known only when it has been"
        missing = f"{layout.text(fill.key)} not in {text} and "  # one that is there adds none
    indent = layout.indent_of(statement.lineno)
    unit = layout.unit_of(fill.function.node)
    keys = text if _is_locked(view, container) else f"list({text})"  # a copy, which no thread changes meanwhile
    layout.add_before(
        statement.lineno,
        f"{indent}while {missing}len({text}) >= {MOST_ENTRIES}:",
        f"{indent}{unit}{text}.pop(next(iter({keys})), None)",
    )
    return ""


def _within(view: View, node: ast.AST, statement: ast.stmt) -> bool:
    return view.statement_of(node) is statement


def _shadows(view: View, function: FunctionInfo, names: tuple[str, ...]) -> bool:
    return any(view.names.name(name, _place(view, function)) != (f"builtins.{name}",) for name in names)


def _place(view: View, function: FunctionInfo) -> Place:
    return Place(view.module, function)
