"""Every fixture of every codemod: found where marked, repaired as written, silent afterwards, in every layout."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from leakfix.registry import Registry
from leakfix.testing import VARIANTS, Case, cases, problems, run

FIXTURES = Path(__file__).parent.parent / "fixtures"
CASES = list(cases(FIXTURES))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Case, registry: Registry, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    outcome = run(case, registry, tmp_path / "case")
    if request.config.getoption("--bless") and case.after_path is not None:
        bless(case.after_path, outcome.after)
        case = Case(case.name, case.kind, case.before, outcome.after)
    assert problems(case, outcome) == []


LAYOUTS = list(product(CASES, VARIANTS))


@pytest.mark.parametrize(("case", "variant"), LAYOUTS, ids=lambda value: getattr(value, "name", value))
def test_case_in_another_layout(case: Case, variant: str, registry: Registry, tmp_path: Path) -> None:
    changed = case.variant(VARIANTS[variant])
    assert problems(changed, run(changed, registry, tmp_path / "case")) == []


def bless(path: Path, files: dict[str, bytes]) -> None:
    """Write what the run made as the expected result; the diff is for a person to review."""
    if path.suffix:
        path.write_bytes(files[f"case{path.suffix}"])
        return
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
