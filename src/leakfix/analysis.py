"""One file's leaks as findings, and the repair proposed for each; nothing here is verified yet."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from leakfix.finding import Category, Finding, Fix, Refusal, fingerprint
from leakfix.languages.python.modules import (
    Annotated,
    Binding,
    FunctionInfo,
    Import,
    Module,
    Value,
    named_words,
)
from leakfix.languages.python.program import PythonProgram
from leakfix.languages.python.project import Modules
from leakfix.lifetimes.summaries import Summaries
from leakfix.lifetimes.verdict import Leak, leaks_of
from leakfix.repairs.python.plan import repair
from leakfix.repairs.python.subject import Refused, Subject
from leakfix.resources import ResourceTable
from leakfix.source import SourceFile, Span

_ROOT_MARKS = (".git", "pyproject.toml", "leakfix.toml", "setup.py")


@dataclass(frozen=True, slots=True)
class Rules:
    """Which rule, of which category, reports a resource; only selected ones are there."""

    names: Mapping[str, tuple[str, Category]]


@dataclass(frozen=True)
class Located:
    """A leak with the function of the file it was found in."""

    finding: Finding
    leak: Leak
    module: Module
    function: FunctionInfo
    siblings: tuple[Span, ...]


class Analysis:
    """The analysis of a run; its modules, graphs and summaries are made on demand and kept."""

    def __init__(
        self, table: ResourceTable, rules: Rules, read: Callable[[str], bytes], words: Collection[str] = ()
    ) -> None:
        self.table = table
        self.rules = rules
        self.words = {*table.call_words, "()", *words}
        self.modules = Modules(read)

    @cached_property
    def program(self) -> PythonProgram:
        """The project's functions."""
        return PythonProgram(self.modules, self.words)

    @cached_property
    def summaries(self) -> Summaries:
        """What they do with resources."""
        return Summaries(self.program, self.table)

    def with_module(self, module: Module) -> Analysis:
        """The same project with one file replaced; what was parsed of the others is shared."""
        other = Analysis(self.table, self.rules, self.modules.read, self.words)
        other.modules = self.modules.with_module(module)
        return other

    def exports(self, module: Module) -> frozenset[str]:
        """Names of a module by which other files may acquire something: engines, pools, factories, their classes.

        Only what is bound by a call of one of the words, or imported under one, is asked about.
        """
        found: set[str] = set()
        names = self.program.names
        words = self.program.words_of(module)
        for name, bindings in module.names.items():
            if any(self._may_be_source(binding, words) for binding in bindings):
                if any(self.table.is_source(symbol) for symbol in names.module_name(module, name)):
                    found.add(name)
        for info in module.classes.values():
            if any(self.table.is_source(base) for base in names.outside_bases(module, info)):
                found.add(info.node.name)
            for attribute, entries in info.attributes.items():
                if any(self._may_be_source(binding, words) for binding, _ in entries):
                    symbols = names.member(f"@{module.path}:{info.qualname}()", attribute)
                    if any(self.table.is_source(symbol) for symbol in symbols):
                        found |= {attribute, info.node.name}
        for function in module.functions.values():
            if function.call_words & words and self.hands_out(f"@{module.path}:{function.qualname}"):
                found.add(function.owner.node.name if function.owner else function.node.name)
                found.add(function.node.name)
        for name, bindings in module.names.items():
            if any(isinstance(binding, Value) and named_words(binding.expression) & found for binding in bindings):
                found.add(name)
        return frozenset(name for name in found if not name.startswith("__"))

    def _may_be_source(self, binding: Binding, words: Collection[str]) -> bool:
        match binding:
            case Import(module=package, attribute=attribute):
                return package.partition(".")[0] in self.table.import_roots or attribute in words
            case Value(expression=value):
                return bool(named_words(value) & set(words))
            case Annotated(annotation=annotation):
                return bool(named_words(annotation) & set(words))
        return False

    def hands_out(self, symbol: str) -> bool:
        """Whether a function returns something fresh, or something that acquires."""
        if self.summaries.fresh(symbol) is not None:
            return True
        return any(self.table.is_source(result) for result in self.program.names.called(symbol))

    def leaks(self, module: Module, only: str | None = None) -> Iterator[Located]:
        """The leaks of a file, in functions that call one of the words (of one function, where named)."""
        words = self.program.words_of(module)
        for info in module.functions.values():
            if only is not None and info.qualname != only:
                continue
            if only is None and not info.call_words & words:
                continue
            name = f"@{module.path}:{info.qualname}"
            function = self.program.function(name) if self.summaries.may_acquire(name) else None
            if function is None:
                continue
            leaks = leaks_of(function, self.summaries)
            if leaks:
                sites = [(s.resource.id, function.graph.nodes[s.node].span) for s in self.summaries.sites(function)]
                for leak in _distinct(leaks):
                    located = self._located(leak, module, info, [(i, s) for i, s in sites if s])
                    if located is not None:
                        yield located

    def _located(self, leak: Leak, module: Module, info: FunctionInfo, sites: list[tuple[str, Span]]) -> Located | None:
        rule = self.rules.names.get(leak.resource.id)
        span = leak.function.graph.nodes[leak.site.node].span
        if rule is None or span is None:
            return None
        source = module.source
        text = source.text(span)
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
        return Located(finding, leak, module, info, siblings)

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
                located.leak.never,
            )

        try:
            return repair(subject, located.leak.kept)
        except Refused as refused:
            return Refusal(str(refused))
        except RecursionError:
            return Refusal("the function is nested too deeply to be edited safely")

    def parsed(self, source: SourceFile) -> Module:
        """Parse and index a source. Raises Unparsable, RecursionError."""
        from leakfix.languages.python.modules import read_module
        from leakfix.languages.python.project import parse

        return read_module(source, parse(source))


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
    folder = os.path.dirname(absolute)
    for _ in range(64):
        if any(os.path.exists(os.path.join(folder, mark)) for mark in _ROOT_MARKS):
            return os.path.relpath(absolute, folder).replace(os.sep, "/")
        above = os.path.dirname(folder)
        if above == folder:
            break
        folder = above
    return os.path.basename(path)
