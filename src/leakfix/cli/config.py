"""``leakfix config``: which settings there are."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from leakfix.config import Config, ConfigError, did_you_mean

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


def _complete_keys(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from leakfix.cli.completion import keys

    return keys(context, parameter, incomplete)


@click.command("config")
@click.argument("key", required=False, shell_complete=_complete_keys)
@click.option("--schema", is_flag=True, help="Print the JSON schema of the configuration.")
def command(key: str | None, schema: bool) -> int:
    """List the keys of the configuration, or tell what KEY means.

    `leakfix check --show-settings PATH` prints what holds for a file, and which file says so.
    """
    if schema:
        if key is not None:
            raise click.UsageError("--schema is about all keys")
        _print_schema()
        return 0
    from leakfix.config.keys import KEYS
    from leakfix.report.settings import described, listing

    if key is None:
        sys.stdout.writelines(listing())
        return 0
    if key not in KEYS:
        raise ConfigError(f"there is no key {key!r}{did_you_mean(key, KEYS)}")
    sys.stdout.write(described(key, KEYS[key]))
    return 0


def _print_schema() -> None:
    from leakfix.cli.options import registry_for
    from leakfix.report.schema import document

    sys.stdout.write(json.dumps(document(registry_for(Config())), indent=2, ensure_ascii=False) + "\n")
