"""The review in the line: shows one fix after the other and asks with single keys. It decides, and writes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console
from rich.text import Text

from leakfix.finding import Finding, Safety
from leakfix.report.difference import drawn
from leakfix.review.decisions import Answer, Item, NotPossible, Review
from leakfix.source import SourceFile

HELP = """\
y  write this fix                        n  leave it
a  write it and the rest of this file    d  leave it and the rest of this file
A  write it and the rest of this rule    D  leave it and the rest of this rule
e  edit the repaired file in $EDITOR     i  allow this leak with a comment
b  put it into the baseline              /  search; n in an empty search repeats it
u  undo the last answer                  U  do it again
j  next open fix                         k  the one before
J  next fix, decided or not              K  the one before
q  end: what was accepted is written     ?  this help
"The rest" takes fixes to review along only where this fix is one. Ctrl-C leaves at once and writes nothing."""

_KEYS = "y,n,a,d,A,D,e,i,b,u,j,k,/,q,?"
_ANSWERS = {"y": Answer.ACCEPT, "n": Answer.SKIP, "i": Answer.SUPPRESS, "b": Answer.BASELINE}
_RESTS = {
    "a": (Answer.ACCEPT, "file"),
    "d": (Answer.SKIP, "file"),
    "A": (Answer.ACCEPT, "rule"),
    "D": (Answer.SKIP, "rule"),
}
_SAID = {
    Answer.ACCEPT: "accepted",
    Answer.SKIP: "skipped",
    Answer.SUPPRESS: "allowed by a comment",
    Answer.BASELINE: "in the baseline",
    Answer.EDIT: "edited",
}


class Terminal(Protocol):
    """Where the answers come from."""

    def key(self) -> str:
        """One key: a character, or "up" or "down". Raises EOFError at the end of input."""

    def line(self, prompt: str) -> str:
        """A line of text; empty where nothing was typed."""

    def edited(self, path: str, data: bytes) -> bytes | None:
        """What a person's editor makes of a file; None where it was left as it is. Raises OSError."""


@dataclass
class Prompt:
    """One review in the line.

    describe: the text that explains a finding, with its leaking path.
    """

    review: Review
    terminal: Terminal
    describe: Callable[[Finding, SourceFile], str]
    console: Console
    _at: int = 0
    _sought: str = ""

    def run(self) -> None:
        """Ask until all is decided or the person ends it. KeyboardInterrupt passes through."""
        self._at = self._next_open(-1, 1)
        while self._at >= 0:
            item = self.review.items[self._at]
            self._show(item)
            if not self._ask(item):
                return

    def _ask(self, item: Item) -> bool:
        """Read keys until one of them leads on; whether to go on."""
        while True:
            self.console.print(Text(f"{self._place(item)} [{_KEYS}] "), end="", soft_wrap=True)
            try:
                key = self.terminal.key()
            except EOFError:
                key = "q"
            self.console.print(Text(key if key.isprintable() else ""))
            if key == "q":
                return False
            if self._react(key, item):
                return True

    def _react(self, key: str, item: Item) -> bool:
        """Do what a key says; whether to show something else now."""
        try:
            match key:
                case "y" | "n" | "i" | "b":
                    self.review.answer(item, _ANSWERS[key])
                case "a" | "d" | "A" | "D":
                    answer, of = _RESTS[key]
                    count = self.review.answer_rest(item, answer, of)
                    self._say(f"{count} {_SAID[answer]}")
                case "e":
                    if not self._edit(item):
                        return False
                case _:
                    return self._move(key)
        except NotPossible as error:
            self._say(str(error))
            return False
        self._at = self._next_open(self._at, 1)
        return True

    def _move(self, key: str) -> bool:
        match key:
            case "u" | "U":
                item = self.review.undo() if key == "u" else self.review.redo()
                if item is None:
                    self._say("nothing to undo" if key == "u" else "nothing to do again")
                    return False
                self._at = self.review.items.index(item)
            case "j" | "down" | "k" | "up":
                self._at = self._next_open(self._at, 1 if key in ("j", "down") else -1)
            case "J" | "K":
                self._at = (self._at + (1 if key == "J" else -1)) % len(self.review.items)
            case "/":
                return self._search()
            case _:
                self.console.print(Text(HELP), soft_wrap=True)
                return False
        return True

    def _edit(self, item: Item) -> bool:
        proposal = self.review.proposal(item)
        shown = proposal[1] if proposal is not None else self.review.state(item.path).now
        try:
            data = self.terminal.edited(item.path, shown.raw)
        except OSError as error:
            raise NotPossible(f"the editor did not work: {error.strerror or error}") from error
        if data is None:
            self._say("nothing was changed")
            return False
        self.review.edit(item, data)
        return True

    def _search(self) -> bool:
        self._sought = self.terminal.line("search: ").strip() or self._sought
        count = len(self.review.items)
        for number in range(1, count + 1):
            at = (self._at + number) % count
            if self._sought and matches(self.review.items[at].finding, self._sought):
                self._at = at
                return True
        self._say("not found")
        return False

    def _next_open(self, start: int, step: int) -> int:
        """The nearest open finding behind a place, or before it, going round once; -1 where none is left."""
        count = len(self.review.items)
        for number in range(1, count + 1):
            at = (start + step * number) % count
            if self.review.is_open(self.review.items[at]):
                return at
        return -1

    def _place(self, item: Item) -> str:
        accepted = self.review.counts()[Answer.ACCEPT]
        so_far = f" ({accepted} accepted)" if accepted else ""
        return f"Fix {self._at + 1} of {len(self.review.items)}{so_far}: write it?"

    def _show(self, item: Item) -> None:
        decision, finding = self.review.decision(item), self.review.current(item)
        shown = finding if decision is None and finding is not None else item.finding
        state = self.review.state(item.path)
        source = state.now if finding is not None and shown is finding else state.read
        self.console.print()
        self.console.print(Text.from_ansi(self.describe(shown, source)), soft_wrap=True)
        proposal = self.review.proposal(item)
        if proposal is not None:
            marked = shown if proposal[0] is source else item.finding
            for line in drawn(marked, *proposal, numbers=False):
                self.console.print(line, soft_wrap=True)
        if shown.fix is not None and shown.fix.safety is Safety.REVIEW and shown.fix.check:
            self.console.print(Text(f"Please check: {shown.fix.check}", "yellow"), soft_wrap=True)
        if decision is not None:
            self._say(f"decided: {_SAID[decision.answer]}")

    def _say(self, text: str) -> None:
        self.console.print(Text(text, "bold"), soft_wrap=True)


def matches(finding: Finding, sought: str) -> bool:
    """Whether a finding has a text in its rule, path, function or message, whatever its case."""
    text = f"{finding.rule} {finding.path}:{finding.line} {finding.function} {finding.message}"
    return sought.casefold() in text.casefold()
