"""One file's leaks and patterns as findings, and the repair proposed for each; nothing here is verified yet."""

from __future__ import annotations

import ast
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from types import MappingProxyType

from leakfix.codemod import PatternCodemod
from leakfix.config import NO_WISHES, Wishes
from leakfix.finding import Category, Finding, Fix, Refusal, Safety, Step, fingerprint
from leakfix.intent import is_meant, replaced_by_tests
from leakfix.ir.nodes import Call, Copy, Function
from leakfix.languages.python.importers import Exports
from leakfix.languages.python.modules import (
    Annotated,
    Binding,
    FunctionInfo,
    Import,
    Module,
    Value,
    own_nodes,
    parameter_parts,
    read_module,
)
from leakfix.languages.python.names import Place
from leakfix.languages.python.program import PythonProgram
from leakfix.languages.python.project import Modules, parse
from leakfix.languages.python.syntax import is_special, name_of, written
from leakfix.lifetimes.effects import Handling
from leakfix.lifetimes.summaries import Summaries
from leakfix.lifetimes.verdict import Leak, TooManyStates, leaks_of
from leakfix.patterns.view import Match, View
from leakfix.project.mentions import Mentions, is_whole
from leakfix.project.trace import has_one_of, remembered
from leakfix.repairs.python.plan import repair
from leakfix.repairs.python.subject import Refused, Subject
from leakfix.resources import Resource, ResourceTable
from leakfix.source import SourceFile, Span

_MOST_SCOPED = 8
_MOST_CALLERS = 2
_MOST_SITES = 400
_MOST_VERIFIED, _FEWEST_REPAIRS = 10_000_000, 4
"""Bytes of one file that are parsed again to verify its repairs, about ten seconds; and what is verified at least."""
_ROOT_MARKS = (".git", "pyproject.toml", "leakfix.toml", "setup.py")


@dataclass(frozen=True, slots=True)
class Rules:
    """Which rule, of which category, reports a resource; also those not selected: no repair may open such a leak.

    wishes: what the repairs of a rule may or should do beyond the least.
    """

    names: Mapping[str, tuple[str, Category]]
    wishes: Callable[[str], Wishes] = lambda rule: NO_WISHES


@dataclass(frozen=True)
class Located:
    """A leak with the function of the file it was found in."""

    finding: Finding
    leak: Leak
    module: Module
    function: FunctionInfo
    siblings: tuple[Span, ...]
    acquisitions: int
    """How many the function has."""
    beside: frozenset[str] = frozenset()
    """The fingerprints of all leaks of the function."""


@dataclass(frozen=True)
class Matched:
    """A place that a pattern reports, with its file."""

    finding: Finding
    match: Match
    module: Module


