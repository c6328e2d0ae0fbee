"""A job for GitHub Actions or GitLab that checks the code for leaks and runs the tests with every connection watched.

It installs the project as the project itself is installed, on its own Python, with the database servers its settings
speak of. Nothing but Python packages is brought in: the only actions are GitHub's own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from string import Template

from leakfix.instrument import NewContent, Proposal
from leakfix.instrument.known import OLDEST_PYTHON, Project, normalised, pattern_of, table_at
from leakfix.project import git
from leakfix.resources import ServerRow

GITHUB = ".github/workflows/connection-leaks.yml"
GITLAB = ".gitlab/connection-leaks.yml"
_GITLAB_MAIN = ".gitlab-ci.yml"
_ON_GITHUB = re.compile(r"^\s*url\s*=\s*(?:https://(?:[^@/\s]+@)?|ssh://git@|git@)github\.com[:/]", re.MULTILINE)

# Major versions as of July 2026; both need no more than to read the repository.
_WORKFLOW = Template("""\
name: Connection leaks

on:
  pull_request:
  push:
    branches: [main, master]

permissions:
  contents: read

jobs:
  connection-leaks:
    runs-on: ubuntu-latest
    timeout-minutes: 30
$services$environment\
    steps:
      - uses: actions/checkout@v7
        with:
          persist-credentials: false
      - uses: actions/setup-python@v7
        with:
          $python
      - name: Install
        run: |
$install
      - name: Look for leaks in the code
        run: $check
      - name: Look for leaks while the tests run
        run: $test
""")

_JOB = Template("""\
connection-leaks:
  stage: $stage
  image: python:$python
  timeout: 30 minutes
  rules:
    - if: $$CI_PIPELINE_SOURCE == "merge_request_event"
    - if: $$CI_COMMIT_BRANCH == $$CI_DEFAULT_BRANCH
$services$environment\
  script:
