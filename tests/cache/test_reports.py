"""Reports that are made of what an earlier run found."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from leakfix.project.baseline import Baseline
from leakfix.report.formats import FORMATS, REPAIRING

from .conftest import Shop

Invoke = Callable[..., Any]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_says_the_same_from_memory(shop: Shop, invoke: Invoke, name: str) -> None:
    first = invoke("check", "--output-format", name)
    assert shop.looked_at
    shop.looked_at.clear()
    again = invoke("check", "--output-format", name)
    assert bool(shop.looked_at) == (name in REPAIRING)
    assert (again.code, untimed(again.out)) == (first.code, untimed(first.out))
    assert name in REPAIRING or "orders.py" in first.out


def untimed(text: str) -> str:
    return re.sub(r"\d+\.\d+( s\b)|(seconds\": |time=\")[\d.]+", r"\1\2", text)


def test_what_is_accepted_is_remembered(shop: Shop, settled: Callable[[], None]) -> None:
    line = "    connection = fresh(path)  # leakfix: allow[sqlite3/*] on purpose\n"
    shop.write(
        "shop/orders.py", (shop.tree / "shop/orders.py").read_text().replace("    connection = fresh(path)\n", line)
    )
    report = shop.plain()
    alone = next(finding for finding in report.findings if finding.path == "shop/alone.py")
    Baseline.of(shop.config).with_findings([alone], report.sources).write()
    settled()
    first = shop.remembering()
    shop.looked_at.clear()
    again = shop.remembering()
    assert shop.looked_at == []
    assert first.has_baseline is again.has_baseline is True
    accepted = {(found.path, found.accepted) for found in again.accepted}
    assert accepted == {("shop/alone.py", "baseline"), ("shop/orders.py", "comment")}
    assert again.accepted == first.accepted
    shop.write("shop/plain.py", "x = 1\n")
    settled()
    assert shop.remembering().accepted == first.accepted
