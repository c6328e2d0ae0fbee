"""Whether analysis and run agree: each leak that is found is looked for in what the running service did."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prove.phase import run

CHECK = (*(sys.executable, "-m", "leakfix", "check", "--select", "leak", "--output-format", "json", "--evidence"),)
BOTH, RELEASED, NOT_RUN, RUN_ONLY = "by both", "released in this run", "not watched", "at run time only"


def agreement(folder: Path, evidence: Path) -> Mapping[str, list[str]]:
    """The leaks of a folder's Python by who saw them, each as ``path:line rule``."""
    told = json.loads(run([*CHECK, str(evidence), "."], folder, {}, good=(0, 1)))
    found: dict[str, list[str]] = {BOTH: [], RELEASED: [], NOT_RUN: [], RUN_ONLY: []}
    for finding in told["findings"]:
        if finding["path"].endswith(".py"):
            found[_verdict(finding)].append(f"{finding['path']}:{finding['line']} {finding['rule']}")
    for seen in told["missed"]:
        found[RUN_ONLY].append(f"{seen['path']}:{seen['line']} {seen['resource']}")
    return found


def _verdict(finding: Mapping[str, Any]) -> str:
    seen = finding.get("evidence")
    if seen is None:
        return NOT_RUN
    return BOTH if seen["unreleased"] else RELEASED
