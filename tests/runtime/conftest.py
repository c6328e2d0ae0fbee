"""A tracker with all rows, and programs that run under it in processes of their own."""

from __future__ import annotations

import importlib.util
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from leakfix.proof.launcher import Ended, watched
from leakfix.registry import Registry
from leakfix.runtime.evidence import together
from leakfix.runtime.tracker import Tracker

Watch = Callable[..., Ended]
Fates = Callable[[], dict[str, str]]


@pytest.fixture
def tracker(registry: Registry) -> Iterator[Tracker]:
    """One that watches this process while the test runs."""
    with Tracker(registry.table) as started:
        yield started
        assert not started.ledger.failures


@pytest.fixture
def fates(tracker: Tracker) -> Fates:
    """What became of what each function acquired: ``released``, or how it is held."""

    def tell() -> dict[str, str]:
        tracker.ledger.settle()
        return {
            seen.function.rpartition(".")[2]: seen.held or "released" for seen in together(tracker.evidence().sites)
        }

    return tell


@pytest.fixture
def watch(registry: Registry, tmp_path: Path) -> Watch:
    """Run a text as a program below the tracker."""

    def run(text: str, *arguments: str, needs: tuple[str, ...] = (), **options: object) -> Ended:
        missing = [name for name in needs if importlib.util.find_spec(name) is None]
        if missing:
            pytest.skip(f"not installed: {', '.join(missing)}")
        (tmp_path / "program.py").write_text(textwrap.dedent(text), encoding="utf-8")
        command = [sys.executable, *arguments, "program.py"]
        given = {"folder": str(tmp_path), "timeout": 60, **options}
        return watched(command, registry.table, **given)  # type: ignore[arg-type]

    return run


def held(ended: Ended) -> dict[str, str]:
    """What became of what each function of a program acquired."""
    return {seen.function.rpartition(".")[2]: seen.held or "released" for seen in together(ended.evidence.sites)}
