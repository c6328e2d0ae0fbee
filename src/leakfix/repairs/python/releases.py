"""Releases that a scope makes needless: removed where nothing of weight follows them, else left in place."""

from __future__ import annotations

import ast
import builtins
import io
import tokenize

from leakfix.languages.python.modules import own_nodes
from leakfix.languages.python.names import Place
from leakfix.languages.python.syntax import name_of
from leakfix.repairs.python.forms import is_given_back
from leakfix.repairs.python.lasting import Need, Needs
from leakfix.repairs.python.layout import first_line, last_line
from leakfix.repairs.python.subject import Refused, Subject, Suite


def remove_releases(
    subject: Subject, name: str, suite: Suite, first: int, last: int, *, indents: bool = True
) -> frozenset[int]:
    """Remove the releases in ``suite[first:last + 1]``; returns the lines whose indentation must stay as it is.

    ``indents`` tells that the region is going to be indented, so that a ``try`` can dissolve in it.
    """
    removable: list[ast.stmt] = []
    for statement in suite[first : last + 1]:
        inside = [statement] if subject.is_release(statement, name) else subject.release_statements(statement, name)
        for release in inside:
            scope = _shield_round(subject, release, suite)
            if scope is not None:
                if not subject.resource.repeatable:
                    raise Refused(
                        f"it is released inside another scope at line {release.lineno}, and twice is an error"
                    )
                if _only_suppresses(scope) and scope.body == [release] and _is_final(subject, scope, name, suite, last):
                    removable.append(scope)
            elif is_given_back(subject) and not _gives_back(subject, release):
                continue  # it is thrown away on purpose
            elif _is_tried(subject, release):
                if not subject.resource.repeatable:
                    raise Refused(f"what its release raises at line {release.lineno} is handled, and twice is an error")
            elif subject.layout.stands_alone(release) and _is_final(subject, release, name, suite, last):
                removable.append(release)
            elif not subject.resource.repeatable:
                raise Refused(
                    f"it is released at line {release.lineno}, work goes on after that, and twice is an error"
                )
    return _Removal(subject, set(removable), indents).run(suite, first, last)


def _is_tried(subject: Subject, release: ast.stmt) -> bool:
    """Whether a ``try`` stands round a release for what that may raise."""
    owner = subject.slots[release].owner
    return isinstance(owner, ast.Try) and bool(owner.handlers) and owner.body == [release]


def _gives_back(subject: Subject, release: ast.stmt) -> bool:
    calls = (node for node in ast.walk(release) if isinstance(node, ast.Call))
    return any(name_of(call) in subject.resource.release_with for call in calls)


def require_no_other(subject: Subject, name: str | None, statements: Suite, needs: Needs) -> None:
    """Raise Refused where it is released by another name or in another way, and twice is an error."""
    if subject.resource.repeatable:
        return
    pure = {id(node) for own in subject.own(statements) if _is_pure(subject, own, name) for node in ast.walk(own)}
    for node in subject.own(statements):
        if id(node) not in pure and _releases(subject, node, needs):
            raise Refused(f"it is released in another way at line {getattr(node, 'lineno', 0)}, and twice is an error")
    for node in (node for statement in statements for node in ast.walk(statement)):
        if id(node) not in pure and name is not None and _may_release(subject, node, name):
            line = getattr(node, "lineno", 0) or getattr(getattr(node, "context_expr", None), "lineno", 0)
            raise Refused(f"it may be released in another way at line {line}, and twice is an error")


def _may_release(subject: Subject, node: ast.AST, name: str) -> bool:
    """Whether a node releases by a ``with``, by a name nothing is known about, or by what is called later."""
    resource = subject.resource
    match node:
        case ast.withitem(context_expr=ast.Name(id=entered)):
            return entered == name and "closes" in (resource.with_, resource.async_with)
        case ast.withitem(context_expr=ast.Call(args=[ast.Name(id=given), *_])):
            return given == name and name_of(node.context_expr) in ("closing", "aclosing")
        case ast.Attribute(value=ast.Name(id=owner), attr=word) if word in resource.release and owner != name:
            return _may_be_another_name(subject, owner)
        case ast.Attribute(value=ast.BoolOp() | ast.IfExp() | ast.NamedExpr() as owner, attr=word):
            return word in resource.release and subject.mentions(owner, {name})
        case ast.Constant(value=str() as word):
            return word in resource.release
        case ast.Call(func=function, args=[_, *rest]) if name_of(function) in ("partial", "finalize", "register"):
            return any(isinstance(given, ast.Name) and given.id == name for given in rest)
    return False


