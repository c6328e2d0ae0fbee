"""The author's page: what a codemod file holds.

A codemod is a module with a docstring of four parts (what leaks, why it hurts, how it is repaired, when it is
left alone) and one value. Its name is its path: ``leakfix_codemods/psycopg2/unreturned_pool_connection.py`` is
``psycopg2/unreturned-pool-connection``.
"""

from __future__ import annotations

from dataclasses import dataclass

from leakfix.finding import Category, Fix, Refusal, Safety

__all__ = ["Category", "Fix", "LeakCodemod", "Refusal", "Safety"]


@dataclass(frozen=True, slots=True)
class LeakCodemod:
    """Report (and repair) acquisitions of one resource row that some path never releases.

    resource: id of a row in the folder's ``resources.toml``.
    repairs: one line for the table of rules.
    """

    resource: str
    repairs: str
    category: Category = Category.LEAK
