"""What a review leaves on disk: every file whole, either as it was or as it was decided, and the baseline."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from leakfix.config import Config
from leakfix.finding import Finding
from leakfix.project.baseline import by_baseline
from leakfix.project.files import NotWritten, read_file, write_atomically
from leakfix.project.manifest import additions
from leakfix.review.decisions import Answer, Item, Review, Reviewed
from leakfix.source import SourceFile


@dataclass
class Written:
    """What was carried out. refused: files that could not be written, and why."""

    fixed: list[Finding] = field(default_factory=list)
    suppressed: list[Finding] = field(default_factory=list)
    baselined: list[Finding] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    files: dict[str, Reviewed] = field(default_factory=dict)


def stale(review: Review) -> Iterator[SourceFile]:
    """The files that decisions would change and that are on disk no longer what they were, as they are now."""
    for result in list(review.results()):
        with suppress(OSError, ValueError):
            raw = read_file(result.read.path)
            if raw not in (result.read.raw, result.now.raw):
                yield SourceFile.of(result.read.path, raw)


def write(review: Review, config: Config) -> Written:
    """Write what was decided. A file that cannot be written is left as it is, and the others go on."""
    written = Written()
    results = list(review.results())
    for change in additions((result.now, result.fixed) for result in results):
        try:
            write_atomically(change.path, change.before.raw, change.after.raw)
        except OSError as error:
            written.refused.append((change.path, f"not written: {error.strerror or error}"))
    for result in results:
        try:
            write_atomically(result.read.path, result.read.raw, result.now.raw)
        except NotWritten as error:
            written.refused.append((result.read.path, f"not written: {error.strerror}"))
        except OSError as error:
            written.refused.append((result.read.path, f"not written: {error.strerror or error}"))
        else:
            written.files[result.read.path] = result
            written.fixed += result.fixed
            written.suppressed += result.suppressed
    for baseline, accepted in by_baseline(config, review.baselined()):
        try:
            sources = {finding.path: review.state(finding.path).read for finding in accepted}
            baseline.with_findings(accepted, sources).write()
            written.baselined += accepted
        except OSError as error:
            written.refused.append((baseline.file, f"not written: {error.strerror or error}"))
    return written


def carried_out(review: Review, written: Written) -> Iterator[Item]:
    """The findings whose answers need not be remembered any more."""
    noted = {finding.fingerprint for finding in written.baselined}
    for item in review.items:
        decision = review.decision(item)
        if decision is not None and decision.answer is not Answer.SKIP:
            if item.path in written.files or item.key in noted:
                yield item
