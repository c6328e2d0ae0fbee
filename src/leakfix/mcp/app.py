"""The MCP server: the tools as agents see them. stdout belongs to the protocol."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Annotated, ParamSpec, TypeVar

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import Field

from leakfix import __version__
from leakfix.background import Worker
from leakfix.importpath import forget_working_directory
from leakfix.mcp import results
from leakfix.mcp.project import NotPossible, Project

INSTRUCTIONS = """\
leakfix finds database connections, sessions, result sets, transactions and pool slots that Python and Go code loses on
some path, caches and results that only grow, and repairs them. Call `check` after code was written that talks to a
database; `diff` shows what `apply` would write. A finding without a fix says why: change the code by hand along its
witness, or allow it with the comment that `explain` names, if the leak is meant. Paths are relative to the folder the
server was started for; nothing outside of it is touched."""

Paths = Annotated[
    list[str],
    Field(description="files and folders to look at, relative to the server's folder; all of it where there is none"),
]
Select = Annotated[
    list[str] | None,
    Field(description="run only these: rules, globs such as `library/*`, or categories (leak, growth, advice, all)"),
]
Ignore = Annotated[list[str] | None, Field(description="leave these rules or categories out")]
Unsafe = Annotated[bool, Field(description="also fixes that a person should look at (safety `review`)")]
Fingerprints = Annotated[list[str] | None, Field(description="only the findings with these fingerprints, from `check`")]

Result = TypeVar("Result")
Parameters = ParamSpec("Parameters")


def serve(root: str) -> int:
    """Talk to a client over stdin and stdout until it goes away. Returns the exit code."""
    made(root).run("stdio")
    return 0


def made(root: str) -> MCPServer[None]:
    """The server for a folder."""
    server: MCPServer[None] = MCPServer(
        "leakfix", version=__version__, instructions=INSTRUCTIONS, log_level="WARNING", title="leakfix"
    )
    project = Project(root)
    os.chdir(project.root)
    forget_working_directory()
    _add_tools(server, project, Worker())
    return server


def _add_tools(server: MCPServer[None], project: Project, worker: Worker) -> None:
    looks = ToolAnnotations(read_only_hint=True, open_world_hint=False)
    writes = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False)

    async def told(
        function: Callable[Parameters, Result], *arguments: Parameters.args, **named: Parameters.kwargs
    ) -> Result:
        try:
            return await worker.run(function, *arguments, **named)
        except NotPossible as error:
            raise ToolError(str(error)) from error

    @server.tool(annotations=looks, title="Find leaks")
    async def check(paths: Paths = [], select: Select = None, ignore: Ignore = None) -> results.Checked:  # noqa: B006
        """Find leaked database connections, sessions, cursors, transactions and pool slots in Python and Go files.

        Writes nothing. Each finding has the path on which it leaks, and a verified fix or the reason there is none.
        """
        return await told(project.check, paths, select, ignore)

    @server.tool(annotations=looks, title="Show fixes")
    async def diff(
        paths: Paths = [],  # noqa: B006
        select: Select = None,
        ignore: Ignore = None,
        unsafe_fixes: Unsafe = False,
        fingerprints: Fingerprints = None,
    ) -> results.Difference:
        """Show as a unified diff what `apply` would write with the same arguments. Writes nothing."""
        return await told(project.diff, paths, select, ignore, unsafe_fixes, fingerprints)

    @server.tool(annotations=writes, title="Repair leaks")
    async def apply(
        paths: Paths = [],  # noqa: B006
        select: Select = None,
        ignore: Ignore = None,
        unsafe_fixes: Unsafe = False,
        fingerprints: Fingerprints = None,
    ) -> results.Applied:
        """Repair leaks in the files: the safe fixes only, unless `unsafe_fixes` is true.

        Each file is replaced in one step, and left alone if it changed meanwhile. Tells what was written, what was
        refused and what remains, with the reasons.
        """
        return await told(project.apply, paths, select, ignore, unsafe_fixes, fingerprints)

    @server.tool(annotations=looks, title="List rules")
    async def rules() -> results.Rules:
        """List every rule: its name, its category, what its repair does."""
        return await told(project.rules)

    @server.tool(annotations=looks, title="Explain a rule")
    async def explain(
        rule: Annotated[str, Field(description="a name as `rules` and `check` give it")],
    ) -> results.Explanation:
        """Tell what a rule is about: what leaks, why it hurts, how it is repaired, when it is left alone."""
        return await told(project.explain, rule)
