"""Settings: ``leakfix.toml`` or ``[tool.leakfix]`` in pyproject.toml, read defensively.

Whatever is wrong with a configuration ends as one ConfigError: what, where, and what was probably meant.
Each file is governed by the nearest settings upward from it. Reading them is the matter of ``files``, what they may say
of ``keys``; both are imported when they are needed.
"""

from __future__ import annotations

import os

from leakfix.config.model import (
    BASELINE,
    CATEGORIES,
    COMMAND_LINE,
    DEFAULT_CATEGORIES,
    MOST_JOBS,
    NO_WISHES,
    SETTINGS,
    VENDORED,
    Config,
    ConfigError,
    Wishes,
    did_you_mean,
    is_known,
    nearest_rule,
)

__all__ = [
    "BASELINE",
    "CATEGORIES",
    "COMMAND_LINE",
    "DEFAULT_CATEGORIES",
    "MOST_JOBS",
    "NO_WISHES",
    "SETTINGS",
    "VENDORED",
    "Config",
    "ConfigError",
    "Wishes",
    "did_you_mean",
    "is_known",
    "load",
    "nearest_rule",
]


def load(named: str | None = None, directory: str | None = None, isolated: bool = False) -> Config:
    """The settings of the named file, for all files; else the nearest upward of each; else the defaults.

    directory: instead of the working directory. isolated: read no file. The result is what governs the directory.
    Raises ConfigError.
    """
    here = directory or os.getcwd()
    if isolated:
        return Config(here=here)
    from leakfix.config.files import Nearest, read_named

    return read_named(named, here) if named is not None else Nearest(here).of("")
