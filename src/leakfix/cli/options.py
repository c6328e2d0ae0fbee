"""Options that several commands share, and what they are turned into."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import click

from leakfix.cli.terminal import complain
from leakfix.config import COMMAND_LINE, MOST_JOBS, Config, ConfigError, load

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from leakfix.cache.kept import Kept
    from leakfix.registry import Registry
    from leakfix.runtime.evidence import Evidence

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class Settings:
    """One run: where to look, with what."""

    paths: tuple[str, ...]
    config: Config
    jobs: int | None
    evidence: Evidence | None = None
    texts: Mapping[str, bytes] = field(default_factory=dict)
    """What counts as the content of some files, whatever the disk says."""

    @property
    def named(self) -> tuple[str, ...]:
        """The paths that have to be on disk."""
        return tuple(path for path in self.paths if path not in self.texts)

    @cached_property
    def registry(self) -> Registry:
        """The codemods; loading them takes longer than a look at what an earlier run found."""
        return registry_for(self.config)

    @cached_property
    def kept(self) -> Kept | None:
        """What earlier runs of the same question found; None where nothing is to be kept."""
        if not self.config.cache or self.evidence is not None or self.texts:
            return None
        from leakfix.cache.kept import Kept, key_of
        from leakfix.cache.store import Store

        return Kept(Store(), key_of(self.paths, repr(self.config)))


def from_stdin(command: Command) -> Command:
    """Add the option of a command that takes one file's text from stdin, for ``settings``."""
    return click.option(
        "--stdin-filename",
        metavar="PATH",
        help="Take the text of this file from stdin; goes with `-` as the only path.",
    )(command)


def searching(command: Command) -> Command:
    """Add PATHS and the options of every command that searches them."""
    for decorate in reversed(_SEARCHING):
        command = decorate(command)
    return command


def choosing(command: Command) -> Command:
    """Add the options of a command that always searches a whole repository."""
    for decorate in reversed(_SEARCHING[1:]):
        command = decorate(command)
    return command


def settings(
    paths: tuple[str, ...],
    select: tuple[str, ...] | None,
    ignore: tuple[str, ...] | None,
    jobs: int | None,
    config_file: str | None,
    no_cache: bool,
    evidence: tuple[str, ...] = (),
    extend_select: tuple[str, ...] | None = None,
    isolated: bool = False,
    force_exclude: bool = False,
    stdin_filename: str | None = None,
) -> Settings:
    """Load configuration, registry and evidence for these options. Raises ConfigError, OSError."""
    if "-" in paths and stdin_filename is None:
        raise click.UsageError("`-` needs --stdin-filename: what is read from stdin has to be some file's text")
    if stdin_filename is not None and paths not in ((), ("-",)):
        raise click.UsageError("--stdin-filename goes with `-` as the only path")
    if isolated and config_file is not None:
        raise click.UsageError("--isolated reads no configuration, --config reads one")
    config = load(config_file, isolated=isolated).overridden(select, ignore, extend_select)
    if no_cache:
        config = replace(config, cache=False)
    if force_exclude:
        config = config.changed(_with_excluded)
    found = _evidence(evidence) if evidence else None
    if stdin_filename is None:
        return Settings(paths or (".",), config, jobs or config.jobs, found)
    from leakfix.project.discover import displayed

    path = displayed(stdin_filename)
    return Settings((path,), config, 1, found, {path: sys.stdin.buffer.read()})


def _with_excluded(config: Config) -> Config:
    origins = {**config.origins, "force-exclude": (COMMAND_LINE,)}
    return replace(config, force_exclude=True, origins=origins)


def _evidence(files: tuple[str, ...]) -> Evidence:
    from leakfix.runtime.evidence import BadEvidence, joined, loaded

    parts = []
    for file in files:
        try:
            with open(file, "rb") as stream:
                parts.append(loaded(stream.read()))
        except BadEvidence as error:
            raise ConfigError(f"{file}: {error}") from error
        except OSError as error:
            raise ConfigError(f"{file} cannot be read: {error.strerror}") from error
    return joined(parts)


def registry_for(config: Config) -> Registry:
    """The registry, having told what of it could not be loaded."""
    from leakfix.registry import Registry

    registry = Registry.load(config)
    for text in registry.broken:
        complain("warning", text)
    return registry


def _names(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...] | None:
    """Rule names from comma-separated, possibly repeated options; None where the option was not given."""
    if not values:
        return None
    names = tuple(name for value in values for part in value.split(",") if (name := part.strip()))
    if not names:
        raise click.BadParameter("names no rule", context, option)
    return names


def complete_rules(context: click.Context, option: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What a shell offers for rules."""
    from leakfix.cli.completion import rules

    return rules(context, option, incomplete)


def complete_rule(context: click.Context, option: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What a shell offers for one rule."""
    from leakfix.cli.completion import rule

    return rule(context, option, incomplete)


def _resolved(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Files as they are meant here: some commands do their work in another folder."""
    return tuple(os.path.abspath(value) for value in values)


_SEARCHING = (
    click.argument("paths", nargs=-1, type=click.Path()),
    click.option(
        "--select",
        multiple=True,
        callback=_names,
        shell_complete=complete_rules,
        metavar="RULES",
        help="Run only these rules or categories.",
    ),
    click.option(
        "--extend-select",
        multiple=True,
        callback=_names,
        shell_complete=complete_rules,
        metavar="RULES",
        help="Run these rules as well.",
    ),
    click.option(
        "--ignore",
        multiple=True,
        callback=_names,
        shell_complete=complete_rules,
        metavar="RULES",
        help="Leave these rules out.",
    ),
    click.option("--jobs", type=click.IntRange(1, MOST_JOBS), metavar="N", help="Use this many processes."),
    click.option("--config", "config_file", type=click.Path(), metavar="FILE", help="Read this configuration."),
    click.option("--isolated", is_flag=True, help="Read no configuration."),
    click.option("--force-exclude", is_flag=True, help="Leave excluded files out even where PATHS name them."),
    click.option(
        "--evidence",
        multiple=True,
        type=click.Path(),
        callback=_resolved,
        metavar="FILE",
        help="What `pytest --leakfix` or `leakfix run` saw: what it confirms comes first.",
    ),
    click.option("--no-cache", is_flag=True, help="Neither read nor write cached results."),
)
