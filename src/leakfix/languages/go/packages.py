"""Packages of Go: what a folder's files declare, and the folders that import paths name.

Types are symbolic, as everywhere: ``database/sql.DB()`` is a value of that type or a pointer to one, ``@dir:Repo()``
one of a type of the project, whose package stands in ``dir``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from leakfix.languages.go.syntax import line, listed, parsed, text
from leakfix.project.trace import has_one_of, listing, trace
from leakfix.source import SourceFile

if TYPE_CHECKING:
    from tree_sitter import Node

_MODULE = re.compile(rb"^module\s+\"?([^\s\"]+)", re.MULTILINE)
_VERSION = re.compile(r"v\d+")
_LARGEST_PACKAGE = 2000  # files


class Type(NamedTuple):
    """What is known of a value.

    name: its symbolic name, "" where nothing is known; element: what it holds (slices, maps, channels), or what a
    function's call gives (results).
    """

    name: str = ""
    element: Type | None = None
    results: tuple[Type, ...] = ()


UNKNOWN = Type()
ERROR = Type("error")


@dataclass(frozen=True)
class GoFunction:
    """A function, a method, or a function literal. name: ``@dir:Repo.Get``; receiver: the type's own name."""

    name: str
    qualname: str
    node: Node
    file: GoFile
    receiver: str = ""
    outer: GoFunction | None = None


@dataclass
class GoFile:
    """One file. imports: import paths by the names the file uses for them."""

    source: SourceFile
    root: Node
    imports: dict[str, str] = field(default_factory=dict)

    @cached_property
    def path(self) -> str:
        """Where it is."""
        return self.source.path

    @cached_property
    def folder(self) -> str:
        """The folder it is in."""
        return os.path.dirname(self.path)


@dataclass(frozen=True, slots=True)
class TypeDeclaration:
    """A named type of the project."""

    node: Node
    file: GoFile


@dataclass
class Package:
    """The declarations of a folder's files (tests apart)."""

    folder: str
    files: list[GoFile] = field(default_factory=list)
    types: dict[str, TypeDeclaration] = field(default_factory=dict)
    functions: dict[str, GoFunction] = field(default_factory=dict)
    variables: dict[str, tuple[Node, GoFile]] = field(default_factory=dict)
    """The specification that declares a package variable."""

    @cached_property
    def declared(self) -> dict[str, list[GoFunction]]:
        """The functions and methods of each file."""
        found: dict[str, list[GoFunction]] = {}
        for function in self.functions.values():
            found.setdefault(function.file.path, []).append(function)
        return found


