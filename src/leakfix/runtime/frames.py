"""Whose code calls: the standard library's, an installed library's, or the project's own.

What a library acquires for itself (a pool its connections, a web framework its session) is that library's business;
what the project's code acquires, directly or through the standard library, is to be released by it.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Literal

Origin = Literal["tracker", "stdlib", "library", "project"]
Place = tuple[CodeType, int]
"""A code object and the offset of the instruction it is at: the line is looked up when somebody reads it."""

_TRACKER = os.path.dirname(os.path.abspath(__file__)) + os.sep
_STDLIB = tuple({os.path.join(sysconfig.get_path(name), "") for name in ("stdlib", "platstdlib")})
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
_DEEPEST = 24  # frames kept of a stack
_FARTHEST = 200  # frames looked at for them
_NEAR = 4  # frames between a finalizer and what it calls to release


@dataclass(frozen=True)
class Line:
    """One line of a stack. path: as the code object has it; line: 1-based, 0 where it is not known."""

    path: str
    line: int
    function: str


class Frames:
    """Tells frames apart. packages: installed packages that count as the project's own."""

    def __init__(self, packages: Collection[str] = ()) -> None:
        self._own = tuple(f"{place}{name}{end}" for place in _INSTALLED for name in packages for end in (os.sep, ".py"))
        self._known: dict[str, Origin] = {}

    def origin(self, filename: str) -> Origin:
        """Whose code a file is."""
        known = self._known.get(filename)
        if known is None:
            known = self._known[filename] = self._origin(filename)
        return known

    def _origin(self, filename: str) -> Origin:
        if filename.startswith(_TRACKER):
            return "tracker"
        if any(mark in filename for mark in _INSTALLED):
            return "project" if any(mark in filename for mark in self._own) else "library"
        if filename.startswith(("<frozen", *_STDLIB)):
            return "stdlib"
        return "project"

    def kind(self, frame: FrameType) -> Origin:
        """Whose code runs in a frame; what was generated belongs to nobody, unless it is all of the program."""
        filename = frame.f_code.co_filename
        known = self._known.get(filename)
        if known is not None:
            return known
        if not filename.startswith("<") or filename.startswith("<frozen"):
            return self.origin(filename)
        name = frame.f_globals.get("__name__")
        file = getattr(sys.modules.get(name), "__file__", None) if isinstance(name, str) else None
        if not isinstance(file, str):
            return "project" if name == "__main__" else "stdlib"
        return "library" if self.origin(file) == "library" else "stdlib"

    def is_internal(self, frame: FrameType | None) -> bool:
        """Whether a library calls from a frame, or has switched to a stack of its own, without any frame."""
        return frame is None or self.kind(frame) == "library"

    def caller(self, frame: FrameType | None, thing: object = None) -> tuple[Place, ...] | None:
        """The stack of an acquisition, the line in charge first; None where a library acts for itself.

        A stack without any frame but the tracker's is one that a library switched to (a greenlet).
        thing: what is acquired; the constructors of its own subclasses are passed over.
        """
        first: FrameType | None = None
        last = None
        while frame is not None:
            kind = self.kind(frame)
            if kind == "library":
                return None
            if kind == "project" and not _constructs(frame, thing):
                first = frame
                break
            last = frame if kind != "tracker" else last
            frame = frame.f_back
        first = first or last
        return (_place(first), *self._above(first.f_back)) if first is not None else None

    def _above(self, frame: FrameType | None) -> Iterator[Place]:
        """The project's own lines that led there; those of frameworks say nothing to anybody."""
        count = 0
        for _ in range(_FARTHEST):
            if frame is None or count == _DEEPEST:
                return
            if self.kind(frame) == "project":
                yield _place(frame)
                count += 1
            frame = frame.f_back

    def project_line(self, frame: FrameType | None) -> Place | None:
        """The nearest line of the project at or above a frame."""
        while frame is not None:
            if self.kind(frame) == "project":
                return _place(frame)
            frame = frame.f_back
        return None

    def is_finalizing(self, frame: FrameType | None, thing: object) -> bool:
        """Whether a thing's own finalizer is at work: nobody has released it until then."""
        for _ in range(_NEAR):
            if frame is None:
                return False
            if frame.f_code.co_name == "__del__" and _is_method_of(frame, thing):
                return True
            frame = frame.f_back
        return False


def _place(frame: FrameType) -> Place:
    return frame.f_code, frame.f_lasti


def _constructs(frame: FrameType, thing: object) -> bool:
    return thing is not None and frame.f_code.co_name == "__init__" and _is_method_of(frame, thing)


def _is_method_of(frame: FrameType, thing: object) -> bool:
    code = frame.f_code
    return bool(code.co_argcount) and frame.f_locals.get(code.co_varnames[0]) is thing


def read(place: Place) -> Line:
    """The line of a place."""
    code, offset = place
    for number, (line, *_) in enumerate(code.co_positions()):
        if number == offset // 2:
            return Line(code.co_filename, line or 0, code.co_qualname)
    return Line(code.co_filename, code.co_firstlineno, code.co_qualname)
