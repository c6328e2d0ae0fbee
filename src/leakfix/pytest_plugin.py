"""``pytest --leakfix``: a test that leaves a connection, session, cursor or pool slot open fails, and says where it was
acquired.

Without the option the plugin costs nothing but its import; the marker and the fixture switch it on for one test.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from leakfix.runtime.evidence import Evidence
    from leakfix.runtime.ledger import Holding
    from leakfix.runtime.tracker import Tracker

_MOST_SHOWN = 10
_STACK = 6


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    group = parser.getgroup("leakfix", "leaked connections, sessions, cursors and pool slots")
    group.addoption("--leakfix", action="store_true", help="Fail tests that leave one open.")
    group.addoption(
        "--leakfix-report",
        metavar="FILE",
        help="Write what was seen as JSON, for `leakfix check --evidence`; `json` writes leakfix-report.json.",
    )
    group.addoption(
        "--leakfix-hold",
        action="store_true",
        help="Keep what is acquired alive until its test ends, as exceptions do that are kept.",
    )
    group.addoption(
        "--leakfix-package",
        action="append",
        default=[],
        metavar="NAME",
        help="Count this installed package as the project's own code.",
    )
    parser.addini("leakfix", "Fail tests that leave connections open.", type="bool", default=False)
    parser.addini("leakfix_packages", "Installed packages that are the project's own code.", type="args", default=[])


def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Begin to watch before the project's own code is imported."""
    options = early_config.known_args_namespace
    if options.leakfix or options.leakfix_report or early_config.getini("leakfix"):
        _plugin(early_config, everywhere=True)


def pytest_configure(config: pytest.Config) -> None:
    """Explain the marker, and join what the workers of pytest-xdist send."""
    config.addinivalue_line(
        "markers",
        "leakfix(allow=(), off=False): fail this test if it leaves a connection open; `allow` names kinds that it may "
        "leave (ids as in findings, globs), `off` leaves the test alone.",
    )
    plugin = config.stash.get(_KEY, None)
    if plugin is not None:
        config.pluginmanager.register(_Workers(plugin), "leakfix-workers")


@pytest.fixture
def leakfix(request: pytest.FixtureRequest) -> Open:
    """What this test has open; the test fails if it leaves something so."""
    plugin = _plugin(request.config)
    plugin.begin(request.node.nodeid)
    return Open(plugin, request.node.nodeid)


class Open:
    """What one test has acquired and not released."""

    def __init__(self, plugin: Plugin, tag: str) -> None:
        self._plugin = plugin
        self._tag = tag

    def __len__(self) -> int:
        """How many things are open."""
        return len(self._plugin.tracker.ledger.open(self._tag))

    @property
    def resources(self) -> list[str]:
        """The kinds of what is open, the oldest first."""
        return [holding.site.resource.id for holding in self._plugin.tracker.ledger.open(self._tag)]


def _plugin(config: pytest.Config, everywhere: bool = False) -> Plugin:
    known = config.stash.get(_KEY, None)
    if known is None:
        known = config.stash[_KEY] = Plugin(config, everywhere)
        config.pluginmanager.register(known, "leakfix-tracker")
    return known


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """Switch on for a test that is marked."""
    plugin = item.config.stash.get(_KEY, None)
    marker = item.get_closest_marker("leakfix")
    if _asks(item) or (marker is not None and not marker.kwargs.get("off")):
        plugin = _plugin(item.config)
        plugin.begin(item.nodeid)
    elif plugin is not None and plugin.everywhere:
        plugin.begin(item.nodeid)
    try:
        return (yield)
    finally:
        plugin = item.config.stash.get(_KEY, None)
        if plugin is not None:
            plugin.end()


def _asks(item: pytest.Item) -> bool:
    """Whether a test wants the fixture `leakfix`, and has none of its own by that name."""
    definitions = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {}).get("leakfix", ())
    return bool(definitions) and definitions[-1].func.__module__ == __name__


