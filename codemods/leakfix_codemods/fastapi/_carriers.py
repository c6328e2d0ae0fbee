"""Objects of the project that hold what a dependency opened: FastAPI drops them, and nothing releases it."""

from __future__ import annotations

import ast

from leakfix.codemod import View
from leakfix.languages.python.modules import ClassInfo, FunctionInfo, Module
from leakfix.resources import Resource


def carried(view: View, function: FunctionInfo, returned: ast.Return) -> tuple[Resource | None, str]:
    """What is opened in a function and returned in an object that never releases it, with words for that object."""
    made = returned.value
    if not isinstance(made, ast.Call) or function.owner is not None or function.node.decorator_list:
        return None, ""  # a decorator may keep what it returned, and hand it to every request
    for symbol in view.of(made.func, function):
        found = view.names.class_(symbol)
        if found is None:
            continue
        for argument in (*made.args, *(keyword.value for keyword in made.keywords)):
            call = _set_to(view, function, argument)
            resource = view.acquired(view.module, function, call) if call is not None else None
            if resource is not None and not _releases(view, *found, resource):
                return resource, f" inside {found[1].node.name}"
    return None, ""


def opened_by(view: View, info: ClassInfo) -> tuple[ast.Call, Resource] | None:
    """What the constructor of a class opens into an attribute, where no method of the class releases it."""
    made = info.methods.get("__init__")
    for node in view.own(made) if made is not None else ():
        match node:
            case ast.Assign(targets=[ast.Attribute(value=ast.Name(id="self"))], value=ast.Call() as call):
                resource = view.acquired(view.module, made, call)
                if resource is not None and not _releases(view, view.module, info, resource):
                    return call, resource
    return None


def _set_to(view: View, function: FunctionInfo, node: ast.expr) -> ast.Call | None:
    """A call, or the one call that a local variable is set to."""
    if isinstance(node, ast.Name):
        values = [
            item.value
            for item in view.own(function)
            if isinstance(item, ast.Assign)
            and any(isinstance(target, ast.Name) and target.id == node.id for target in item.targets)
        ]
        node = values[0] if len(values) == 1 else node
    return node if isinstance(node, ast.Call) else None


def _releases(view: View, module: Module, info: ClassInfo, resource: Resource) -> bool:
    """Whether a method of a class, or of one it derives from, is or calls what is named like a release.

    So may one of a library's class that nobody here can read.
    """
    words = {*resource.release, *resource.release_with, "__exit__", "__aexit__", "__del__"}
    for home, each in view.names.lineage(module, info):
        if any(not base.startswith("builtins.") for base in view.names.outside_bases(home, each)):
            return True
        if not words.isdisjoint(each.methods) or any(
            isinstance(node, ast.Attribute) and node.attr in words for node in ast.walk(each.node)
        ):
            return True
    return False
