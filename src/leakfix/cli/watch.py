"""``leakfix watch``: what a database server says of its sessions."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from leakfix.cli import FAILED
from leakfix.cli.terminal import complain
from leakfix.report.style import has_colour

if TYPE_CHECKING:
    from leakfix.watch.snapshot import Snapshot
    from leakfix.watch.watching import Silence, Watch

VARIABLE = "LEAKFIX_DSN"
WIDTH = 120  # columns, where the output is no terminal

Answers = Iterator["Snapshot | Silence"]


@click.command("watch")
@click.argument("dsn", nargs=-1)
@click.option(
    "--interval",
    type=click.FloatRange(0.1, 86_400),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="Ask the server this often.",
)
@click.option("--once", is_flag=True, help="Print one picture and end.")
@click.option(
    "--output-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How to print; json is one object, or one a line without --once.",
)
@click.option(
    "--prometheus",
    "port",
    type=click.IntRange(0, 65_535),
    metavar="PORT",
    help="Draw nothing, serve /metrics; 0 takes a free port.",
)
@click.option("--address", default="127.0.0.1", show_default=True, help="Where --prometheus listens.")
def command(
    dsn: tuple[str, ...], interval: float, once: bool, output_format: str, port: int | None, address: str
) -> int:
    """Show the sessions of the database server at DSN, such as postgresql://user@host/database.

    Without DSN that is $LEAKFIX_DSN, which other users of the machine cannot read. Its own connection is not counted.

    Exits with 2 where the server cannot be reached; once it was, it is waited for.
    """
    from leakfix.watch import WatchError
    from leakfix.watch.logins import login_for
    from leakfix.watch.watching import Watch

    if port is not None and (once or output_format == "json"):
        raise click.UsageError("--prometheus goes with neither --once nor --output-format")
    try:
        with Watch(login_for(_address(dsn))) as watch:
            if port is not None:
                return _serve(watch, address, port)
            if once:
                return _print_one(watch, output_format)
            return _follow(watch, interval, output_format)
    except WatchError as error:
        complain("error", str(error))
        return FAILED


def _address(given: tuple[str, ...]) -> str:
    """The one address. What was given is not repeated in an error: it may hold a password."""
    if len(given) > 1:
        raise click.UsageError("name one database; pairs as in 'host=localhost user=app' are one argument, in quotes")
    dsn = given[0] if given else os.environ.get(VARIABLE, "")
    if not dsn:
        raise click.UsageError(f"name the database, here or in ${VARIABLE}")
    return dsn


def _print_one(watch: Watch, output_format: str) -> int:
    snapshot = watch.ask()
    if output_format == "json":
        from leakfix.report.sessions_json import dumped

        click.echo(dumped(watch.login.label, snapshot))
        return 0
    from rich.console import Console

    from leakfix.report.sessions import drawn

    width = None if sys.stdout.isatty() else WIDTH
    console = Console(width=width, no_color=not has_colour(sys.stdout), highlight=False)
    console.print(drawn(watch.login.label, snapshot))
    return 0


def _follow(watch: Watch, interval: float, output_format: str) -> int:
    from leakfix.watch.watching import answers

    following = answers(watch, interval)
    if output_format == "json":
        return _write_lines(watch, following, as_json=True)
    if not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
        return _write_lines(watch, following, as_json=False)
    return _draw(watch, following)


def _write_lines(watch: Watch, following: Answers, *, as_json: bool) -> int:
    """A line for each answer; a server that does not answer is told of on stderr."""
    from leakfix.report.sessions import line, silent_line
    from leakfix.report.sessions_json import dumped
    from leakfix.watch.watching import Silence

    silent = False
    for answer in following:
        if isinstance(answer, Silence):
            silent = True
            complain("warning", silent_line(answer))
            continue
        if silent:
            silent = False
            complain("note", "the server answers again")
        click.echo(dumped(watch.login.label, answer, None) if as_json else line(answer))
        sys.stdout.flush()
    return 0


def _draw(watch: Watch, following: Answers) -> int:
    """Draw each answer over the one before, on a screen of its own; it is left as it was found."""
    from rich.console import Console
    from rich.live import Live

    from leakfix.report.sessions import drawn, rows_for
    from leakfix.watch.watching import Silence

    last = next(following)
    assert not isinstance(last, Silence), "the first answer is a picture, or an error"
    console = Console(no_color=not has_colour(sys.stdout), highlight=False)
    label = watch.login.label
    with Live(
        drawn(label, last, None, rows_for(console.height)), console=console, screen=True, auto_refresh=False
    ) as view:
        for answer in following:
            silence = answer if isinstance(answer, Silence) else None
            last = last if isinstance(answer, Silence) else answer
            view.update(drawn(label, last, silence, rows_for(console.height)), refresh=True)
    return 0


def _serve(watch: Watch, address: str, port: int) -> int:
    from leakfix.watch import WatchError

    try:
        from leakfix.watch.metrics import Endpoint
    except ImportError as error:
        missing = "this needs prometheus-client, which is not installed: pip install 'leakfix[watch]'"
        raise WatchError(missing) from error
    with Endpoint(watch, address, port) as endpoint:
        complain("note", f"{watch.login.label} is asked at every scrape of {endpoint.url}; Ctrl-C ends")
        endpoint.wait()
    return 0
