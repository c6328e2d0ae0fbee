"""The leaks of Go files as findings; what repairs them is proposed elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

from leakfix.analysis import Rules, stable_path
from leakfix.codemod import GoPatternCodemod
from leakfix.finding import Finding, Step, fingerprint
from leakfix.ir.nodes import Function
from leakfix.languages.go.packages import GoFile, GoFunction, Package, Packages
from leakfix.languages.go.program import GoProgram, words_of
from leakfix.languages.go.syntax import text
from leakfix.lifetimes.summaries import Summaries
from leakfix.lifetimes.verdict import Leak, TooManyStates, leaks_of
from leakfix.patterns.go import GoMatch, GoView
from leakfix.repairs.go.flows import Package as Declared
from leakfix.resources import ResourceTable
from leakfix.source import SourceFile, Span

if TYPE_CHECKING:
    from tree_sitter import Node

_ANYBODYS = frozenset({"Close", "close"})  # files and sockets are closed, too
_MOST_NESTED = 200


@dataclass(frozen=True)
class GoLocated:
    """A leak with the function of the file it was found in."""

    finding: Finding
    leak: Leak
    file: GoFile
    function: GoFunction


@dataclass(frozen=True)
class GoMatched:
    """A place that a pattern reports, with its file."""

    finding: Finding
    match: GoMatch
    file: GoFile


class GoAnalysis:
    """The analysis of a run's Go files; what it lowers it keeps."""

    def __init__(self, table: ResourceTable, rules: Rules, packages: Packages) -> None:
        self.table = table
        self.rules = rules
        self.packages = packages
        self.program = GoProgram(packages)
        self.summaries = Summaries(self.program, table)
        self.unanalysed: set[tuple[str, int, str]] = set()
        self.failed: dict[tuple[str, str], str] = {}
        """What codemods raised, by file and rule."""
        self._makers: dict[str, frozenset[str]] = {}
        self._found: dict[str, list[GoLocated]] = {}

    def with_source(self, source: SourceFile) -> GoAnalysis:
        """The same project with one file replaced."""
        return GoAnalysis(self.table, self.rules, self.packages.with_source(source))

    @cached_property
    def words(self) -> frozenset[str]:
        """Last words of calls that acquire, or that only something acquired answers to."""
        told = {word for row in self.table.resources for word in (*row.exhausted_by, *row.release)}
        return self.table.call_words | told - _ANYBODYS

    @cached_property
    def _worth(self) -> re.Pattern[bytes]:
        names = [
            name for row in self.table.resources for name in row.acquire if "/" in name or name.startswith("context.")
        ]
        words = {name.replace("()", "").rpartition(".")[2] for name in names}
        words |= {word for row in self.table.resources for word in row.exhausted_by}
        return re.compile(rb"\.(?:" + b"|".join(sorted(word.encode() for word in words)) + rb")\(")

    @cached_property
    def _parts(self) -> re.Pattern[bytes]:
        """What is asked of something that is released by a part of it: whoever has it may have it from anybody."""
        names = {name for row in self.table.resources if row.part for name in (row.part, *row.data[:1])}
        return re.compile(
            rb"\.(?:" + b"|".join(sorted(name.encode() for name in names)) + rb")\b" if names else rb"(?!)"
        )

    def is_worth(self, data: bytes) -> bool:
        """Whether a file's text has a call that may acquire something."""
        return self._worth.search(data) is not None or self._parts.search(data) is not None

    def leaks(self, file: GoFile) -> list[GoLocated]:
        """The leaks of a file."""
        if file.path not in self._found:
            self._found[file.path] = list(self._leaks_of(file, self.program.declared(file)))
        return self._found[file.path]

    def leaks_beside(self, file: GoFile, before: Iterable[GoFunction], function: GoFunction) -> Iterator[GoLocated]:
        """The leaks of a function of a file, and of those functions to which it matters how it differs from before.

        Those are what else was changed, and what calls such a function, be it through others of the file.
        """
        while function.outer is not None:
            function = function.outer
        former = {known.name: known.node.text for known in before}
        others = list(self.program.declared(file))
        touched: list[GoFunction] = []
        names: set[str] = set()
        more = [each for each in others if each.name == function.name or each.node.text != former.get(each.name)]
        while more:
            touched += more
            names |= {each.qualname.rpartition(".")[2] for each in more}
            others = [each for each in others if each not in touched]
            more = [each for each in others if not names.isdisjoint(words_of(each))]
        return self._leaks_of(file, touched)

    def _leaks_of(self, file: GoFile, functions: Iterable[GoFunction]) -> Iterator[GoLocated]:
        words = self.words | self._factories(file)
        for function in functions:
            if words_of(function) & words or self._parts.search(function.node.text or b""):
                yield from self._leaks_in(file, function)

    def declared(self, file: GoFile) -> Declared:
        """The functions and types of a file's package, by their own names."""
        package = self.packages.of_folder(file.folder)
        functions: dict[str, tuple[Node, ...]] = {}
        for function in package.functions.values():
            name = function.qualname.rpartition(".")[2]
            functions[name] = (*functions.get(name, ()), function.node)
        return Declared(functions, {name: found.node for name, found in package.types.items()})

    def view(self, file: GoFile) -> GoView:
        """A file as codemods see it."""
        package = self.packages.of_folder(file.folder)
        lowered = partial(self._lowered, file)
        return GoView(file, package, self.program.resolver, self.table, lowered)

    def _lowered(self, file: GoFile) -> list[tuple[GoFunction, Function]]:
        functions: list[tuple[GoFunction, Function]] = []
        waiting = list(self.program.declared(file))
        while waiting:
            function = waiting.pop(0)
            lowered = self.program.function(function.name)
            if lowered is not None:
                functions.append((function, lowered))
                waiting += self.program.literals(function)
        return functions

    def matches(self, file: GoFile, patterns: Mapping[str, GoPatternCodemod]) -> Iterator[GoMatched]:
        """What some patterns report of a file."""
        data = file.source.data
        wanted = {rule: item for rule, item in patterns.items() if re.search(item.shape.encode(), data, re.MULTILINE)}
        if not wanted:
            return
        view = self.view(file)
        for rule, codemod in wanted.items():
            wishes = self.rules.wishes(rule)
            view = view if view.wishes == wishes else replace(view, wishes=wishes)
            try:
                yield from _matches_of(file, rule, codemod, view)
            except RecursionError:
                raise
            except Exception as error:  # a codemod may be anybody's; one that fails must not take the others along
                self.failed[file.path, rule] = f"{type(error).__name__}: {error}"

    def _factories(self, file: GoFile) -> frozenset[str]:
        """Names of the project's functions, near a file, whose type says that they may hand out a resource."""
        folder = file.folder
        near = [self.packages.of_folder(folder)]
        near += [
            found for path in file.imports.values() if (found := self.packages.of_import(path, folder)) is not None
        ]
        return frozenset().union(*(self._factories_of(package) for package in near))

    def _factories_of(self, package: Package) -> frozenset[str]:
        if package.folder not in self._makers:
            made = {
                function.qualname.rpartition(".")[2]
                for function in package.functions.values()
                if "." in text(function.node.child_by_field_name("result"))  # a type of somebody else's
                for result in self.program.resolver.given(function)
                if self.table.canonical(result.name.removesuffix("()")) in self.table.by_acquire
            }
            self._makers[package.folder] = frozenset(made)
        return self._makers[package.folder]

    def _leaks_in(self, file: GoFile, function: GoFunction, depth: int = 0) -> Iterator[GoLocated]:
        lowered = self.program.function(function.name)
        if lowered is None:
            self.unanalysed.add((file.path, int(function.node.start_point[0]) + 1, function.qualname))
            return
        try:
            leaks = leaks_of(lowered, self.summaries)
        except TooManyStates:
            self.unanalysed.add((file.path, int(function.node.start_point[0]) + 1, function.qualname))
            leaks = []
        sites = [(s.resource.id, lowered.graph.nodes[s.node].span) for s in self.summaries.sites(lowered)]
        for leak in leaks:
            located = self._located(leak, file, function, lowered, [(i, s) for i, s in sites if s])
            if located is not None:
                yield located
        for literal in self.program.literals(function)[:_MOST_NESTED] if depth < 8 else ():
            yield from self._leaks_in(file, literal, depth + 1)

    def _located(
        self, leak: Leak, file: GoFile, function: GoFunction, lowered: Function, sites: list[tuple[str, Span]]
    ) -> GoLocated | None:
        rule = self.rules.names.get(leak.resource.id)
        span = lowered.graph.nodes[leak.site.node].span
        if rule is None or span is None:
            return None
        source = file.source
        text = source.text(span)
        alike = sorted({s for _, s in sites if source.text(s) == text})
        at = source.line_of(span.start)
        finding = Finding(
            rule=rule[0],
            category=rule[1],
            severity=leak.severity,
            path=file.path,
            span=span,
            line=at,
            column=source.column_of(span.start),
            end_line=source.line_of(span.end),
            end_column=source.column_of(span.end),
            function=function.qualname,
            message=leak.message,
            resource=leak.resource.noun,
            held=leak.resource.held,
            witness=leak.witness,
            fingerprint=fingerprint(rule[0], stable_path(file.path), function.qualname, text, alike.index(span)),
            suppression_lines=(*range(at, source.line_of(span.end) + 1), *leak.function.header_lines),
        )
        return GoLocated(finding, leak, file, function)


