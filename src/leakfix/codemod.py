"""The author's page: what a codemod file holds.

A codemod is a module with a docstring of four parts (what leaks, why it hurts, how it is repaired, when it is
left alone) and one value. Its name is its path: ``leakfix_codemods/psycopg2/unreturned_pool_connection.py`` is
``psycopg2/unreturned-pool-connection``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from leakfix.finding import Category, Fix, Refusal, Requirement, Safety, Severity, Step
from leakfix.patterns.go import GoMatch, GoView
from leakfix.patterns.text import Text
from leakfix.patterns.view import Match, View

__all__ = [
    "Category",
    "Fix",
    "GoMatch",
    "GoPatternCodemod",
    "GoView",
    "LeakCodemod",
    "Match",
    "PatternCodemod",
    "Refusal",
    "Requirement",
    "Safety",
    "Severity",
    "Step",
    "Text",
    "View",
]


@dataclass(frozen=True, slots=True)
class LeakCodemod:
    """Report (and repair) acquisitions of one resource row that some path never releases.

    resource: id of a row in the folder's ``resources.toml``.
    repairs: one line for the table of rules.
    """

    resource: str
    repairs: str
    category: Category = Category.LEAK


@dataclass(frozen=True, slots=True)
class PatternCodemod:
    """Report (and repair) places that a function finds: caches, result sets, settings, whatever is no lifetime.

    find: yields the places of one file.
    imports: a file is parsed only where it imports one of these packages, which costs nothing to know,
    words: or where one of these stands in its text; without either, those files are looked at that acquire a resource
        of the tables.
    shape: a regular expression that must be found, too (multi-line), or a question to the bytes and the path; asked
        where an import or a word is there.
    worth: asked of a file that has all this, and in which nothing that acquires is known, before it is parsed: whether
        its text and those of the project's other files leave a chance.
    noun: what the finding is about, in a word or two.
    repairs: one line for the table of rules.
    asks: words that it seeks in the project's other files, so that all are sought in one pass.
    requires: libraries that its repairs may bring into the project.
    refines: says of leaks that are found anyway how they are best repaired in some setting: a place counts only where
        a leak is reported, and where the repair holds it is reported instead.
    options: keys of the settings its repairs look at, beside ``allow-dependencies`` where it has ``requires``.
    """

    find: Callable[[View], Iterator[Match]]
    noun: str
    repairs: str
    imports: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    shape: str | Callable[[bytes, str], bool] = ""
    worth: Callable[[Text], bool] | None = None
    category: Category = Category.GROWTH
    asks: tuple[str, ...] = ()
    refines: bool = False
    requires: tuple[Requirement, ...] = ()
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GoPatternCodemod:
    """The same for Go: report (and repair) places that a function finds in one file.

    find: yields the places of one file.
    shape: a regular expression that must be found in the file's bytes.
    requires: libraries that its repairs may bring into the project.
    options: keys of the settings its repairs look at, beside ``allow-dependencies`` where it has ``requires``.
    """

    find: Callable[[GoView], Iterator[GoMatch]]
    noun: str
    repairs: str
    shape: str
    category: Category = Category.LEAK
    requires: tuple[Requirement, ...] = ()
    options: tuple[str, ...] = ()