class Packages:
    """The project's packages, read on demand and kept. read: the bytes of a file; names: the Go files of a folder."""

    def __init__(self, read: Callable[[str], bytes], replaced: Mapping[str, SourceFile] | None = None) -> None:
        self._read = read
        self._replaced = dict(replaced or {})
        self._packages: dict[str, Package] = {}
        self._modules: dict[str, tuple[str, str] | None] = {}
        self._kept: dict[str, GoFile] = {}
        self._folders: dict[tuple[str, str], str | None] = {}

    def with_source(self, source: SourceFile) -> Packages:
        """The same project with one file replaced; what was parsed of the others is shared."""
        other = Packages(self._read, {**self._replaced, source.path: source})
        other._modules = self._modules
        other._folders = self._folders
        other._kept = {path: file for path, file in self._kept.items() if path != source.path}
        folder = os.path.dirname(source.path)
        other._packages = {name: package for name, package in self._packages.items() if name != folder}
        return other

    def without(self, paths: Iterable[str], moved: bool) -> Packages:
        """The same project with some files to be read anew; moved: some came or went."""
        gone = set(paths)
        folders = {os.path.dirname(path) for path in gone}
        other = Packages(self._read, self._replaced)
        if not moved:
            other._modules, other._folders = self._modules, self._folders
        other._kept = {path: file for path, file in self._kept.items() if path not in gone}
        other._packages = {name: package for name, package in self._packages.items() if name not in folders}
        return other

    def file(self, path: str) -> GoFile | None:
        """A file of the project; None where it cannot be read."""
        package = self.of_folder(os.path.dirname(path))
        found = next((file for file in package.files if file.path == path), None)
        return found or self._beside(package, path)

    def _beside(self, package: Package, path: str) -> GoFile | None:
        """A file that the folder's listing does not have: a test, or a text that is not on disk yet."""
        file = self._loaded(path)
        if file is not None and not path.endswith("_test.go") and not os.path.lexists(path):
            package.files.append(file)
            _collect(package, file)
            package.__dict__.pop("declared", None)
        return file

    def of_folder(self, folder: str) -> Package:
        """The package in a folder."""
        if folder not in self._packages:
            self._packages[folder] = self._package(folder)
        return self._packages[folder]

    def of_import(self, path: str, near: str) -> Package | None:
        """The project's package of an import path, as a file of a folder sees it; None for other people's."""
        if (path, near) not in self._folders:
            self._folders[path, near] = self._folder_of(path, near)
        folder = self._folders[path, near]
        if trace.on and folder is not None:
            trace.packages.setdefault(near, set()).add(folder)
        return self.of_folder(folder) if folder is not None else None

    def _folder_of(self, path: str, near: str) -> str | None:
        module = self._module(near)
        if module is None or not (path == module[0] or path.startswith(module[0] + "/")):
            return None
        inside = path[len(module[0]) :].strip("/")
        folder = os.path.join(module[1], *inside.split("/")) if inside else module[1]
        return (os.path.normpath(folder) if folder else "") if os.path.isdir(folder or ".") else None

    def _module(self, folder: str) -> tuple[str, str] | None:
        """The path and the folder of the module a folder belongs to (go.mod)."""
        if folder not in self._modules:
            found: tuple[str, str] | None = None
            if has_one_of(folder, ("go.mod",)):
                with suppress(OSError):
                    match = _MODULE.search(self._read(os.path.join(folder, "go.mod")))
                    found = (match[1].decode(), folder) if match else None
            if found is None and (above := _above(folder)) is not None:
                found = self._module(above)
            self._modules[folder] = found
        return self._modules[folder]

    def _package(self, folder: str) -> Package:
        package = Package(folder)
        names = (name for name in sorted(listing(folder)) if name.endswith(".go") and not name.endswith("_test.go"))
        for name in islice(names, _LARGEST_PACKAGE):
            file = self._loaded(os.path.join(folder, name) if folder else name)
            if file is not None:
                package.files.append(file)
                _collect(package, file)
        return package

    def _loaded(self, path: str) -> GoFile | None:
        path = path.replace(os.sep, "/")
        if path not in self._kept:
            source = self._replaced.get(path)
            if source is None:
                try:
                    source = SourceFile.utf8(path, self._read(path))
                except (OSError, ValueError):
                    return None
            file = GoFile(source, parsed(source.data))
            file.imports = dict(_imports(file.root))
            self._kept[path] = file
        return self._kept[path]


def _above(folder: str) -> str | None:
    if os.path.isabs(folder):
        above = os.path.dirname(folder)
        return above if above != folder else None
    normal = os.path.normpath(folder) if folder else "."
    if normal == ".":
        return ".." if os.path.exists("..") and os.path.abspath("..") != os.path.abspath(".") else None
    if normal.split(os.sep)[-1] == "..":
        return os.path.join(normal, "..") if len(os.path.abspath(normal)) > 1 else None
    return os.path.dirname(normal)


def _imports(root: Node) -> Iterator[tuple[str, str]]:
    for declaration in root.children:
        if declaration.type == "import_declaration":
            specs = [spec for child in declaration.children for spec in (child, *child.children)]
            for spec in specs:
                if spec.type == "import_spec":
                    path = text(spec.child_by_field_name("path")).strip('"`')
                    name = text(spec.child_by_field_name("name"))
                    yield name or _base(path), path


