"""What could go wrong if the resource is released at the end of a region: reasons to refuse or to ask for review."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from leakfix.languages.python.modules import FunctionInfo, FunctionNode, Module, own_nodes
from leakfix.languages.python.names import Place
from leakfix.languages.python.syntax import aliases
from leakfix.repairs.python.columns import lazy_attributes
from leakfix.repairs.python.lasting import Need, Needs
from leakfix.repairs.python.subject import Subject, Wrong

_KEEPING = frozenset("append add extend insert put update setdefault appendleft".split())
_READING = frozenset(
    "print len str repr int float bool sum min max sorted list tuple set dict any all isinstance hasattr getattr "
    "format enumerate zip map filter next iter reversed range type id hash round dumps jsonify debug info warning "
    "error exception".split()
)
_WRITING = frozenset("add add_all delete merge flush".split())
_ENDING = frozenset("commit rollback begin".split())
_REREADING = frozenset("refresh expunge expunge_all make_transient".split())
_LOADING_AHEAD = frozenset("joinedload selectinload subqueryload immediateload contains_eager joinedload_all".split())
_KEYED = frozenset("sorted max min map filter sort groupby reduce key".split())


def check_region(subject: Subject, name: str | None, region: list[ast.stmt], needs: Needs) -> list[str]:
    """What a reviewer should check; empty where the repair is safe. Raises Wrong where it cannot be right."""
    notes: list[str] = []
    _require_named_uses(subject)
    if name is not None:
        _require_own_variable(subject, name)
    if subject.resource.shared:
        _require_asked_once(subject)
    if subject.resource.shared and name is not None:
        _require_own_transaction(subject, name)
    for node in subject.own(region):
        match node:
            case ast.Return(value=ast.expr() as value):
                notes += _leaving(subject, name, node, needs.of(value), region, "returned")
            case ast.Yield(value=ast.expr() as value) if not subject.is_scope:
                notes += _yielded(subject, node, needs.of(value))
            case ast.YieldFrom(value=value) if not subject.is_scope:
                notes += _yielded(subject, node, needs.element_of(value))
            case ast.Raise(exc=ast.Call() as raised):
                if any(needs.of(a) >= Need.VIEW for a in raised.args):
                    raise Wrong(
                        f"the exception at line {node.lineno} carries something that still needs the "
                        f"{subject.resource.noun}"
                    )
                if subject.resource.objects and any(needs.of(a) > Need.LOADED for a in raised.args):
                    _require_no_lazy_reader(subject, subject.callers())
                    notes.append(
                        f"what the exception at line {node.lineno} carries outlives the {subject.resource.noun}"
                    )
            case ast.Await(value=ast.Name(id=found)) if found == name and subject.resource.awaitable:
                raise Wrong(f"it is awaited by hand at line {node.lineno}")
            case ast.Raise(exc=ast.Name() as raised) if subject.resource.objects and needs.of(raised) > Need.LOADED:
                notes.append(f"what the exception at line {node.lineno} carries outlives the {subject.resource.noun}")
            case ast.Assign(targets=targets, value=value):
                notes += _stored(subject, targets, needs, needs.of(value))
            case ast.AugAssign(target=target, value=value):
                notes += _stored(subject, [target], needs, needs.of(value))
            case ast.Call():
                notes += _handed(subject, node, needs)
            case ast.While(test=ast.Constant(value=True)) if not _ends(node):
                notes.append(f"the loop at line {node.lineno} has no end: the {subject.resource.noun} stays open in it")
    notes += _given_back(subject, name, region, needs)
    return list(dict.fromkeys(notes))


def _require_own_variable(subject: Subject, name: str) -> None:
    """Raise Wrong where code inside or outside the function gives the variable other values."""
    for node in subject.parents:
        if isinstance(node, ast.Global | ast.Nonlocal) and name in node.names:
            raise Wrong(f"{name!r} is shared with code outside the function, or inside it, at line {node.lineno}")


def _require_asked_once(subject: Subject) -> None:
    """Raise Wrong where a function asks for the same one again: closed in between, it would lose what it collected."""
    asked = ast.unparse(subject.call)
    for node in subject.own(subject.node.body):
        if isinstance(node, ast.Call) and node is not subject.call and ast.unparse(node) == asked:
            raise Wrong(f"the same {subject.resource.noun} is asked for again at line {node.lineno}")


def _require_own_transaction(subject: Subject, name: str) -> None:
    """Raise Wrong where a function writes and leaves it to its caller to commit that."""
    called = {
        node.func.attr: node.lineno
        for node in subject.own(subject.node.body)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == name
    }
    writing = next((word for word in called if word in _WRITING), None)
    if writing is not None and called.keys().isdisjoint(_ENDING):
        noun = subject.resource.noun
        raise Wrong(f"what line {called[writing]} writes is for a caller to commit: closing the {noun} would undo it")


def _require_named_uses(subject: Subject) -> None:
    """Raise Wrong where all names of the function are handed on at once."""
    for node in subject.own(subject.node.body):
        match node:
            case ast.Call(func=ast.Name(id="locals" | "vars" as word), args=[]) if not _is_asked(subject, node):
                pass
            case ast.Call(func=ast.Name(id="eval" | "exec" as word)):
                pass
            case _:
                continue
        raise Wrong(f"{word}() at line {node.lineno} may hand on what needs the {subject.resource.noun}")


def _is_asked(subject: Subject, node: ast.Call) -> bool:
    """Whether what it gives is only asked for a name: ``"connection" in locals()``."""
    return isinstance(subject.parents.get(node), ast.Compare)


def _ends(loop: ast.While) -> bool:
    """Whether a ``while True`` can be left by itself."""
    stack: list[ast.AST] = list(loop.body)
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Break | ast.Return):
            return True
        if isinstance(node, ast.For | ast.AsyncFor | ast.While):
            stack += [item for item in own_nodes(node) if isinstance(item, ast.Return)]
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            stack += ast.iter_child_nodes(node)
    return False


def _leaving(
    subject: Subject, name: str | None, node: ast.Return, need: Need, region: list[ast.stmt], how: str
) -> Iterator[str]:
    noun = subject.resource.noun
    if need is Need.RESOURCE:
        raise Wrong(f"the {noun} itself is {how} at line {node.lineno}: its caller has to release it")
    if need is Need.VIEW:
        raise Wrong(f"something that still needs the {noun} is {how} at line {node.lineno}")
    if need is Need.NOTHING or (name and _released_before(subject, node, name)):
        return
    if subject.resource.objects and name and _ended_before(subject, node.lineno, name, region):
        raise Wrong(
            f"objects {how} at line {node.lineno} have expired by then: once the {noun} is closed "
            f"their attributes cannot be read; refresh them or return plain values first"
        )
    if need is Need.LOADED:
        return
    if subject.resource.objects:
        _require_no_lazy_reader(subject, subject.callers())
        _require_no_lazy_answer(subject)
        yield (
            f"what is {how} at line {node.lineno} outlives the {noun}: nothing of it that needs the {noun}, "
            "as lazy attributes do, may be read later"
        )
    else:
        yield f"what is {how} at line {node.lineno} must not need the {noun} any more"


def _require_no_lazy_answer(subject: Subject) -> None:
    """Raise Wrong where the model of an answer has what would have to be loaded when it is made of an object.

    FastAPI makes it of what the function returned ("Response Model", its documentation), or of what a function that
    calls it does; ``model_validate`` and ``from_orm`` do so at once.
    """
    for module, function in ((subject.module, subject.function), *subject.callers()):
        models = list(_answers(function.node))
        seen = {subject.module.path: subject.module, module.path: module}.values() if models else ()
        lazy = {
            name for each in seen for name in lazy_attributes(subject.names, each, subject.resource, of_models=True)
        }
        for part in (
            part for model in models for part in ast.walk(model) if isinstance(part, ast.Name | ast.Attribute)
        ):
            for name in subject.names.of(part, Place(module, function.parent)):
                found = subject.names.class_(name)
                for _, info in subject.names.lineage(*found) if found is not None else ():
                    for field in info.node.body:
                        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                            if field.target.id in lazy:
                                raise Wrong(
                                    f"{info.node.name} asks what is returned for {field.target.id!r}, which is loaded "
                                    f"only then: the {subject.resource.noun} must still be open"
                                )


def _answers(node: FunctionNode) -> Iterator[ast.expr]:
    """The models that a function's answer is made of: as its route says, or as it makes them itself."""
    calls = [item for item in node.decorator_list if isinstance(item, ast.Call)]
    yield from (word.value for call in calls for word in call.keywords if word.arg == "response_model")
    if calls and node.returns is not None:
        yield node.returns
    for item in own_nodes(node):
        match item:
            case ast.Call(func=ast.Attribute(value=model, attr="model_validate" | "from_orm")):
                yield model


