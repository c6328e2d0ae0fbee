"""Every key and button of the full-screen review, pressed for real, and how its screens look."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Static, Tree

from leakfix.review.app import Ending, ReviewApp
from leakfix.review.decisions import Answer, Review

Drive = Callable[..., Any]


@pytest.fixture
def drive(review: Review, describe: Any) -> Drive:
    """Run the application, do something with it, and return it; ``edit`` stands for the person's editor."""

    def run(
        *keys: str,
        edit: Callable[[str, bytes], bytes | None] = lambda path, data: None,
        then: Callable[[Pilot[Ending]], Awaitable[None]] | None = None,
    ) -> ReviewApp:
        app = ReviewApp(review, describe, edit)

        async def act() -> None:
            async with app.run_test(size=(130, 40)) as pilot:
                await pilot.pause()
                for key in keys:
                    await pilot.press(key)
                    await pilot.pause()
                if then is not None:
                    await then(pilot)
                    await pilot.pause()

        asyncio.run(act())
        return app

    return run


def _answers(review: Review) -> str:
    """One letter for each finding: what it was answered, a dot where it is open."""
    signs = {Answer.ACCEPT: "y", Answer.SKIP: "n", Answer.SUPPRESS: "i", Answer.BASELINE: "b", Answer.EDIT: "e"}
    decisions = [review.decision(item) for item in review.items]
    return "".join(signs[decision.answer] if decision else "." for decision in decisions)


@pytest.mark.parametrize(
    ("keys", "answers"),
    [
        ("y", "y...."),
        ("n", "n...."),
        ("yny", "yn..."),
        ("i", "i...."),
        ("b", "b...."),
        ("a", "yy..."),
        ("d", "nnn.."),
        ("A", "yy..y"),
        ("D", "nnn.n"),
        ("yu", "....."),
        ("yuU", "y...."),
        ("uU", "....."),
        ("jy", ".y..."),
        ("ky", "....y"),
        ("yyky", "yy..y"),
        (["down", "n"], ".n..."),
        (["down", "down", "down", "down", "y"], "...y."),
        (["g", "n", "g", "n"], "nn..."),
        ("JKy", "y...."),
    ],
)
def test_keys(drive: Drive, review: Review, keys: Any, answers: str) -> None:
    drive(*keys)
    assert _answers(review) == answers


def _message(app: ReviewApp) -> str:
    return str(app.query_one("#message", Static).content)


def test_what_cannot_be_done_is_said(drive: Drive, review: Review) -> None:
    said: list[str] = []

    async def then(pilot: Pilot[Ending]) -> None:
        for key in ("u", "U", "j", "j", "y", "e"):
            await pilot.press(key)
            await pilot.pause()
            said.append(_message(pilot.app))  # type: ignore[arg-type]

    drive(then=then)
    assert said[0] == "nothing to undo"
    assert said[1] == "nothing to do again"
    assert said[4].startswith("there is no fix: ")
    assert said[5].startswith("the editor did not work: ")


def test_all_decided(drive: Drive, review: Review) -> None:
    said: list[str] = []

    async def then(pilot: Pilot[Ending]) -> None:
        for key in ("d", "d", "j"):
            await pilot.press(key)
            await pilot.pause()
            said.append(_message(pilot.app))  # type: ignore[arg-type]

    drive(then=then)
    assert _answers(review) == "nnnnn"
    assert said[1].endswith("all is decided: q writes what was accepted")
    assert said[2] == "all is decided: q writes what was accepted"


@pytest.mark.parametrize(("key", "ending"), [("q", Ending.WRITE), ("ctrl+c", Ending.LEAVE)])
def test_endings(drive: Drive, review: Review, key: str, ending: Ending) -> None:
    app = drive("y", key)
    assert app.return_value is ending
    assert _answers(review) == "y...."


def test_searching(drive: Drive, review: Review) -> None:
    drive("slash", *"lru", "enter", "n")
    assert _answers(review) == "...n."


def test_searching_in_vain_and_giving_up(drive: Drive, review: Review) -> None:
    drive("slash", *"nothing", "enter", "slash", "escape", "n")
    assert _answers(review) == "n...."


def test_help_opens_and_closes(drive: Drive, review: Review) -> None:
    drive("question_mark", "escape", "n", "question_mark", "q", "n")
    assert _answers(review) == "nn..."


def test_editing(drive: Drive, review: Review, monkeypatch: pytest.MonkeyPatch) -> None:
    from contextlib import nullcontext

    monkeypatch.setattr(ReviewApp, "suspend", lambda self: nullcontext())
    shown: list[bytes] = []

    def edit(path: str, data: bytes) -> bytes | None:
        shown.append(data)
        if len(shown) == 1:
            return None
        if len(shown) == 2:
            raise OSError(2, "no such program")
        return data + (b"(" if len(shown) == 3 else b"# mine\n")

    said: list[str] = []

    async def then(pilot: Pilot[Ending]) -> None:
        for _ in range(4):
            await pilot.press("e")
            await pilot.pause()
            said.append(_message(pilot.app))  # type: ignore[arg-type]

    drive(edit=edit, then=then)
    assert said[0] == "nothing was changed"
    assert said[1] == "the editor did not work: no such program"
    assert said[2].startswith("it does not compile")
    assert said[3] == "your version was checked and taken"
    assert _answers(review) == "e...."


@pytest.mark.parametrize(
    ("button", "answers"), [("accept", "y...."), ("skip", "n...."), ("suppress", "i...."), ("baseline", "b....")]
)
def test_buttons(drive: Drive, review: Review, button: str, answers: str) -> None:
    async def then(pilot: Pilot[Ending]) -> None:
        await pilot.click(f"#{button}")

    drive(then=then)
    assert _answers(review) == answers


def test_more_of_the_mouse(drive: Drive, review: Review) -> None:
    async def then(pilot: Pilot[Ending]) -> None:
        await pilot.click("#accept")
        await pilot.click("#undo")
        tree = pilot.app.query_one("#list", Tree)
        line = next(n for n in range(tree.last_line + 1) if "lru" in str(tree.get_node_at_line(n).label))  # type: ignore[union-attr]
        await pilot.click(tree, offset=(8, line))
        await pilot.pause()
        await pilot.press("question_mark")
        await pilot.click("#close")
        await pilot.click("#skip")
        await pilot.click("#finish")

    app = drive(then=then)
    assert _answers(review) == "...n."
    assert app.return_value is Ending.WRITE


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("first", ()),
        ("decided", ("y", "n", "b", "k")),
        ("by_rule", ("g",)),
        ("help", ("question_mark",)),
        ("no_fix", ("j", "j")),
    ],
)
def test_screens(review: Review, describe: Any, snap_compare: Any, name: str, keys: tuple[str, ...]) -> None:
    app = ReviewApp(review, describe, lambda path, data: None)
    assert snap_compare(app, press=[*keys], terminal_size=(130, 40))


def test_a_narrow_screen(review: Review, describe: Any, snap_compare: Any) -> None:
    assert snap_compare(ReviewApp(review, describe, lambda path, data: None), terminal_size=(80, 24))
