"""What linters for Go find of the leaks in the fixtures, beside leakfix, in one run over the same packages.

    python benchmarks/go_peers.py [--bin FOLDER]

Every fixture of database/sql, context and net/http that the standard library suffices for becomes a package of one
module: those that leak and those that only look like it. The tools are asked once each; one that is not in PATH or
FOLDER is left out. A place counts as found where a tool reports its line; a report in a package without a leak is a
false alarm. The fixtures are leakfix's own, so its column says that they pass, not how good it is elsewhere.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

FIXTURES = Path(__file__).parent.parent / "fixtures"
KINDS = {
    "rows, statements, connections": ("database_sql/unclosed_*",),
    "rows of QueryRow": ("database_sql/unscanned_row",),
    "transactions": ("database_sql/unfinished_transaction",),
    "rows.Err": ("database_sql/unchecked_rows",),
    "cancel functions": ("go_context/*",),
    "response bodies": ("net_http/*",),
}
_MARK = re.compile(r"// leak:")
_LINE = re.compile(r"([\w./-]+\.go):(\d+):\d+")
_GOLANGCI = ("sqlclosecheck", "rowserrcheck", "bodyclose", "govet")

Place = tuple[str, int]


def packages(root: Path) -> Mapping[str, str]:
    """Write the packages; which kind each is of."""
    kinds = {}
    for kind, patterns in KINDS.items():
        for folder in sorted(found for pattern in patterns for found in FIXTURES.glob(pattern)):
            for path in sorted(folder.glob("*.go")):
                text = path.read_text("utf-8")
                if ".after." in path.name or re.search(r'^\s*(?:\w+ )?"[\w-]+\.[\w.-]+/', text, re.MULTILINE):
                    continue
                name = re.sub(r"\W", "_", f"{folder.parent.name}_{folder.name}_{path.stem}")
                (root / name).mkdir()
                (root / name / "a.go").write_text(text, "utf-8")
                kinds[f"{name}/a.go"] = kind
    (root / "go.mod").write_text("module example.com/fixtures\n\ngo 1.24\n")
    return kinds


def reported(root: Path, command: Iterable[str]) -> set[Place]:
    """The places a tool names in what it prints."""
    environment = {**os.environ, "GOFLAGS": "-mod=mod", "GOLANGCI_LINT_CACHE": str(root / ".cache")}
    done = subprocess.run(list(command), cwd=root, env=environment, capture_output=True, text=True, check=False)
    found = _LINE.findall(done.stdout + done.stderr)
    return {(name.removeprefix("./").removeprefix(f"{root}/"), int(line)) for name, line in found}


def ours(root: Path) -> tuple[set[Place], set[Place]]:
    """The places leakfix names, and those it repairs."""
    options = ("--select", "leak", "--select", "database_sql/unchecked-rows", "--output-format", "json")
    done = subprocess.run(
        [sys.executable, "-m", "leakfix", "check", ".", *options], cwd=root, capture_output=True, text=True, check=False
    )
    findings = json.loads(done.stdout)["findings"]
    places = {(item["path"], item["line"]) for item in findings}
    return places, {(item["path"], item["line"]) for item in findings if item["fix"]}


def main() -> None:
    """Run what is there and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", default="", help="a folder with the tools that are not in PATH")
    path = os.pathsep.join(filter(None, (parser.parse_args().bin, os.environ["PATH"])))
    with tempfile.TemporaryDirectory(prefix="leakfix-peers-") as folder:
        root = Path(folder)
        kinds = packages(root)
        texts = {name: (root / name).read_text("utf-8").splitlines() for name in kinds}
        leaks = {(name, at) for name, lines in texts.items() for at, line in enumerate(lines, 1) if _MARK.search(line)}
        sound = {name for name in kinds if not any(name == place[0] for place in leaks)}
        found, repaired = ours(root)
        columns = {"leakfix": found}
        for tool in ("sqlclosecheck", "rowserrcheck"):
            if program := shutil.which(tool, path=path):
                columns[tool] = reported(root, ("go", "vet", f"-vettool={program}", "./..."))
        columns["go vet"] = reported(root, ("go", "vet", "./..."))
        if program := shutil.which("golangci-lint", path=path):
            limits = ("--max-issues-per-linter=0", "--max-same-issues=0", "--output.text.path=stdout")
            linters = [option for name in _GOLANGCI for option in ("-E", name)]
            columns["golangci-lint"] = reported(root, (program, "run", "--default=none", *linters, *limits, "./..."))
        print(f"| | places | repaired by leakfix | {' | '.join(columns)} |")
        print("|" + "---|" * (len(columns) + 3))
        for kind in KINDS:
            places = {place for place in leaks if kinds[place[0]] == kind}
            counts = [str(len(places & places_of)) for places_of in columns.values()]
            print(f"| {kind} | {len(places)} | {len(places & repaired)} | {' | '.join(counts)} |")
        alarms = [str(sum(name in sound for name, _ in places - leaks)) for places in columns.values()]
        print(f"| false alarms in {len(sound)} sound packages | | | {' | '.join(alarms)} |")


if __name__ == "__main__":
    main()
