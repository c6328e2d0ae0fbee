"""What is to be done about each pull request: a decision from what is wanted and what is there, without any side."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from leakfix.forge.body import REBASE, STOP, WITHDRAWN, mark_of
from leakfix.forge.proposals import Proposal
from leakfix.forge.protocol import PullRequest, State

_HOUR = timedelta(hours=1)


class Step(StrEnum):
    """What is done about one proposal or one pull request."""

    OPEN = "open"
    UPDATE = "update"
    CLOSE = "close"
    LEAVE = "leave"
    WAIT = "wait"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Limits:
    """How many pull requests may be open, and be opened within an hour; 0 for no limit."""

    open: int = 10
    hourly: int = 2


@dataclass(frozen=True)
class Action:
    """One step, and why. tip: where the branch is now."""

    step: Step
    why: str
    branch: str
    proposal: Proposal | None = None
    pull: PullRequest | None = None
    tip: str | None = None

    @property
    def title(self) -> str:
        """What it is about."""
        return self.proposal.title if self.proposal is not None else self.pull.title if self.pull is not None else ""


@dataclass(frozen=True)
class Situation:
    """What is there.

    tips: the branches of leakfix on the server. again: keys that people ticked.
    covers: whether a pull request's key was within what was checked, without an error.
    ours: whether nobody changed a commit that leakfix made.
    """

    pulls: Sequence[PullRequest]
    tips: Mapping[str, str]
    base: str
    again: Collection[str]
    now: datetime
    covers: Callable[[str], bool]
    ours: Callable[[str], bool]


def plan(wanted: Sequence[Proposal], there: Situation, limits: Limits) -> list[Action]:
    """The actions, in the order in which they are to be done: what is there first, then what is new."""
    known = {proposal.key for proposal in wanted}
    actions = [_about(proposal, there) for proposal in wanted]
    for pull in there.pulls:
        mark = mark_of(pull.body)
        if pull.state is State.OPEN and mark is not None and mark.key not in known:
            actions.append(_left_over(pull, mark.key, there))
    order = [Step.CLOSE, Step.UPDATE, Step.LEAVE, Step.NEVER, Step.OPEN]
    return _limited(sorted(actions, key=lambda action: order.index(action.step)), there, limits)


def _about(proposal: Proposal, there: Situation) -> Action:
    pulls = [pull for pull in there.pulls if pull.branch == proposal.branch or _key(pull) == proposal.key]
    pulls.sort(key=lambda pull: -pull.number)
    tip = there.tips.get(proposal.branch)
    running = next((pull for pull in pulls if pull.state is State.OPEN), None)
    if running is not None:
        return _about_open(proposal, running, tip, there)
    refused = next((pull for pull in pulls[:1] if pull.state is State.CLOSED and not _is_withdrawn(pull)), None)
    if refused is not None and proposal.key not in there.again:
        why = f"#{refused.number} was closed without being merged"
        return Action(Step.NEVER, why, proposal.branch, proposal, refused, tip)
    if tip is not None and not there.ours(tip):
        return Action(Step.LEAVE, "the branch has commits of others", proposal.branch, proposal, None, tip)
    why = "was asked for again" if proposal.key in there.again else "is new"
    return Action(Step.OPEN, why, proposal.branch, proposal, None, tip)


def _about_open(proposal: Proposal, pull: PullRequest, tip: str | None, there: Situation) -> Action:
    def action(step: Step, why: str) -> Action:
        return Action(step, why, proposal.branch, proposal, pull, tip)

    mark = mark_of(pull.body)
    if REBASE in pull.labels:
        return action(Step.UPDATE, f"has the label {REBASE}")
    if STOP in pull.labels:
        return action(Step.LEAVE, f"has the label {STOP}")
    if tip is not None and (mark is None or tip != mark.head) and not there.ours(tip):
        return action(Step.LEAVE, "the branch has commits of others")
    if tip is None:
        return action(Step.UPDATE, "its branch is gone")
    if mark is None or mark.content != proposal.content:
        return action(Step.UPDATE, "its repairs are others now")
    if tip != mark.head:
        return action(Step.UPDATE, "an earlier run did not finish")
    if pull.base != there.base:
        return action(Step.UPDATE, f"the default branch is {there.base} now")
    return action(Step.LEAVE, "is up to date")


def _left_over(pull: PullRequest, key: str, there: Situation) -> Action:
    tip, mark = there.tips.get(pull.branch), mark_of(pull.body)
    if STOP in pull.labels:
        return Action(Step.LEAVE, f"has the label {STOP}", pull.branch, None, pull, tip)
    if not there.covers(key):
        return Action(Step.LEAVE, "is about something this run did not look at", pull.branch, None, pull, tip)
    if tip is not None and (mark is None or tip != mark.head) and not there.ours(tip):
        return Action(Step.LEAVE, "the branch has commits of others", pull.branch, None, pull, tip)
    return Action(Step.CLOSE, "nothing is left to repair", pull.branch, None, pull, tip)


def _is_withdrawn(pull: PullRequest) -> bool:
    mark = mark_of(pull.body)
    return mark is not None and mark.content == WITHDRAWN


def _key(pull: PullRequest) -> str | None:
    mark = mark_of(pull.body)
    return mark.key if mark is not None else None


def _limited(actions: list[Action], there: Situation, limits: Limits) -> list[Action]:
    closing = sum(action.step is Step.CLOSE for action in actions)
    running = sum(pull.state is State.OPEN for pull in there.pulls) - closing
    recent = sum(there.now - pull.created < _HOUR for pull in there.pulls)
    result = []
    for action in actions:
        if action.step is Step.OPEN:
            if limits.open and running >= limits.open:
                action = _waiting(action, f"{running} pull requests are open; more than {limits.open} are not")
            elif limits.hourly and recent >= limits.hourly:
                action = _waiting(action, f"{recent} were opened within an hour; more than {limits.hourly} are not")
            else:
                running, recent = running + 1, recent + 1
        result.append(action)
    return result


def _waiting(action: Action, why: str) -> Action:
    return Action(Step.WAIT, why, action.branch, action.proposal, None, action.tip)
