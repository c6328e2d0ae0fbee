"""Options that several commands share, and what they are turned into."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import click

from leakfix.cli.terminal import complain
from leakfix.config import MOST_JOBS, Config, load

if TYPE_CHECKING:
    from leakfix.registry import Registry

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class Settings:
    """One run: where to look, with what."""

    paths: tuple[str, ...]
    config: Config
    registry: Registry
    jobs: int | None


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
) -> Settings:
    """Load configuration and registry for these options. Raises ConfigError."""
    config = load(config_file).overridden(select, ignore)
    if no_cache:
        config = replace(config, cache=False)
    return Settings(paths or (".",), config, registry_for(config), jobs or config.jobs)


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


_SEARCHING = (
    click.argument("paths", nargs=-1, type=click.Path()),
    click.option(
        "--select",
        multiple=True,
        callback=_names,
        metavar="RULES",
        help="Run only these rules or categories.",
    ),
    click.option("--ignore", multiple=True, callback=_names, metavar="RULES", help="Leave these rules out."),
    click.option("--jobs", type=click.IntRange(1, MOST_JOBS), metavar="N", help="Use this many processes."),
    click.option("--config", "config_file", type=click.Path(), metavar="FILE", help="Read this configuration."),
    click.option("--no-cache", is_flag=True, help="Neither read nor write cached results."),
)