def _matches_of(file: GoFile, rule: str, codemod: GoPatternCodemod, view: GoView) -> Iterator[GoMatched]:
    seen: dict[tuple[str, str], int] = {}
    for match in codemod.find(view):
        place = (match.function, file.source.text(match.span))
        seen[place] = seen.get(place, -1) + 1
        yield _matched(file, rule, codemod, match, place[1], seen[place])


def _matched(
    file: GoFile, rule: str, codemod: GoPatternCodemod, match: GoMatch, text: str, occurrence: int
) -> GoMatched:
    source, span = file.source, match.span
    at = source.line_of(span.start)
    finding = Finding(
        rule=rule,
        category=codemod.category,
        severity=match.severity,
        path=file.path,
        span=span,
        line=at,
        column=source.column_of(span.start),
        end_line=source.line_of(span.end),
        end_column=source.column_of(span.end),
        function=match.function,
        message=match.message,
        resource=codemod.noun,
        held=match.held,
        witness=(Step(at, f"{codemod.noun} here"), *(Step(*step) for step in match.steps)),
        fingerprint=fingerprint(rule, stable_path(file.path), match.function, text, occurrence),
        suppression_lines=tuple(range(at, source.line_of(span.end) + 1)),
    )
    return GoMatched(finding, match, file)