def _base(path: str) -> str:
    """The name a package most likely has, from its import path."""
    parts = path.split("/")
    last = parts[-2] if len(parts) > 1 and _VERSION.fullmatch(parts[-1]) else parts[-1]
    return re.sub(r"\.v\d+$", "", last).removeprefix("go-").replace("-", "_")


def _collect(package: Package, file: GoFile) -> None:
    for node in file.root.children:
        match node.type:
            case "function_declaration":
                name = text(node.child_by_field_name("name"))
                key = name if name not in package.functions else f"{name}@{line(node)}"  # there may be several init()
                package.functions[key] = GoFunction(f"@{package.folder}:{key}", name, node, file)
            case "method_declaration":
                receiver = receiver_of(node)
                name = f"{receiver}.{text(node.child_by_field_name('name'))}"
                package.functions[name] = GoFunction(f"@{package.folder}:{name}", name, node, file, receiver)
            case "type_declaration":
                for spec in node.named_children:
                    if spec.type in ("type_spec", "type_alias"):
                        package.types[text(spec.child_by_field_name("name"))] = TypeDeclaration(spec, file)
            case "var_declaration":
                for spec in specs_of(node):
                    for name_node in spec.children_by_field_name("name"):
                        package.variables[text(name_node)] = (spec, file)


def specs_of(declaration: Node) -> Iterator[Node]:
    """The specifications of a ``var`` declaration."""
    for child in declaration.named_children:
        if child.type == "var_spec":
            yield child
        elif child.type == "var_spec_list":
            yield from (spec for spec in child.named_children if spec.type == "var_spec")


def receiver_of(method: Node) -> str:
    """The name of the type a method belongs to."""
    receiver = method.child_by_field_name("receiver")
    declared = receiver.named_children[0].child_by_field_name("type") if receiver and receiver.named_children else None
    while declared is not None and declared.type in ("pointer_type", "generic_type", "parenthesized_type"):
        declared = declared.child_by_field_name("type") or next(iter(declared.named_children), None)
    return text(declared)


def parameters_of(listing: Node | None) -> Iterator[tuple[str, Node | None, bool]]:
    """The parameters of a list: name ("" where it has none), type, and whether it takes any number."""
    for declaration in listing.named_children if listing is not None else ():
        if declaration.type in ("parameter_declaration", "variadic_parameter_declaration"):
            declared = declaration.child_by_field_name("type")
            many = declaration.type.startswith("variadic")
            names = declaration.children_by_field_name("name")
            for name in names:
                yield text(name), declared, many
            if not names:
                yield "", declared, many