def _require_no_lazy_reader(subject: Subject, readers: Iterable[tuple[Module, FunctionInfo]]) -> None:
    """Raise Wrong where one of those who may get an object reads what would have to be loaded then."""
    if not _LOADING_AHEAD.isdisjoint(subject.module.words_in(subject.function)):
        return
    lazy = lazy_attributes(subject.names, subject.module, subject.resource)
    for module, reader in readers if lazy else ():
        for node in ast.walk(reader.node):
            if isinstance(node, ast.Attribute) and node.attr in lazy and isinstance(node.ctx, ast.Load):
                raise Wrong(
                    f"{reader.node.name}() reads {node.attr!r} of what it may get ({module.path}:{node.lineno}), "
                    f"which is loaded only then: the {subject.resource.noun} must still be open"
                )


def _released_before(subject: Subject, node: ast.stmt, name: str) -> bool:
    """Whether the statement always comes after a release that stands before it in a suite round it."""
    at: ast.AST = node
    while at in subject.parents:
        slot = subject.slots.get(at) if isinstance(at, ast.stmt) else None
        if slot is not None:
            for earlier in slot.suite[: slot.index]:
                if subject.is_release(earlier, name):
                    return True
        at = subject.parents[at]
    return False


def _ended_before(subject: Subject, line: int, name: str, region: list[ast.stmt]) -> bool:
    """Whether live objects may be stale at a line: the transaction ended, and nothing read them again."""
    if subject.keeps_after_end:
        return False
    ended = -1
    refreshed: set[int] = set()
    for item in subject.own(region):
        match item:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=found), attr=method)) if item.lineno < line:
                if found == name and method in subject.resource.enders:
                    ended = max(ended, item.lineno)
            case ast.With(items=[*scopes]) | ast.AsyncWith(items=[*scopes]) if (item.end_lineno or 0) < line:
                if any(_is_transaction(scope.context_expr, name) for scope in scopes):
                    ended = max(ended, item.end_lineno or 0)
        if isinstance(item, ast.Call) and isinstance(item.func, ast.Attribute) and item.func.attr in _REREADING:
            refreshed.add(item.lineno)
    return ended >= 0 and not any(ended < at <= line for at in refreshed)


