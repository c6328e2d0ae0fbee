"""What README and docs show at a prompt is run, in a copy of a small project, and gives what they show."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from . import pages

IDENTITY = {
    **dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"), "somebody"),
    **dict.fromkeys(("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"), "somebody@example.org"),
    **dict.fromkeys(("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"), os.devnull),
}
ALL = [block for page in pages.PAGES for block in pages.blocks(page)]
PAGES = [
    pytest.param(
        [block for block in ALL if block.page == page and block.project], id=page.relative_to(pages.ROOT).as_posix()
    )
    for page in pages.PAGES
    if any(block.project for block in ALL if block.page == page)
]


class Shell:
    """Commands in copies of the projects, each made and committed when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "LEAKFIX_DSN"))}
        programs = str(folder / "bin")
        (folder / "bin").mkdir()
        leakfix = folder / "bin" / "leakfix"
        leakfix.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m leakfix "$@"\n')
        leakfix.chmod(0o755)
        self.environment = {**kept, **IDENTITY, "PATH": f"{programs}{os.pathsep}{kept['PATH']}", "COLUMNS": "120"}
        self.environment["XDG_STATE_HOME"] = str(folder / "state")

    def run(self, project: str, command: str) -> subprocess.CompletedProcess[str]:
        """Run a line of a shell; what goes to stderr stands behind what goes to stdout."""
        place = self.folder / project
        if not place.exists():
            shutil.copytree(pages.PROJECTS / project, place, ignore=shutil.ignore_patterns("__pycache__"))
            for line in ("git init --quiet", "git add .", "git commit --quiet --message start"):
                subprocess.run(line, shell=True, cwd=place, env=self.environment, check=True, timeout=60)
        return subprocess.run(
            command, shell=True, cwd=place, env=self.environment, capture_output=True, text=True, timeout=120
        )


@pytest.mark.skipif(os.name != "posix", reason="the sessions are of a POSIX shell")
@pytest.mark.parametrize("session", PAGES)
def test_a_session_gives_what_the_page_shows(session: list[pages.Block], tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    for block in session:
        assert block.project is not None
        for step in block.steps:
            done = shell.run(block.project, step.command)
            told = f"{block.place}: $ {step.command}\n{done.stdout}{done.stderr}"
            assert done.returncode == step.code, told
            assert pages.is_as_shown(done.stdout + done.stderr, step.shown), told


@pytest.mark.parametrize("block", [block for block in ALL if block.is_session], ids=lambda block: block.place)
def test_what_is_shown_at_a_prompt_is_run_or_says_why_not(block: pages.Block) -> None:
    assert block.language == "console"
    assert (block.project is not None) != block.is_excused, (
        "a comment above: run in: PROJECT, exits: N ... or not run: WHY"
    )
    assert all(step.shown.strip() or not step.command.startswith("leakfix check") for step in block.steps)


def test_the_start_is_among_what_is_run() -> None:
    run = {block.page.name for block in ALL if block.project}
    assert {"README.md", "index.md", "quick-start.md"} <= run


@pytest.mark.parametrize(
    ("output", "shown", "same"),
    [
        ("a\nb\n", "a\nb\n\n", True),
        ("a\nb\n", "a\n", False),
        ("a\nb\nc\nd\n", "a\n...\nd", True),
        ("a\nd\n", "a\n...\nd", True),
        ("a\nb\nc\n", "a\n...\nd", False),
        ("Looked at 1 file in 12.3 s.", "Looked at 1 file in 0.0 s.", True),
        ("Looked at 2 files in 0.0 s.", "Looked at 1 file in 0.0 s.", False),
        ("anything", "...", True),
    ],
)
def test_outputs_are_compared(output: str, shown: str, same: bool) -> None:
    assert pages.is_as_shown(output, shown) == same
