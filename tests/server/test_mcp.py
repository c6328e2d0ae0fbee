"""The MCP server over stdio, with the SDK's own client."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from leakfix.cli import main as run_command

from .conftest import LEAK

pytest.importorskip("mcp", reason="the extra mcp is not installed")

from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

Call = Callable[..., Awaitable[Any]]


def talk(tree: Path, work: Callable[[Client], Awaitable[None]], *arguments: str) -> None:
    """Let a client talk to a server that is started in a folder."""

    async def session() -> None:
        command = StdioServerParameters(
            command=sys.executable, args=["-m", "leakfix", "mcp", *arguments], cwd=tree, env=dict(os.environ)
        )
        async with Client(stdio_client(command)) as client:
            await work(client)

    asyncio.run(asyncio.wait_for(session(), 60))


def test_the_tools_say_what_they_are(tree: Path) -> None:
    async def work(client: Client) -> None:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == {"check", "diff", "apply", "rules", "explain"}
        assert {name for name, tool in tools.items() if tool.annotations.read_only_hint} == set(tools) - {"apply"}
        assert tools["apply"].annotations.destructive_hint is True
        for tool in tools.values():
            assert tool.description
            assert tool.output_schema
            assert all(value.get("description") for value in tool.input_schema.get("properties", {}).values())
        assert tools["apply"].input_schema["properties"]["unsafe_fixes"]["default"] is False

    talk(tree, work)


def test_check_gives_what_the_command_prints(tree: Path, invoke: Any) -> None:
    import json

    (tree / "a.py").write_text(LEAK)
    (tree / "b.py").write_text("def broken(:\n")
    printed = json.loads(invoke("check", "--output-format", "json").out)

    async def work(client: Client) -> None:
        result = await client.call_tool("check", {})
        assert not result.is_error
        told = result.structured_content
        told["summary"]["seconds"] = printed["summary"]["seconds"]
        assert told == printed
        assert len(told["findings"]) == 1
        none = (await client.call_tool("check", {"paths": ["a.py"], "ignore": ["psycopg2/*"]})).structured_content
        assert none["findings"] == []

    talk(tree, work)


def test_diff_shows_what_apply_writes(tree: Path) -> None:
    (tree / "a.py").write_text(LEAK)
    (tree / "c.py").write_text(LEAK)
    (tree / "c.py").chmod(0o400)
    os.chmod(tree / "c.py", 0o444)

    async def work(client: Client) -> None:
        shown = (await client.call_tool("diff", {"paths": ["a.py"]})).structured_content
        assert shown["diff"].startswith("--- a/a.py\n+++ b/a.py\n")
        assert (tree / "a.py").read_text() == LEAK
        done = (await client.call_tool("apply", {})).structured_content
        assert done["written"] == ["a.py"]
        assert [item["path"] for item in done["refused"]] == ["c.py"]
        assert "read-only" in done["refused"][0]["message"]
        assert [(item["path"], item["reason"]) for item in done["left"]] == [("c.py", "its file was not written")]
        added = [line[1:] for line in shown["diff"].splitlines() if line.startswith("+") and line[1:].strip()]
        assert all(line in (tree / "a.py").read_text() for line in added[1:])
        again = (await client.call_tool("apply", {"paths": ["a.py"]})).structured_content
        assert (again["written"], again["repaired"], again["left"]) == ([], [], [])

    talk(tree, work)


def test_apply_writes_what_the_command_writes(tree: Path) -> None:
    (tree / "a.py").write_text(LEAK)
    (tree / "b.py").write_text(LEAK)

    async def work(client: Client) -> None:
        found = (await client.call_tool("check", {"paths": ["a.py"]})).structured_content["findings"]
        only = {"fingerprints": [found[0]["fingerprint"]]}
        done = (await client.call_tool("apply", only)).structured_content
        assert done["written"] == ["a.py"]
        assert done["left"][0]["reason"] == "not among the fingerprints that were named"

    talk(tree, work)
    assert (tree / "b.py").read_text() == LEAK
    assert run_command(["apply", "--yes", "b.py"]) == 0
    assert (tree / "a.py").read_text() == (tree / "b.py").read_text()


def test_fixes_to_review_are_written_only_where_asked_for(tree: Path) -> None:
    from leakfix import engine
    from leakfix.config import Config
    from leakfix.finding import Safety
    from leakfix.registry import Registry

    source = Path(__file__).parents[2] / "fixtures" / "django" / "named_cursor" / "example.before.py"
    (tree / "a.py").write_bytes(source.read_bytes())
    config = Config(select=("all",))
    report = engine.check(["a.py"], config, Registry.load(config), jobs=1)
    reviews = [finding for finding in report.findings if finding.fix and finding.fix.safety is Safety.REVIEW]
    assert reviews, "the fixture no longer has such a fix"

    async def work(client: Client) -> None:
        rules = {"select": [finding.rule for finding in reviews]}
        done = (await client.call_tool("apply", rules)).structured_content
        assert done["written"] == []
        assert "unsafe_fixes" in done["left"][0]["reason"]
        done = (await client.call_tool("apply", {**rules, "unsafe_fixes": True})).structured_content
        assert done["written"] == ["a.py"]

    talk(tree, work)


def test_paths_outside_are_refused_in_words(tmp_path: Path) -> None:
    paths = ["..", "../outside.py", "/etc/hosts", "link.py", "folder/x.py", "a\0b", "missing.py"]
    tree, outside = tmp_path / "tree", tmp_path / "outside.py"
    tree.mkdir()
    outside.write_text(LEAK)
    (tree / "link.py").symlink_to(outside)
    (tree / "folder").symlink_to(tmp_path)
    (tmp_path / "x.py").write_text(LEAK)

    async def work(client: Client) -> None:
        for tool, path in product(("check", "diff", "apply"), paths):
            result = await client.call_tool(tool, {"paths": [path]})
            assert result.is_error, path
            text = result.content[0].text
            assert "Traceback" not in text
            assert ("outside" in text) == (path not in ("a\0b", "missing.py")), text

    talk(tmp_path, work, "tree")
    assert outside.read_text() == LEAK


def test_rules_and_explain(tree: Path) -> None:
    async def work(client: Client) -> None:
        rules = (await client.call_tool("rules", {})).structured_content["rules"]
        assert "psycopg2/unclosed-connection" in {rule["name"] for rule in rules}
        told = (await client.call_tool("explain", {"rule": "psycopg2/unclosed-connection"})).structured_content
        assert all(told[key] for key in told)
        wrong = await client.call_tool("explain", {"rule": "psycopg2/unclosed-conection"})
        assert wrong.is_error
        assert "did you mean 'psycopg2/unclosed-connection'?" in wrong.content[0].text
        (tree / "leakfix.toml").write_text("selct = 1")
        wrong = await client.call_tool("check", {})
        assert wrong.is_error
        assert "did you mean 'select'?" in wrong.content[0].text

    talk(tree, work)


def test_settings_of_every_folder_count(tree: Path) -> None:
    for name in ("a.py", "sub/a.py"):
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_text(LEAK)
    (tree / "sub" / "leakfix.toml").write_text('ignore = ["psycopg2/*"]')

    async def work(client: Client) -> None:
        found = (await client.call_tool("check", {})).structured_content["findings"]
        assert {finding["path"] for finding in found} == {"a.py"}
        (tree / "sub" / "leakfix.toml").write_text("selct = 1")
        wrong = await client.call_tool("check", {})
        assert wrong.is_error
        assert "sub/leakfix.toml" in wrong.content[0].text

    talk(tree, work)
