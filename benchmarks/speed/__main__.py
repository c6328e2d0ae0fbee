"""Measure leakfix beside other tools and write down what came of it.

    PYTHONPATH=benchmarks python -m speed [--corpus FOLDER] [--peers FOLDER] [--rounds N] [--output FILE]

The corpus is laid out on first use. Peers are looked for in ``--peers`` (the ``bin`` of an environment) and in PATH;
those that are not there are left out, and the page says so.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from speed.corpus import PACKAGES, laid_out, part_of
from speed.measure import Command, Failed, Taken, TooLong, answer, measured, once, ratios

ROOT = Path(__file__).parents[2]
BEGIN, END = "<!-- figures: made by `make bench` -->", "<!-- end of figures -->"
WORDS = "sqlite3|psycopg|asyncpg|sessionmaker|create_engine|cursor"
RULES = """rules:
""" + "".join(
    f"""- id: rule{number}
  languages: [python]
  severity: WARNING
  message: left open
  patterns: [{{pattern: "$X = {call}(...)"}}, {{pattern-not-inside: "with ...: ..."}}]
"""
    for number, call in enumerate(("sqlite3.connect", "psycopg2.connect", "Session", "pymysql.connect"))
)
SUBSET = 200
LONGEST = 600.0
"""Seconds after which a tool is stopped."""


def main() -> int:
    """Do what the arguments ask for."""
    parser = argparse.ArgumentParser(description="Measure leakfix beside other tools.")
    parser.add_argument("--corpus", type=Path, default=ROOT / ".corpus" / "speed")
    parser.add_argument("--peers", type=Path, help="a folder of programs that is looked at before PATH")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "performance.md")
    parser.add_argument("--quick", action="store_true", help="leave out the tools that take minutes")
    options = parser.parse_args()
    if options.peers is not None:
        os.environ["PATH"] = f"{options.peers}{os.pathsep}{os.environ['PATH']}"
    laid_out(options.corpus)
    with tempfile.TemporaryDirectory() as scratch:
        lines = list(_figures(options.corpus, Path(scratch), options.rounds, options.quick))
    text = "\n".join([BEGIN, "", *lines, "", END])
    if options.output.exists() and BEGIN in (page := options.output.read_text()):
        before, after = page.partition(BEGIN)[0], page.partition(END)[2]
        options.output.write_text(before + text + after)
    print(text)
    return 0


def _figures(corpus: Path, scratch: Path, rounds: int, quick: bool) -> Iterator[str]:
    leakfix = (sys.executable, "-m", "leakfix", "check", ".", "--exit-zero", "--output-format", "json")
    cache = {"LEAKFIX_CACHE_DIR": str(scratch / "cache")}
    yield from _about(corpus)
    whole = {
        "leakfix, nothing remembered": Command((*leakfix, "--no-cache"), corpus),
        "leakfix, one process": Command((*leakfix, "--no-cache", "--jobs", "1"), corpus),
    }
    if shutil.which("ruff"):
        ruff = ("ruff", "check", "--isolated", "--no-cache", "--exit-zero", "--select", "SIM115,B019", ".")
        whole["ruff, two rules, no cache"] = Command(ruff, corpus)
    short = {"leakfix, nothing changed": Command(leakfix, corpus, environment=cache)}
    if shutil.which("rg"):
        short["rg -l, six words"] = Command(("rg", "-l", "--type", "py", WORDS, "."), corpus)
    # What takes a tenth of a second is measured by itself: right after a minute's work anything is slower.
    taken = measured(whole, rounds) | measured(short, rounds * 3)
    yield from _table(taken)
    yield from ("", _same_answers(whole | short, leakfix, corpus))
    yield from ("", "| ratio | median | from | to |", "|---|--:|--:|--:|")
    cold, warm = taken["leakfix, nothing remembered"], taken["leakfix, nothing changed"]
    for label, one, other in (
        ("cold, beside ruff's two rules", cold, taken.get("ruff, two rules, no cache")),
        ("nothing changed, beside `rg -l`", warm, taken.get("rg -l, six words")),
        ("one process, beside all processors", taken["leakfix, one process"], cold),
    ):
        yield _ratio(label, one, other)
    single = scratch / "single"
    single.mkdir()
    (single / "one.py").write_text(
        "import sqlite3\n\n\ndef f(p):\n    return sqlite3.connect(p).execute('x').fetchone()\n"
    )
    starts = measured(
        {
            "pass": Command((sys.executable, "-c", "pass"), single),
            "version": Command((sys.executable, "-m", "leakfix", "--version"), single),
            "one file": Command((*leakfix, "--no-cache"), single),
            "one file again": Command(leakfix, single, environment=cache),
        },
        rounds * 3,
    )
    yield _ratio("`leakfix --version`, beside `python -c pass`", starts["version"], starts["pass"])
    yield _ratio("check of one small file, beside `python -c pass`", starts["one file"], starts["pass"])
    yield _ratio("the same once more, unchanged", starts["one file again"], starts["pass"])
    if not quick:
        yield from _slow(corpus, scratch, cold)


def _same_answers(whole: dict[str, Command], leakfix: tuple[str, ...], corpus: Path) -> str:
    """What is said where the findings are the same however they came about. Raises Failed where they are not."""
    folders = sorted((path.name for path in corpus.iterdir() if path.is_dir() and path.name[0] != "."), reverse=True)
    at = leakfix.index(".")
    backwards = Command((*leakfix[:at], *folders, *leakfix[at + 1 :], "--no-cache"), corpus)
    ways = {
        **{name: command for name, command in whole.items() if name.startswith("leakfix")},
        "leakfix, folders named from the last to the first": backwards,
    }
    answers = {name: json.loads(answer(command))["findings"] for name, command in ways.items()}
    first = next(iter(answers.values()))
    for name, findings in answers.items():
        if findings != first:
            raise Failed(f"{name}: other findings than without a memory")
    return f"The {len(first)} findings were the same, to the byte: {'; '.join(ways)}."


def _slow(corpus: Path, scratch: Path, cold: Taken) -> Iterator[str]:
    rules = scratch / "rules.yaml"
    rules.write_text(RULES)
    part = scratch / "part"
    part.mkdir()
    number = part_of(corpus, part, SUBSET)
    mine = once(Command((sys.executable, "-m", "leakfix", "check", ".", "--exit-zero", "--no-cache"), part))
    semgrep = ("semgrep", "scan", "--config", str(rules), "--metrics", "off", "--disable-version-check", "--quiet", ".")
    pylint = ("pylint", "--disable=all", "--enable=R1732", "--score=n", *sorted(file.name for file in part.iterdir()))
    any_code = tuple(range(64))
    slow = {
        "semgrep, four rules, whole corpus": (Command(semgrep, corpus), cold),
        f"pylint R1732, {number} files": (Command(pylint, part, any_code), mine),
        f"fixit, {number} files": (Command(("fixit", "lint", "."), part, any_code), mine),
        f"codemodder, {number} files": (Command(("codemodder", "--dry-run", "."), part, any_code), mine),
    }
    yield from ("", "| other tools, once | times as long as leakfix, clock | processors |", "|---|--:|--:|")
    for label, (command, beside) in slow.items():
        if shutil.which(command.words[0]) is None:
            yield f"| {label} | not installed | |"
            continue
        try:
            taken = once(command, LONGEST)
        except TooLong:
            yield f"| {label} | more than {LONGEST / beside.median:.0f}, stopped | |"
            continue
        except Failed as error:
            yield f"| {label} | failed: {str(error)[-60:]} | |"
            continue
        cpu = taken.cpu[0] / (sum(beside.cpu) / len(beside.cpu))
        yield f"| {label} | {taken.median / beside.median:.1f} | {cpu:.1f} |"


def _about(corpus: Path) -> Iterator[str]:
    files = [file for file in corpus.rglob("*.py") if file.is_file()]
    size = sum(file.stat().st_size for file in files) / 1e6
    tools = [f"leakfix {importlib.metadata.version('leakfix')}", f"Python {platform.python_version()}"]
    for program in ("ruff", "rg", "semgrep"):
        if shutil.which(program):
            told = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
            tools.append(" ".join(told.split()[:2]) if program != "semgrep" else f"semgrep {told.strip()}")
    yield f"{len(files):,} files, {size:.0f} MB: {', '.join(PACKAGES)}."
    yield ""
    yield f"{', '.join(tools)}; {os.cpu_count()} processors, {platform.system()} {platform.machine()}."
    yield ""


def _table(taken: dict[str, Taken]) -> Iterator[str]:
    yield from (
        "| whole corpus | seconds, median | from | to | processor seconds | largest process |",
        "|---|--:|--:|--:|--:|--:|",
    )
    for name, each in taken.items():
        cpu = sum(each.cpu) / len(each.cpu)
        yield (
            f"| {name} | {each.median:.2f} | {min(each.wall):.2f} | {max(each.wall):.2f} | {cpu:.2f} | "
            f"{each.peak / 1e6:.0f} MB |"
        )


def _ratio(label: str, one: Taken, other: Taken | None) -> str:
    if other is None:
        return f"| {label} | not installed | | |"
    median, least, most = ratios(one.wall, other.wall)
    return f"| {label} | {median:.2f} | {least:.2f} | {most:.2f} |"


if __name__ == "__main__":
    sys.exit(main())
