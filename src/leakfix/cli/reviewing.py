"""A review from its first question to the last written file, whatever its face."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from leakfix.cli.options import Settings
from leakfix.cli.outcome import Outcome, in_order
from leakfix.cli.terminal import complain
from leakfix.finding import Finding

if TYPE_CHECKING:
    from leakfix.result import Report
    from leakfix.review.decisions import Review
    from leakfix.review.journal import Journal


@contextlib.contextmanager
def reviewing(report: Report, offers: Callable[[Finding], bool], again: bool) -> Iterator[tuple[Review, Journal]]:
    """A review of some findings with the answers of an earlier one. again: ask for what was skipped, too."""
    from leakfix.review.decisions import Review
    from leakfix.review.journal import Journal

    review = Review(report.findings, report.sources, report.run.checked, offers)
    with Journal.of_project(os.getcwd()) as journal:
        if again:
            journal.forget()
        kept = journal.resume(review)
        if kept.resumed:
            complain("note", f"answers of an earlier review that are kept: {kept.resumed}; --again asks for them, too")
        if kept.outdated:
            complain("note", f"asked for again, because files have changed since: {kept.outdated}")
        review.changed = lambda items: journal.record(review, items)
        yield review, journal


def carried_out(run: Settings, report: Report, review: Review, journal: Journal, ask: Callable[[], None]) -> Outcome:
    """Ask, then write what was decided; what changed on disk meanwhile is looked at again and asked for again."""
    from leakfix.review import files

    ask()
    while changed := list(files.stale(review)):
        for source in changed:
            complain("warning", f"{source.path}: changed while it was reviewed; its fixes are asked for again")
            review.refresh(source)
        ask()
    written = files.write(review, run.config)
    outcome = Outcome(fixed=written.fixed, allowed=written.suppressed + written.baselined)
    for path, reason in written.refused:
        outcome.refuse(path, reason)
    done = {finding.fingerprint for finding in outcome.allowed}
    left = [finding for finding in report.findings if finding.path not in written.files]
    left += [f for result in written.files.values() for f in report.run.findings_in(result.now)]
    outcome.remaining = in_order(finding for finding in left if finding.fingerprint not in done)
    journal.finish(files.carried_out(review, written))
    return outcome
