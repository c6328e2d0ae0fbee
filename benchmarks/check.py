"""``leakfix check`` beside ``ruff check --select SIM115,B019``, cold, in one run over one tree: times as a ratio.

    python benchmarks/check.py TREE [RUNS]

The two take turns, so that whatever else the machine does meets both. The first run of each warms the page cache and
does not count.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

COMMANDS = {
    "leakfix": [sys.executable, "-m", "leakfix", "check", "--exit-zero", "--output-format", "json", "."],
    "ruff": ["ruff", "check", "--isolated", "--no-cache", "--exit-zero", "--select", "SIM115,B019", "."],
}


def main() -> None:
    """Time both and print their medians and the ratio."""
    tree, runs = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for number in range(runs + 1):
        for name, command in COMMANDS.items():
            started = time.perf_counter()
            subprocess.run(command, cwd=tree, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if number:
                taken[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(times) for name, times in taken.items()}
    for name, times in taken.items():
        print(f"{name:8} median {medians[name]:.2f} s, from {min(times):.2f} to {max(times):.2f} s")
    print(f"ratio    {medians['leakfix'] / medians['ruff']:.2f}")


if __name__ == "__main__":
    main()
