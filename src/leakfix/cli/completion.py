"""``leakfix completion``: what a shell needs to complete commands, options, rules and paths; and its answers."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import click
from click.shell_completion import CompletionItem, get_completion_class, shell_complete

from leakfix.config import CATEGORIES

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_LEAKFIX_COMPLETE"


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> int:
    """Print the completion script of SHELL.

    bash: put `eval "$(leakfix completion bash)"` into ~/.bashrc; zsh: the same into ~/.zshrc;
    fish: leakfix completion fish > ~/.config/fish/completions/leakfix.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    template = kind(click.get_current_context().find_root().command, {}, "leakfix", VARIABLE)
    sys.stdout.write(template.source_template % template.source_vars())
    return 0


def answer(group: click.Command, instruction: str) -> int:
    """Answer the question that a completion script asks."""
    return shell_complete(group, {}, "leakfix", VARIABLE, instruction)


def rules(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Rules and categories, the last of several behind commas."""
    before, comma, last = incomplete.rpartition(",")
    return [CompletionItem(f"{before}{comma}{name}") for name in _starting(last, [*_rules(), *CATEGORIES, "all"])]


def rule(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """One rule."""
    return [CompletionItem(name) for name in _starting(incomplete, _rules())]


def keys(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Keys of the configuration."""
    from leakfix.config.keys import KEYS

    return [CompletionItem(name, help=key.kind.name) for name, key in KEYS.items() if name.startswith(incomplete)]


def _rules() -> list[str]:
    """The rules, and the in-house resources of the configuration where it can be read."""
    from leakfix.config import ConfigError, load
    from leakfix.plugins import rule_names

    try:
        own = [str(row["id"]) for row in load().resources]
    except (ConfigError, OSError):
        own = []
    return [*rule_names(), *(name if "/" in name else f"user/{name}" for name in own)]


def _starting(start: str, names: Iterable[str]) -> list[str]:
    return sorted(name for name in names if name.startswith(start))
