"""The answers of a review on disk, so that a crash loses none and a later session goes on.

One line of JSON for each answer, synced as it is given, in the user's own state folder (XDG_STATE_HOME): nothing is
left in the project. Answers that change a file count only while the file is what it was when they were given.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from leakfix.project.mentions import project_root
from leakfix.review.decisions import Answer, Item, NotPossible, Review, digest

_LARGEST = 64 << 20


class InUse(OSError):
    """Another review of the same project is going on."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What was resumed: answers given again, and how many were not because their files have changed since."""

    resumed: int
    outdated: int


class Journal:
    """The answers given in one project. Held open, and locked against a second review, while a review goes on."""

    def __init__(self, path: str) -> None:
        """Open and lock it. Raises InUse, or another OSError where the state folder cannot be written."""
        self.path = path
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        self._descriptor = _opened(path)
        try:
            self._answers = self._read()
        except BaseException:
            os.close(self._descriptor)
            raise

    @classmethod
    def of_project(cls, folder: str) -> Journal:
        """The journal of the project a folder belongs to."""
        root = project_root(os.path.join(folder, "_"))
        name = hashlib.sha256(os.fsencode(os.path.realpath(root))).hexdigest()[:16]
        return cls(os.path.join(_state_folder(), "reviews", f"{name}.jsonl"))

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    def resume(self, review: Review) -> Kept:
        """Give the recorded answers again, in their order."""
        answers, listener = dict(self._answers), review.changed
        review.changed = lambda items: None
        resumed = outdated = 0
        items = {item.key: item for item in review.items}
        for key, entry in answers.items():
            if key in items:
                done = _given(review, items[key], entry)
                resumed, outdated = resumed + done, outdated + (not done)
        review.changed = listener
        return Kept(resumed, outdated)

    def record(self, review: Review, items: Iterable[Item]) -> None:
        """Write down what is now decided of some findings. Raises OSError where that is not possible."""
        lines = []
        for item in items:
            entry = _entry(review, item)
            self._answers.pop(item.key, None)
            if entry is not None:
                self._answers[item.key] = entry
            lines.append(json.dumps({"finding": item.key, **(entry or {"answer": None})}) + "\n")
        _write_all(self._descriptor, "".join(lines).encode())
        os.fsync(self._descriptor)

    def finish(self, done: Iterable[Item]) -> None:
        """Forget what was carried out; what was skipped stays skipped. A crash in here forgets nothing."""
        for item in done:
            self._answers.pop(item.key, None)
        lines = [json.dumps({"finding": key, **entry}) + "\n" for key, entry in self._answers.items()]
        temporary = f"{self.path}.new"  # one name, so that what a crash leaves is replaced by the next review
        with open(temporary, "wb") as stream:
            stream.write("".join(lines).encode())
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, self.path)

    def forget(self) -> None:
        """Begin anew."""
        self._answers.clear()
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)

    def _read(self) -> dict[str, dict[str, Any]]:
        size = os.fstat(self._descriptor).st_size
        if size > _LARGEST:
            raise OSError(errno.EFBIG, "is too large for a journal of answers; remove it", self.path)
        raw = os.pread(self._descriptor, size, 0)
        whole = raw[: raw.rfind(b"\n") + 1]  # a crash may have left half a line
        os.ftruncate(self._descriptor, len(whole))
        os.lseek(self._descriptor, 0, os.SEEK_END)
        answers: dict[str, dict[str, Any]] = {}
        for line in whole.splitlines():
            with suppress(ValueError, KeyError, TypeError, AttributeError):
                entry = json.loads(line)
                key = entry.pop("finding")
                answers.pop(key, None)
                if entry["answer"] is not None:
                    answers[key] = entry
        return answers


def _entry(review: Review, item: Item) -> dict[str, Any] | None:
    decision = review.decision(item) if item in review.items else None
    if decision is None:
        return None
    entry = {"answer": str(decision.answer), "file": digest(review.state(item.path).read)}
    if decision.answer is Answer.EDIT:
        entry["text"] = decision.after.raw.decode("latin-1")
    return entry


def _given(review: Review, item: Item, entry: Mapping[str, Any]) -> bool:
    """Whether an answer could be given again."""
    with suppress(ValueError, KeyError, TypeError, NotPossible):
        answer = Answer(entry["answer"])
        changes = answer in (Answer.ACCEPT, Answer.SUPPRESS, Answer.EDIT)
        if changes and entry["file"] != digest(review.state(item.path).read):
            return False
        if answer is Answer.EDIT:
            review.edit(item, entry["text"].encode("latin-1"))
        else:
            review.answer(item, answer)
        return True
    return False


def _state_folder() -> str:
    base = os.environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(base):
        base = os.path.join(os.path.expanduser("~"), ".local", "state")
    return os.path.join(base, "leakfix")


def _opened(path: str) -> int:
    """A locked descriptor of the file that has this name now: another review may just have replaced it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _lock(descriptor)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    try:
        import fcntl
    except ImportError:  # no such locks on this system
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise InUse(errno.EBUSY, "another review of this project is going on") from error


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
