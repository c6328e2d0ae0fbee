"""From endings to leaks: which paths lose the resource, how sure that is, and the witness to show."""

from __future__ import annotations

from dataclasses import dataclass

from leakfix.finding import Severity, Step
from leakfix.ir.nodes import Call, Flow, Function, Nothing, Return
from leakfix.lifetimes.solver import Ending, Hop, Solver
from leakfix.lifetimes.state import Role, Status
from leakfix.lifetimes.summaries import Site, Summaries
from leakfix.resources import Resource

_WORST_FIRST = ("return", "lost", "raise", "abandon")


@dataclass(frozen=True, slots=True)
class Leak:
    """An acquisition that some path of its function loses.

    never: no path releases it or hands it on.
    ways: how the losing paths end, the worst first.
    kept: another path hands it on: returns it, stores it, gives it to an owner.
    view_leaves: something lazy made from it leaves the function on a losing path.
    """

    site: Site
    function: Function
    severity: Severity
    message: str
    witness: tuple[Step, ...]
    never: bool
    kept: bool
    ways: tuple[str, ...]
    view_leaves: bool

    @property
    def resource(self) -> Resource:
        """What is lost."""
        return self.site.resource


_HANDED_ON = frozenset({Status.RETURNED, Status.CARRIED, Status.STORED})


class TooManyStates(ValueError):
    """The paths of the function are too many to follow."""


def leaks_of(function: Function, summaries: Summaries) -> list[Leak]:
    """Every acquisition of a function that some path loses. Raises TooManyStates."""
    found = []
    for site in summaries.sites(function):
        leak = _judge(function, site, summaries)
        if leak is not None:
            found.append(leak)
    return found


def _judge(function: Function, site: Site, summaries: Summaries) -> Leak | None:
    endings = _endings(function, site, summaries)
    lost = [e for e in endings if e.state.status is Status.OWNED and e.how in _WORST_FIRST]
    kept = {e.state.status for e in endings if e.state.status > Status.OWNED}
    if site.by_owner:
        if Status.RELEASED not in kept:
            return None  # whether it needs to be closed is its own affair, unless somebody does
        lost = [e for e in lost if not e.state.view_left]  # who gets a part of it may close it by that
    if kept & _HANDED_ON:
        # It was meant for somebody else; a failure before it got there is its maker's business.
        lost = [e for e in lost if e.how == "return"]
    if lost and all(e.how == "raise" for e in lost) and _releases_in_finally(function, site):
        # What sets the resource up before its `try` is as good as part of its acquisition.
        rest = _endings(function, site, summaries, set_up=True)
        lost = [e for e in rest if e.state.status is Status.OWNED and e.how == "raise"]
    if not lost:
        return None
    lost.sort(key=lambda ending: _WORST_FIRST.index(ending.how))
    worst = lost[0]
    never = not kept
    severity = _severity(worst, never)
    return Leak(
        site,
        function,
        severity,
        _message(function, site, worst, never),
        _witness(function, site, worst),
        never,
        bool(kept & _HANDED_ON),
        tuple(dict.fromkeys(ending.how for ending in lost)),
        any(ending.state.view_left for ending in lost),
    )


def _endings(function: Function, site: Site, summaries: Summaries, set_up: bool = False) -> tuple[Ending, ...]:
    solver = Solver(
        function.graph,
        summaries.effects(site.resource),
        steady_yield=function.scope == "fixture",
        set_up=set_up,
    )
    solution = solver.acquired_at(site.node, Role.HOLDER if site.packed else Role.SELF)
    if not solution.complete:
        raise TooManyStates
    return solution.endings


def _releases_in_finally(function: Function, site: Site) -> bool:
    """Whether a release stands in a ``finally``: its copies for the several ways through it have one span."""
    words = {*site.resource.release, *site.resource.release_with}
    spans = [
        node.span for node in function.graph.nodes if isinstance(node.op, Call) and node.op.callee.last_word in words
    ]
    return len(set(spans)) < len(spans)


def _severity(worst: Ending, never: bool) -> Severity:
    if never and worst.how in ("return", "lost"):
        return Severity.ERROR
    return Severity.NOTE if worst.how == "abandon" else Severity.WARNING


def _message(function: Function, site: Site, worst: Ending, never: bool) -> str:
    noun = site.resource.noun
    if never and worst.how in ("return", "lost"):
        return f"{noun} is never released"
    line = _leaving_line(function, site, worst)
    match worst.how:
        case "return":
            return f"{noun} is not released when the function ends at line {line}"
        case "lost":
            return f"{noun} is not released before the next one is acquired"
        case "raise":
            return f"{noun} is not released if line {line} raises"
    return f"{noun} is not released if the function is cancelled or closed at line {line}"


def _leaving_line(function: Function, site: Site, ending: Ending) -> int:
    nodes = function.graph.nodes
    after = _after_acquisition(site, ending.path)
    if ending.how in ("raise", "abandon"):
        thrown = [hop for hop in after if hop.flow not in (Flow.NORMAL, Flow.FAILED)]
        if thrown:
            return nodes[thrown[-1].node].line
    returned = [hop for hop in after if isinstance(nodes[hop.node].op, Return)]
    if returned:
        return nodes[returned[-1].node].line
    return nodes[ending.path[-1].node].line


def _after_acquisition(site: Site, path: tuple[Hop, ...]) -> tuple[Hop, ...]:
    at = max((index for index, hop in enumerate(path[:-1]) if hop.node == site.node), default=0)
    return path[at + 1 :]


def _witness(function: Function, site: Site, ending: Ending) -> tuple[Step, ...]:
    nodes = function.graph.nodes
    acquired = nodes[site.node].line
    how = f"by {site.factory.rpartition(':')[2]}()" if site.factory else ""
    steps = [Step(acquired, f"{site.resource.noun} acquired here {how}".rstrip())]
    for hop in _after_acquisition(site, ending.path):
        node = nodes[hop.node]
        what = ""
        if hop.flow is Flow.RAISES:
            what = "raises" if isinstance(node.op, Nothing) and node.op.what == "raise" else "may raise"
        elif hop.flow is Flow.FAILED:
            what = "fails"
        elif hop.flow is Flow.ABANDONED:
            what = "may be cancelled or closed"
        elif isinstance(node.op, Return):
            what = "returns"
        elif isinstance(node.op, Nothing) and node.op.what in ("break", "continue", "except"):
            what = "handles the exception" if node.op.what == "except" else f"{node.op.what}s the loop"
        if what and (not steps or steps[-1] != Step(node.line, what)):
            steps.append(Step(node.line, what))
    last = nodes[ending.path[-1].node].line
    if ending.how == "lost":
        steps.append(Step(last, f"the next {site.resource.noun} takes its place; this one is lost"))
    else:
        left = {
            "return": "the function ends",
            "raise": "the exception leaves",
            "abandon": "the function is left",
        }
        line = steps[-1].line if len(steps) > 1 else last
        steps.append(Step(line, f"{left[ending.how]} with the {site.resource.noun} still open"))
    return tuple(steps)
