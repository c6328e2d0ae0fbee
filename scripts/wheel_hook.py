"""Puts the example of each codemod into the wheel, where ``leakfix explain`` finds it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ExamplesHook(BuildHookInterface[Any]):
    """A hook of the wheel's build; an editable install has the fixtures themselves."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name the files of the examples, and where they go."""
        if version == "editable":
            return
        root = Path(self.root)
        for example in sorted(root.glob("fixtures/*/*/example.*")):
            library, fault = example.parts[-3:-1]
            codemods = f"leakfix_codemods/{library}"
            if (root / "codemods" / codemods).is_dir():
                build_data["force_include"][str(example)] = f"{codemods}/_examples/{fault}/{example.name}"
