"""What the quick look at a file's text misses: each folder is checked twice, the second time with every file parsed.

    python benchmarks/everything_parsed.py FOLDER ...

Prints each finding that only one of the two runs has, and at the end how many each had. A rule's words, shape and
``worth``, and the words that lead to resources, may let too much through, never too little.
"""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import ExitStack
from unittest.mock import patch

from leakfix import engine
from leakfix.config import Config
from leakfix.engine.run import Run
from leakfix.project.prefilter import Prefilter, Triggers
from leakfix.registry import Registry

Place = tuple[str, str, int]


def main() -> int:
    """Compare in each folder; ends with 1 where something is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", metavar="FOLDER")
    start, quick, whole, missed = os.getcwd(), 0, 0, 0
    for folder in parser.parse_args().folders:
        os.chdir(os.path.join(start, folder))
        seen, there = places(), everything()
        for path, rule, line in sorted(there ^ seen):
            which = "missed" if (path, rule, line) in there else "only in the quick look"
            print(f"{which}: {os.path.join(folder, path)}:{line} {rule}", flush=True)
        quick, whole, missed = quick + len(seen), whole + len(there), missed + len(there - seen)
    print(f"{whole} findings with everything parsed, {quick} as it is, {missed} missed")
    return 1 if missed else 0


def places() -> set[Place]:
    """The findings of the working directory; settings of its own are left alone."""
    report = engine.check(["."], Config(), Registry.load(Config()))
    return {(finding.path, finding.rule, finding.line) for finding in report.findings}


def everything() -> set[Place]:
    """The same with every file parsed, and asked by every rule."""
    with ExitStack() as patched:
        for owner, name, always in ((Triggers, "of", every_rule), (Prefilter, "passes", yes), (Run, "_is_worth", yes)):
            patched.enter_context(patch.object(owner, name, always))
        return places()


def every_rule(triggers: Triggers, *_: object) -> list[str]:
    """All rules that ask for a package or a word."""
    return sorted({rule for rules in (*triggers._packages.values(), *triggers._words.values()) for rule in rules})


def yes(*_: object) -> bool:
    """Whatever is asked."""
    return True


if __name__ == "__main__":
    sys.exit(main())
