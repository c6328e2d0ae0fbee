"""``leakfix fleet``: check many repositories."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from leakfix.cli import INTERRUPTED
from leakfix.cli.options import registry_for
from leakfix.cli.terminal import complain
from leakfix.config import MOST_JOBS, Config
from leakfix.report.style import has_colour

if TYPE_CHECKING:
    from leakfix.fleet.plan import Plan
    from leakfix.fleet.repositories import Repository
    from leakfix.fleet.result import Result
    from leakfix.fleet.results import Results
    from leakfix.fleet.task import Task

_LEAST_MEMORY = 128


@dataclass(frozen=True)
class Order:
    """The command line."""

    repos: str | None
    organisations: tuple[str, ...]
    output: str
    html: str | None
    cluster: str | None
    jobs: int | None
    timeout: float
    memory: int | None
    select: tuple[str, ...]
    ignore: tuple[str, ...]
    retry_failed: bool
    exit_zero: bool


@click.command("fleet")
@click.argument("repos", metavar="[REPOS.txt]", required=False, type=click.Path())
@click.option(
    "--org", "organisations", multiple=True, metavar="NAME", help="All repositories of this GitHub organisation."
)
@click.option(
    "--output",
    type=click.Path(),
    default="leakfix-fleet.jsonl",
    show_default=True,
    metavar="FILE",
    help="Where results are kept; the same FILE again goes on where it ended.",
)
@click.option("--html", type=click.Path(), metavar="FILE", help="Write a page with everything that was found.")
@click.option("--cluster", metavar="URL", help="Run on the Dask cluster at dask://HOST:PORT.")
@click.option("--jobs", type=click.IntRange(1, MOST_JOBS), metavar="N", help="Check this many repositories at a time.")
@click.option(
    "--timeout",
    type=click.FloatRange(1, 86_400),
    default=600,
    show_default=True,
    metavar="SECONDS",
    help="Give up on a repository after this time.",
)
@click.option(
    "--memory", type=click.IntRange(_LEAST_MEMORY), metavar="MB", help="Let a check have no more memory than this."
)
@click.option("--select", multiple=True, metavar="RULES", help="Run only these rules or categories.")
@click.option("--ignore", multiple=True, metavar="RULES", help="Leave these rules out.")
@click.option("--retry-failed", is_flag=True, help="Do only what FILE holds as not checked, and that again.")
@click.option("--exit-zero", is_flag=True, help="Exit with 0 even where something was found.")
def command(**options: Any) -> int:
    """Check the repositories in REPOS.txt, one a line: an address or a path, and a branch, tag or commit after it.

    Exits with 1 where something was found, with 2 where a repository could not be checked.
    """
    from leakfix.fleet import FleetError

    order = Order(**options)
    if order.repos is None and not order.organisations and not order.retry_failed:
        raise click.UsageError("name a file with repositories, or --org NAME")
    try:
        return _checked(order)
    except FleetError as error:
        complain("error", str(error))
        return 2


def _checked(order: Order) -> int:
    from leakfix.fleet.results import Results

    like = _task(order)
    repositories = _repositories(order)
    with Results(order.output) as results:
        plan = _plan(order, repositories, like, results)
        try:
            with _terminable():
                _run(order, plan, results)
        except KeyboardInterrupt:
            done = len(results.entries)
            complain(
                "warning", f"stopped; {order.output} holds {done} results, and the same command goes on from there"
            )
            return INTERRUPTED
        return _reported(order, results)


def _task(order: Order) -> Task:
    """What all tasks have in common. Raises ConfigError where a rule does not exist."""
    from leakfix.fleet.task import Task

    select, ignore = _names(order.select), _names(order.ignore)
    registry_for(Config().overridden(select or None, ignore or None))
    options = (*(f"--select={name}" for name in select), *(f"--ignore={name}" for name in ignore))
    return Task("", options=options, timeout=order.timeout, memory=order.memory)


def _names(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for value in values for part in value.split(",") if (name := part.strip()))


def _repositories(order: Order) -> list[Repository] | None:
    """What the command line names; None where it names nothing."""
    from leakfix.fleet.organisations import listed
    from leakfix.fleet.repositories import distinct, listed_in

    if order.repos is None and not order.organisations:
        return None
    found = listed_in(order.repos) if order.repos is not None else []
    return distinct([*found, *(one for name in order.organisations for one in listed(name))])


def _plan(order: Order, repositories: list[Repository] | None, like: Task, results: Results) -> Plan:
    from leakfix.fleet.plan import plan, plan_of_failures

    if order.retry_failed:
        return plan_of_failures(repositories, like, results)
    return plan(repositories or [], like, results)


def _run(order: Order, plan: Plan, results: Results) -> None:
    from leakfix.fleet.run import run

    if not plan.tasks:
        return
    with _executor(order) as (executor, at_once, alive), _progress(len(plan.tasks)) as step:
        run(plan.tasks, executor, results, step, at_once=at_once, alive=alive)


@contextlib.contextmanager
def _executor(order: Order) -> Iterator[tuple[Executor, int, Callable[[], bool]]]:
    """Where tasks run, how many are handed out at a time, and whether it is still there."""
    if order.cluster is None:
        from leakfix.fleet.run import local_executor

        jobs = order.jobs or os.cpu_count() or 1
        with local_executor(jobs) as executor:
            yield executor, jobs * 2, lambda: True
        return
    from leakfix.fleet.cluster import connected

    with connected(order.cluster) as cluster:
        yield cluster.executor, order.jobs or cluster.threads * 4, cluster.alive


def _reported(order: Order, results: Results) -> int:
    from leakfix.fleet.report import Overview, write_summary

    overview = Overview.of(results)
    write_summary(overview, sys.stdout, has_colour(sys.stdout))
    if order.html is not None:
        from leakfix.fleet.page import write_page

        write_page(overview, order.html)
    if overview.unchecked:
        return 2
    return 1 if overview.leaky and not order.exit_zero else 0


@contextlib.contextmanager
def _progress(tasks: int) -> Iterator[Callable[[Result], None]]:
    """Show on a terminal how far it is."""
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield lambda result: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True, no_color=not has_colour(sys.stderr)), transient=True) as bar:
        shown = bar.add_task("checking", total=tasks)
        yield lambda result: bar.advance(shown)


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Being told to end is being interrupted: what runs is ended, and what is done is kept."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    former = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)