def _may_be_another_name(subject: Subject, name: str) -> bool:
    """Whether a variable of the function holds anything but what some call made."""
    bound = [node for node in subject.parents if _binds(node, name)]
    made = [node for node in subject.parents if _is_made(node, name)]
    return len(bound) > len(made)


def _binds(node: ast.AST, name: str) -> bool:
    match node:
        case ast.Name(id=found, ctx=ast.Store()) | ast.MatchAs(name=found) | ast.MatchStar(name=found):
            return found == name
        case ast.FunctionDef(args=given) | ast.AsyncFunctionDef(args=given) | ast.Lambda(args=given):
            return any(argument.arg == name for argument in ast.walk(given) if isinstance(argument, ast.arg))
    return False


def _is_made(node: ast.AST, name: str) -> bool:
    match node:
        case ast.Assign(targets=[ast.Name(id=found)], value=ast.Call() | ast.Await() | ast.Constant()):
            return found == name
        case ast.withitem(context_expr=ast.Call() | ast.Await(), optional_vars=ast.Name(id=found)):
            return found == name
    return False


def _is_pure(subject: Subject, node: ast.AST, name: str | None) -> bool:
    return name is not None and isinstance(node, ast.Expr) and subject.is_release(node, name)


def _releases(subject: Subject, node: ast.AST, needs: Needs) -> bool:
    """Whether a node may release the resource, or gets what does: ``conn.close``, ``put(conn, True)``."""
    resource = subject.resource
    match node:
        case ast.Attribute(value=ast.Name() | ast.Subscript() | ast.Attribute() as owner, attr=word):
            least = Need.RESOURCE if isinstance(owner, ast.Name) else Need.VIEW
            return word in (*resource.release, "__exit__", "__aexit__") and needs.of(owner) >= least
        case ast.Call(func=function, args=args, keywords=keywords):
            given = [*args, *(keyword.value for keyword in keywords)]
            word = name_of(function)
            looked_up = word == "getattr" and any(
                isinstance(a, ast.Constant) and a.value in resource.release for a in args
            )
            if word in (*resource.release, *resource.release_with) or looked_up:
                return any(needs.of(argument) is Need.RESOURCE for argument in given)
        case ast.ListComp(elt=element, generators=generators) | ast.GeneratorExp(elt=element, generators=generators):
            words = {getattr(inner, "attr", getattr(inner, "id", "")) for inner in ast.walk(element)}
            if any(needs.of(generator.iter) >= Need.VIEW for generator in generators):
                return not words.isdisjoint((*resource.release, *resource.release_with))
    return False


def _shield_round(subject: Subject, release: ast.stmt, region: Suite) -> ast.With | ast.AsyncWith | None:
    """The ``with`` of the region that a release stands in for what it does: it shields, limits or locks."""
    slot = subject.slots[release]
    while slot.suite is not region:
        owner = slot.owner
        if isinstance(owner, ast.With | ast.AsyncWith):
            if all(item.optional_vars is None and isinstance(item.context_expr, ast.Call) for item in owner.items):
                return owner
        while not isinstance(owner, ast.stmt):
            owner = subject.parents[owner]
        slot = subject.slots[owner]
    return None


def _only_suppresses(scope: ast.With | ast.AsyncWith) -> bool:
    calls = [item.context_expr.func for item in scope.items if isinstance(item.context_expr, ast.Call)]
    return all((f.attr if isinstance(f, ast.Attribute) else getattr(f, "id", "")) == "suppress" for f in calls)


def _is_final(subject: Subject, release: ast.stmt, name: str, region: Suite, last: int) -> bool:
    """Whether, after a release, control leaves the region without doing anything of weight."""
    at: ast.stmt = release
    followed = False
    while True:
        slot = subject.slots[at]
        followed = followed or at is not slot.suite[-1]
        end = last + 1 if slot.suite is region else len(slot.suite)
        for following in slot.suite[slot.index + 1 : end]:
            if isinstance(following, ast.Return | ast.Raise) and _is_light(subject, following):
                return True
            if not subject.is_release(following, name) and not _is_light(subject, following):
                if not _ends_another(subject, following):
                    return False
        if slot.suite is region:
            return True
        owner = slot.owner
        if isinstance(owner, ast.For | ast.AsyncFor | ast.While) and slot.suite is owner.body:
            return False
        if isinstance(owner, ast.ExceptHandler | ast.match_case):
            parent = subject.parents[owner]
            assert isinstance(parent, ast.stmt)
            owner = parent
        if isinstance(owner, ast.Try) and any(subject.mentions(handler, {name}) for handler in owner.handlers):
            if slot.suite is owner.body and followed:
                return False
        if isinstance(owner, ast.Try) and slot.suite is not owner.finalbody:
            rest = [*owner.orelse, *owner.finalbody] if slot.suite is owner.body else owner.finalbody
            if not all(subject.is_release(item, name) or _is_light(subject, item) for item in rest):
                return False
        assert isinstance(owner, ast.stmt)
        at = owner


