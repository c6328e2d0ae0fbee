"""Files that another process looked at first: what it learnt of them is all that is shared, and enough."""

from __future__ import annotations

from pathlib import Path

import pytest

from leakfix.config import Config
from leakfix.engine.looking import importing, index
from leakfix.engine.run import Run
from leakfix.finding import Finding
from leakfix.project.workers import Workers
from leakfix.registry import Registry

FIXTURES = Path(__file__).parent.parent / "fixtures"
FOLDERS = sorted(path.name for path in FIXTURES.iterdir() if path.is_dir() and path.name not in ("apps", "docs"))


def fingerprints(findings: list[Finding]) -> list[tuple[str, str, bool]]:
    return [(item.fingerprint, item.message, item.fix is None) for item in findings]


@pytest.mark.parametrize("folder", FOLDERS)
def test_who_looked_first_makes_no_difference(folder: str, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FIXTURES / folder)
    files = sorted(str(path.relative_to(Path.cwd())) for path in Path().absolute().rglob("*before*.py"))
    first, second = (Run(Config(), registry, files=files) for _ in range(2))
    with Workers(first, 1, len(files)) as workers:
        indexed = index(workers, files, files)
    with Workers(second, 1, len(files)) as workers:
        importing(workers, indexed)
    matching = {item.path for item in indexed if not item.acquires}
    for path in sorted({item.path for item in indexed if item.acquires or item.matches}):
        answers = [fingerprints(run.analyse(path, path in matching).findings) for run in (first, second)]
        assert answers[0] == answers[1], path
