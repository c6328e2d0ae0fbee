"""The project as the analysis asks for it: functions by symbolic name, lowered on demand and kept."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Sequence

from leakfix.ir.nodes import Callee, Function, Graph
from leakfix.languages.python.expressions import TooComplex
from leakfix.languages.python.lower import Lowering
from leakfix.languages.python.modules import (
    Binding,
    ClassInfo,
    FunctionInfo,
    Import,
    Module,
    Value,
    own_nodes,
)
from leakfix.languages.python.names import BUILTINS, Names, Place
from leakfix.languages.python.project import Modules


class PythonProgram:
    """Functions of the project in the small IR. Implements ``leakfix.ir.nodes.Program``."""

    def __init__(self, modules: Modules) -> None:
        self.modules = modules
        self.words: frozenset[str] = frozenset()
        """Words of calls worth resolving; others cannot acquire anything."""
        self.exported: frozenset[str] = frozenset()
        """Those of them that files of the project give: to files that import one, or name it behind a dot."""
        self.own_words: dict[str, frozenset[str]] = {}
        """The same for calls within one file, by its path."""
        self.names = Names(modules)
        self.sources = Names(modules, ())
        """Names as far as they lead to something that acquires: through the files that are known to export it."""
        self._words: dict[tuple[str, int], frozenset[str]] = {}
        self._functions: dict[str, Function | None] = {}

    def learn(self, words: Collection[str], exported: Collection[str], exporters: Collection[str]) -> None:
        """What words are worth resolving from now on, those that files of the project export, and these files."""
        self.words = frozenset(words)
        self.exported = frozenset(exported)
        self.sources = Names(self.modules, exporters)
        self._words.clear()

    def function(self, name: str) -> Function | None:
        """The project's function of that symbolic name; None also where it is too complex to lower."""
        if name not in self._functions:
            found = self.names.function(name)
            self._functions[name] = self.lowered(*found) if found else None
        return self._functions[name]

    def callees(self, name: str) -> Sequence[Callee]:
        """What the project's function of that name calls, itself and in its comprehensions."""
        self.sources.here = name[1:].partition(":")[0]
        found = self.sources.function(name)
        if found is None:
            return ()
        module, info = found
        words = self.words_of(module)
        lowering = Lowering(info.node, Place(module, info), self.sources)
        calls = [node for node in own_nodes(info.node) if isinstance(node, ast.Call)]
        return [
            lowering.callee(node)
            for node in calls
            if _called_word(node) in words or _is_local_call(node, module, lowering)
        ]

    def words_of(self, module: Module) -> frozenset[str]:
        """The words, with the names this module gives to what they stand for."""
        own = self.own_words.get(module.path, frozenset())
        key = (module.path, len(own))
        if key not in self._words:
            self._words[key] = frozenset(_with_aliases(module, self.words | own | self._given_to(module)))
        return self._words[key]

    def _given_to(self, module: Module) -> frozenset[str]:
        """Of what files of the project export, what a module may have got from them, or exports itself."""
        imported, named = module.words_given
        if b"*" in imported:
            return self.exported
        own = self.exported & module.names.keys()
        return own | {name for name in self.exported if (word := name.encode()) in imported or word in named}

    def constructor(self, name: str) -> Function | None:
        """The ``__init__`` of the project's class of that name, inherited ones included."""
        if self.names.class_(name) is None:
            return None
        for method in self.names.member(f"{name}()", "__init__"):
            return self.function(method)
        return None

    def is_record(self, name: str) -> bool:
        """Whether it is a class of the project without a constructor that anybody wrote: a dataclass."""
        return self.names.is_record(name)

    def makes_new(self, name: str) -> bool:
        """Whether it is a class each of whose calls gives an object of its own, all of it written in the project."""
        found = self.names.class_(name)
        return (
            found is not None
            and self.names.stands_alone(*found)
            and not any(
                info.node.decorator_list or info.node.keywords or "__new__" in info.methods
                for _, info in self.names.lineage(*found)
            )
        )

    def methods(self, name: str) -> Iterator[Function]:
        """All methods of the project's class of that name, then of those of its bases that are the project's."""
        found = self.names.class_(name)
        for module, info in self.names.lineage(*found) if found is not None else ():
            for method in info.methods.values():
                function = self.function(f"@{module.path}:{method.qualname}")
                if function is not None:
                    yield function

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
            rest=tuple(a.arg if a else "" for a in (arguments.vararg, arguments.kwarg)),
            is_method=info.owner is not None and not static,
            is_async=isinstance(node, ast.AsyncFunctionDef),
            is_generator=any(isinstance(item, ast.Yield | ast.YieldFrom) for item in own_nodes(node)),
            scope=self.names.scope(info, module),
            wrapped=self.names.is_wrapped(info, module),
            header_lines=tuple(range(first, node.body[0].lineno)) or (node.lineno,),
        )


def _called_word(node: ast.Call) -> str:
    match node.func:
        case ast.Name(id=word) | ast.Attribute(attr=word):
            return word
    return "()"


def _is_local_call(node: ast.Call, module: Module, lowering: Lowering) -> bool:
    if not isinstance(node.func, ast.Name) or node.func.id in module.names or node.func.id in BUILTINS:
        return False
    return node.func.id in lowering.locals


def _with_aliases(module: Module, words: frozenset[str]) -> set[str]:
    found = set(words)
    for _ in range(2):
        for name, bindings in module.names.items():
            if name not in found and any(_stands_for(module, binding, found) for binding in bindings):
                found.add(name)
    return found


def _stands_for(module: Module, binding: Binding, words: set[str]) -> bool:
    match binding:
        case Import(attribute=attribute):
            return attribute in words
        case Value(expression=ast.Name() | ast.Attribute() as expression):
            return not words.isdisjoint(module.words_named(expression))
        case ClassInfo(node=node):
            return any(not words.isdisjoint(module.words_named(base)) for base in node.bases)
    return False