$script
""")

_VARIABLE = re.compile(
    r"\b(?:(?:\w+_)?(?P<address>(?:DATABASE|DB|POSTGRES|POSTGRESQL|PG|MYSQL|MARIADB)_(?:URL|URI|DSN))"
    r"|(?:POSTGRES|POSTGRESQL|PG|MYSQL|MARIADB|DB|DATABASE|SQL)_?(?P<part>USERNAME|USER|PASSWORD|PASS|HOST|SERVER|PORT|"
    r"NAME|DATABASE|DB))\b"
)
_READ = re.compile(r"""(?:environ(?:\.get)?|getenv|env(?:\.\w+)?|config|Env)\s*[\[(]\s*["']([A-Z][A-Z0-9_]*)["']""")
_FIELD = re.compile(r"^[ \t]+([A-Za-z][A-Za-z0-9_]*)[ \t]*:", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Server:
    """A server with what it is entered with. scheme: how the project's addresses of it begin."""

    row: ServerRow
    scheme: str
    user: str
    password: str
    database: str

    @property
    def environment(self) -> list[tuple[str, str]]:
        """The container's variables."""
        given = {"password": self.password, "database": self.database}
        pairs = (Template(text).substitute(given).partition("=") for text in self.row.environment)
        return [(name, value) for name, _, value in pairs]

    @property
    def health(self) -> str:
        """The command that succeeds once it answers."""
        return Template(self.row.health).substitute(password=self.password, database=self.database)

    @property
    def host(self) -> str:
        """What GitLab calls it."""
        return self.row.image.partition(":")[0]

    def address(self, host: str) -> str:
        """Where tests find it."""
        return f"{self.scheme}://{self.user}:{self.password}@{host}:{self.row.port}/{self.database}"

    def value(self, variable: re.Match[str], host: str) -> str:
        """What a variable that the project reads has to hold."""
        if variable["address"]:
            return self.address(host)
        part = variable["part"]
        known = {"HOST": host, "SERVER": host, "PORT": str(self.row.port), "USER": self.user, "USERNAME": self.user}
        return known.get(part) or (self.password if part.startswith("PASS") else self.database)


def propose(project: Project) -> list[Proposal]:
    """A job for each service that runs the project's CI, or why there is none to write."""
    on_github, on_gitlab = _is_on_github(), os.path.isfile(_GITLAB_MAIN)
    if not on_github and not on_gitlab:
        return [Proposal("neither .github nor .gitlab-ci.yml is here, and no remote is at github.com")]
    top = git.work_tree(".")
    if top is not None and top != os.path.realpath("."):
        return [Proposal(f"CI reads its files in the top folder of the repository only: run this in {top}")]
    if project.python is None:
        return [Proposal(f"leakfix needs Python {_dotted(OLDEST_PYTHON)}, which this project excludes")]
    if project.test_folder is None and not project.sources:
        return [Proposal("there is no Python here that a job could check")]
    proposals = [_on_github(project)] if on_github else []
    return [*proposals, _on_gitlab(project)] if on_gitlab else proposals


def _is_on_github() -> bool:
    top = git.work_tree(".")
    if os.path.isdir(".github") or top is None:
        return os.path.isdir(".github")
    try:
        with open(os.path.join(top, ".git", "config"), encoding="utf-8", errors="replace") as stream:
            return _ON_GITHUB.search(stream.read()) is not None
    except OSError:
        return False


def _on_github(project: Project) -> Proposal:
    if os.path.lexists(GITHUB):
        return Proposal(f"{GITHUB} is there already", exists=True)
    servers = _servers(project)
    text = _WORKFLOW.substitute(
        services=_github_services(servers),
        environment=_mapping("env", _environment(project, servers, "localhost"), 4),
        python="python-version-file: .python-version"
        if project.pinned_python
        else f'python-version: "{_python(project)}"',
        install=_lines(_install(project), " " * 10),
        check=f"{_runner(project)}leakfix check .",
        test=f"{_runner(project)}pytest --leakfix",
    )
    return Proposal(
        "a workflow for GitHub Actions", (NewContent(GITHUB, None, text.encode()),), _untold(project, servers)
    )


def _on_gitlab(project: Project) -> Proposal:
    include = f"add to {_GITLAB_MAIN}, below `include:`, the line `- local: {GITLAB}`"
    included = "connection-leaks.yml" in project.text(_GITLAB_MAIN)
    if os.path.lexists(GITLAB):
        return Proposal(f"{GITLAB} is there already", notes=() if included else (include,), exists=True)
    servers = _servers(project)
    run = _runner(project)
    commands = [*_install(project), f"{run}leakfix check .", f"{run}pytest --leakfix"]
    host = servers[0].host if servers else ""
    variables = [pair for server in servers for pair in server.environment] + _environment(project, servers, host)
    text = _JOB.substitute(
        stage=_stage(project.text(_GITLAB_MAIN)),
        python=_python(project),
        services=_gitlab_services(servers),
        environment=_mapping("variables", list(dict(variables).items()), 2),
        script=_lines([f"- {_scalar(command)}" for command in commands], " " * 4),
    )
    notes = (*(() if included else (include,)), *_untold(project, servers))
    return Proposal("a job for GitLab CI", (NewContent(GITLAB, None, text.encode()),), notes)


def _stage(text: str) -> str:
    """A stage that the pipeline has: ``test``, which is always there unless stages are named, or one like it."""
    match = re.search(r"^stages:[ \t]*(?:\[([^\]]*)\]|((?:\n[ \t]*-[ \t]*[^\n]+)+))", text, re.MULTILINE)
    if match is None:
        return "test"
    named = re.findall(r"[\w.-]*\w", match[1] or match[2])
    return next((name for name in named if "test" in name), named[0] if named else "test")


# -- installing -----------------------------------------------------------------------------------------------------


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


def _python(project: Project) -> str:
    return _dotted(project.python or OLDEST_PYTHON)


def _tool(project: Project) -> str:
    """The installer in use, by its lock file; pip where there is none."""
    known = (("uv.lock", "uv"), ("poetry.lock", "poetry"), ("pdm.lock", "pdm"))
    return next((tool for lock, tool in known if os.path.isfile(lock)), "pip")


def _runner(project: Project) -> str:
    tool = _tool(project)
    if tool == "uv":
        added = "".join(f" --with {package}" for package in _missing(project))
        return f"uv run --no-sync{added} "
    return "" if tool == "pip" else f"{tool} run "


def _missing(project: Project) -> list[str]:
    return [package for package in ("pytest", "leakfix") if not project.requires(package)]


def _install(project: Project) -> list[str]:
    """The commands that install the project, its tests' requirements and leakfix."""
    tool, missing = _tool(project), " ".join(_missing(project))
    extras = [need.name for need in project.needs if need.kind == "extra"]
    groups = [need.name for need in project.needs if need.kind in ("group", "poetry", "pdm")]
    if tool == "uv":
        chosen = [f" --extra {name}" for name in extras] + [f" --group {name}" for name in groups if name != "dev"]
        return ["python -m pip install uv", f"uv sync --locked{''.join(chosen)}"]
    if tool == "poetry":
        optional = [name for name in groups if table_at(project.tool("poetry"), "group", name).get("optional")]
        chosen = [f" --with {name}" for name in optional] + [f" --extras {name}" for name in extras]
        own = [f"poetry run python -m pip install {missing}"] if missing else []
        return ["python -m pip install poetry", f"poetry install{''.join(chosen)}", *own]
    if tool == "pdm":
        chosen = [f" -G {name}" for name in extras]
        own = [f"pdm run python -m ensurepip && pdm run python -m pip install {missing}"] if missing else []
        return ["python -m pip install pdm", f"pdm install --frozen-lockfile{''.join(chosen)}", *own]
    return [
        *_install_with_pip(project, extras, [need.name for need in project.needs if need.kind == "group"]),
        *_own(missing),
    ]


def _own(missing: str) -> list[str]:
    return [f"python -m pip install {missing}"] if missing else []


def _install_with_pip(project: Project, extras: list[str], groups: list[str]) -> Iterator[str]:
    files = ["requirements.txt"] if os.path.isfile("requirements.txt") else []
    files += [need.name for need in project.needs if need.kind == "file"]
    if files:
        yield "python -m pip install" + "".join(f" -r {name}" for name in files)
    if project.is_package:
        yield f'python -m pip install -e ".[{",".join(extras)}]"' if extras else "python -m pip install -e ."
    if groups:
        yield "python -m pip install --upgrade pip"  # groups are known from 25.1 on
        yield "python -m pip install" + "".join(f" --group {name}" for name in groups)


# -- servers --------------------------------------------------------------------------------------------------------


def _servers(project: Project) -> list[_Server]:
    return [_server(project, row) for row in project.servers]


def _server(project: Project, row: ServerRow) -> _Server:
    """A server, entered as the code itself says where that names this machine; other passwords are not repeated."""
    found = [match for path in project.files for match in pattern_of(row).finditer(project.text(path))]
    scheme = next((match["scheme"] for match in found if match["scheme"]), row.schemes[0])
    for match in found:
        own_user = match["user"] == row.user
        if own_user and match["host"] in ("localhost", "127.0.0.1") and match["port"] in (None, str(row.port)):
            return _Server(row, scheme, match["user"], match["password"], match["database"])
    return _Server(row, scheme, row.user, "test", "test")


def _environment(project: Project, servers: list[_Server], host: str) -> list[tuple[str, str]]:
    """The variables of the first server that the project reads, with the values of the job's."""
    if not servers:
        return []
    found = (_VARIABLE.fullmatch(name) for name in sorted(_read_names(project)))
    return [(match.group(), servers[0].value(match, host)) for match in found if match]


def _read_names(project: Project) -> set[str]:
    """Names of environment variables that the project's code asks for, or that its settings class has as fields."""
    names: set[str] = set()
    for path in project.files:
        text = project.text(path)
        names.update(_READ.findall(text))
        if "BaseSettings" in text:
            names.update(name.upper() for name in _FIELD.findall(text))
    return names


def _untold(project: Project, servers: list[_Server]) -> tuple[str, ...]:
    notes = []
    if servers and not _environment(project, servers, "localhost"):
        address = servers[0].address("localhost")
        notes.append(
            f"no variable was seen that tells the tests where {servers[0].row.name} is; the job has it at {address}"
        )
    if len(servers) > 1:
        notes.append(f"variables were set for {servers[0].row.name} only")
    drivers = {normalised(name): row.name for row in project.table.servers for name in row.drivers}
    started = {server.row.name for server in servers}
    unspoken = sorted({drivers[name] for name in project.requirements & drivers.keys()} - started)
    if unspoken:
        notes.append(f"no {' or '.join(unspoken)} is started: a driver is required, but no setting speaks of it")
    return tuple(notes)


# -- YAML -----------------------------------------------------------------------------------------------------------


def _github_services(servers: list[_Server]) -> str:
    if not servers:
        return ""
    lines = ["    services:"]
    for server in servers:
        lines += [f"      {server.host}:", f"        image: {server.row.image}", "        env:"]
        lines += [f"          {name}: {_scalar(value)}" for name, value in server.environment]
        lines += ["        ports:", f'          - "{server.row.port}:{server.row.port}"', "        options: >-"]
        lines += [f'          --health-cmd "{server.health}"']
        lines += ["          --health-interval 5s --health-timeout 5s --health-retries 20"]
    return "\n".join(lines) + "\n"


def _gitlab_services(servers: list[_Server]) -> str:
    if not servers:
        return ""
    lines = ["  services:"]
    for server in servers:
        lines += [f"    - name: {server.row.image}", f"      alias: {server.host}"]
    return "\n".join(lines) + "\n"


def _mapping(key: str, pairs: list[tuple[str, str]], depth: int) -> str:
    if not pairs:
        return ""
    lines = [f"{key}:", *(f"  {name}: {_scalar(value)}" for name, value in pairs)]
    return "".join(" " * depth + line + "\n" for line in lines)


def _scalar(text: str) -> str:
    """A YAML scalar: plain where nothing in it could be read otherwise, else in quotes."""
    if re.fullmatch(r"[A-Za-z](?:[\w ./=&-]|:(?=/))*", text) and text.lower() not in (
        "true",
        "false",
        "yes",
        "no",
        "null",
    ):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _lines(texts: list[str], indent: str) -> str:
    return "\n".join(indent + text for text in texts)
