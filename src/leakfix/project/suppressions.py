"""Comments that allow a leak: ``# leakfix: allow[rule, glob] reason``."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from leakfix.source import Edit, SourceFile

_MARK = b"leakfix:"
_GO_COMMENT = re.compile(
    r"""
    "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*' | `[^`]*` | /\*.*?\*/   # what may hold the signs of a comment
    | (?P<comment>//[^\n]*)
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT = re.compile(r"(?:#|//)\s*leakfix:\s*(?P<verb>[\w-]*)\s*(?:\[(?P<rules>[^\]#]*)\])?")


@dataclass(frozen=True)
class Suppressions:
    """What the comments of one file allow, and what is wrong with some of them."""

    allowed: dict[int, tuple[str, ...]]
    warnings: tuple[tuple[int, str], ...]

    def allows(self, rule: str, lines: Iterable[int]) -> bool:
        """Whether a comment on one of the lines allows the rule."""
        if not self.allowed:
            return False
        patterns = (pattern for line in lines for pattern in self.allowed.get(line, ()))
        return any(fnmatchcase(rule, pattern) for pattern in patterns)


NONE = Suppressions({}, ())


def allowing(source: SourceFile, rule: str, line: int, reason: str) -> SourceFile:
    """The file with a comment at the end of a line that allows a rule, or several with commas between them."""
    sign = "//" if _is_go(source) else "#"
    start = source.line_starts[line - 1]
    end = start + len(source.data[start:].splitlines()[0]) if start < len(source.data) else start
    space = b"" if source.data[start:end].endswith(b" ") else b" " if _is_go(source) else b"  "
    return source.edited([Edit(end, end, space + f"{sign} leakfix: allow[{rule}] {reason}".rstrip().encode())])


def suppressions(source: SourceFile, known: Collection[str]) -> Suppressions:
    """Read the comments of a file; names that match no known rule suppress nothing and give a warning."""
    if _MARK not in source.data:
        return NONE
    allowed: dict[int, tuple[str, ...]] = {}
    warnings: list[tuple[int, str]] = []
    for line, comment in _comments(source):
        for match in _COMMENT.finditer(comment):
            names, wrong = _read(match, known)
            allowed[line] = (*allowed.get(line, ()), *names)
            warnings += [(line, text) for text in wrong]
    return Suppressions(allowed, tuple(warnings))


def _is_go(source: SourceFile) -> bool:
    return source.path.endswith(".go")


def _comments(source: SourceFile) -> Iterator[tuple[int, str]]:
    """Real comments, not strings that look like one, with their lines."""
    if _is_go(source):
        code = source.data.decode("utf-8", "replace")
        for match in _GO_COMMENT.finditer(code):
            if match["comment"] is not None:
                yield code.count("\n", 0, match.start()) + 1, match["comment"]
        return
    text = source.data.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string
    except (tokenize.TokenError, SyntaxError):
        return


def _read(match: re.Match[str], known: Collection[str]) -> tuple[list[str], list[str]]:
    if match["verb"] != "allow" or match["rules"] is None:
        return [], ["not understood; it reads '# leakfix: allow[rule, ...] reason'"]
    names = [name for part in match["rules"].split(",") if (name := part.strip())]
    if not names:
        return [], ["allows nothing: name a rule between the brackets"]
    usable = [name for name in names if any(fnmatchcase(rule, name) for rule in known)]
    unknown = [name for name in names if name not in usable]
    return usable, [f"there is no rule {name!r}, so nothing is allowed for it" for name in unknown]
