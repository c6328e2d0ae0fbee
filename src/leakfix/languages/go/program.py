"""The project's Go as the analysis asks for it: functions by symbolic name, lowered on demand and kept."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from leakfix.ir.nodes import Call, Callee, Function
from leakfix.languages.go.expressions import TooComplex, Variable
from leakfix.languages.go.lower import Lowering
from leakfix.languages.go.packages import GoFile, GoFunction, Packages, Resolver, parameters_of
from leakfix.languages.go.syntax import line, own, text

if TYPE_CHECKING:
    from tree_sitter import Node

_CALLED = re.compile(rb"\b([A-Za-z_]\w*+)(?:\[[^\]\n]*\])?\(")
_CARRIES_NOTHING = frozenset({"slice_type", "map_type", "array_type", "channel_type", "function_type"})
_BASIC = frozenset(
    "error bool string byte rune int int8 int16 int32 int64 uint uint8 uint16 uint32 uint64 uintptr float32 float64 "
    "complex64 complex128".split()
)


class GoProgram:
    """Functions of the project in the small IR. Implements ``leakfix.ir.nodes.Program``."""

    def __init__(self, packages: Packages) -> None:
        self.packages = packages
        self.resolver = Resolver(packages)
        self._functions: dict[str, Function | None] = {}
        self._literals: dict[str, list[GoFunction]] = {}
        self._known: dict[str, GoFunction] = {}
        self._scopes: dict[str, dict[str, Variable]] = {}

    def declared(self, file: GoFile) -> Iterator[GoFunction]:
        """The functions and methods of a file."""
        package = self.packages.of_folder(file.folder)
        return iter(package.declared.get(file.path, ()))

    def literals(self, function: GoFunction) -> list[GoFunction]:
        """The function literals in a function, as functions of their own; what is in those is asked of them."""
        self.function(function.name)
        return self._literals.get(function.name, [])

    def function(self, name: str) -> Function | None:
        """The project's function of that symbolic name; None also where it is too complex to lower."""
        if name not in self._functions:
            found = self._known.get(name) or self.resolver.function(name)
            self._functions[name] = self._lowered(found) if found is not None else None
        return self._functions[name]

    def callees(self, name: str) -> Sequence[Callee]:
        """What the project's function of that name calls; nothing where its type says that it can hand nothing out."""
        declared = self.resolver.function(name)
        if declared is None or not self._may_hand_out(declared):
            return ()
        function = self.function(name)
        if function is None:
            return ()
        return [node.op.callee for node in function.graph.nodes if isinstance(node.op, Call)]

    def _may_hand_out(self, function: GoFunction) -> bool:
        """Whether a result is of a type whose value may be something acquired: none of the language's own.

        Neither is it a struct of the project: what that is given lives in it, and is not handed out.
        """
        result = function.node.child_by_field_name("result")
        if result is None:
            return False
        kinds = [kind for _, kind, _ in parameters_of(result)] if result.type == "parameter_list" else [result]
        return any(kind is not None and self._may_be_acquired(kind, function.file) for kind in kinds)

    def _may_be_acquired(self, kind: Node, file: GoFile) -> bool:
        if kind.type in _CARRIES_NOTHING or text(kind) in _BASIC:
            return False
        found = self.resolver.declaration(self.resolver.declared(kind, file).name)
        declared = found.node.child_by_field_name("type") if found is not None else None
        return declared is None or declared.type != "struct_type"

    def constructor(self, name: str) -> Function | None:
        """Go has none."""
        return None

    def is_record(self, name: str) -> bool:
        """Nobody asks: a struct is no call."""
        return False

    def makes_new(self, name: str) -> bool:
        """Nobody asks: a struct is no call."""
        return False

    def methods(self, name: str) -> tuple[Function, ...]:
        """Nobody asks: what a struct is given lives in it."""
        return ()

    def _lowered(self, function: GoFunction) -> Function | None:
        lowering = Lowering(function, self.resolver, self._scopes.get(function.name))
        try:
            graph = lowering.run()
        except (TooComplex, RecursionError):
            return None
        nested = []
        for number, literal in enumerate(lowering.literals, 1):
            name = f"{function.name}.func{number}"
            inner = GoFunction(name, f"{function.qualname}.func{number}", literal.node, function.file, "", function)
            self._known[name], self._scopes[name] = inner, literal.scope
            nested.append(inner)
        self._literals[function.name] = nested
        node = function.node
        body = node.child_by_field_name("body")
        first = line(node)
        return Function(
            name=function.name,
            qualname=function.qualname,
            parameters=lowering.parameters(),
            graph=graph,
            rest=("", ""),
            is_method=bool(function.receiver),
            wrapped=_gives_function(function),
            header_lines=tuple(range(first, line(body) + 1)) if body is not None else (first,),
        )


def _gives_function(function: GoFunction) -> bool:
    """Whether a function hands out a function, too: most likely the one that releases what it hands out."""
    result = function.node.child_by_field_name("result")
    return result is not None and any(node.type == "function_type" for node in own(result))


def words_of(function: GoFunction) -> set[str]:
    """The words before a bracket in a function: those of all its calls, and more."""
    return {word.decode() for word in _CALLED.findall(function.node.text or b"")}
