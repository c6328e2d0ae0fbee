"""What ``pr`` and ``bot`` share: from the options to what became of every pull request."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from leakfix.cli.options import Settings, settings
from leakfix.cli.terminal import complain, progress
from leakfix.finding import Finding, Safety

if TYPE_CHECKING:
    from leakfix.forge.protocol import Forge, Hosted
    from leakfix.forge.publish import Style
    from leakfix.forge.remote import Remote
    from leakfix.forge.repository import Person, Repository
    from leakfix.forge.targets import Target
    from leakfix.forge.tell import Outcome
    from leakfix.registry import Registry
    from leakfix.result import Report

Command = TypeVar("Command", bound=Callable[..., Any])

_FORGING = (
    click.option("--remote", default="origin", metavar="NAME", help="The remote on the forge.  [default: origin]"),
    click.option("--url", metavar="URL", help="The repository's address instead of a remote's."),
    click.option(
        "--forge", "kind", type=click.Choice(["github", "gitlab"]), help="Which forge, if not clear from its name."
    ),
    click.option("--api-url", metavar="URL", help="Where the forge's API is.  [default: from the address]"),
    click.option("--base", "base_branch", metavar="BRANCH", help="Repair this branch.  [default: the default branch]"),
    click.option("--unsafe-fixes", is_flag=True, help="Propose the fixes that want a review, too."),
    click.option("--draft", is_flag=True, help="Open drafts."),
    click.option("--label", "labels", multiple=True, metavar="LABEL", help="Put this on new ones, too."),
    click.option(
        "--reviewer", "reviewers", multiple=True, metavar="NAME", help="Ask a person or org/team for a review."
    ),
    click.option("--no-owners", is_flag=True, help="Do not ask the owners that CODEOWNERS names."),
    click.option("--most-open", default=10, type=click.IntRange(0), metavar="N", help="0: any number.  [default: 10]"),
    click.option("--most-hourly", default=2, type=click.IntRange(0), metavar="N", help="0: any number.  [default: 2]"),
    click.option("--fork", is_flag=True, help="Work from a fork where the token may not push."),
    click.option("--no-dashboard", is_flag=True, help="Write no dashboard issue."),
    click.option(
        "--patience", default=300, type=click.IntRange(0), metavar="SECONDS", help="Wait for a forge.  [default: 300]"
    ),
)


def forging(command: Command) -> Command:
    """Add the options of every command that works on a forge."""
    for decorate in reversed(_FORGING):
        command = decorate(command)
    return command


def publishing(dry_run: bool, from_job: bool = False, **options: Any) -> Outcome | None:
    """Check the base branch and bring the forge up to it; None where that failed as a whole, which was told."""
    from leakfix.forge.protocol import ForgeError
    from leakfix.forge.repository import GitFailed

    try:
        return _published(dry_run, from_job, options)
    except (ForgeError, GitFailed) as error:
        complain("error", str(error))
        return None


def _published(dry_run: bool, from_job: bool, options: Mapping[str, Any]) -> Outcome:
    from leakfix.forge.patience import Patience
    from leakfix.forge.protocol import NotAllowed
    from leakfix.forge.remote import Remote, workshop
    from leakfix.forge.repository import Person
    from leakfix.forge.targets import target_of

    local = _local()
    target = target_of(_url(local, from_job, options), options["kind"], options["api_url"])
    patience = Patience(most=float(options["patience"]))
    try:
        forge = target.connected(patience)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("github", "gitlab", "requests"):
            raise
        raise click.ClickException(f"needs more packages: pip install 'leakfix[{target.kind}]'") from error
    with contextlib.ExitStack() as stack:
        stack.callback(forge.close_connection)
        with progress(f"asking {forge.name}"):
            hosted = forge.hosted(options["fork"] and not dry_run)
            scratch = stack.enter_context(workshop(local, target.url, forge.user, target.token))
            upstream = Remote(scratch, target.url, target.token, patience)
            pushed = Remote(scratch, target.beside(hosted.push_url), target.token, patience)
            branch = options["base_branch"] or hosted.default_branch
            base = upstream.tips(branch).get(branch)
            if base is None:
                raise NotAllowed(f"{target.path} has no branch {branch!r}")
            if not scratch.has(base):
                upstream.fetch(base, depth=1 if upstream.url == pushed.url else 2**31 - 1)
        person = local.person() if local is not None else Person("leakfix", "leakfix@localhost")
        return _brought_up(_Job(target, forge, hosted, pushed, scratch, base, branch, person), dry_run, options)


@dataclass(frozen=True)
class _Job:
    target: Target
    forge: Forge
    hosted: Hosted
    remote: Remote
    scratch: Repository
    base: str
    branch: str
    person: Person


def _brought_up(job: _Job, dry_run: bool, options: Mapping[str, Any]) -> Outcome:
    from leakfix.forge.body import DASHBOARD, body_of
    from leakfix.forge.plan import Limits, plan
    from leakfix.forge.proposals import committed, proposals
    from leakfix.forge.protocol import ForgeError
    from leakfix.forge.publish import Done, Publisher
    from leakfix.forge.tell import Outcome

    with _checked(job, options) as (run, report, folder):

        def accepts(finding: Finding) -> bool:
            return finding.fix is not None and (options["unsafe_fixes"] or finding.fix.safety is Safety.SAFE)

        wanted = proposals(report, accepts, folder)
        broken = {error.path for error in report.errors}

        def covers(key: str) -> bool:
            rule, _, package = key.partition(":")
            known = run.registry.codemods.get(rule)
            selected = known is not None and run.config.selected(rule, known.category)
            return selected and not any(path.startswith(f"{package}/" if package else "") for path in broken)

    style = _style(job, run.registry, options)
    publisher = Publisher(job.forge, job.hosted, job.remote, job.scratch, job.base, job.branch, style)
    with progress("looking at what is there"):
        issue = job.forge.dashboard(DASHBOARD) if style.with_dashboard else None
        there = publisher.situation(wanted, covers, datetime.now(UTC), issue)
    actions = plan(wanted, there, Limits(options["most_open"], options["most_hourly"]))
    without = len(report.findings) - sum(len(proposal.repairs) for proposal in wanted)
    found = len(report.findings)
    if dry_run:
        bodies = {
            proposal.branch: body_of(
                proposal, committed(job.scratch, proposal, job.base, job.person), style.why(proposal.rule)
            )
            for proposal in wanted
        }
        done = [Done(action, action.pull.url if action.pull else "") for action in actions]
        return Outcome(job.target.path, job.base, found, without, done, "", True, (), bodies)
    with progress("working on pull requests"):
        done = list(publisher.carry_out(actions))
        dashboard, trouble = "", tuple[str, ...]()
        if style.with_dashboard:
            try:
                dashboard = publisher.dashboard(done, there, issue, _left(without))
            except ForgeError as error:
                trouble = (f"the dashboard: {error}",)
    return Outcome(job.target.path, job.base, found, without, done, dashboard, False, trouble)


def _left(without: int) -> str:
    if not without:
        return ""
    noun = "finding has" if without == 1 else "findings have"
    return f"{without} {noun} no repair that may be proposed; leakfix check shows them"


@contextlib.contextmanager
def _checked(job: _Job, options: Mapping[str, Any]) -> Iterator[tuple[Settings, Report, str]]:
    """The base branch's files, checked, as long as they are needed."""
    from leakfix.forge.export import exported

    names = ("select", "ignore", "jobs", "config_file", "no_cache", "evidence", "extend_select", "isolated")
    with exported(job.scratch, job.base) as folder, contextlib.chdir(folder):
        run = settings(paths=(), **{name: options[name] for name in names})
        from leakfix import engine

        with progress("checking"):
            report = engine.check(run.paths, run.config, run.registry, run.jobs, run.evidence)
        for error in report.errors:
            complain("warning", f"{error.path}: {error.message}")
        yield run, report, folder


def _style(job: _Job, registry: Registry, options: Mapping[str, Any]) -> Style:
    from leakfix.forge.publish import Style

    return Style(
        person=job.person,
        why=lambda rule: registry.codemods[rule].section("Why it hurts"),
        draft=options["draft"],
        labels=options["labels"],
        reviewers=options["reviewers"],
        ask_owners=not options["no_owners"],
        with_dashboard=not options["no_dashboard"],
    )


def _local() -> Repository | None:
    """The clone the command is called in: its objects spare a fetch. None where there is none."""
    from leakfix.forge.repository import GitFailed, Repository

    try:
        return Repository(os.getcwd())
    except GitFailed:
        return None


def _url(local: Repository | None, from_job: bool, options: Mapping[str, Any]) -> str:
    from leakfix.forge.protocol import ForgeError
    from leakfix.forge.targets import job_url

    url = options["url"] or (job_url() if from_job else "")
    if url:
        return str(url)
    if local is None:
        raise ForgeError("this is no clone of a repository: go into one, or name the repository by --url")
    return local.remote_url(options["remote"])
