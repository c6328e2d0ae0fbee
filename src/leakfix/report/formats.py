"""The formats of a report: one table from the name of each to the function that renders it."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from leakfix.result import Report

FORMATS: Mapping[str, str] = {
    "text": "text.rendered",
    "json": "json.rendered",
    "sarif": "sarif.rendered",
    "sarif-all": "sarif.rendered_all",
    "github": "github.rendered",
    "gitlab": "gitlab.rendered",
    "junit": "junit.rendered",
    "rdjsonl": "rdjsonl.rendered",
    "markdown": "markdown.rendered",
    "html": "html.rendered",
    "diff": "diff.rendered",
}
"""The functions stand in this package; their modules are imported when a format is asked for."""

REPAIRING = frozenset({"diff"})
"""Formats that repair, which takes a run of the analysis: what an earlier one found is not enough."""


def render(name: str, report: Report, colour: bool = False) -> Iterable[str]:
    """A report in a format of the table, piece by piece; bytes that are not UTF-8 are surrogates, as in file names.

    colour: for a terminal; only ``text`` knows any.
    """
    module, _, function = FORMATS[name].partition(".")
    rendered = getattr(importlib.import_module(f"leakfix.report.{module}"), function)
    pieces: Iterable[str] = rendered(report, colour) if name == "text" else rendered(report)
    return pieces
