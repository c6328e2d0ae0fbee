"""``leakfix server``: the language server for editors."""

from __future__ import annotations

import click


@click.command("server")
@click.option("--stdio", is_flag=True, help="Talk over stdin and stdout, which it always does.")
def command(stdio: bool) -> int:
    """Report leaks in an editor while code is written (Language Server Protocol, over stdin and stdout).

    Editors start it; docs/editors.md tells how. Needs the extra "lsp": pip install 'leakfix[lsp]'.
    """
    try:
        from leakfix.server.features import serve
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("pygls", "lsprotocol"):
            raise
        raise click.ClickException("needs pygls: pip install 'leakfix[lsp]'") from error
    return serve()
