"""Decisions about findings of real code, without a face."""

from __future__ import annotations

from pathlib import Path

import pytest

from leakfix.config import Config, ConfigError
from leakfix.engine import Report, repair
from leakfix.review import files
from leakfix.review.decisions import Answer, Item, NotPossible, Review
from leakfix.review.journal import InUse, Journal
from leakfix.source import SourceFile


def _item(review: Review, function: str) -> Item:
    return next(item for item in review.items if item.finding.function == function)


def _now(review: Review, path: str = "shop/orders.py") -> str:
    return review.state(path).now.data.decode()


def test_what_is_found(review: Review) -> None:
    found = [(item.path, item.finding.function, item.finding.fix is not None) for item in review.items]
    assert found == [
        ("shop/orders.py", "count", True),
        ("shop/orders.py", "names", True),
        ("shop/orders.py", "forget", False),
        ("shop/prices.py", "<module>", True),
        ("shop/prices.py", "shown", True),
    ]


def test_accepting_one_after_the_other_gives_what_the_engine_would_write(review: Review, report: Report) -> None:
    for item in reversed(review.items):
        if item.finding.fix is not None:
            review.answer(item, Answer.ACCEPT)
    (orders, prices) = review.results()
    whole = {r.path: r.after.data for r in repair(report, lambda finding, before, after: True)}
    assert whole == {orders.read.path: orders.now.data, prices.read.path: prices.now.data}
    assert [finding.function for finding in orders.fixed] == ["count", "names"]
    assert [finding.function for finding in prices.fixed] == ["<module>", "shown"]


def test_the_order_of_answers_makes_no_difference(review: Review, report: Report) -> None:
    other = Review(report.findings, report.sources, report.run.checked)
    for one, function in ((review, "count"), (review, "names"), (other, "names"), (other, "count")):
        one.answer(_item(one, function), Answer.ACCEPT)
    assert _now(review) == _now(other)


def test_what_cannot_be_accepted_says_why_and_changes_nothing(review: Review) -> None:
    item = _item(review, "forget")
    with pytest.raises(NotPossible, match="there is no fix"):
        review.answer(item, Answer.ACCEPT)
    assert review.is_open(item)
    assert review.undo() is None


def test_undo_and_redo_walk_through_everything(review: Review) -> None:
    first, second = _item(review, "count"), _item(review, "names")
    states = [_now(review)]
    for act in (
        lambda: review.answer(first, Answer.ACCEPT),
        lambda: review.answer(second, Answer.SUPPRESS),
        lambda: review.answer(first, Answer.SKIP),
        lambda: review.answer_rest(first, Answer.ACCEPT, "file"),
        lambda: review.take_back(first),
    ):
        act()
        states.append(_now(review))
    assert len(set(states)) > 3
    for expected in reversed(states[:-1]):
        assert review.undo() is not None
        assert _now(review) == expected
    assert review.undo() is None
    for expected in states[1:]:
        assert review.redo() is not None
        assert _now(review) == expected
    assert review.redo() is None


def test_the_same_answer_again_is_no_step(review: Review) -> None:
    item = _item(review, "count")
    review.answer(item, Answer.SKIP)
    review.answer(item, Answer.SKIP)
    assert review.undo() is item
    assert review.undo() is None


def test_a_decided_finding_can_be_decided_otherwise(review: Review) -> None:
    before = _now(review)
    first, second = _item(review, "count"), _item(review, "names")
    review.answer(first, Answer.ACCEPT)
    review.answer(second, Answer.ACCEPT)
    both = _now(review)
    review.answer(first, Answer.SKIP)
    head = before[before.index("def count") : before.index("def names")]
    assert head in _now(review)
    assert head not in both
    review.answer(first, Answer.ACCEPT)
    assert _now(review) == both


def test_allowing_puts_a_comment_where_it_holds(review: Review, report: Report) -> None:
    review.answer(_item(review, "forget"), Answer.SUPPRESS)
    assert "# leakfix: allow[sqlite3/unclosed-connection] reviewed" in _now(review)
    (result,) = review.results()
    assert [finding.function for finding in result.suppressed] == ["forget"]
    assert result.fixed == ()
    left = report.run.checked(SourceFile.python("shop/orders.py", result.now.raw))
    assert [finding.function for finding in left] == ["count", "names"]


