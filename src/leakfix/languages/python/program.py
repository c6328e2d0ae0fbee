"""The project as the analysis asks for it: functions by symbolic name, lowered on demand and kept."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from leakfix.ir.nodes import Callee, Function, Graph
from leakfix.languages.python.lower import Lowering, TooComplex
from leakfix.languages.python.modules import FunctionInfo, Module, own_nodes
from leakfix.languages.python.names import Names, Place
from leakfix.languages.python.project import Modules


class PythonProgram:
    """Functions of the project in the small IR. Implements ``leakfix.ir.nodes.Program``."""

    def __init__(self, modules: Modules) -> None:
        self.modules = modules
        self.names = Names(modules)
        self._functions: dict[str, Function | None] = {}

    def function(self, name: str) -> Function | None:
        """The project's function of that symbolic name; None also where it is too complex to lower."""
        if name not in self._functions:
            found = self.names.function(name)
            self._functions[name] = self.lowered(*found) if found else None
        return self._functions[name]

    def callees(self, name: str) -> Sequence[Callee]:
        """What the project's function of that name calls, itself and in its comprehensions."""
        found = self.names.function(name)
        if found is None:
            return ()
        place = Place(*found)
        lowering = Lowering(found[1].node, place, self.names)
        return [lowering.callee(node) for node in own_nodes(found[1].node) if isinstance(node, ast.Call)]

    def constructor(self, name: str) -> Function | None:
        """The ``__init__`` of the project's class of that name, inherited ones included."""
        if self.names.class_(name) is None:
            return None
        for method in self.names.member(f"{name}()", "__init__"):
            return self.function(method)
        return None

    def methods(self, name: str) -> tuple[Function, ...] | None:
        """All methods of the project's class of that name."""
        found = self.names.class_(name)
        if found is None:
            return None
        module, info = found
        lowered = [self.function(f"@{module.path}:{method.qualname}") for method in info.methods.values()]
        return tuple(function for function in lowered if function is not None)

    def lowered(self, module: Module, info: FunctionInfo) -> Function | None:
        """One function in the small IR; None where it is too complex."""
        try:
            graph = Lowering(info.node, Place(module, info), self.names).run()
        except (TooComplex, RecursionError):
            return None
        return self._described(module, info, graph)

    def _described(self, module: Module, info: FunctionInfo, graph: Graph) -> Function:
        node = info.node
        arguments = node.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        static = any(isinstance(d, ast.Name) and d.id == "staticmethod" for d in node.decorator_list)
        first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
        return Function(
            name=f"@{module.path}:{info.qualname}",
            qualname=info.qualname,
            parameters=tuple(argument.arg for argument in every),
            graph=graph,
            is_method=info.owner is not None and not static,
            is_async=isinstance(node, ast.AsyncFunctionDef),
            is_generator=any(isinstance(item, ast.Yield | ast.YieldFrom) for item in own_nodes(node)),
            scope=self.names.scope(info, module),
            header_lines=tuple(range(first, node.body[0].lineno)) or (node.lineno,),
            owner=f"@{module.path}:{info.owner.qualname}" if info.owner else None,
        )