class Resolver:
    """What types mean: those written in files, those of fields and methods, those that calls give."""

    def __init__(self, packages: Packages) -> None:
        self.packages = packages
        self._given: dict[str, tuple[Type, ...]] = {}
        self._members: dict[tuple[str, str], Type] = {}

    def declared(self, node: Node | None, file: GoFile) -> Type:
        """The type a type expression names."""
        if node is None:
            return UNKNOWN
        match node.type:
            case "type_identifier":
                name = text(node)
                if name == "error":
                    return ERROR
                package = self._package_of(file)
                return Type(f"@{package.folder}:{name}()") if name in package.types else UNKNOWN
            case "qualified_type":
                return self.imported(
                    text(node.child_by_field_name("package")), text(node.child_by_field_name("name")), file
                )
            case "pointer_type" | "parenthesized_type" | "negated_type":
                return self.declared(next(iter(node.named_children), None), file)
            case "generic_type":
                return self.declared(node.child_by_field_name("type"), file)
            case "slice_type" | "array_type" | "implicit_length_array_type":
                return Type(element=self.declared(node.child_by_field_name("element"), file))
            case "map_type" | "channel_type":
                return Type(element=self.declared(node.child_by_field_name("value"), file))
            case "function_type":
                return Type(results=self.results(node.child_by_field_name("result"), file))
        return UNKNOWN

    def imported(self, qualifier: str, name: str, file: GoFile) -> Type:
        """The type a qualified name stands for."""
        path = file.imports.get(qualifier)
        if path is None:
            return UNKNOWN
        package = self.packages.of_import(path, file.folder)
        return Type(f"@{package.folder}:{name}()") if package is not None else Type(f"{path}.{name}()")

    def results(self, node: Node | None, file: GoFile) -> tuple[Type, ...]:
        """The types of what a function gives, in their order."""
        if node is None:
            return ()
        if node.type == "parameter_list":
            return tuple(self.declared(declared, file) for _, declared, _ in parameters_of(node))
        return (self.declared(node, file),)

    def given(self, function: GoFunction) -> tuple[Type, ...]:
        """The types of what a function of the project gives."""
        found = self._given.get(function.name)
        if found is None:
            result = function.node.child_by_field_name("result")
            found = self._given[function.name] = self.results(result, function.file)
        return found

    def _package_of(self, file: GoFile) -> Package:
        return self.packages.of_folder(file.folder)

    def declaration(self, name: str) -> TypeDeclaration | None:
        """The declaration of a type of the project, by its symbolic name."""
        if not name.startswith("@") or not name.endswith("()"):
            return None
        folder, _, own = name[1:-2].partition(":")
        return self.packages.of_folder(folder).types.get(own) if "(" not in own and "." not in own else None

    def function(self, name: str) -> GoFunction | None:
        """A function of the project by its symbolic name."""
        if not name.startswith("@"):
            return None
        folder, _, own = name[1:].partition(":")
        return self.packages.of_folder(folder).functions.get(own)

    def underlying(self, of: Type, depth: int = 0) -> Type:
        """A named type of the project that is only another name, seen through."""
        found = self.declaration(of.name)
        if found is None or depth > 8:
            return of
        node = found.node.child_by_field_name("type")
        if node is None or node.type in ("struct_type", "interface_type"):
            return of
        return self.underlying(self.declared(node, found.file), depth + 1)

    def member(self, of: Type, name: str, depth: int = 0) -> Type:
        """What ``value.name`` is: a field, or a method as something to be called."""
        if not of.name:
            return UNKNOWN
        if depth:
            return self._member(of, name, depth)
        if (of.name, name) not in self._members:
            self._members[of.name, name] = self._member(of, name, depth)
        return self._members[of.name, name]

    def _member(self, of: Type, name: str, depth: int) -> Type:
        found = self.declaration(of.name)
        if found is None:
            return Type(f"{of.name}.{name}")
        method = self.function(f"{of.name[:-2]}.{name}")
        if method is not None:
            return Type(method.name, results=self.given(method))
        node = found.node.child_by_field_name("type")
        if node is None or depth > 6:
            return UNKNOWN
        if node.type == "struct_type":
            return self._field(node, found.file, name, depth)
        if node.type == "interface_type":
            return self._interface_method(node, found.file, name, depth)
        return self.member(self.declared(node, found.file), name, depth + 1)

    def _field(self, struct: Node, file: GoFile, name: str, depth: int) -> Type:
        embedded: list[Type] = []
        listing = next((child for child in struct.named_children if child.type == "field_declaration_list"), None)
        for declaration in listing.named_children if listing is not None else ():
            if declaration.type != "field_declaration":
                continue
            names = declaration.children_by_field_name("name")
            declared = self.declared(declaration.child_by_field_name("type"), file)
            if any(text(item) == name for item in names):
                return declared
            if not names:
                if _short(declared.name) == name:
                    return declared
                embedded.append(declared)
        return self._first_known(embedded, name, depth)

    def _interface_method(self, interface: Node, file: GoFile, name: str, depth: int) -> Type:
        embedded: list[Type] = []
        for element in interface.named_children:
            if element.type == "method_elem" and text(element.child_by_field_name("name")) == name:
                # Nobody knows what stands behind it: what it gives is made there, by its type.
                return Type(results=self.results(element.child_by_field_name("result"), file))
            if element.type in ("type_elem", "constraint_elem") and element.named_children:
                embedded.append(self.declared(element.named_children[0], file))
        return self._first_known(embedded, name, depth)

    def _first_known(self, embedded: Iterable[Type], name: str, depth: int) -> Type:
        for base in embedded:
            found = self.member(base, name, depth + 1)
            if found != UNKNOWN:
                return found
        return UNKNOWN

    def variable(self, package: Package, name: str, depth: int = 0) -> Type:
        """The type of a package variable."""
        found = package.variables.get(name)
        if found is None or depth > 6:
            return UNKNOWN
        spec, file = found
        declared = spec.child_by_field_name("type")
        if declared is not None:
            return self.declared(declared, file)
        values = listed(spec.child_by_field_name("value"))
        names = [text(item) for item in spec.children_by_field_name("name")]
        if len(values) == len(names):
            return self.expression(values[names.index(name)], file, lambda other: UNKNOWN)
        if len(values) == 1:
            given = self.called(values[0], file, lambda other: UNKNOWN)
            at = names.index(name)
            return given[at] if at < len(given) else UNKNOWN
        return UNKNOWN

    def expression(self, node: Node, file: GoFile, local: Callable[[str], Type | None]) -> Type:
        """The type of an expression. local: the types of names in scope, None where a name is not the function's."""
        match node.type:
            case "identifier":
                name = text(node)
                known = local(name)
                if known is not None:
                    return known
                package = self._package_of(file)
                function = package.functions.get(name)
                if function is not None:
                    return Type(function.name, results=self.given(function))
                return self.variable(package, name)
            case "parenthesized_expression":
                return self.expression(node.named_children[0], file, local) if node.named_children else UNKNOWN
            case "unary_expression":
                operand = node.child_by_field_name("operand")
                inner = self.expression(operand, file, local) if operand is not None else UNKNOWN
                return inner.element or UNKNOWN if text(node).startswith("<-") else inner
            case "selector_expression":
                return self._selected(node, file, local)
            case "call_expression":
                results = self.called(node, file, local)
                return results[0] if results else UNKNOWN
            case "composite_literal":
                return self.declared(node.child_by_field_name("type"), file)
            case "type_assertion_expression" | "type_conversion_expression":
                return self.declared(node.child_by_field_name("type"), file)
            case "index_expression":
                operand = node.child_by_field_name("operand")
                return (
                    (self.underlying(self.expression(operand, file, local)).element or UNKNOWN) if operand else UNKNOWN
                )
            case "func_literal":
                return Type(results=self.results(node.child_by_field_name("result"), file))
        return UNKNOWN

    def _selected(self, node: Node, file: GoFile, local: Callable[[str], Type | None]) -> Type:
        operand, name = node.child_by_field_name("operand"), text(node.child_by_field_name("field"))
        if operand is None:
            return UNKNOWN
        if operand.type == "identifier" and local(text(operand)) is None and text(operand) in file.imports:
            path = file.imports[text(operand)]
            package = self.packages.of_import(path, file.folder)
            if package is None:
                return Type(f"{path}.{name}")
            function = package.functions.get(name)
            if function is not None:
                return Type(function.name, results=self.given(function))
            return self.variable(package, name)
        return self.member(self.expression(operand, file, local), name)

    def called(self, node: Node, file: GoFile, local: Callable[[str], Type | None]) -> tuple[Type, ...]:
        """The types of what a call gives."""
        function = node.child_by_field_name("function")
        if function is None:
            return ()
        if function.type == "identifier" and text(function) in ("new", "make") and local(text(function)) is None:
            arguments = node.child_by_field_name("arguments")
            first = next(iter(arguments.named_children), None) if arguments is not None else None
            return (self.declared(first, file),)
        of = self.expression(function, file, local)
        of = self.underlying(of) if of.name.endswith("()") else of
        if of.results or not of.name:
            return of.results
        if of.name.startswith("@"):
            return ()
        return (Type(f"{of.name}()"),)


def _short(name: str) -> str:
    return re.split(r"[.:/]", name.removesuffix("()"))[-1]
