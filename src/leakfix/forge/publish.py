"""From a plan to pull requests: look at what is there, do one step after the other, tell what became of each.

Nothing is remembered between runs but on the forge. Every step can be interrupted: the next run finds out how far it
came and goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from leakfix.forge.body import (
    DASHBOARD,
    LABEL,
    REBASE,
    Entry,
    body_of,
    dashboard_of,
    mark_of,
    ticked,
    withdrawn,
)
from leakfix.forge.owners import owners
from leakfix.forge.plan import Action, Situation, Step
from leakfix.forge.proposals import PREFIX, Proposal, committed, untouched
from leakfix.forge.protocol import (
    Forge,
    ForgeError,
    Hosted,
    Issue,
    NewPullRequest,
    PullRequest,
    Throttled,
    Unauthorized,
    Unavailable,
)
from leakfix.forge.remote import Remote
from leakfix.forge.repository import GitFailed, Person, Repository

_NOTHING_LEFT = "leakfix finds nothing here any more that this would repair, and closes it."
_DASHBOARD_TITLE = "leakfix: leaks and their repairs"
_ENDING = (Unauthorized, Throttled, Unavailable)


@dataclass(frozen=True)
class Style:
    """How pull requests are made.

    why: what a rule's codemod says of the harm. labels: beside our own. reviewers: beside the owners of the code.
    """

    person: Person
    why: Callable[[str], str]
    draft: bool = False
    labels: tuple[str, ...] = ()
    reviewers: tuple[str, ...] = ()
    ask_owners: bool = True
    with_dashboard: bool = True


@dataclass(frozen=True)
class Done:
    """What became of an action. trouble: what went wrong; url: the pull request, where there is one."""

    action: Action
    url: str = ""
    trouble: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Publisher:
    """One repository on a forge, and a place to make commits for it."""

    forge: Forge
    hosted: Hosted
    remote: Remote
    repository: Repository
    base: str
    base_branch: str
    style: Style

    def situation(
        self, wanted: Sequence[Proposal], covers: Callable[[str], bool], now: datetime, issue: Issue | None
    ) -> Situation:
        """What is there. Raises ForgeError."""
        pulls = {pull.number: pull for pull in self.forge.labelled(LABEL)}
        known = {mark.key for pull in pulls.values() if (mark := mark_of(pull.body)) is not None}
        for proposal in wanted:
            if proposal.key not in known:
                pulls |= {pull.number: pull for pull in self.forge.of_branch(proposal.branch)}
        again = ticked(issue.body) if issue is not None else set()
        tips = self.remote.tips(f"{PREFIX}*")
        found = [pulls[number] for number in sorted(pulls)]
        return Situation(found, tips, self.base_branch, again, now, covers, self._ours)

    def _ours(self, tip: str) -> bool:
        if not self.repository.has(tip):
            self.remote.fetch(tip, depth=2)
        try:
            return untouched(self.repository, tip, self.style.person)
        except GitFailed:
            return False

    def carry_out(self, actions: Sequence[Action]) -> Iterator[Done]:
        """Do one after the other; what cannot be done harms no other, unless the forge is done with us."""
        ended = ""
        for action in actions:
            if ended:
                yield Done(action, _url(action), f"not tried: {ended}")
                continue
            try:
                yield self._do(action)
            except _ENDING as error:
                ended = str(error)
                yield Done(action, _url(action), ended)
            except (ForgeError, GitFailed) as error:
                yield Done(action, _url(action), str(error))

    def _do(self, action: Action) -> Done:
        proposal, pull = action.proposal, action.pull
        if action.step is Step.CLOSE and pull is not None:
            self._close(action, pull)
        elif action.step is Step.UPDATE and proposal is not None and pull is not None:
            self._update(action, proposal, pull)
        elif action.step is Step.OPEN and proposal is not None:
            return self._open(action, proposal)
        return Done(action, _url(action))

    def _open(self, action: Action, proposal: Proposal) -> Done:
        commit = self._pushed(action, proposal)
        body = body_of(proposal, commit, self.style.why(proposal.rule))
        made = self.forge.open(
            NewPullRequest(proposal.branch, self.base_branch, proposal.title, body, self.style.draft)
        )
        return Done(action, made.url, "", tuple(self._dressed(made, proposal)))

    def _dressed(self, pull: PullRequest, proposal: Proposal) -> Iterator[str]:
        """Labels and reviewers; without them a pull request is still one."""
        try:
            self.forge.add_labels(pull.number, [LABEL, *self.style.labels])
        except _ENDING:
            raise
        except ForgeError as error:
            yield f"no labels: {error}"
        for name in self._reviewers(proposal):
            try:
                self.forge.ask_for_review(pull.number, [name])
            except (Unauthorized, Throttled):
                raise
            except ForgeError as error:
                yield f"{name} was not asked for a review: {error}"

    def _reviewers(self, proposal: Proposal) -> Sequence[str]:
        found = list(self.style.reviewers)
        if self.style.ask_owners:
            found += owners(self.repository, self.base, proposal.files)
        return tuple(dict.fromkeys(found))

    def _update(self, action: Action, proposal: Proposal, pull: PullRequest) -> None:
        commit = self._pushed(action, proposal)
        body = body_of(proposal, commit, self.style.why(proposal.rule))
        base = self.base_branch if pull.base != self.base_branch else None
        self.forge.edit(pull.number, title=proposal.title, body=body, base=base)
        if REBASE in pull.labels:
            self.forge.remove_label(pull.number, REBASE)

    def _pushed(self, action: Action, proposal: Proposal) -> str:
        commit = committed(self.repository, proposal, self.base, self.style.person)
        if action.tip != commit:
            self.remote.push(proposal.branch, commit, action.tip)
        return commit

    def _close(self, action: Action, pull: PullRequest) -> None:
        self.forge.edit(pull.number, body=withdrawn(pull.body))
        self.forge.comment(pull.number, _NOTHING_LEFT)
        self.forge.close(pull.number)
        if action.tip is not None:
            self.remote.delete(pull.branch, action.tip)

    def dashboard(self, done: Sequence[Done], there: Situation, issue: Issue | None, left: str) -> str:
        """Write the issue where it says something new; its address, empty where there is none."""
        groups = _groups(done, there)
        if left:
            groups.append(("Without a repair", [Entry(left)]))
        body = dashboard_of(groups)
        if issue is None and not any(entries for _, entries in groups):
            return ""
        if issue is None or issue.body.replace("\r\n", "\n").strip() != body.strip():
            issue = self.forge.write_dashboard(DASHBOARD, _DASHBOARD_TITLE, body, issue)
        return issue.url


def _url(action: Action) -> str:
    return action.pull.url if action.pull is not None else ""


def _groups(done: Sequence[Done], there: Situation) -> list[tuple[str, list[Entry]]]:
    groups: dict[str, list[Entry]] = {
        "Open": [],
        "Waiting for room": [],
        "Closed without being merged": [],
        "Left alone": [],
        "Not done": [],
    }
    for item in done:
        action = item.action
        key = action.proposal.key if action.proposal is not None else ""
        if item.trouble:
            groups["Not done"].append(Entry(f"{action.title}: {item.trouble}", item.url))
        elif action.step is Step.NEVER:
            groups["Closed without being merged"].append(Entry(action.title, item.url, key))
        elif action.step is Step.WAIT:
            waiting = Entry(f"{action.title}: {action.why}", "", key if key in there.again else "", key in there.again)
            groups["Waiting for room"].append(waiting)
        elif action.step is Step.LEAVE and action.why != "is up to date":
            groups["Left alone"].append(Entry(f"{action.title}: {action.why}", item.url))
        elif action.step is not Step.CLOSE:
            groups["Open"].append(Entry(action.title, item.url))
    return [(title, sorted(entries, key=lambda entry: entry.text)) for title, entries in groups.items()]
