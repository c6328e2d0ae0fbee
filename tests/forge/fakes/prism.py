"""GitHub's published description before the stand-in: requests and answers that break it are errors."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NODE_MODULES = "LEAKFIX_NODE_MODULES"
_DESCRIPTION = Path("@octokit", "openapi", "generated", "api.github.com.json")
_PROGRAM = Path("@stoplight", "prism-cli", "dist", "index.js")
_REPO = "/repos/{owner}/{repo}"
_ISSUE = f"{_REPO}/issues/{{issue_number}}"
_PULL = f"{_REPO}/pulls/{{pull_number}}"
OPERATIONS: Mapping[str, tuple[str, ...]] = {
    "/user": ("get",),
    _REPO: ("get",),
    f"{_REPO}/pulls": ("get", "post"),
    _PULL: ("get", "patch"),
    f"{_PULL}/commits": ("get",),
    f"{_PULL}/requested_reviewers": ("post",),
    f"{_REPO}/issues": ("get", "post"),
    _ISSUE: ("get", "patch"),
    f"{_ISSUE}/comments": ("get", "post"),
    f"{_ISSUE}/labels": ("get", "post"),
    f"{_ISSUE}/labels/{{name}}": ("delete",),
    f"{_REPO}/forks": ("post",),
    f"{_REPO}/git/ref/{{ref}}": ("get",),
    f"{_REPO}/branches/{{branch}}": ("get",),
}
# OpenAPI knows no parameter with slashes: branches are described once for each number of segments.
_BRANCHES = {f"{_REPO}/git/ref/{{ref}}": "git/ref/heads", f"{_REPO}/branches/{{branch}}": "branches"}
_SEGMENTS = ("{one}", "{one}/{two}", "{one}/{two}/{three}")
_SECONDS = 60


def missing() -> str | None:
    """Why the description cannot be tested against, if so."""
    folder = os.environ.get(NODE_MODULES)
    if not folder:
        return f"{NODE_MODULES} does not name a node_modules folder with @octokit/openapi and @stoplight/prism-cli"
    absent = [str(path) for path in (_DESCRIPTION, _PROGRAM) if not Path(folder, path).is_file()]
    if absent:
        return f"not in {NODE_MODULES}: {', '.join(absent)}"
    return None if shutil.which("node") else "node is not installed"


def cut(description: dict[str, Any]) -> dict[str, Any]:
    """The description of the operations above, and of nothing else."""
    paths: dict[str, Any] = {}
    for path, methods in OPERATIONS.items():
        operations = {method: description["paths"][path][method] for method in methods}
        if path in _BRANCHES:
            paths |= {f"{_REPO}/{_BRANCHES[path]}/{names}": _named(operations, names) for names in _SEGMENTS}
        else:
            paths[path] = operations
    components: dict[str, dict[str, Any]] = {}
    _collect(paths, description["components"], components)
    return {"openapi": description["openapi"], "info": description["info"], "paths": paths, "components": components}


def _named(operations: Mapping[str, Any], names: str) -> dict[str, Any]:
    places = [name.strip("{}") for name in ("owner", "repo", *names.split("/"))]
    parameters = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in places]
    unique = "-".join(places)
    return {
        method: {**operation, "operationId": f"{operation['operationId']}-{unique}", "parameters": parameters}
        for method, operation in operations.items()
    }


def _collect(node: Any, known: Mapping[str, Any], found: dict[str, dict[str, Any]]) -> None:
    """Find the components that a part of the description refers to, and those they refer to."""
    for reference in _references(node):
        _, _, kind, name = reference.split("/")
        if name not in found.setdefault(kind, {}):
            found[kind][name] = known[kind][name]
            _collect(known[kind][name], known, found)


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        # Examples are long, and no answer is made of them.
        node.pop("examples", None)
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for child in children:
        yield from _references(child)


@contextmanager
def proxy(upstream: str, folder: Path) -> Iterator[str]:
    """Run the proxy before a server; its files are written into the folder. Its address is what clients use."""
    modules = Path(os.environ[NODE_MODULES])
    described = folder / "github.json"
    described.write_text(json.dumps(cut(json.loads((modules / _DESCRIPTION).read_text("utf-8")))), "utf-8")
    port = _free_port()
    options = ["--errors", str(described), upstream, "-p", str(port), "-h", "127.0.0.1"]
    with (folder / "prism.log").open("wb") as log:
        command = ["node", str(modules / _PROGRAM), "proxy", *options]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        try:
            _wait(process, port, folder / "prism.log")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(timeout=_SECONDS)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"prism did not start: {log.read_text('utf-8')}")