def _is_transaction(node: ast.expr, name: str) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id=found), attr="begin")):
            return found == name
        case ast.Name(id=found):
            return found == name
    return False


def _given_back(subject: Subject, name: str | None, region: list[ast.stmt], needs: Needs) -> Iterator[str]:
    """Arguments the resource took in: the caller still has them, and they are stale once it is closed."""
    end = max((item.end_lineno or item.lineno for item in region), default=0) + 1
    if name and subject.resource.objects and _ended_before(subject, end, name, region):
        for parameter in sorted(needs.adopted & _from_caller(subject)):
            yield (
                f"{parameter!r} has expired when the {subject.resource.noun} is closed: "
                f"callers must not read attributes of it after that"
            )


def _from_caller(subject: Subject) -> set[str]:
    """Parameters, and names for what came with them: what a loop over one gives, another name of it."""
    given = subject.node.args
    found = subject.parameters | {argument.arg for argument in (given.vararg, given.kwarg) if argument is not None}
    for _ in range(3):
        for node in subject.parents:
            match node:
                case (
                    ast.For(target=target, iter=value)
                    | ast.AsyncFor(target=target, iter=value)
                    | ast.comprehension(target=target, iter=value)
                    | ast.Assign(targets=[target], value=ast.Name() | ast.Attribute() | ast.Subscript() as value)
                ):
                    parts = set(_roots(value))
                case _:
                    continue
            if parts & found:
                found |= {item.id for item in ast.walk(target) if isinstance(item, ast.Name)}
    return found


