"""The line prompt: shows a fix and asks. It decides, and writes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from rich.console import Console
from rich.text import Text

from leakfix.finding import Finding
from leakfix.project.display import visible_line
from leakfix.source import SourceFile, unified_diff

HELP = """\
y  write this fix
n  leave it
a  write this one and all that follow
r  write this one and the rest of this rule
q  leave this one and all that follow; what was accepted is written
?  this help
Ctrl-C leaves at once and writes nothing"""

_STYLES = {"+": "green", "-": "red", "@": "cyan"}


@dataclass
class Review:
    """The answers of one person so far.

    read: asks with a prompt and returns the line; raises EOFError at the end of input.
    describe: the text that explains a finding.
    total: how many fixes there are.
    ended: set once nothing more is to be asked or accepted.
    """

    read: Callable[[str], str]
    describe: Callable[[Finding, SourceFile], str]
    total: int
    colour: bool
    ended: bool = False
    _asked: int = 0
    _all: bool = False
    _rules: set[str] = field(default_factory=set)

    def accepts(self, finding: Finding, before: SourceFile, after: SourceFile) -> bool:
        """Whether to make this fix: by an earlier answer for many, else by asking."""
        self._asked += 1
        if self.ended or self._all or finding.rule in self._rules:
            return not self.ended
        self._show(finding, before, after)
        while True:
            decided = self._decided(self._answer(), finding)
            if decided is not None:
                return decided

    def _answer(self) -> str:
        try:
            return self.read(f"Fix {self._asked} of {self.total}: write it? [y,n,a,r,q,?] ").strip()[:1].lower()
        except EOFError:
            self._console().print()
            return "q"

    def _decided(self, answer: str, finding: Finding) -> bool | None:
        match answer:
            case "y":
                return True
            case "n":
                return False
            case "a":
                self._all = True
                return True
            case "r":
                self._rules.add(finding.rule)
                return True
            case "q":
                self.ended = True
                return False
            case _:
                self._console().print(HELP, markup=False, highlight=False)
                return None

    def _show(self, finding: Finding, before: SourceFile, after: SourceFile) -> None:
        console = self._console()
        console.print()
        console.print(Text.from_ansi(self.describe(finding, before)), soft_wrap=True)
        difference = unified_diff(finding.path, before.data, after.data).decode("utf-8", "replace")
        for number, line in enumerate(difference.removesuffix("\n").split("\n")):
            style = "bold" if number < 2 else _STYLES.get(line[:1], "")
            console.print(Text(visible_line(line.removesuffix("\r")), style), soft_wrap=True)

    def _console(self) -> Console:
        return Console(no_color=not self.colour, highlight=False)
