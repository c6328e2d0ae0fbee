"""What the tests of repairs share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from leakfix import engine
from leakfix.engine import Report


@pytest.fixture
def repaired(found: Callable[..., Report]) -> Callable[[str], str]:
    """What becomes of a file when all its leaks are repaired; every one of them must be."""

    def repair(text: str) -> str:
        report = found({"case.py": text})
        assert [finding.refusal for finding in report.findings if finding.fix is None] == []
        (file,) = found.repair(report)  # type: ignore[attr-defined]
        return str(file.after.raw.decode())

    return repair
