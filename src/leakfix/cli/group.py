"""The commands. Each lives in a module of its own that is imported when it is called."""

from __future__ import annotations

import importlib
import os
import traceback
from collections.abc import Sequence
from typing import Any

import click

from leakfix import __version__
from leakfix.cli import FAILED, INTERRUPTED
from leakfix.cli.terminal import complain
from leakfix.config import ConfigError

COMMANDS = (
    *("check", "report", "apply", "review", "baseline", "branch", "pr", "bot", "fleet"),
    *("run", "prove", "watch", "instrument", "rules", "explain", "config", "completion", "new"),
    *("server", "mcp"),
)


class LazyGroup(click.Group):
    """A group whose commands are imported one by one, so that none pays for another's imports."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in the order they are met."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"leakfix.cli.{cmd_name}").command
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="leakfix %(version)s")
def group() -> None:
    """Find leaked database connections, sessions and pool slots in Python code, and repair them.

    leakfix check . reports and exits with 1 where it found something, 2 where it could not look.
    leakfix apply . repairs: fix by fix on a terminal, or all safe fixes at once with --yes.
    """


def invoke(arguments: Sequence[str]) -> int:
    """Call a command and return its exit code. Raises BrokenPipeError and KeyboardInterrupt, and nothing else."""
    try:
        if instruction := os.environ.get("_LEAKFIX_COMPLETE"):
            from leakfix.cli.completion import answer

            return answer(group, instruction)
        with group.make_context("leakfix", list(arguments), obj=tuple(arguments)) as context:
            result: Any = group.invoke(context)
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except ConfigError as error:
        complain("error", str(error))
        return FAILED
    except click.Abort:
        return INTERRUPTED
    except BrokenPipeError:
        raise
    except OSError as error:
        complain("error", str(error))
        return FAILED
    except Exception:  # an exit code of 1 would mean that something was found
        traceback.print_exc()
        complain("error", "this is a fault of leakfix; nothing was written after it")
        return FAILED
