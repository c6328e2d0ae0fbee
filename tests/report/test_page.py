"""The page of ``leakfix report`` in a browser, without a display or a network."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from leakfix.registry import Registry
from leakfix.report.formats import render
from leakfix.source import SourceFile

from . import reports

Made = Callable[[str], Path]
pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("page")]
AXE = Path("axe-core", "axe.min.js")
PHONE, DESK = {"width": 360, "height": 740}, {"width": 1280, "height": 900}


@pytest.fixture
def made(tree: Path, registry: Registry) -> Made:
    """Make a page of real findings, of hostile ones, or of many."""

    def written(name: str) -> Path:
        path = tree / f"{name}.html"
        path.write_text("".join(render("html", _report(name, registry))), "utf-8")
        return path

    (tree / "pyproject.toml").write_text("")
    return written


def _report(name: str, registry: Registry) -> Any:
    if name == "real":
        return reports.check({"app/orders.py": reports.LEAKY, "lib/store.py": reports.UNFIXABLE}, registry)
    if name == "hostile":
        return reports.hostile()
    sources = [SourceFile.python(f"part{number % 7}/m{number}.py", b"x = 1\ny = 2\n") for number in range(2_000)]
    many = [reports.finding(source, f"number {at}", at % 5, fingerprint=f"{at:x}") for at, source in enumerate(sources)]
    return reports.report(sources, many)


class Visit:
    """A page that was opened; what it complained of and what it asked for beside itself."""

    def __init__(self, browser: Any, path: Path, **options: Any) -> None:
        self.context = browser.new_context(**{"viewport": DESK, **options})
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.complaints.append(dialog.message), dialog.dismiss()))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())

    def shown(self) -> int:
        return int(self.page.locator(".finding:visible").count())

    def close(self) -> None:
        self.context.close()
        assert self.complaints == []
        assert len(self.requests) == 1


@pytest.fixture
def visit(browser: Any) -> Iterator[Any]:
    """Open pages; every one of them has to be quiet."""
    visits: list[Visit] = []

    def opened(path: Path, **options: Any) -> Visit:
        visits.append(Visit(browser, path, **options))
        return visits[-1]

    yield opened
    for each in visits:
        each.close()


def count_of(page: Any, text: str) -> None:
    page.wait_for_function("text => document.getElementById('count').textContent === text", arg=text)


def test_search_and_filters_narrow_down(made: Made, visit: Any) -> None:
    seen = visit(made("real"))
    page, total = seen.page, seen.shown()
    assert total >= 3
    page.fill("[name=words]", "ORDERS.py total")
    count_of(page, f"1 of {total} shown")
    assert seen.shown() == 1
    assert page.locator("section.rule:visible").count() == 1
    page.fill("[name=words]", "nothing like it")
    count_of(page, f"0 of {total} shown")
    assert page.locator("#none").is_visible()
    page.click("button[type=reset]")
    count_of(page, f"{total} shown")
    page.select_option("[name=fix]", "none")
    count_of(page, f"{page.locator('.finding[data-fix=none]').count()} of {total} shown")
    page.select_option("[name=folder]", "app")
    count_of(page, f"0 of {total} shown")


def test_the_keyboard_is_enough(made: Made, visit: Any) -> None:
    page = visit(made("real")).page
    focused = "document.activeElement.closest('.finding')?.id ?? document.activeElement.name"
    ids = page.evaluate("[...document.querySelectorAll('.finding')].map(one => one.id)")
    for key, expected in (("j", 0), ("j", 1), ("k", 0), ("k", 0), ("j", 1)):
        page.keyboard.press(key)
        assert page.evaluate(focused) == ids[expected]
    page.keyboard.press("Enter")
    assert not page.evaluate("document.activeElement.parentElement.open")
    page.keyboard.press("/")
    assert page.evaluate(focused) == "words"
    page.keyboard.type("j/k")
    assert page.input_value("[name=words]") == "j/k"
    page.keyboard.press("Escape")
    assert page.input_value("[name=words]") == ""


def test_the_first_stop_leads_to_the_findings(made: Made, visit: Any) -> None:
    page = visit(made("real")).page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the findings"
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#findings"
    assert page.evaluate("document.activeElement.id") == "findings"


@pytest.mark.parametrize("name", ["real", "hostile"])
@pytest.mark.parametrize("view", [PHONE, DESK], ids=["phone", "desk"])
def test_nothing_sticks_out(made: Made, visit: Any, name: str, view: dict[str, int]) -> None:
    page = visit(made(name), viewport=view).page
    page.evaluate("fold(findings, true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= view["width"]
    wide = (
        "[...document.querySelectorAll('.code, .diff, .row')].filter(one => one.scrollWidth > one.clientWidth).length"
    )
    assert page.evaluate(wide) == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["real", "hostile"])
def test_axe_finds_no_barrier(made: Made, visit: Any, name: str, scheme: str) -> None:
    folder = os.environ.get("LEAKFIX_NODE_MODULES")
    if not folder or not Path(folder, AXE).is_file():
        pytest.skip("LEAKFIX_NODE_MODULES does not name a node_modules folder with axe-core")
    page = visit(made(name), color_scheme=scheme).page
    page.evaluate(Path(folder, AXE).read_text("utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    told = {one["id"]: [node["html"][:200] for node in one["nodes"][:3]] for one in found["violations"]}
    assert told == {}, json.dumps(told, indent=1)
    assert found["testEngine"]["name"] == "axe-core"


def test_hostile_text_is_inert(made: Made, visit: Any) -> None:
    page = visit(made("hostile")).page
    assert page.locator("script").count() == 1
    assert page.locator("img").count() == 0
    assert "<img src=x onerror=alert(1)>" in page.inner_text("main")


def test_the_policy_lets_nothing_else_run(made: Made, browser: Any) -> None:
    seen = Visit(browser, made("real"))
    add = "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"document.title = `owned`\">')"
    seen.page.evaluate(add)
    seen.page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'owned = 1'}))")
    assert seen.page.title() != "owned"
    assert seen.page.evaluate("typeof owned") == "undefined"
    assert any("Content Security Policy" in text for text in seen.complaints)
    seen.context.close()


def test_all_is_there_without_its_script(made: Made, visit: Any) -> None:
    page = visit(made("real"), java_script_enabled=False).page
    total = page.locator(".finding").count()
    assert page.locator(".finding .code:visible").count() == total
    assert page.locator("section.rule > header details p:visible").count() > 0
    assert not page.locator("#filter").is_visible()
    assert not page.locator("#theme").is_visible()


def test_dark_and_light(made: Made, visit: Any) -> None:
    grounds = {}
    for scheme in ("light", "dark"):
        page = visit(made("real"), color_scheme=scheme).page
        grounds[scheme] = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.click("#theme")
        grounds[f"not {scheme}"] = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert grounds["light"] == grounds["not dark"] != grounds["dark"] == grounds["not light"]


def test_an_address_unfolds_its_finding(made: Made, visit: Any) -> None:
    page = visit(made("many")).page
    assert page.locator(".finding > details[open]").count() == 0
    page.fill("[name=words]", "number 77 ")
    page.wait_for_function("() => document.getElementById('count').textContent.includes(' of ')")
    page.evaluate("location.hash = 'f-7cf'")
    page.wait_for_function("() => document.querySelector('#f-7cf > details').open")
    assert page.locator("#f-7cf").is_visible()


def test_two_thousand_findings_are_usable(made: Made, visit: Any) -> None:
    seen = visit(made("many"))
    page = seen.page
    page.fill("[name=words]", "part3 m1999")
    count_of(page, "0 of 2000 shown")
    page.fill("[name=words]", "m1999")
    count_of(page, "1 of 2000 shown")
    page.fill("[name=words]", "")
    count_of(page, "2000 shown")
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.closest('.finding')") is not None
    assert page.locator(".finding > details[open]").count() == 2
