"""``leakfix mcp``: its commands as tools for coding agents."""

from __future__ import annotations

import click


@click.command("mcp")
@click.argument("folder", type=click.Path(exists=True, file_okay=False), default=".")
def command(folder: str) -> int:
    """Give coding agents check, diff, apply, rules and explain for FOLDER (Model Context Protocol, stdin and stdout).

    Agents start it; docs/agents.md tells how. FOLDER is the working directory where it is not given; paths outside of
    it are refused. Needs the extra "mcp": pip install 'leakfix[mcp]'.
    """
    try:
        from leakfix.mcp.app import serve
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("mcp", "pydantic"):
            raise
        raise click.ClickException("needs the MCP SDK: pip install 'leakfix[mcp]'") from error
    return serve(folder)
