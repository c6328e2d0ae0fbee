"""One file as a pattern codemod sees it, and a place in it that it reports."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

from leakfix.config import NO_WISHES, Wishes
from leakfix.finding import Fix, Refusal, Requirement, Severity, Step
from leakfix.languages.python.modules import FunctionInfo, Module, Scoped, own_nodes, parents_of
from leakfix.languages.python.names import Names, Place
from leakfix.patterns.text import Text
from leakfix.project import manifest
from leakfix.project.mentions import Fact, Mentions
from leakfix.repairs.python.layout import Layout
from leakfix.resources import Resource
from leakfix.source import SourceFile


@dataclass(frozen=True, slots=True)
class Match:
    """A place that a codemod reports.

    node: the expression or statement that is marked.
    repair: called once, where the finding is shown.
    held: "forever", "until-gc", "until-unreferenced" or None, as in a resource's row.
    steps: further lines of the witness, in the order to be read.
    identity: what tells the place from others alike, where the repair changes the marked text itself.
    """

    node: ast.expr | ast.stmt | ast.alias
    message: str
    repair: Callable[[], Fix | Refusal]
    severity: Severity = Severity.WARNING
    held: str | None = None
    steps: tuple[Step, ...] = ()
    identity: str = ""


@dataclass(frozen=True)
class View:
    """A parsed file with what its expressions mean.

    seek: the project's other files than that of a path in whose text a word stands, parsed.
    mentions: the bytes of the same files, which cost far less.
    acquired: the resource that a call acquires, where the call stands in a function.
    fresh: the resource that a function of the project, by its symbolic name, makes and returns.
    scoped: the file after the leaks in one of its functions were repaired, or why that cannot be done.
    wishes: what repairs may or should do beyond the least.
    """

    module: Module
    names: Names
    seek: Callable[[str, str, Callable[[bytes], bool] | None], Iterator[Module]]
    mentions: Mentions
    acquired: Callable[[Module, FunctionInfo | None, ast.Call], Resource | None]
    fresh: Callable[[str], Resource | None]
    scoped: Callable[[SourceFile, str], SourceFile | Refusal]
    wishes: Wishes = NO_WISHES
    _functions: dict[ast.AST, FunctionInfo] = field(default_factory=dict)

    @property
    def tree(self) -> ast.Module:
        """The file's syntax."""
        return self.module.tree

    @property
    def functions(self) -> Iterable[FunctionInfo]:
        """Every function and method of the file."""
        return self.module.functions.values()

    def may_name(self, function: FunctionInfo, names: Iterable[str]) -> bool:
        """Whether one of these names stands in a function; quicker than to look through its nodes."""
        words = self.module.words_in(function)
        return bool(function.node.decorator_list) or any(name in words for name in names)

    def of(self, node: ast.expr, function: FunctionInfo | None = None) -> tuple[str, ...]:
        """The symbolic names of an expression that stands in a function, or outside all."""
        return self.names.of(node, Place(self.module, function))

    def is_a(self, node: ast.expr, function: FunctionInfo | None, *wanted: str) -> bool:
        """Whether an expression has one of these symbolic names."""
        return any(name in wanted for name in self.of(node, function))

    def may_use(self, requirement: Requirement) -> bool:
        """Whether the project declares a library, or lets repairs bring it in and has a manifest for that."""
        return manifest.may_use(self.module.path, requirement, self.wishes.dependencies)

    def layout(self) -> Layout:
        """A fresh sheet for edits of the file."""
        return Layout(self.module.source)

    @cached_property
    def parents(self) -> dict[ast.AST, ast.AST]:
        """The node each node stands in."""
        return parents_of(self.tree)

    @cached_property
    def _by_name(self) -> dict[str, list[ast.Name]]:
        found: dict[str, list[ast.Name]] = {}
        for node in self.parents:
            if isinstance(node, ast.Name):
                found.setdefault(node.id, []).append(node)
        return found

    @cached_property
    def calls(self) -> list[ast.Call]:
        """Every call of the file."""
        return [node for node in self.parents if isinstance(node, ast.Call)]

    def function_of(self, node: ast.AST) -> FunctionInfo | None:
        """The innermost function a node stands in; its decorators, defaults and annotations stand outside."""
        if not self._functions:
            for info in self.functions:
                self._functions[info.node] = info
        child, parent = node, self.parents.get(node)
        while parent is not None:
            if parent in self._functions and child in self._functions[parent].node.body:
                return self._functions[parent]
            child, parent = parent, self.parents.get(parent)
        return None

    def statement_of(self, node: ast.AST) -> ast.stmt:
        """The statement a node stands in."""
        while not isinstance(node, ast.stmt):
            node = self.parents[node]
        return node

    def loops_round(self, node: ast.AST) -> Iterator[ast.For | ast.AsyncFor | ast.While]:
        """The loops of the same function a node stands in, the innermost first."""
        parent = self.parents.get(node)
        while parent is not None and not isinstance(parent, Scoped):
            if isinstance(parent, ast.For | ast.AsyncFor | ast.While):
                yield parent
            parent = self.parents.get(parent)

    def others(self, word: str, worth: Callable[[bytes], bool] | None = None) -> Iterator[Module]:
        """The project's other files in whose text a word stands, and that are worth it by their bytes."""
        return self.seek(word, self.module.path, worth)

    @cached_property
    def text(self) -> Text:
        """The file as it was before it was parsed."""
        return Text(self.module.path, self.module.source.data, self.mentions)

    def texts(self, word: str) -> Iterator[bytes]:
        """The bytes of the project's other files in which a word stands."""
        return self.text.texts(word)

    def once(self, key: str, compute: Callable[[], Fact]) -> Fact:
        """A fact about the project that does not depend on this file, computed once for all."""
        return self.text.once(key, compute)

    def symbol(self, function: FunctionInfo) -> str:
        """The symbolic name of a function of the file."""
        return f"@{self.module.path}:{function.qualname}"

    def elsewhere(self, module: Module) -> View:
        """Another file of the project, seen in the same way."""
        return replace(self, module=module, _functions={})

    def mentioning(self, word: str) -> Iterator[View]:
        """This file and the project's others in whose text a word stands."""
        yield self
        for module in self.others(word):
            yield self.elsewhere(module)

    def uses(self, name: str, function: FunctionInfo | None) -> list[ast.Name]:
        """Where a name stands in a function or in what is nested in it, or anywhere in the file."""
        found = self._by_name.get(name, [])
        return found if function is None else [node for node in found if self._stands_in(node, function.node)]

    def _stands_in(self, node: ast.AST, outer: ast.AST) -> bool:
        at: ast.AST | None = node
        while at is not None and at is not outer:
            at = self.parents.get(at)
        return at is not None

    def own(self, function: FunctionInfo) -> list[ast.AST]:
        """The nodes of a function without what is nested in it."""
        return own_nodes(function.node)
