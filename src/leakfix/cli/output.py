"""Where reports go: which format to stdout, which to files."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from leakfix.cli.repeated import Said
from leakfix.cli.terminal import complain
from leakfix.report.formats import FORMATS, render
from leakfix.report.style import has_colour

if TYPE_CHECKING:
    from leakfix.result import Report

Command = TypeVar("Command", bound=Callable[..., Any])

STDOUT = "-"


class Output(NamedTuple):
    """One report to make. file: None for stdout."""

    format: str
    file: str | None = None


def _outputs(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> tuple[Output, ...]:
    """``FORMAT`` or ``FORMAT=FILE``, each."""
    outputs = []
    for value in values:
        name, sign, file = value.partition("=")
        if name not in FORMATS:
            raise click.BadParameter(f"{name!r} is none of {', '.join(FORMATS)}", context, option)
        if sign and not file:
            raise click.BadParameter(f"{value!r} names no file", context, option)
        outputs.append(Output(name, None if file in ("", STDOUT) else file))
    return tuple(outputs)


def reporting(command: Command) -> Command:
    """Add the options that say how to report and where to."""
    for decorate in reversed(_REPORTING):
        command = decorate(command)
    return command


def settled(outputs: Sequence[Output], output_file: str | None) -> list[Output]:
    """The reports to make, each to a place of its own. Raises UsageError where two would meet."""
    reports = list(outputs) or [Output("text")]
    printed = [output.format for output in reports if output.file is None]
    if len(printed) > 1:
        raise click.UsageError(
            f"only one format can go to stdout, and these would: {', '.join(printed)}; "
            f"give the others a file, as in --output-format {printed[-1]}=FILE"
        )
    if output_file is not None and output_file != STDOUT:
        if not printed:
            raise click.UsageError("--output-file is for the format without a file of its own, and all have one")
        reports = [output if output.file else Output(output.format, output_file) for output in reports]
    files = [os.path.realpath(output.file) for output in reports if output.file]
    if len(set(files)) < len(files):
        raise click.UsageError("two formats cannot go to the same file")
    return reports


def deliver(outputs: Iterable[Output], report: Report) -> bool:
    """Write the files, then to stdout, which its reader may close. Tells what cannot be written; whether all could."""
    is_delivered = True
    for output in sorted(outputs, key=lambda output: output.file is None):
        if output.file is None:
            spoken(output.format, report).say(report.seconds)
        else:
            is_delivered &= written(output.file, render(output.format, report))
    return is_delivered


def written(file: str, pieces: Iterable[str]) -> bool:
    """Write a file in one step, or tell why it was left as it is; whether it was written."""
    from leakfix.project.files import replace_atomically

    try:
        replace_atomically(file, b"".join(map(_encoded, pieces)))
    except OSError as error:
        complain("error", f"{file}: not written: {error.strerror or error}")
        return False
    return True


class LeftOpen(float):
    """Seconds that are put in when something is said: they differ each time."""

    def __init__(self) -> None:
        """Take for them a number that stands nowhere else."""
        self._number = str(int.from_bytes(os.urandom(9), "big") | 1 << 72)
        self._formats: list[str] = []

    def __format__(self, specification: str) -> str:
        """Digits, which every kind of report leaves as they are."""
        self._formats.append(specification)
        return f"{self._number}{len(self._formats) - 1:04}"

    def parts_of(self, text: str) -> list[str]:
        """The text in parts: between each two, how to write the seconds that stand there."""
        parts = re.split(rf"{self._number}(\d{{4}})", text)
        parts[1::2] = [self._formats[int(which)] for which in parts[1::2]]
        return parts


def spoken(name: str, report: Report) -> Said:
    """A report as it goes to stdout."""
    is_text = name == "text"
    seconds = LeftOpen()
    pieces = render(name, replace(report, seconds=seconds), is_text and has_colour(sys.stdout))
    return Said(seconds.parts_of("".join(pieces)), is_text)


def _encoded(piece: str) -> bytes:
    return piece.encode("utf-8", "surrogateescape")


_REPORTING = (
    click.option(
        "--output-format",
        multiple=True,
        callback=_outputs,
        metavar="FORMAT[=FILE]",
        help=f"How to report, several times for several reports: {', '.join(FORMATS)}; text by default.",
    ),
    click.option(
        "--output-file", type=click.Path(), metavar="FILE", help="Where the format without a file goes, not to stdout."
    ),
)
