"""The documentation as a site: built strictly and without a network, read and searched in a browser."""

from __future__ import annotations

import functools
import http.server
import importlib.util
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from leakfix.registry import Registry

from . import pages

for package in ("mkdocs", "material"):
    pytest.importorskip(package, reason="mkdocs-material is not installed: pip install --group docs")

pytestmark = pytest.mark.xdist_group("site")
LISTENED = """() => {
    const input = document.querySelector(".md-search__input");
    input.focus();
    for (const name of ["input", "keyup"]) input.dispatchEvent(new Event(name, {bubbles: true}));
    return document.querySelector(".md-search-result__link") !== null;
}"""
"""Tells the page of what was typed until it listens and answers: its scripts may come later than the typing."""
NOWHERE = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; a warning is an error."""
    place = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(place)]
    environment = {**os.environ, **NOWHERE, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=pages.ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return place


class Loaded(HTMLParser):
    """What a page loads by itself, links to other pages left out."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value and ((name == "src") or (name == "href" and tag == "link")):
                self.addresses.append(value)


def test_every_rule_has_a_page_with_its_example(site: Path, registry: Registry) -> None:
    for name in registry.codemods:
        text = (site / "rules" / name / "index.html").read_text(encoding="utf-8")
        for section in ("what-leaks", "how-it-is-repaired", "example", "allow-it"):
            assert f'id="{section}"' in text, name


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    found = set()
    for path in site.rglob("*.html"):
        loaded = Loaded()
        loaded.feed(path.read_text(encoding="utf-8"))
        found |= {address for address in loaded.addresses if re.match(r"(?:[a-z]+:)?//", address)}
    for path in site.rglob("*.css"):
        found |= set(
            re.findall(r"(?:url\(|@import )\s*[\"']?((?:https?:)?//[^\"')]+)", path.read_text(encoding="utf-8"))
        )
    assert found == set()


def test_names_of_rules_lead_to_their_pages(site: Path) -> None:
    text = (site / "frameworks" / "fastapi" / "index.html").read_text(encoding="utf-8")
    assert 'href="../../rules/sqlalchemy/unclosed-session/"' in text
    assert 'href="rules/' not in re.sub(r"<nav.*?</nav>", "", text, flags=re.S)


def test_all_pages_are_in_the_index_of_the_search(site: Path, registry: Registry) -> None:
    index = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))
    places = {entry["location"].partition("#")[0] for entry in index["docs"]}
    assert {f"rules/{name}/" for name in registry.codemods} <= places
    assert {"", "why/", "quick-start/", "configuration/", "changelog/", "security/", "contributing/"} <= places


def test_the_pages_about_frameworks_are_current() -> None:
    sys.path.insert(0, str(pages.ROOT / "scripts"))
    try:
        spec = importlib.util.spec_from_file_location("frameworks", pages.ROOT / "scripts" / "frameworks.py")
        assert spec is not None
        assert spec.loader is not None
        frameworks = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(frameworks)
    finally:
        sys.path.pop(0)
    texts = {page.name: page.read_text(encoding="utf-8") for page in frameworks.PAGES.glob("*.md")}
    assert len(texts) == 7
    assert {name: frameworks.written(text) for name, text in texts.items()} == texts, "run `make docs`"


@pytest.fixture(scope="module")
def served(site: Path) -> Iterator[str]:
    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.mark.browser
def test_it_is_searched_without_a_network(browser: Any, served: str) -> None:
    context = browser.new_context()
    page, asked, complaints = context.new_page(), [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(served)
    page.locator(".md-search__input").fill("unreturned pool connection psycopg2")
    page.wait_for_function(LISTENED, polling=500, timeout=120_000)
    assert "psycopg2/unreturned-pool-connection" in page.locator(".md-search-result__link").first.inner_text()
    assert [address for address in asked if not address.startswith((served, "blob:", "data:"))] == []
    assert complaints == []
    context.close()


@pytest.mark.browser
def test_a_phone_need_not_scroll_sideways(browser: Any, served: str) -> None:
    context = browser.new_context(viewport={"width": 360, "height": 740})
    page = context.new_page()
    for path in ("", "quick-start/", "rules/", "rules/django/n-plus-one/", "compared/", "proof/"):
        page.goto(served + path)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path
    context.close()