def _roots(node: ast.expr) -> Iterator[str]:
    """The names whose own elements a loop over an expression gives, not those a query is built of."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Starred):
        node = node.value
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _READING:
        for argument in node.args:
            yield from _roots(argument)


def _stored(subject: Subject, targets: list[ast.expr], needs: Needs, need: Need) -> Iterator[str]:
    places = [target for target in targets if isinstance(target, ast.Attribute | ast.Subscript)]
    outside = [place for place in places if not _is_local(subject, place) and not _is_loaded(needs, place)]
    if not outside or need <= Need.LOADED:
        return
    line = outside[0].lineno
    if need >= Need.VIEW:
        raise Wrong(f"something that still needs the {subject.resource.noun} is stored at line {line}")
    if subject.resource.objects:
        others = (info for info in subject.module.functions.values() if info is not subject.function)
        _require_no_lazy_reader(subject, ((subject.module, info) for info in others))
    yield f"what is stored at line {line} outlives the {subject.resource.noun}"


def _handed(subject: Subject, node: ast.Call, needs: Needs) -> Iterator[str]:
    word = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
    noun = subject.resource.noun
    for argument in arguments:
        if isinstance(argument, ast.Lambda) and word not in _KEYED and needs.of(argument) >= Need.VIEW:
            yield f"the lambda at line {argument.lineno} uses the {noun}: it must not run later"
    needed = [needs.of(argument) for argument in arguments]
    need = max(needed, default=Need.NOTHING)
    if need <= Need.LOADED:
        return
    if isinstance(node.func, ast.Attribute):
        owner = node.func.value
        if word in _KEEPING and need < Need.RESOURCE and not _is_local(subject, owner) and not _is_own(needs, owner):
            if need is Need.VIEW:
                raise Wrong(f"something that still needs the {noun} is collected at line {node.lineno}")
            if subject.resource.objects:
                _require_no_lazy_reader(subject, subject.callers())
            yield f"what is collected at line {node.lineno} outlives the {noun}"
            return
        if needs.of(owner) > Need.LOADED:
            return
    if word in subject.table.keeper_methods and need is Need.VIEW and _is_discarded(subject, node):
        raise Wrong(f"something that still needs the {noun} is handed to a task at line {node.lineno}")
    if need >= Need.VIEW and isinstance(node.func, ast.Name) and word in subject.parameters:
        yield f"what {word!r} is given at line {node.lineno} must not be used after the {noun} is closed"
    if subject.resource.objects and need is Need.PERHAPS and word not in _READING and not _is_read_only(subject, node):
        yield f"what is passed on at line {node.lineno} must not be kept and read after the {noun} is closed"


def _yielded(subject: Subject, node: ast.Yield | ast.YieldFrom, need: Need) -> Iterator[str]:
    noun = subject.resource.noun
    if need in (Need.PERHAPS, Need.VIEW) and (subject.resource.objects or need is Need.VIEW):
        _require_no_lazy_reader(subject, subject.callers())
        yield f"what is yielded at line {node.lineno} must not be used after the {noun} is closed"


def _is_own(needs: Needs, owner: ast.expr) -> bool:
    """Whether a collection belongs to the resource itself, as that of an object it loaded."""
    root: ast.expr = owner
    while isinstance(root, ast.Attribute | ast.Subscript | ast.Call):
        root = root.func if isinstance(root, ast.Call) else root.value
    return needs.of(root) is Need.RESOURCE or (root is not owner and needs.of(root) >= Need.PERHAPS)


def _is_loaded(needs: Needs, place: ast.Attribute | ast.Subscript) -> bool:
    """Whether something is set on an object that came of the resource itself, not in a container that got one."""
    root: ast.expr = place
    while isinstance(root, ast.Attribute | ast.Subscript):
        root = root.value
    return isinstance(root, ast.Name) and root.id not in needs.containers and needs.of(root) >= Need.LOADED


def _is_discarded(subject: Subject, node: ast.Call) -> bool:
    return isinstance(subject.parents.get(node), ast.Expr)


def _is_read_only(subject: Subject, node: ast.Call) -> bool:
    """A function of the project that hands its arguments to nobody: it stores, appends, returns and yields nothing."""
    place = Place(subject.module, subject.function)
    found = [subject.names.function(name) for name in subject.names.of(node.func, place)]
    known = [item for item in found if item is not None]
    return bool(known) and not any(_passes_on(info.node) for _, info in known)


def _passes_on(function: ast.AST) -> bool:
    for item in own_nodes(function):
        match item:
            case ast.Attribute(ctx=ast.Store()) | ast.Subscript(ctx=ast.Store()) | ast.Global() | ast.Nonlocal():
                return True
            case ast.Yield() | ast.YieldFrom() | ast.Lambda():
                return True
            case ast.Call(func=ast.Attribute(attr=word)) if word in _KEEPING:
                return True
    return False


def _is_local(subject: Subject, node: ast.expr) -> bool:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    if not isinstance(node, ast.Name):
        return False
    stored = {n.id for n in subject.own(subject.node.body) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return node.id in stored - subject.parameters - aliases(subject.node)