class Analysis:
    """The analysis of a run; its modules, graphs and summaries are made on demand and kept."""

    def __init__(
        self,
        table: ResourceTable,
        rules: Rules,
        modules: Modules,
        mentions: Mentions,
        exports: Exports = MappingProxyType({}),
    ) -> None:
        self.table = table
        self.mentions = mentions
        self.rules = rules
        self.exported: dict[str, frozenset[str]] = {}
        self.modules = modules
        self.unanalysed: set[tuple[str, int, str]] = set()
        """Path, line and name of functions that were too large."""
        self.verified: Counter[str] = Counter()
        """How many repairs of each file were verified: each takes as long as its file is large."""
        self._last_view: View | None = None
        self.failed: dict[tuple[str, str], str] = {}
        """What codemods raised, by file and rule."""
        self.program = PythonProgram(modules)
        self.summaries = Summaries(self.program, table)
        self.learn(exports)

    def may_verify(self, module: Module) -> bool:
        """Whether one more repair of a file can be verified in bounded time; it counts as verified then."""
        self.verified[module.path] += 1
        return self.verified[module.path] <= max(_FEWEST_REPAIRS, _MOST_VERIFIED // (len(module.source.data) + 1))

    def learn(self, exports: Exports) -> None:
        """What files were found to export: calls of these names are worth a look."""
        self.exported |= exports
        exported = {name for names in self.exported.values() for name in names}
        self.program.learn({*self.table.python_call_words, "()"}, exported, self.exported.keys())
        self.program.own_words.update(self.exported)
        self.summaries.forget()

    def with_module(self, module: Module) -> Analysis:
        """The same project with one file replaced; what was parsed of the others is shared."""
        return Analysis(self.table, self.rules, self.modules.with_module(module), self.mentions, self.exported)

    def exports(self, module: Module, below: tuple[str, ...] = ()) -> frozenset[str]:
        """Names of a module by which other files may acquire something: engines, pools, factories, their classes.

        Only what is bound by a call of one of the words, or imported under one, is asked about; what is found is
        such a word itself for the rest of the module.
        """
        found: set[str] = set()
        for star in module.stars:
            path = self.modules.find(module.path, star)
            known = path in self.exported and path not in (module.path, *below)
            starred = self.modules.load(path) if path and known else None
            if starred is not None:
                found |= self.exports(starred, (*below, module.path))
        while True:
            more = {name for name in self._exports(module) if not is_special(name)} - found
            if not more:
                return frozenset(found)
            found |= more
            self.program.own_words[module.path] = frozenset(found)
            self.summaries.forget()

    def _exports(self, module: Module) -> set[str]:
        found: set[str] = set()
        names = self.program.sources
        names.here = module.path
        words = self.program.words_of(module)
        for name, bindings in module.names.items():
            if any(self._may_be_source(module, binding, words) for binding in bindings):
                if any(self._is_source(symbol) for symbol in names.module_name(module, name)):
                    found.add(name)
        for name, later in module.set_later.items():
            if any(self._may_be_source(module, binding, words, function) for binding, function in later):
                if any(self._is_source(symbol) for symbol in names.module_name(module, name)):
                    found.add(name)
        for info in module.classes.values():
            bases = [name for base in info.node.bases for name in names.of(base, Place(module, None))]
            if any(self._is_source(base) for base in (*bases, *names.outside_bases(module, info))):
                found.add(info.node.name)
            if {"__init__", "close"} <= info.methods.keys() and module.words_in(info.methods["__init__"]) & words:
                if self.summaries.owner(f"@{module.path}:{info.qualname}") is not None:
                    found.add(info.node.name)
            for attribute, entries in info.attributes.items():
                if any(self._may_be_source(module, binding, words, method) for binding, method in entries):
                    symbols = names.member(f"@{module.path}:{info.qualname}()", attribute)
                    if any(self.table.is_source(symbol) for symbol in symbols):
                        found |= {attribute, info.node.name}
        for function in module.functions.values():
            said = module.words_in(function)
            if said & words and ("return" in said or function.node.returns is not None):
                if self.hands_out(f"@{module.path}:{function.qualname}"):
                    found.add(function.owner.node.name if function.owner else function.node.name)
                    found.add(function.node.name)
        for name, bindings in module.names.items() if found else ():
            for binding in bindings:
                if isinstance(binding, Value) and not found.isdisjoint(module.words_named(binding.expression)):
                    found.add(name)
        return found

    def _is_source(self, symbol: str) -> bool:
        """Whether something acquires, or has what does, be it a library's or another file's."""
        if not symbol.startswith("@"):
            return self.table.is_source(symbol)
        path, _, name = symbol[1:].partition(":")
        return re.split(r"[.(]", name)[0] in self.exported.get(path, ())

    def _may_be_source(
        self, module: Module, binding: Binding, words: frozenset[str], method: FunctionInfo | None = None
    ) -> bool:
        match binding:
            case Import(module=package, attribute=attribute):
                return package.partition(".")[0] in self.table.import_roots or attribute in words
            case Value(expression=ast.Name(id=name)) if method is not None and name not in words:
                told = [part for part in parameter_parts(method.node, name) if part is not None]
                return any(not words.isdisjoint(module.words_named(part)) for part in told)
            case Value(expression=named) | Annotated(annotation=named):
                return not words.isdisjoint(module.words_named(named))
        return False

    def hands_out(self, symbol: str) -> bool:
        """Whether a function returns something fresh, or something that acquires."""
        if self.summaries.fresh(symbol) is not None:
            return True
        names = self.program.sources
        return any(self.table.is_source(result) for result in (*names.called(symbol), *names.part(symbol)))

    def acquires(self, module: Module) -> bool:
        """Whether any function of a file acquires something."""
        words = self.program.words_of(module)
        return any(
            self.summaries.may_acquire(f"@{module.path}:{info.qualname}")
            for info in module.functions.values()
            if module.words_in(info) & words
        )

    def leaks(self, module: Module, only: str | None = None) -> Iterator[Located]:
        """The leaks of a file, in functions that call one of the words (of one function, where named)."""
        words = self.program.words_of(module)
        for info in module.functions.values():
            if only is not None and info.qualname != only:
                continue
            if only is None and not module.words_in(info) & words:
                continue
            name = f"@{module.path}:{info.qualname}"
            if self.summaries.may_acquire(name):
                try:
                    yield from self._leaks_in(module, info, self.program.function(name))
                except TooManyStates:
                    self.unanalysed.add((module.path, info.node.lineno, info.qualname))

    def _leaks_in(self, module: Module, info: FunctionInfo, function: Function | None) -> Iterator[Located]:
        if function is None:
            raise TooManyStates
        acquired = self.summaries.sites(function)
        if len(acquired) > _MOST_SITES:
            raise TooManyStates
        leaks = leaks_of(function, self.summaries)
        if leaks:
            sites = [(s.resource.id, function.graph.nodes[s.node].span) for s in acquired]
            spans = [(i, s) for i, s in sites if s]
            found = [self._located(leak, module, info, spans) for leak in _distinct(_without_parts(leaks))]
            beside = frozenset(located.finding.fingerprint for located in found if located is not None)
            yield from (replace(located, beside=beside) for located in found if located is not None)

    def _located(self, leak: Leak, module: Module, info: FunctionInfo, sites: list[tuple[str, Span]]) -> Located | None:
        rule = self.rules.names.get(leak.resource.id)
        span = leak.function.graph.nodes[leak.site.node].span
        if rule is None or span is None:
            return None
        if is_meant(module, info, leak, span) or self._is_owned(module, info, leak.resource, span):
            return None
        if self._is_of_another(module, leak):
            return None
        source, text = module.source, module.source.text(span)
        alike = sorted({s for _, s in sites if source.text(s) == text})
        line = source.line_of(span.start)
        qualname = re.sub(r"@\d+", "", info.qualname)
        finding = Finding(
            rule=rule[0],
            category=rule[1],
            severity=leak.severity,
            path=module.path,
            span=span,
            line=line,
            column=source.column_of(span.start),
            end_line=source.line_of(span.end),
            end_column=source.column_of(span.end),
            function=qualname,
            message=leak.message,
            resource=leak.resource.noun,
            held=leak.resource.held,
            witness=leak.witness,
            fingerprint=fingerprint(rule[0], stable_path(module.path), qualname, text, alike.index(span)),
            suppression_lines=(*range(line, source.line_of(span.end) + 1), *leak.function.header_lines),
        )
        siblings = tuple(s for i, s in sites if i == leak.resource.id and s != span)
        return Located(finding, leak, module, info, siblings, len(sites))

    def _is_of_another(self, module: Module, leak: Leak) -> bool:
        """Whether a word of the code, not a type, says what it is, and the project never imports that package."""
        acquired = leak.function.graph.nodes[leak.site.node].op
        named = acquired.callee.names if isinstance(acquired, Call) else ()
        names = [name for name in named if self.table.acquired_by((name,), None) is not None]
        packages = {package for name in names if (package := self.table.supposed(name))}
        if not named and leak.resource.any_if_imported and leak.site.factory is None:
            return not self._is_imported(module, leak.resource.id.partition("/")[0])
        return is_whole(module.path) and not all(self._is_imported(module, package) for package in packages)

    def _is_imported(self, module: Module, package: str) -> bool:
        imports = re.compile(
            rb"(?m)^(?:\xef\xbb\xbf)?[ \t]*(?:from|import)[ \t]+" + re.escape(package).encode() + rb"\b"
        )
        return any(map(imports.search, chain([module.source.data], self.mentions.texts(package, module.path))))

    def _is_owned(self, module: Module, info: FunctionInfo, resource: Resource, span: Span) -> bool:
        """Whether the acquiring call, or the one that made what it calls, is given what owns all it would hold."""
        if not resource.owned_by:
            return False
        owners = {self.table.canonical(name) for name in resource.owned_by}
        start = module.source.offset
        for node in ast.walk(info.node):
            if isinstance(node, ast.Call) and start(node.lineno, node.col_offset) == span.start:
                if start(node.end_lineno or 0, node.end_col_offset or 0) == span.end:
                    given = [value for call in _with_makers(node, module, info) for value in _arguments_of(call)]
                    names = [n for value in given for n in self.program.names.of(value, Place(module, info))]
                    known = any(self.table.canonical(name) in owners for name in names)
                    return known or any(_CONNECTION.search(_word(value)) for value in given)
        return False

    def matches(self, module: Module, patterns: Mapping[str, PatternCodemod]) -> Iterator[Matched]:
        """What some patterns report of a file."""
        outer = self._last_view
        try:
            for rule, codemod in patterns.items():
                try:
                    view = self._view(module, self.rules.wishes(rule))
                    for match in codemod.find(view):
                        yield self._matched(view, rule, codemod, match)
                except RecursionError:
                    raise
                except Exception as error:  # a codemod may be anybody's; one that fails must not take the others along
                    self.failed[module.path, rule] = f"{type(error).__name__}: {error}"
        finally:
            self._last_view = outer  # a view refers to the analysis: kept, neither would be freed without the collector

    def _view(self, module: Module, wishes: Wishes) -> View:
        """One view of a file for all who ask one after the other and have the same wishes."""
        view = self._last_view
        if view is None or view.module is not module or view.wishes != wishes:
            view = self._last_view = View(
                module,
                self.program.names,
                self._others,
                self.mentions,
                self._acquired,
                self.summaries.fresh,
                self._scoped,
                wishes,
            )
        return view

    def _matched(self, view: View, rule: str, codemod: PatternCodemod, match: Match) -> Matched:
        source, node = view.module.source, match.node
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start, end = source.offset(node.lineno, node.col_offset), source.offset(node.end_lineno, node.end_col_offset)
        function = view.function_of(node)
        qualname = re.sub(r"@\d+", "", function.qualname) if function is not None else "<module>"
        text = source.text(Span(start, end))
        header: tuple[int, ...] = ()
        before = source.data[:start]
        if function is not None:
            before = source.data[source.offset(function.node.lineno, 0) : start]
            first = min([function.node.lineno, *(d.lineno for d in function.node.decorator_list)])
            header = tuple(range(first, function.node.body[0].lineno)) or (first,)
        told = (match.identity, 0) if match.identity else (text, before.count(text.encode()))
        finding = Finding(
            rule=rule,
            category=codemod.category,
            severity=match.severity,
            path=view.module.path,
            span=Span(start, end),
            line=node.lineno,
            column=source.column_of(start),
            end_line=node.end_lineno,
            end_column=source.column_of(end),
            function=qualname,
            message=match.message,
            resource=codemod.noun,
            held=match.held,
            witness=(Step(node.lineno, f"{codemod.noun} here"), *match.steps),
            fingerprint=fingerprint(rule, stable_path(view.module.path), qualname, *told),
            suppression_lines=(*range(node.lineno, node.end_lineno + 1), *header),
        )
        return Matched(finding, match, view.module)

    def _others(self, word: str, path: str, worth: Callable[[bytes], bool] | None = None) -> Iterator[Module]:
        for other in self.mentions.of(word, path):
            if worth is not None and not worth(self.modules.read(other)):
                continue
            module = self.modules.load(other)
            if module is not None:
                yield module

    def _acquired(self, module: Module, function: FunctionInfo | None, call: ast.Call) -> Resource | None:
        names = self.program.names.of(call.func, Place(module, function))
        method = call.func.attr if isinstance(call.func, ast.Attribute) else None
        rows = [self.table.acquired_by(names, method, written(call.func), awaited) for awaited in (False, True)]
        if rows != [None, None]:
            return rows[0] if rows[0] is rows[1] else rows[_is_awaited(call, function)]
        return next((found for name in names if (found := self.summaries.fresh(name)) is not None), None)

    def _scoped(self, source: SourceFile, qualname: str) -> SourceFile | Refusal:
        """The file after the leaks of one of its functions were repaired one by one, or why that cannot be done."""
        for _ in range(_MOST_SCOPED):
            module = self.parsed(source)
            analysis = self.with_module(module)
            located = next(analysis.leaks(module, qualname), None)
            if located is None:
                return source
            answer = analysis.proposal(located)
            if isinstance(answer, Refusal):
                return answer
            source = source.edited(answer.edits)
        return Refusal("it acquires too many things to be repaired at once")

    def proposal(self, located: Located) -> Fix | Refusal:
        """The repair the strategies propose."""

        def subject() -> Subject:
            return Subject(
                located.module,
                located.function,
                located.leak.resource,
                self.table,
                self.program.names,
                located.finding.span,
                located.siblings,
                located.leak.site.factory is not None,
                located.leak.site.packed,
                located.leak.never,
                lambda: self._callers(located.module, located.function),
            )

        releaser = self._releaser(located.leak) if not located.leak.resource.repeatable else None
        if releaser is not None:
            return Refusal(f"{releaser} releases it too, and releasing it twice is an error")
        try:
            fix = repair(subject, located.leak.kept)
            return self.reviewed(located.module, located.finding, fix) if isinstance(fix, Fix) else fix
        except Refused as refused:
            return Refusal(str(refused))
        except RecursionError:
            return Refusal("the function is nested too deeply to be edited safely")

    def reviewed(self, module: Module, finding: Finding, fix: Fix) -> Fix:
        """The repair, for review where a test puts something else in the place of what it is about."""
        word = replaced_by_tests(self.mentions, module.path, module.source.text(finding.span))
        if not word:
            return fix
        why = f"that the tests still pass which put something else in the place of {word}"
        return replace(fix, safety=Safety.REVIEW, check="; ".join(filter(None, (fix.check, why))))

    def _callers(self, module: Module, function: FunctionInfo, depth: int = 0) -> Iterator[tuple[Module, FunctionInfo]]:
        """The functions that call one of the project, and those that call such as return what they got.

        Where a file hands it on, to ``Depends`` or the like, any function there may get what it returns.
        """
        word, symbol = function.node.name, f"@{module.path}:{function.qualname}"
        for other in (module, *self._others(word, module.path)):
            handed_on = word in other.all_names and self._hands_on(other, word, symbol)
            for caller in other.functions.values():
                if caller is not function and handed_on:
                    yield other, caller
                    continue
                if caller is function or word not in other.words_in(caller):
                    continue
                calls = [
                    node
                    for node in own_nodes(caller.node)
                    if isinstance(node, ast.Call) and name_of(node.func) == word
                    if symbol in (names := self.program.names.of(node.func, Place(other, caller))) or not names
                ]
                if calls:
                    yield other, caller
                    if depth < _MOST_CALLERS and any(
                        isinstance(node, ast.Return) and node.value in calls for node in own_nodes(caller.node)
                    ):
                        yield from self._callers(other, caller, depth + 1)

    def _hands_on(self, module: Module, word: str, symbol: str) -> bool:
        """Whether a function, by its last word and its symbolic name, is an argument of a call."""
        for call in (node for node in ast.walk(module.tree) if isinstance(node, ast.Call)):
            for value in _arguments_of(call):
                if _word(value) == word:
                    names = self.program.names.of(value, Place(module, None))
                    if symbol in names or (not names and isinstance(value, ast.Name)):
                        return True
        return False

    def _releaser(self, leak: Leak) -> str | None:
        """A function of the project that releases what it is given, if the leaking one calls any."""
        for node in leak.function.graph.nodes:
            if isinstance(node.op, Call):
                for argument in node.op.arguments:
                    handling = self.summaries.handling(node.op, argument.variable, leak.resource)
                    if handling in (Handling.RELEASES, Handling.RELEASES_ON_SUCCESS):
                        return node.op.callee.last_word.rpartition(":")[2]
        return None

    def parsed(self, source: SourceFile) -> Module:
        """Parse and index a source. Raises Unparsable, RecursionError."""
        return read_module(source, parse(source))


def _word(node: ast.expr) -> str:
    """The last word of a name; "" of what is called."""
    return "" if isinstance(node, ast.Call) else name_of(node)


_CONNECTION = re.compile(r"(?:^|_)conn(?:ection)?$", re.IGNORECASE)
"""How an argument is called that is a connection somebody else opened, where nothing else tells its type."""


def _with_makers(call: ast.Call, module: Module, info: FunctionInfo) -> Iterator[ast.Call]:
    """A call, and those that made what it calls, or gave it its settings: ``sessionmaker(bind=connection)()``."""
    yield call
    called = ast.unparse(call.func)
    for node in own_nodes(info.node):
        match node:
            case ast.Call(func=ast.Attribute(value=made, attr="configure")) if ast.unparse(made) == called:
                yield node
    match call.func:
        case ast.Call() as maker:
            yield maker
        case ast.Name(id=name):
            for node in own_nodes(info.node):
                match node:
                    case ast.Assign(targets=[ast.Name(id=bound)], value=ast.Call() as maker) if bound == name:
                        yield maker
            for binding in module.names.get(name, ()):
                if isinstance(binding, Value) and isinstance(binding.expression, ast.Call):
                    yield binding.expression


def _is_awaited(call: ast.Call, function: FunctionInfo | None) -> bool:
    own = own_nodes(function.node) if function is not None else ()
    return any(isinstance(node, ast.Await) and node.value is call for node in own)


def _arguments_of(call: ast.Call) -> list[ast.expr]:
    return [*call.args, *(keyword.value for keyword in call.keywords)]


def _without_parts(leaks: list[Leak]) -> list[Leak]:
    """Without the cursors of a connection that leaks itself: whoever releases it releases them."""
    return [
        leak
        for leak in leaks
        if not leak.resource.on_lasting_owner
        or not any(other is not leak and _receiver(leak) in _variables(other) for other in leaks)
    ]


def _receiver(leak: Leak) -> str | None:
    acquisition = leak.function.graph.nodes[leak.site.node].op
    return acquisition.callee.receiver if isinstance(acquisition, Call) else None


def _variables(leak: Leak) -> set[str]:
    nodes = leak.function.graph.nodes
    acquisition = nodes[leak.site.node].op
    held = {acquisition.dest} if isinstance(acquisition, Call) else set()
    return held | {node.op.dest for node in nodes if isinstance(node.op, Copy) and node.op.source in held}


def _distinct(leaks: list[Leak]) -> list[Leak]:
    """One leak for each acquiring expression: copies of a ``finally`` body are one place."""
    found: dict[object, Leak] = {}
    for leak in leaks:
        span = leak.function.graph.nodes[leak.site.node].span
        found.setdefault(span, leak)
    return sorted(found.values(), key=lambda leak: leak.function.graph.nodes[leak.site.node].span or Span(0, 0))


def stable_path(path: str) -> str:
    """A path from the project's root, the same from any working directory."""
    absolute = os.path.abspath(path)
    root = _root_above(os.path.dirname(absolute))
    return os.path.relpath(absolute, root).replace(os.sep, "/") if root else os.path.basename(path)


@remembered(65536)
def _root_above(folder: str) -> str | None:
    for _ in range(64):
        if has_one_of(folder, _ROOT_MARKS):
            return folder
        folder, below = os.path.dirname(folder), folder
        if folder == below:
            break
    return None