_OF_VALUES = frozenset(
    "strip lstrip rstrip split rsplit splitlines join lower upper title capitalize casefold format replace startswith "
    "endswith encode decode hex items keys values isoformat".split()
)
"""Methods of texts, numbers and dicts, which hardly anything else has."""
_BUILT_IN = frozenset(dir(builtins)) - frozenset("open exec eval compile input breakpoint __import__".split())
_CONVERTING = ("to_", "as_", "from_", "model_", "dumps")
_DEEPEST = 3


def _ends_another(subject: Subject, node: ast.stmt) -> bool:
    """Whether a statement only releases what another variable holds."""
    match node:
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(), attr=word), args=[], keywords=[])):
            return word in subject.resource.release
        case ast.Expr(value=ast.Await(value=ast.Call(func=ast.Attribute(value=ast.Name(), attr=word), args=[]))):
            return word in subject.resource.release
    return False


def _is_light(subject: Subject, node: ast.stmt) -> bool:
    if any(isinstance(part, ast.Await | ast.Yield | ast.YieldFrom) for part in ast.walk(node)):
        return False
    if isinstance(node, ast.Return | ast.Raise | ast.Pass | ast.Break | ast.Continue):
        here = Place(subject.module, subject.function)
        return not any(_does_much(subject, call, here) for call in ast.walk(node) if isinstance(call, ast.Call))
    if isinstance(node, ast.Expr | ast.Assign):
        calls = [part for part in ast.walk(node) if isinstance(part, ast.Call)]
        words = {c.func.attr if isinstance(c.func, ast.Attribute) else getattr(c.func, "id", "") for c in calls}
        return words <= {"print", "info", "debug", "warning", "error", "exception", "len", "str", "format"}
    return False


def _does_much(subject: Subject, call: ast.Call, place: Place, depth: int = 0) -> bool:
    """Whether a call may take long, or need another of the same kind; a function of the project tells by its body."""
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    if any(subject.names.function(name) for value in given for name in subject.names.of(value, place)):
        return True  # a function handed on is called there
    word, method = name_of(call), isinstance(call.func, ast.Attribute)
    if word in (_OF_VALUES if method else _BUILT_IN) or word[:1].isupper() or word.startswith(_CONVERTING):
        return False
    if method and word == "get" and any(isinstance(value, ast.Constant) for value in given) and _is_local(call.func):
        return False  # of a row or a dict
    names = subject.names.of(call.func, place)
    functions = [subject.names.function(name) for name in names if name.startswith("@")]
    inside = [
        _does_much(subject, inner, Place(*found), depth + 1)
        for found in functions
        if found is not None and depth < _DEEPEST
        for inner in own_nodes(found[1].node)
        if isinstance(inner, ast.Call)
    ]
    unknown = not names or (bool(functions) and (None in functions or depth >= _DEEPEST))
    return unknown or any(inside) or any(_is_of_databases(subject, name) for name in names)


def _is_local(function: ast.expr) -> bool:
    """Whether a method is asked of a variable, or of a part of one, rather than of an attribute."""
    owner = function.value if isinstance(function, ast.Attribute) else function
    while isinstance(owner, ast.Subscript):
        owner = owner.value
    return isinstance(owner, ast.Name) and owner.id not in ("self", "cls")


def _is_of_databases(subject: Subject, name: str) -> bool:
    root = name.partition(".")[0].partition("(")[0]
    return subject.table.is_source(name) or root in subject.table.import_roots


