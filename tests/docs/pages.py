"""The pages of the documentation: their blocks of code, and the sessions that are run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PROJECTS = ROOT / "fixtures" / "docs"
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "frameworks").glob("*.md")],
    key=lambda page: page.relative_to(ROOT).as_posix(),
)
_BLOCK = re.compile(
    r"(?:^<!-- (?P<said>[^\n]*) -->\n)?^(?P<indent> *)```(?P<language>\S*)\n(?P<text>.*?)^ *```$", re.M | re.S
)
_RUN = re.compile(r"run in: (?P<project>[\w-]+)(?:, exits: (?P<codes>[\d ]+))?$")
_NOT_RUN = re.compile(r"not run: \S.+$")
_SECONDS = re.compile(r"\b\d+\.\d s\b")


@dataclass(frozen=True)
class Step:
    """A command of a session, what the page shows of its output, and the exit code it is to have."""

    command: str
    shown: str
    code: int


@dataclass(frozen=True)
class Block:
    """Fenced code of a page, and what the comment in the line above it says."""

    page: Path
    line: int
    language: str
    text: str
    said: str

    @property
    def place(self) -> str:
        """The page and the line, for messages."""
        return f"{self.page.relative_to(ROOT).as_posix()}:{self.line}"

    @property
    def is_session(self) -> bool:
        """Whether it shows leakfix at a prompt."""
        return re.search(r"^\$ leakfix\b", self.text, re.M) is not None

    @property
    def is_excused(self) -> bool:
        """Whether it says why it is not run."""
        return _NOT_RUN.match(self.said) is not None

    @property
    def project(self) -> str | None:
        """The project in a copy of which it is run."""
        told = _RUN.match(self.said)
        return told["project"] if told else None

    @cached_property
    def steps(self) -> list[Step]:
        """Its commands, with the exit codes that the comment tells, 0 where it tells none."""
        told = _RUN.match(self.said)
        pieces = re.split(r"^\$ ", self.text, flags=re.M)[1:]
        codes = [int(code) for code in told["codes"].split()] if told and told["codes"] else [0] * len(pieces)
        assert len(codes) == len(pieces), f"{self.place}: {len(codes)} exit codes for {len(pieces)} commands"
        parts = [piece.partition("\n") for piece in pieces]
        return [Step(command, shown, code) for (command, _, shown), code in zip(parts, codes, strict=True)]


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in their order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page,
            text.count("\n", 0, found.start("language")) + 1,
            found["language"],
            found["text"],
            found["said"] or "",
        )
        for found in _BLOCK.finditer(text)
    ]


def is_as_shown(output: str, shown: str) -> bool:
    """Whether an output is what a page shows: ``...`` stands for any lines, times are not compared."""
    wanted = [_plain(line) for line in shown.rstrip("\n").split("\n")]
    return _fits([_plain(line) for line in output.rstrip("\n").split("\n")], wanted)


def _plain(line: str) -> str:
    return _SECONDS.sub("0.0 s", line.rstrip())


def _fits(lines: list[str], wanted: list[str]) -> bool:
    if "..." not in wanted:
        return lines == wanted
    at = wanted.index("...")
    rest = wanted[at + 1 :]
    return lines[:at] == wanted[:at] and any(_fits(lines[start:], rest) for start in range(at, len(lines) + 1))


def code_of(page: Path) -> Iterator[tuple[int, str]]:
    """Lines of code of a page with their numbers: fenced blocks but patches, and what stands between backticks."""
    text = page.read_text(encoding="utf-8")
    for block in blocks(page):
        if block.language != "diff":
            yield from enumerate(block.text.split("\n"), block.line + 1)
    prose = re.sub(r"^ *```.*?^ *```$", lambda block: re.sub(r"[^\n]", "", block[0]), text, flags=re.M | re.S)
    for found in re.finditer(r"(?<!`)`([^`]+)`(?!`)", prose):
        yield prose.count("\n", 0, found.start()) + 1, re.sub(r"\s+", " ", found[1])


def commands_in(line: str) -> Iterator[list[str]]:
    """The words behind each ``leakfix`` that a line of code calls, up to what belongs to the shell or to a comment."""
    code = re.sub(r"(?:^|\s)#\s.*$", "", line)
    for found in re.finditer(r"(?:^|[\s;&|\"'(])leakfix (?=[a-z-])([^|;&>)]*)", code):
        words = _words(re.sub(r"\s{2,}.*$", "", found[1]))
        yield words[: words.index("--")] if "--" in words else words


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()