class Plugin:
    """Watches while tests run. everywhere: all of them, else those that ask for it."""

    def __init__(self, config: pytest.Config, everywhere: bool) -> None:
        from leakfix.config import ConfigError, load
        from leakfix.registry import Registry
        from leakfix.runtime.tracker import Tracker

        options = config.known_args_namespace
        packages = [*options.leakfix_package, *config.getini("leakfix_packages")]
        self.config = config
        self.everywhere = everywhere
        try:
            table = Registry.load(load(None)).table
        except ConfigError as error:
            raise pytest.UsageError(f"leakfix: {error}") from error
        self.tracker: Tracker = Tracker(table, packages, options.leakfix_hold)
        self.parts: list[Evidence] = []
        self._current = ""
        self._ended: dict[str, bool] = {}
        self._failed: set[str] = set()
        self.tracker.start()

    def begin(self, nodeid: str) -> None:
        """A test begins: what is acquired from now on is its."""
        self._current = self.tracker.ledger.tag = nodeid

    def end(self) -> None:
        """A test ended."""
        self._current = self.tracker.ledger.tag = ""

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Iterator[Any]:
        """What a fixture acquires that outlives the test is looked at when the fixture ends."""
        before = self.tracker.ledger.tag
        if fixturedef.scope == "function" or not before:
            return (yield)
        self.tracker.ledger.tag = _tag(fixturedef)
        try:
            return (yield)
        finally:
            self.tracker.ledger.tag = before

    def pytest_fixture_post_finalizer(self, fixturedef: pytest.FixtureDef[Any]) -> None:
        """A fixture ended: whatever it left open is told with the test that is being torn down."""
        if fixturedef.scope != "function":
            self._ended[_tag(fixturedef)] = fixturedef.scope == "session"

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Remember who did not come to his end: what an exception left open is no news."""
        report = yield
        if call.when != "teardown" and call.excinfo is not None:
            self._failed.add(item.nodeid)
        return report

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Iterator[None]:
        """After everything of a test was torn down, fail if something of it is open."""
        try:
            result = yield
        finally:
            left = self._left(item) if self._current else []
        if left and item.nodeid not in self._failed:
            pytest.fail(_told(left, str(item.config.invocation_params.dir)), pytrace=False)
        return result

    def _left(self, item: pytest.Item) -> list[Holding]:
        ledger, marker = self.tracker.ledger, item.get_closest_marker("leakfix")
        ended, self._ended = {item.nodeid: False, **self._ended}, {}
        to_the_end = [tag for tag, lasting in ended.items() if lasting]  # what lives as long as the session may stay
        tags = [tag for tag in ended if tag not in to_the_end]
        if not any(ledger.open(tag) for tag in tags) and not ledger.has_lost(ended):
            return []
        from leakfix.runtime.keepers import kept

        ledger.settle()
        still = [holding for tag in tags for holding in ledger.open(tag)]
        on_purpose = kept(still)
        open_now = [holding for holding in still if holding.key not in on_purpose]
        allowed = _allowed(marker)
        left = [
            holding
            for holding in (*open_now, *(each for tag in ended for each in ledger.lost(tag)))
            if not any(fnmatchcase(holding.site.resource.id, glob) for glob in allowed)
        ]
        for holding in left:
            holding.site.tags[item.nodeid] = None
        return left

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the report; a worker of pytest-xdist hands what it saw to the one that leads."""
        self.tracker.ledger.tag = ""
        self.tracker.ledger.settle()
        self.parts.append(self.tracker.evidence())
        self.tracker.stop()
        output = getattr(self.config, "workeroutput", None)
        if output is not None:
            from leakfix.runtime.evidence import dumped

            output["leakfix"] = dumped(self.parts[0])
        elif self.config.known_args_namespace.leakfix_report:
            self._write(Path(self.config.known_args_namespace.leakfix_report))

    def _write(self, file: Path) -> None:
        from leakfix.runtime.evidence import dumped

        if str(file) == "json":
            file = Path("leakfix-report.json")
        try:
            file.write_text(dumped(self.evidence()) + "\n", encoding="utf-8")
        except OSError as error:
            raise pytest.UsageError(f"--leakfix-report: {error}") from error

    def evidence(self) -> Evidence:
        """What this process and its workers saw."""
        from leakfix.runtime.evidence import joined

        return joined(self.parts)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Tell what was left open, by acquiring line."""
        from leakfix.runtime.evidence import fate

        found = self.evidence()
        open_at = [seen for seen in found.unreleased if seen.tests]
        for text, count in self.tracker.ledger.failures.items():
            terminalreporter.write_line(f"leakfix: the tracker itself failed {count} times: {text}", yellow=True)
        if not open_at:
            return
        terminalreporter.section("leakfix: left open, by acquiring line")
        for seen in open_at:
            more = f" and {len(seen.tests) - 1} more" if len(seen.tests) > 1 else ""
            terminalreporter.write_line(f"{seen.path}:{seen.line} in {seen.function}: {fate(seen)}")
            terminalreporter.write_line(f"    {seen.tests[0]}{more}")


class _Workers:
    """Collects what the workers of pytest-xdist saw."""

    def __init__(self, plugin: Plugin) -> None:
        self._plugin = plugin

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """A worker is done."""
        from leakfix.runtime.evidence import BadEvidence, loaded

        text = getattr(node, "workeroutput", {}).get("leakfix")
        if text is not None:
            try:
                self._plugin.parts.append(loaded(text))
            except BadEvidence as error:
                self._plugin.tracker.ledger.failures[f"a worker's report: {error}"] += 1


_KEY = pytest.StashKey[Plugin]()


def _tag(fixturedef: pytest.FixtureDef[Any]) -> str:
    return f"{fixturedef.baseid}::{fixturedef.argname} ({fixturedef.scope} fixture)"


def _allowed(marker: pytest.Mark | None) -> tuple[str, ...]:
    if marker is not None and marker.kwargs.get("off"):
        return ("*",)
    allowed = marker.kwargs.get("allow", ()) if marker is not None else ()
    return (allowed,) if isinstance(allowed, str) else tuple(allowed)


def _told(left: list[Holding], folder: str) -> str:
    from leakfix.runtime.evidence import HOW, shown
    from leakfix.runtime.frames import read

    lines = [f"leakfix: {len(left)} left open by this test" if len(left) > 1 else "leakfix: left open by this test"]
    for holding in left[:_MOST_SHOWN]:
        noun, how = holding.site.resource.noun, HOW.get(holding.lost or "", "still open")
        lines.append(f"  {noun} ({holding.site.resource.id}), {how}, acquired at")
        places = [shown(read(place), folder) for place in holding.stack[:_STACK]]
        lines += [f"    {place.path}:{place.line} in {place.function}" for place in places]
    if len(left) > _MOST_SHOWN:
        lines.append(f"  and {len(left) - _MOST_SHOWN} more")
    return "\n".join(lines)