class _Removal:
    """Removes statements, and the clauses and ``try`` statements that would be left empty by it."""

    def __init__(self, subject: Subject, removed: set[ast.stmt], indents: bool) -> None:
        self.subject = subject
        self.indents = indents
        self.layout = subject.layout
        self.removed = removed
        self.steady: set[int] = set()

    def run(self, suite: Suite, first: int, last: int) -> frozenset[int]:
        for statement in suite[first : last + 1]:
            if statement in self.removed:
                self.drop(statement)
            else:
                self.inside(statement)
        return frozenset(self.steady)

    def inside(self, node: ast.AST) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            return
        if isinstance(node, ast.Try) and node.finalbody and all(item in self.removed for item in node.finalbody):
            if not node.handlers and not (self.indents and node.lineno not in self.steady):
                self.keep(node.finalbody)
                self.suite(node.body)
                return
            self.finally_falls(node)
            parts: list[ast.stmt | ast.ExceptHandler] = [*node.body, *node.handlers, *node.orelse]
            for part in parts:
                self.inside_suite_item(part)
            return
        for name in ("body", "orelse", "finalbody"):
            suite = getattr(node, name, None)
            if isinstance(suite, list):
                self.suite(suite)
        for handler in getattr(node, "handlers", []):
            self.inside(handler)
        for case in getattr(node, "cases", []):
            self.inside(case)

    def inside_suite_item(self, part: ast.stmt | ast.ExceptHandler) -> None:
        if isinstance(part, ast.stmt) and part in self.removed:
            slot = self.subject.slots[part]
            if all(item in self.removed for item in slot.suite):
                if slot.index == 0:
                    self.become_pass(slot.suite)
            else:
                self.drop(part)
        else:
            self.inside(part)

    def suite(self, suite: Suite) -> None:
        if suite and all(item in self.removed for item in suite):
            if not self.else_falls(suite):
                self.become_pass(suite)
            return
        for item in suite:
            if item in self.removed:
                self.drop(item)
            else:
                self.inside(item)

    def else_falls(self, suite: Suite) -> bool:
        """An ``else`` clause on lines of its own, nothing of which is left, goes whole."""
        owner = self.subject.slots[suite[0]].owner
        if getattr(owner, "orelse", None) is not suite:
            return False
        line = first_line(suite[0]) - 1
        if self.layout.source.line_text(line).strip() != "else:":
            return False
        self.drop_lines(line, last_line(suite[-1]), self.layout.indent_of(line) + self.subject.unit)
        return True

    def keep(self, suite: Suite) -> None:
        """Leave releases where they are: the ``try`` they end cannot go."""
        if not self.subject.resource.repeatable:
            raise Refused("it is released in a `finally` of its own, and twice is an error")
        self.removed -= set(suite)

    def become_pass(self, suite: Suite) -> None:
        self.layout.replace(self.layout.span(suite[0]), "pass", "release falls away")
        self.layout.skip(first_line(suite[0]) + 1, last_line(suite[0]))
        for item in suite[1:]:
            self.drop(item)

    def drop(self, statement: ast.stmt) -> None:
        indent = self.layout.indent_of(statement.lineno) + self.subject.unit
        self.drop_lines(first_line(statement), last_line(statement), indent)

    def drop_lines(self, first: int, last: int, indent: str) -> None:
        comments = self.comments(first, last)
        self.layout.delete(first, last)
        if comments:
            self.layout.add_after(last, *(indent + comment for comment in comments))

    def comments(self, first: int, last: int) -> list[str]:
        source = self.layout.source
        start = source.offset(first, 0)
        end = source.offset(last + 1, 0) if last < len(source.line_starts) else len(source.data)
        found = []
        try:
            for token in tokenize.tokenize(io.BytesIO(source.data[start:end].lstrip()).readline):
                if token.type == tokenize.COMMENT:
                    found.append(token.string)
        except (tokenize.TokenError, SyntaxError):
            pass
        return found

    def finally_falls(self, node: ast.Try) -> None:
        """The whole ``finally`` clause goes; without handlers the ``try`` goes with it."""
        keyword = self.keyword_line(node)
        indent = self.layout.indent_of(node.lineno)
        unwrapped = not node.handlers
        self.drop_lines(keyword, last_line(node.finalbody[-1]), indent + self.subject.unit)
        if unwrapped:
            self.drop_lines(node.lineno, node.lineno, indent)
            self.steady.update(range(node.lineno + 1, keyword))

    def keyword_line(self, node: ast.Try) -> int:
        line = first_line(node.finalbody[0])
        while line > node.lineno:
            line -= 1
            if self.layout.source.line_text(line).lstrip().startswith("finally"):
                return line
        raise Refused("the finally clause is laid out in a way that cannot be edited safely")
