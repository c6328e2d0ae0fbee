"""Real code as a yardstick: check pinned commits of public repositories and show what changed since the record.

The list (``benchmarks/corpus/repositories.txt``) and the record (``findings.jsonl`` beside it) hold references only,
no code. Repositories are looked for as git directories below ``--repositories`` (``owner+name``, bare or not) and
otherwise cloned there from GitHub. Exits with 1 where something appeared or vanished.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

_WANTED = (b".py", b".toml", b".cfg", b"requirements.txt", b".lock")
CORPUS = Path(__file__).resolve().parents[1] / "benchmarks" / "corpus"
Finding = dict[str, str | int]


def main() -> int:
    """Run, compare and, where asked, record."""
    options = _options()
    recorded = _recorded(options.only)
    found: list[Finding] = []
    started = time.monotonic()
    for repository, commit in _listed(options.only):
        git = _git_directory(options.repositories, repository)
        if git is None:
            print(f"{repository}: not there, left out", file=sys.stderr)
            recorded = [finding for finding in recorded if finding["repository"] != repository]
            continue
        mine = list(_findings(git, repository, commit, options.jobs))
        found += mine
        print(f"{repository}: {len(mine)} findings", file=sys.stderr)
    appeared = _without(found, recorded)
    vanished = _without(recorded, found)
    for sign, findings in (("+", appeared), ("-", vanished)):
        for finding in findings:
            print(f"{sign} {finding['repository']} {finding['path']}:{finding['line']} {finding['rule']}", end=" ")
            print(f"{finding['severity']} fix: {finding['fix']}")
    seconds = time.monotonic() - started
    summary = f"{len(found)} findings, {len(appeared)} appeared, {len(vanished)} vanished, {seconds:.0f} s"
    print(summary, file=sys.stderr)
    if options.record:
        lines = [json.dumps(finding, sort_keys=True) + "\n" for finding in sorted(found, key=_key)]
        (CORPUS / "findings.jsonl").write_text("".join(lines))
    return 1 if appeared or vanished else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repositories", type=Path, default=Path(".corpus"), help="folder of the git directories")
    parser.add_argument("--only", default="", help="repositories whose name contains this")
    parser.add_argument("--jobs", type=int, help="processes for each check")
    parser.add_argument("--record", action="store_true", help="make what was found the new record")
    return parser.parse_args()


def _listed(only: str) -> Iterator[tuple[str, str]]:
    for line in (CORPUS / "repositories.txt").read_text().splitlines():
        repository, _, commit = line.partition(" ")
        if commit and only in repository:
            yield repository, commit


def _recorded(only: str) -> list[Finding]:
    record = CORPUS / "findings.jsonl"
    lines = record.read_text().splitlines() if record.exists() else []
    return [finding for finding in map(json.loads, lines) if only in finding["repository"]]


def _git_directory(folder: Path, repository: str) -> Path | None:
    place = folder / repository.replace("/", "+")
    for candidate in (place / ".git", place, *sorted(place.glob("*")), *sorted(place.glob("*/.git"))):
        if (candidate / "objects").is_dir():
            return candidate
    folder.mkdir(parents=True, exist_ok=True)
    url = f"https://github.com/{repository}.git"
    done = subprocess.run(["git", "clone", "--quiet", "--bare", url, str(place)], check=False)
    return place if done.returncode == 0 else None


def _findings(git: Path, repository: str, commit: str, jobs: int | None) -> Iterator[Finding]:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "tree")
        folder.mkdir()
        _check_out(git, commit, folder)
        command = [sys.executable, "-m", "leakfix", "check", "--output-format", "json", "--exit-zero", "."]
        command += [] if jobs is None else ["--jobs", str(jobs)]
        done = subprocess.run(command, cwd=folder, check=True, capture_output=True)
    for finding in json.loads(done.stdout)["findings"]:
        fix = finding.get("fix")
        yield {
            "repository": repository,
            "path": finding["path"],
            "line": finding["line"],
            "rule": finding["rule"],
            "severity": finding["severity"],
            "fix": fix["safety"] if fix else "none",
            "fingerprint": finding["fingerprint"],
        }


def _check_out(git: Path, commit: str, folder: Path) -> None:
    """Write the sources and what declares requirements; the mirror of a big repository may lack the rest."""
    index = os.environ | {"GIT_INDEX_FILE": str(folder.with_name("index"))}
    command = ["git", f"--git-dir={git.resolve()}", f"--work-tree={folder}"]
    subprocess.run([*command, "read-tree", commit], check=True, env=index)
    listed = subprocess.run([*command, "ls-files", "-z"], check=True, env=index, capture_output=True).stdout
    wanted = b"\0".join(name for name in listed.split(b"\0") if name.endswith(_WANTED))
    subprocess.run([*command, "checkout-index", "-z", "--stdin"], check=False, env=index, input=wanted)


def _without(findings: list[Finding], others: list[Finding]) -> list[Finding]:
    known = {(other["repository"], other["fingerprint"], other["severity"], other["fix"]) for other in others}
    return [f for f in findings if (f["repository"], f["fingerprint"], f["severity"], f["fix"]) not in known]


def _key(finding: Finding) -> tuple[str, str, int]:
    return str(finding["repository"]), str(finding["path"]), int(finding["line"])


if __name__ == "__main__":
    raise SystemExit(main())
