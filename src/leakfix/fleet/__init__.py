"""Many repositories: each is fetched at one commit and checked in a process of its own, on any executor."""

from __future__ import annotations

import importlib
from typing import Any


class FleetError(ValueError):
    """The run cannot be done as asked; the message says what, where and what to do."""


def optional(module: str, extra: str) -> Any:
    """A module that only comes with an extra. Raises FleetError."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise FleetError(f"this needs {module}, which is not installed: pip install 'leakfix[{extra}]'") from error
