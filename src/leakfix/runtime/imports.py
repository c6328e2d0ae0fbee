"""Seeing modules being imported: told when they have been executed, and leaving no trace in them."""

from __future__ import annotations

import importlib.machinery
import sys
import threading
from collections.abc import Callable, Container, Sequence
from contextlib import suppress
from types import ModuleType
from typing import Any

Told = Callable[[ModuleType, str], object]
Spec = importlib.machinery.ModuleSpec


class Finder:
    """Stands before all other finders. names: modules of interest; told: called with them when they are ready."""

    def __init__(self, names: Container[str], told: Told) -> None:
        self._names = names
        self._told = told
        self._searching: set[tuple[str, int]] = set()

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> Spec | None:
        """The module's own spec, whose loader tells when it is done; None where nothing of it is of interest."""
        searching = name, threading.get_ident()
        if name not in self._names or searching in self._searching:
            return None
        self._searching.add(searching)
        try:
            spec = self._spec(name, path, target)
        finally:
            self._searching.discard(searching)
        if spec is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = _Listening(spec, self._told)  # type: ignore[assignment]
        return spec

    def _spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None) -> Spec | None:
        for finder in list(sys.meta_path):
            find = getattr(finder, "find_spec", None)
            if finder is self or find is None:
                continue
            spec: Spec | None = find(name, path, target)
            if spec is not None:
                return spec
        return None


class _Listening:
    """A loader until it executes: then the real one is back in its place, which others may share."""

    def __init__(self, spec: Spec, told: Told) -> None:
        self._spec = spec
        self._loader: Any = spec.loader
        self._told = told

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def exec_module(self, module: ModuleType) -> None:
        """Execute the module, then tell."""
        self._spec.loader = self._loader
        with suppress(AttributeError):
            if module.__loader__ is self:
                module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._told(sys.modules.get(self._spec.name, module), self._spec.name)