def test_the_rest_of_a_rule_leaves_what_has_no_fix(review: Review) -> None:
    assert review.answer_rest(_item(review, "count"), Answer.ACCEPT, "rule") == 3
    assert [item.finding.function for item in review.items if review.is_open(item)] == ["forget", "<module>"]
    assert review.counts() == {Answer.ACCEPT: 3, None: 2}


def test_an_edited_version_must_hold(review: Review) -> None:
    item = _item(review, "count")
    proposal = review.proposal(item)
    assert proposal is not None
    fixed = proposal[1].raw
    for data, why in (
        (fixed + b"\ndef (", "does not compile"),
        (fixed + b'\n\ndef more(path):\n    c = sqlite3.connect(path)\n    c.execute("x")\n', "would be reported"),
        (review.state(item.path).now.raw, "the leak is still there"),
        (b"# -*- coding: no-such -*-\n", "does not compile"),
    ):
        with pytest.raises(NotPossible, match=why):
            review.edit(item, data)
        assert review.is_open(item)
    review.edit(item, fixed + b"\n# checked by me\n")
    assert _now(review).endswith("# checked by me\n")
    review.answer(_item(review, "names"), Answer.ACCEPT)
    assert _now(review).endswith("# checked by me\n")


def test_the_journal_keeps_answers_through_a_crash(review: Review, report: Report, project: Path) -> None:
    journal = Journal.of_project(str(project))
    review.changed = lambda items: journal.record(review, items)
    review.answer(_item(review, "names"), Answer.ACCEPT)
    review.answer(_item(review, "<module>"), Answer.SKIP)
    review.answer(_item(review, "shown"), Answer.ACCEPT)
    review.undo()
    path = journal.path
    with pytest.raises(InUse):
        Journal.of_project(str(project / "shop"))
    journal.__exit__(None, None, None)
    with open(path, "ab") as stream:
        stream.write(b'{"finding": "half a li')
    later = Review(report.findings, report.sources, report.run.checked)
    with Journal.of_project(str(project)) as again:
        kept = again.resume(later)
        assert (kept.resumed, kept.outdated) == (2, 0)
        assert _now(later) == _now(review)
        assert later.is_open(_item(later, "shown"))
        again.finish([_item(later, "names")])
    with Journal.of_project(str(project)) as last:
        fresh = Review(report.findings, report.sources, report.run.checked)
        assert last.resume(fresh).resumed == 1


@pytest.mark.parametrize("rubbish", [b"\0\xff\n", b"[]\n{}\n", b'{"finding": [], "answer": "accept"}\n', b"null\n1\n"])
def test_a_damaged_journal_is_read_as_far_as_it_goes(review: Review, project: Path, rubbish: bytes) -> None:
    with Journal.of_project(str(project)) as journal:
        Path(journal.path).write_bytes(rubbish)
    with Journal.of_project(str(project)) as journal:
        assert journal.resume(review).resumed == 0


def test_writing_leaves_files_alone_that_changed_meanwhile(review: Review, project: Path) -> None:
    for function in ("count", "<module>"):
        review.answer(_item(review, function), Answer.ACCEPT)
    orders = project / "shop" / "orders.py"
    orders.write_text("x = 1\n" + orders.read_text())
    (changed,) = files.stale(review)
    assert changed.path == "shop/orders.py"
    written = files.write(review, Config(root=str(project)))
    assert [path for path, _ in written.refused] == ["shop/orders.py"]
    assert [finding.function for finding in written.fixed] == ["<module>"]
    review.refresh(changed)
    assert review.is_open(_item(review, "count"))
    assert not list(files.stale(review))
    assert [item.finding.function for item in review.items] == ["count", "names", "forget", "<module>", "shown"]
    review.answer(_item(review, "count"), Answer.ACCEPT)
    assert not files.write(review, Config(root=str(project))).refused
    assert "x = 1\n" in orders.read_text()


def test_a_baseline_is_written_and_kept_out_of_later_checks(review: Review, report: Report, project: Path) -> None:
    from leakfix import engine

    config = Config(root=str(project))
    review.answer(_item(review, "forget"), Answer.BASELINE)
    written = files.write(review, config)
    assert [finding.function for finding in written.baselined] == ["forget"]
    later = engine.check(["."], config, report.run.registry, jobs=1)
    assert [finding.function for finding in later.findings] == ["count", "names", "<module>", "shown"]
    (project / ".leakfix-baseline.json").write_text("{}")
    with pytest.raises(ConfigError, match="not a baseline"):
        engine.check(["."], config, report.run.registry, jobs=1)
