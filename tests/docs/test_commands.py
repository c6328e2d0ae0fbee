"""Every command and option of leakfix that README and docs name is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

import click
import pytest

from leakfix import pytest_plugin
from leakfix.cli.group import group

from . import pages

OPTION = re.compile(r"(?<![\w-])--?[a-zA-Z][\w-]*")
OTHERS = re.compile(
    r"\b(pip|pipx|uvx|uv|git|pytest|dask|docker|python\d?|go|gofmt|npm|promtool|pre-commit|mkdocs|curl|twine|reviewdog)\b"
)
"""Other programs, whose options are theirs."""
OF_OTHERS = {
    *("--all-files", "--force-with-lease", "--bless"),
    *("-I", "-E"),  # python's
}


@cache
def command(*names: str) -> click.Command | None:
    """A command by its names, ``baseline create``; None where there is none."""
    found: click.Command = group
    context = click.Context(group)
    for name in names:
        if not isinstance(found, click.Group) or (next_one := found.get_command(context, name)) is None:
            return None
        found = next_one
    return found


def path_of(words: list[str]) -> tuple[str, ...]:
    """The command that the words begin with; its subcommand, too, where it has some."""
    names: tuple[str, ...] = ()
    for word in words:
        if word.startswith("-") or not isinstance(command(*names), click.Group):
            break
        names = (*names, word)
    return names


def options_of(found: click.Command) -> set[str]:
    """How its options are written."""
    return {name for item in found.params for name in (*item.opts, *item.secondary_opts)} | {"--help", "-h"}


def every_command(names: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The names of all commands."""
    found = command(*names)
    yield names
    if isinstance(found, click.Group):
        for name in found.list_commands(click.Context(found)):
            yield from every_command((*names, name))


@cache
def all_options() -> set[str]:
    """The options of any command, and those of the plugin for pytest."""
    ours = {name for names in every_command() if (found := command(*names)) is not None for name in options_of(found)}
    text = pages.Path(pytest_plugin.__file__).read_text(encoding="utf-8")
    return ours | set(re.findall(r"\"(--leakfix[\w-]*)\"", text))


def problems(page: pages.Path) -> Iterator[str]:
    """What a page names that is not there, with its line."""
    for number, line in pages.code_of(page):
        called = list(pages.commands_in(line))
        for words in called:
            names = path_of(words)
            found = command(*names)
            if found is None:
                yield f"{number}: there is no command {' '.join(names)!r}"
                continue
            for word in words:
                option = OPTION.match(word)
                if option and option[0] == word.partition("=")[0] and option[0] not in options_of(found):
                    yield f"{number}: leakfix {' '.join(names)} has no {option[0]}"
        if not called and not OTHERS.search(line):
            for option in OPTION.findall(line) if line.lstrip().startswith("-") else ():
                if len(option) > 2 and option not in all_options() | OF_OTHERS:
                    yield f"{number}: nothing has {option}"


@pytest.mark.parametrize("page", pages.PAGES, ids=lambda page: page.relative_to(pages.ROOT).as_posix())
def test_what_a_page_names_is_there(page: pages.Path) -> None:
    assert list(problems(page)) == []


def test_every_command_is_told_of() -> None:
    named = {
        path_of(words) for page in pages.PAGES for _, line in pages.code_of(page) for words in pages.commands_in(line)
    }
    told = {names[: length + 1] for names in named for length in range(len(names))}
    assert {names for names in every_command() if names} - told == set()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("$ leakfix check .", [["check", "."]]),
        ("leakfix run -- python --version", [["run"]]),
        ("leakfix check --select 'a/*' .   # --nothing", [["check", "--select", "a/*", "."]]),
        ("      - run: leakfix check --output-format sarif=x .", [["check", "--output-format", "sarif=x", "."]]),
        (
            "leakfix check --output-format rdjsonl . | reviewdog -f=rdjsonl",
            [["check", "--output-format", "rdjsonl", "."]],
        ),
        ("pip install leakfix", []),
        ('eval "$(leakfix completion bash)"', [["completion", "bash"]]),
        ("leakfix: allow[a/b]", []),
        ("    url: https://forge.example/owner/leakfix   # where leakfix is", []),
    ],
)
def test_commands_are_found_in_code(line: str, words: list[list[str]]) -> None:
    assert list(pages.commands_in(line)) == words


def test_what_is_not_there_is_told(tmp_path: pages.Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "`leakfix chek .` and `--no-such-option`, `leakfix\napply --nothing`\n\n"
        "```\nleakfix check --nope .\nleakfix check .\n```\n"
    )
    assert sorted(problem.partition(": ")[2] for problem in problems(page)) == [
        "leakfix apply has no --nothing",
        "leakfix check has no --nope",
        "nothing has --no-such-option",
        "there is no command 'chek'",
    ]
