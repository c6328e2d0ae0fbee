"""What a person decides about findings: a model without a face. It changes text in memory and writes nothing.

Fixes of one file are made one after the other, each on what the ones before left, as ``leakfix apply --yes`` makes
them; what is shown of a fix is therefore what will be written.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum

from leakfix.finding import Finding, Safety
from leakfix.project.suppressions import allowing
from leakfix.source import SourceFile

Analyse = Callable[[SourceFile], Iterable[Finding]]


class Answer(StrEnum):
    """What may become of a finding."""

    ACCEPT = "accept"
    SKIP = "skip"
    SUPPRESS = "suppress"
    BASELINE = "baseline"
    EDIT = "edit"


class NotPossible(Exception):
    """An answer cannot be carried out; the message says why, and everything is as before."""


@dataclass(frozen=True, slots=True)
class Decision:
    """An answer, and what the file was before and after it. ``after`` is ``before`` where nothing changes."""

    answer: Answer
    before: SourceFile
    after: SourceFile

    @property
    def changes(self) -> bool:
        """Whether it changes the file."""
        return self.after.data != self.before.data


@dataclass(frozen=True)
class FileState:
    """One file in a review.

    read: as it is on disk; now: with what was decided.
    current: the findings of ``now`` by fingerprint.
    decisions: in the order they were made.
    """

    read: SourceFile
    now: SourceFile
    current: Mapping[str, Finding]
    decisions: Mapping[str, Decision] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Item:
    """A finding that is to be decided: as it was first seen."""

    finding: Finding

    @property
    def path(self) -> str:
        """The file it is in."""
        return self.finding.path

    @property
    def key(self) -> str:
        """Its fingerprint."""
        return self.finding.fingerprint


@dataclass(frozen=True, slots=True)
class Change:
    """One step of a review, to be taken back: the files before and after it, and the finding it was about."""

    item: Item
    before: Mapping[str, FileState]
    after: Mapping[str, FileState]


@dataclass(frozen=True, slots=True)
class Reviewed:
    """What came of one file."""

    read: SourceFile
    now: SourceFile
    fixed: tuple[Finding, ...]
    suppressed: tuple[Finding, ...]


def digest(source: SourceFile) -> str:
    """What tells one content of a file from another."""
    return hashlib.sha256(source.raw).hexdigest()


class Review:
    """The findings of a run and what was decided of them so far.

    offers: which findings are to be decided.
    analyse: the findings of a file whose text is not as it was read; raises ValueError where it does not compile.
    changed: called with the fingerprints an answer was given to or taken from.
    """

    def __init__(
        self,
        findings: Sequence[Finding],
        sources: Mapping[str, SourceFile],
        analyse: Analyse,
        offers: Callable[[Finding], bool] = lambda finding: True,
        changed: Callable[[Iterable[Item]], None] = lambda items: None,
    ) -> None:
        self.items = tuple(Item(finding) for finding in findings if offers(finding))
        self.changed = changed
        self._analyse = analyse
        self._offers = offers
        self._files: dict[str, FileState] = {}
        self._done: list[Change] = []
        self._undone: list[Change] = []
        for path in {item.path for item in self.items}:
            own = {finding.fingerprint: finding for finding in findings if finding.path == path}
            self._files[path] = FileState(sources[path], sources[path], own)

    def state(self, path: str) -> FileState:
        """A file as it stands now."""
        return self._files[path]

    def decision(self, item: Item) -> Decision | None:
        """What was decided of a finding."""
        return self._files[item.path].decisions.get(item.key)

    def current(self, item: Item) -> Finding | None:
        """A finding as it stands in the changed file; None where a decision about another one took it along."""
        return self._files[item.path].current.get(item.key)

    def is_open(self, item: Item) -> bool:
        """Whether a finding is still to be decided."""
        return self.decision(item) is None and self.current(item) is not None

    def proposal(self, item: Item) -> tuple[SourceFile, SourceFile] | None:
        """The file before and after a finding's repair: the one decided on, or the one that is offered."""
        decision = self.decision(item)
        if decision is not None and decision.changes:
            return decision.before, decision.after
        finding, now = self.current(item), self._files[item.path].now
        return (now, now.edited(finding.fix.edits)) if finding is not None and finding.fix is not None else None

    def counts(self) -> Counter[Answer | None]:
        """How many findings have which answer; those that went along with another count as accepted."""
        return Counter(self._answered(item) for item in self.items)

    def _answered(self, item: Item) -> Answer | None:
        decision = self.decision(item)
        if decision is not None:
            return decision.answer
        return None if self.current(item) is not None else Answer.ACCEPT

    def answer(self, item: Item, answer: Answer) -> None:
        """Decide about one finding. Raises NotPossible."""
        self._step(item, [item], answer)

    def answer_rest(self, item: Item, answer: Answer, of: str) -> int:
        """Decide about a finding and the open ones behind it of the same ``file`` or ``rule``; how many it were.

        Where fixes are accepted, only those at least as safe as this one are. Raises NotPossible for the first alone.
        """
        at = self.items.index(item)
        same = [i for i in self.items[at + 1 :] if (i.path == item.path if of == "file" else _rule(i) == _rule(item))]
        rest = [other for other in same if self.is_open(other) and self._goes_along(item, other, answer)]
        return self._step(item, [item, *rest], answer)

    def _goes_along(self, item: Item, other: Item, answer: Answer) -> bool:
        first, second = self.current(item), self.current(other)
        if answer is not Answer.ACCEPT:
            return True
        if second is None or second.fix is None:
            return False
        sure = second.fix.safety is Safety.SAFE
        return sure or (first is not None and first.fix is not None and first.fix.safety is Safety.REVIEW)

    def _step(self, item: Item, items: Sequence[Item], answer: Answer) -> int:
        before, changed = dict(self._files), []
        try:
            for number, one in enumerate(items):
                try:
                    self._decide(one, answer)
                    changed.append(one)
                except NotPossible:
                    if number == 0:
                        raise
        except BaseException:
            self._files = before
            raise
        if self._files != before:
            self._record(item, before, changed)
        return len(changed)

    def _record(self, item: Item, before: Mapping[str, FileState], changed: Sequence[Item]) -> None:
        paths = [path for path, state in self._files.items() if state is not before[path]]
        after = {path: self._files[path] for path in paths}
        self._done.append(Change(item, {path: before[path] for path in paths}, after))
        self._undone.clear()
        self.changed(changed)

    def _decide(self, item: Item, answer: Answer) -> None:
        if (former := self.decision(item)) is not None:
            if former.answer is answer:
                return
            self._take_back(item)
        state = self._files[item.path]
        finding = state.current.get(item.key)
        if finding is None:
            raise NotPossible("it went along with another fix of this file")
        match answer:
            case Answer.ACCEPT:
                if finding.fix is None:
                    raise NotPossible(f"there is no fix: {finding.refusal or 'none for this shape yet'}")
                self._keep(item, answer, state.now.edited(finding.fix.edits))
            case Answer.SUPPRESS:
                self._keep(item, answer, self._suppressed(state.now, finding))
            case _:
                self._keep(item, answer, state.now)

    def _keep(self, item: Item, answer: Answer, after: SourceFile) -> None:
        state = self._files[item.path]
        decisions = {**state.decisions, item.key: Decision(answer, state.now, after)}
        current = state.current if after is state.now else self._found(after)
        self._files[item.path] = replace(state, now=after, current=current, decisions=decisions)

    def _found(self, source: SourceFile) -> dict[str, Finding]:
        return {finding.fingerprint: finding for finding in self._analyse(source)}

    def _suppressed(self, now: SourceFile, finding: Finding) -> SourceFile:
        for line in sorted(finding.suppression_lines, reverse=True):
            if 1 <= line <= len(now.line_starts):
                after = allowing(now, finding.rule, line, "reviewed")
                with suppress(ValueError):  # a comment ends a line that was to be continued
                    if finding.fingerprint not in self._found(after):
                        return after
        raise NotPossible("there is no line a comment can be put on")

    def edit(self, item: Item, data: bytes) -> None:
        """Take a person's own version of the file for a finding's repair, once it is seen to hold.

        data: the whole file. Raises NotPossible with what is wrong with it.
        """
        before = dict(self._files)
        try:
            if self.decision(item) is not None:
                self._take_back(item)
            state = self._files[item.path]
            after = self._checked(item, state, data)
            self._keep(item, Answer.EDIT, after)
        except BaseException:
            self._files = before
            raise
        self._record(item, before, [item])

    def _checked(self, item: Item, state: FileState, data: bytes) -> SourceFile:
        try:
            after = SourceFile.of(item.path, data)
            found = self._found(after)
        except ValueError as error:
            raise NotPossible(f"it does not compile: {error}") from error
        if item.key in found:
            raise NotPossible("the leak is still there")
        new = [finding for key, finding in found.items() if key not in state.current]
        if new:
            raise NotPossible(f"it would be reported on line {new[0].line}: {new[0].message} [{new[0].rule}]")
        return after

    def take_back(self, item: Item) -> None:
        """Make a decided finding open again; what was decided of others in the file stays. Raises NotPossible."""
        before = dict(self._files)
        try:
            self._take_back(item)
        except BaseException:
            self._files = before
            raise
        self._record(item, before, [item])

    def _take_back(self, item: Item) -> None:
        """Make the file anew from the decisions about the others."""
        state = self._files[item.path]
        self._files[item.path] = FileState(state.read, state.read, self._found(state.read))
        for other in (self._item(item.path, key) for key in state.decisions if key != item.key):
            decision = state.decisions[other.key]
            if decision.answer is Answer.EDIT:
                if self._files[item.path].now.data != decision.before.data:
                    raise NotPossible("a version edited by hand is built on it; undo that one first")
                self._keep(other, Answer.EDIT, decision.after)
            else:
                self._decide(other, decision.answer)

    def _item(self, path: str, key: str) -> Item:
        return next(item for item in self.items if item.path == path and item.key == key)

    def undo(self) -> Item | None:
        """Take the last step back; the finding it was about, None where there is nothing to undo."""
        return self._travel(self._done, self._undone, lambda change: change.before)

    def redo(self) -> Item | None:
        """Do again what was undone last."""
        return self._travel(self._undone, self._done, lambda change: change.after)

    def _travel(
        self, source: list[Change], target: list[Change], states: Callable[[Change], Mapping[str, FileState]]
    ) -> Item | None:
        if not source:
            return None
        change = source.pop()
        target.append(change)
        touched = {path: self._files[path] for path in states(change)}
        self._files |= states(change)
        self.changed([item for item in self.items if item.path in touched and self._differs(item, touched)])
        return change.item

    def _differs(self, item: Item, former: Mapping[str, FileState]) -> bool:
        return former[item.path].decisions.get(item.key) != self.decision(item)

    def refresh(self, source: SourceFile) -> None:
        """A file is not as it was when it was read: look at it again; what was decided about it is open again."""
        path = source.path
        found = self._found(source)
        former = [item for item in self.items if item.path == path]
        at = self.items.index(former[0])
        others = [item for item in self.items if item.path != path]
        fresh = sorted(filter(self._offers, found.values()), key=lambda finding: (finding.line, finding.column))
        self.items = (*others[:at], *map(Item, fresh), *others[at:])
        skipped = {k: d for k, d in self._files[path].decisions.items() if d.answer in (Answer.SKIP, Answer.BASELINE)}
        kept = {key: Decision(d.answer, source, source) for key, d in skipped.items() if key in found}
        self._files[path] = FileState(source, source, found, kept)
        self._done = [change for change in self._done if path not in change.before]
        self._undone.clear()
        self.changed([*former, *(item for item in self.items if item.path == path)])

    def results(self) -> Iterator[Reviewed]:
        """The files that the decisions change, each as it was read and as it is to be written."""
        for path, state in sorted(self._files.items()):
            if state.now.data != state.read.data:
                first = {item.key: item.finding for item in self.items if item.path == path}
                gone = [key for key in first if key not in state.current]
                hushed = {key for key, decision in state.decisions.items() if decision.answer is Answer.SUPPRESS}
                yield Reviewed(
                    state.read,
                    state.now,
                    tuple(first[key] for key in gone if key not in hushed),
                    tuple(first[key] for key in gone if key in hushed),
                )

    def baselined(self) -> list[Finding]:
        """What is to be put into the baseline."""
        return [
            item.finding
            for item in self.items
            if (decision := self.decision(item)) is not None and decision.answer is Answer.BASELINE
        ]


def _rule(item: Item) -> str:
    return item.finding.rule
