"""Forward exploration of one resource through one graph, path-sensitive in a small bounded set of disjuncts."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import cast

from leakfix.ir.nodes import Call, Copy, Edge, Enter, Exit, Flow, Graph, Nothing, Test, Yield
from leakfix.lifetimes.effects import Effects, Outcome
from leakfix.lifetimes.liveness import live_variables
from leakfix.lifetimes.state import Role, State, Status

_MAX_STATES = 40_000
_MAX_DISJUNCTS = 48
_OF_CONTAINERS = frozenset("values items keys pop popitem popleft close rollback".split())
"""Methods of a container, and of what is in it, that do not fail in practice."""


@dataclass(frozen=True, slots=True)
class Hop:
    """One step of a path: the node passed and how it was left."""

    node: int
    flow: Flow


@dataclass(frozen=True, slots=True)
class Ending:
    """A way one path ends: ``return``, ``raise``, ``abandon``, ``process``, or ``lost`` where a name is reused."""

    how: str
    state: State
    path: tuple[Hop, ...]


@dataclass(frozen=True, slots=True)
class Solution:
    """The shortest ending of each kind; ``complete`` is false where the bound on states was hit."""

    endings: tuple[Ending, ...]
    complete: bool


class Solver:
    """Explores (node, state) pairs breadth first, so that the first path to an ending is a shortest one."""

    def __init__(self, graph: Graph, effects: Effects, *, steady_yield: bool = False, set_up: bool = False) -> None:
        """Take what to follow, and how.

        steady_yield: nothing is thrown in at a ``yield``.
        set_up: functions the resource is handed to do not fail.
        """
        self.graph = graph
        self.set_up = set_up
        self.effects = effects
        self.steady_yield = steady_yield
        self.site: int | None = None
        self.result = Role.SELF
        self.reaching: frozenset[int] | None = None
        if "live" not in graph.facts:
            graph.facts |= {"live": live_variables(graph), "tested": _tested(graph)}
        self.live = cast(list[frozenset[str]], graph.facts["live"])
        self.tested = cast(frozenset[str], graph.facts["tested"])
        # Closing what was made from it does not fail in practice either.
        self.steady = frozenset({*effects.resource.steady, "close", "rollback"})

    def acquired_at(self, site: int, role: Role = Role.SELF) -> Solution:
        """Follow what the call at a node acquires, where its result is that, or holds it."""
        self.site, self.reaching, self.result = site, _reaching(self.graph, site), role
        return self._explore(State(Status.ABSENT))

    def given_as(self, parameter: str, role: Role = Role.SELF) -> Solution:
        """Follow what a parameter is, or holds, at the entry."""
        self.site, self.reaching = None, None
        return self._explore(State(Status.OWNED, frozenset({(parameter, role)})))

    def _explore(self, start: State) -> Solution:
        first = (self.graph.entry, start)
        parents: dict[tuple[int, State], tuple[tuple[int, State], Flow] | None] = {first: None}
        counts: dict[int, int] = {}
        queue = deque([first])
        endings: dict[tuple[str, Status, bool], Ending] = {}

        def end(how: str, key: tuple[int, State], state: State) -> None:
            kind = (how, state.status, state.view_left)
            if kind not in endings:
                endings[kind] = Ending(how, state, _path(parents, key))

        while queue:
            key = queue.popleft()
            number, state = key
            node = self.graph.nodes[number]
            if isinstance(node.op, Exit):
                end(node.op.how, key, state)
                continue
            outcome, lost = self._step(number, state)
            if lost is not None:
                end("lost", key, lost)
            for edge in node.edges:
                if self._ignored(number, edge, state):
                    continue
                states = outcome.normal if edge.flow is Flow.NORMAL else outcome.failed
                for after in states:
                    following = self._taken(edge, after)
                    if following is None:
                        continue
                    if counts.get(edge.target, 0) >= _MAX_DISJUNCTS:
                        following = following._replace(facts=frozenset())
                    reached = (edge.target, following)
                    if reached not in parents:
                        if len(parents) > _MAX_STATES:
                            return Solution(tuple(endings.values()), False)
                        parents[reached] = (key, edge.flow)
                        counts[edge.target] = counts.get(edge.target, 0) + 1
                        queue.append(reached)
        return Solution(tuple(endings.values()), True)

    def _step(self, number: int, state: State) -> tuple[Outcome, State | None]:
        op = self.graph.nodes[number].op
        if number != self.site:
            if state.status is Status.OWNED or state.status is Status.ABSENT:
                return self.effects.apply(op, state), None
            return Outcome((state,), (state,)), None
        assert isinstance(op, Call)
        for result in op.results:
            state = state.without(result)
        dest = self._acquired_as(op)
        if state.status is Status.ABSENT:
            fresh = State(Status.OWNED, facts=state.without(dest).facts).bound(dest, self.result)
            return Outcome((fresh,), (state,)), None
        if state.status is not Status.OWNED:
            return Outcome((state,), (state,)), None
        rest = state.without(dest)
        again = rest.bound(dest, self.result)
        if any(role is not Role.VIEW for _, role in rest.roles):
            return Outcome((again,), () if _is_one_of_many(rest) else (state,)), None
        return Outcome((State(Status.OWNED, facts=rest.facts).bound(dest, self.result),), (state,)), state

    def _acquired_as(self, op: Call) -> str:
        """The variable that gets the resource."""
        at = self.effects.resource.result
        acquires = at and any(
            self.effects.table.canonical(name) in self.effects.table.by_acquire for name in op.callee.names
        )
        return op.results[at] if acquires and at < len(op.results) else op.dest

    def _ignored(self, number: int, edge: Edge, state: State) -> bool:
        if edge.flow is Flow.NORMAL or number == self.site:
            return False
        op = self.graph.nodes[number].op
        if isinstance(op, Yield):
            return self.steady_yield
        if isinstance(op, Nothing) and op.what == "unpacking":
            return self.result is Role.HOLDER  # the factory's own display
        if isinstance(op, Nothing) and op.what in ("filling", "iteration"):
            return _is_one_of_many(state)
        if isinstance(op, Enter):
            return state.role(op.context) in (Role.SELF, Role.SCOPE)
        if isinstance(op, Call):
            if self.effects.is_scope(op.callee) or self.effects.named(op.callee, self.effects.carriers):
                return True
            if self.effects.table.is_steady(op.callee.names):
                return True
            if self.set_up and any(state.role(argument.variable) is Role.SELF for argument in op.arguments):
                return True
            role = state.role(op.callee.receiver)
            return role is not None and op.callee.method in (_OF_CONTAINERS if role is Role.HOLDER else self.steady)
        return False

    def _taken(self, edge: Edge, state: State) -> State | None:
        if state.status not in (Status.OWNED, Status.ABSENT):
            return state
        if edge.condition is not None:
            given = state.given(edge.condition)
            if given is None:
                return None
            state = given
        if state.status is Status.ABSENT and self.reaching is not None and edge.target not in self.reaching:
            return None
        return self._trimmed(state, self.live[edge.target])

    def _trimmed(self, state: State, live: frozenset[str]) -> State:
        """Without what is known of variables that nothing reads any more."""
        roles, facts = state.roles, state.facts
        for name, _ in roles:
            if name not in live:
                roles = frozenset([item for item in roles if item[0] in live])
                break
        for name, _ in facts:
            if name not in live or name not in self.tested:
                facts = frozenset([item for item in facts if item[0] in live and item[0] in self.tested])
                break
        if roles is state.roles and facts is state.facts:
            return state
        return State(state.status, roles, facts, state.view_left)


def _is_one_of_many(state: State) -> bool:
    """Whether nothing but a container has it: being filled, where one more fails and nobody has a name for it yet."""
    return {role for _, role in state.roles} - {Role.VIEW} == {Role.HOLDER}


def _tested(graph: Graph) -> frozenset[str]:
    found = set()
    for node in graph.nodes:
        if isinstance(node.op, Test):
            found |= {node.op.variable, node.op.dest}
        found |= {edge.condition.variable for edge in node.edges if edge.condition}
    copies = [(node.op.dest, node.op.source) for node in graph.nodes if isinstance(node.op, Copy)]
    grown = True
    while grown:
        more = {source for dest, source in copies if dest in found} - found
        found |= more
        grown = bool(more)
    return frozenset(found)


def _reaching(graph: Graph, site: int) -> frozenset[int]:
    before: dict[int, list[int]] = {}
    for number, node in enumerate(graph.nodes):
        for edge in node.edges:
            before.setdefault(edge.target, []).append(number)
    seen, stack = {site}, [site]
    while stack:
        for number in before.get(stack.pop(), ()):
            if number not in seen:
                seen.add(number)
                stack.append(number)
    return frozenset(seen)


def _path(
    parents: dict[tuple[int, State], tuple[tuple[int, State], Flow] | None], key: tuple[int, State]
) -> tuple[Hop, ...]:
    hops = [Hop(key[0], Flow.NORMAL)]
    while (parent := parents[key]) is not None:
        key, flow = parent
        hops.append(Hop(key[0], flow))
    return tuple(reversed(hops))
