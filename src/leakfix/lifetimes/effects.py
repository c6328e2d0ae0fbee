"""What one instruction does to a resource: the meaning the table and the callees' summaries give a call."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from leakfix.ir.nodes import (
    Call,
    Callee,
    Capture,
    Constant,
    Copy,
    Derive,
    Enter,
    Fact,
    Forget,
    Gather,
    Leave,
    Member,
    Op,
    Return,
    Same,
    Store,
    Test,
    Yield,
)
from leakfix.lifetimes.state import Role, State, Status
from leakfix.resources import Resource, ResourceTable

_ENTERED: dict[Role | None, Role] = {
    Role.SELF: Role.SELF,
    Role.SCOPE: Role.SELF,
    Role.HOLDER: Role.HOLDER,
    Role.CARRIER: Role.CARRIER,
    Role.VIEW: Role.VIEW,
}
_HELD = frozenset({Role.SELF, Role.SCOPE, Role.HOLDER, Role.CARRIER, Role.CLOSER})


class Handling(Enum):
    """What a callee does with an argument."""

    BORROWS = "borrows"
    RELEASES = "releases"
    RELEASES_ON_SUCCESS = "releases on success"
    KEEPS = "keeps"
    RETURNS = "returns"
    CARRIES = "carries"
    """Its result holds the argument."""


Handler = Callable[[Call, str], Handling | None]
"""Asks the callee's summary what it does with a variable; None where the callee is not the project's."""


class Outcome(NamedTuple):
    """States after an instruction, on its normal edges and on those by which it raises or is abandoned."""

    normal: tuple[State, ...]
    failed: tuple[State, ...]


def _both(state: State) -> Outcome:
    return Outcome((state,), (state,))


class Effects:
    """Applies instructions to states, for one resource."""

    def __init__(self, resource: Resource, table: ResourceTable, handling: Handler) -> None:
        self.resource = resource
        self.table = table
        self.handling = handling
        self.release_with = frozenset(resource.release_with)
        self.release = frozenset(resource.release)
        self.borrowers = frozenset(table.canonical(name) for name in resource.borrowers)
        self.carriers = frozenset(table.canonical(name) for name in resource.carriers)

    def apply(self, op: Op, state: State) -> Outcome:
        """The states after an instruction other than the acquisition itself."""
        match op:
            case Call():
                return self.call(op, state)
            case Copy(dest=dest, source=source):
                return _both(state.bound(dest, state.role(source), state.fact(source)))
            case Constant(dest=dest, fact=fact):
                return _both(state.bound(dest, None, fact))
            case Test(dest=dest):
                return self.test(op, state)
            case Member(dest=dest, source=source, name=name):
                role = state.role(source)
                fact = self.liveness(name) if role is Role.SELF else None
                return _both(state.bound(dest, self.member_role(role, name), fact))
            case Derive(dest=dest, parts=parts):
                return _both(state.bound(dest, self.derived_role(state, parts)))
            case Gather(dest=dest, parts=parts):
                return _both(state.bound(dest, self.gathered_role(state, parts)))
            case Capture(dest=dest):
                return _both(state.bound(dest, self.captured_role(op, state)))
            case Store():
                return self.store(op, state)
            case Same(dest=dest, first=first, second=second):
                different = (state.role(first) is Role.SELF) != (state.role(second) is Role.SELF)
                return _both(state.bound(dest, None, Fact.FALSE if different else None))
            case Enter(dest=dest, context=context):
                return _both(state.bound(dest, _ENTERED.get(state.role(context))))
            case Leave(context=context, asynchronous=asynchronous):
                return _both(self.leave(state, state.role(context), asynchronous))
            case Return(source=source):
                return _both(self.leaves(state, source))
            case Yield(dest=dest, source=source):
                return _both(state.bound(dest, None))
            case Forget(variable=variable):
                return _both(state.without(variable))
        return _both(state)

    def leave(self, state: State, role: Role | None, asynchronous: bool) -> State:
        scope = self.resource.async_with if asynchronous else self.resource.with_
        # Where the table knows of no `with`, whoever wrote one does: a newer version has it.
        closes = scope != "transaction"
        if role is Role.SCOPE or (role is Role.SELF and closes):
            return state.ended(Status.RELEASED)
        return state

    def leaves(self, state: State, source: str | None) -> State:
        role = state.role(source)
        if role is Role.CARRIER:
            return state.ended(Status.CARRIED)
        if role in _HELD:
            return state.ended(Status.RETURNED if role in (Role.SELF, Role.SCOPE) else Status.STORED)
        return state._replace(view_left=True) if role is Role.VIEW else state

    def test(self, op: Test, state: State) -> Outcome:
        fact = state.fact(op.variable)
        known = None if fact is None else fact.is_none if op.none else fact.truthy
        if known is not None:
            return _both(state.bound(op.dest, None, Fact.TRUE if known != op.negated else Fact.FALSE))
        if op.none:
            options = ((Fact.NONE, True), (Fact.PRESENT, False))
        else:
            options = ((Fact.TRUE, True), (Fact.FALSE, False))
        states = []
        for learnt, value in options:
            known_state = state._replace(facts=state.facts | {(op.variable, learnt)})
            states.append(known_state.bound(op.dest, None, Fact.TRUE if value != op.negated else Fact.FALSE))
        return Outcome(tuple(states), tuple(states))

    def liveness(self, name: str) -> Fact | None:
        """What an attribute or method tells of a resource that is in hand: it is not closed."""
        if name in self.resource.closed_when:
            return Fact.FALSE
        if name in self.resource.none_when_open:
            return Fact.NONE
        return Fact.TRUE if name in self.resource.open_when else None

    def member_role(self, role: Role | None, name: str) -> Role | None:
        if role is Role.SELF:
            if name == self.resource.part:
                return Role.SELF
            if name in self.release:
                return Role.CLOSER
            plain = name in self.resource.data or self.liveness(name) or self.resource.makes_values
            return None if plain else Role.VIEW
        if role is Role.CARRIER:
            return Role.HOLDER  # what it was made with may be that part, and is released there
        return role if role is not Role.VIEW else None

    def derived_role(self, state: State, parts: tuple[str, ...]) -> Role | None:
        roles = {state.role(part) for part in parts} - {None}
        if Role.HOLDER in roles:
            return Role.HOLDER
        # What is read out of a view (a row, an item) is a value as far as anybody can tell.
        return Role.VIEW if roles - {Role.VIEW} and not self.resource.makes_values else None

    def gathered_role(self, state: State, parts: tuple[str, ...]) -> Role | None:
        roles = {state.role(part) for part in parts}
        if roles & _HELD:
            return Role.HOLDER
        return Role.VIEW if Role.VIEW in roles else None

    def _ends(self, method: str) -> bool:
        """Whether a method is the end of a ``with`` that releases it."""
        return method == "__exit__" and bool({"closes", "commits"} & {self.resource.with_, self.resource.async_with})

    def captured_role(self, op: Capture, state: State) -> Role | None:
        roles = {name: state.role(name) for name in op.variables}
        held = {name for name, role in roles.items() if role in _HELD}
        if any(name in held and (method in self.release or self._ends(method)) for name, method in op.called):
            return Role.CLOSER
        if held:
            return Role.HOLDER
        return Role.VIEW if Role.VIEW in roles.values() else None

    def store(self, op: Store, state: State) -> Outcome:
        role = state.role(op.source)
        if role is None:
            return _both(state)
        if role is Role.VIEW:
            own = op.target is not None or state.role(op.place) is Role.VIEW  # or of what came of the resource itself
            return _both(state if own else state.ended(Status.STORED))
        if op.target is None:
            return _both(state.ended(Status.STORED))
        if state.role(op.target) is Role.SELF:
            return _both(state)
        return _both(state._replace(roles=state.roles | {(op.target, Role.HOLDER)}))

    # -- calls ------------------------------------------------------------------------------------------------------

    def call(self, op: Call, state: State) -> Outcome:
        for result in op.results:
            state = state.without(result)
        if not state.roles and not (self.resource.shared and self.releases(op, state, None)):
            return _both(state.without(op.dest))
        receiver = state.role(op.callee.receiver)
        if receiver in (Role.SELF, Role.SCOPE) and op.callee.method in self.resource.exhausted_by:
            return Outcome((state.bound(op.dest, None, Fact.TRUE), state.ended(Status.RELEASED)), (state,))
        if receiver in (Role.SELF, Role.SCOPE) and op.callee.method in self.resource.failing_releases:
            return Outcome((state.without(op.dest),), (state.ended(Status.RELEASED),))
        if self.releases(op, state, receiver):
            waits = self.resource.asynchronous and op.callee.method not in self.resource.at_once
            if waits and not op.awaited and receiver is not Role.CLOSER:
                return _both(state.bound(op.dest, Role.CLOSER))
            return _both(state.ended(Status.RELEASED))
        role: Role | None = None
        if receiver is not None and op.callee.method not in self.resource.values:
            role = Role.HOLDER if receiver is Role.HOLDER and op.callee.method != "()" else Role.VIEW
        if receiver is Role.SELF and op.callee.method in self.resource.fluent:
            role = Role.SELF
        overwrites = state.role(op.dest) in _HELD
        normal, failed = state, state
        for argument in op.arguments:
            held = state.role(argument.variable)
            if held is None:
                continue
            if held is Role.VIEW:
                role = role or Role.VIEW
                continue
            handling = self.handled(op, argument.variable, held)
            match handling:
                case Handling.RELEASES:
                    return _both(state.ended(Status.RELEASED))
                case Handling.RELEASES_ON_SUCCESS:
                    return Outcome((state.ended(Status.RELEASED),), (state,))
                case Handling.KEEPS:
                    return _both(state.ended(Status.STORED))
                case Handling.RETURNS:
                    role = held
                case Handling.CARRIES:
                    role = Role.SCOPE if self.is_scope(op.callee) else Role.CARRIER
                case Handling.BORROWS:
                    role = None if self.named(op.callee, self.borrowers) else role or Role.VIEW
        if role is Role.VIEW and self.resource.makes_values:
            role = None
        tells = self.liveness(op.callee.method or "") if receiver is Role.SELF else None
        after = normal.bound(op.dest, role if tells is None else None, tells)
        if overwrites and role not in _HELD and not _still_held(after):
            after = after.ended(Status.STORED)
        return Outcome((after,), (failed,))

    def releases(self, op: Call, state: State, receiver: Role | None) -> bool:
        if receiver is Role.CLOSER and op.callee.method == "()":
            return True
        if receiver in (Role.SELF, Role.SCOPE, Role.HOLDER) and op.callee.method in self.release:
            return True
        word = op.callee.last_word
        if word in self.release_with or any(name in self.release_with for name in op.callee.names):
            given = [argument for argument in op.arguments if state.role(argument.variable) in _HELD]
            return bool(given) or (not op.arguments and word not in self.release)
        return False

    def is_scope(self, callee: Callee) -> bool:
        if any(name in self.table.scope_names for name in callee.names):
            return True
        of_project = any(name.startswith("@") for name in callee.names)
        return not of_project and callee.last_word in self.table.scope_methods

    def named(self, callee: Callee, names: frozenset[str]) -> bool:
        return any(self.table.canonical(name) in names for name in callee.names)

    def handled(self, op: Call, variable: str, held: Role) -> Handling:
        """What the callee does with an argument that is, or holds, the resource."""
        callee = op.callee
        if self.is_scope(callee):
            return Handling.CARRIES
        if held is Role.CLOSER:
            return Handling.RELEASES if op.awaited else Handling.KEEPS
        if self.named(callee, self.borrowers):
            return Handling.BORROWS
        if self.named(callee, self.carriers):
            return Handling.CARRIES
        if self.named(callee, self.table.keeper_names) or callee.method in self.table.keeper_methods:
            return Handling.KEEPS
        summarised = self.handling(op, variable)
        if summarised is not None:
            return summarised
        makes = callee.makes or callee.constructs_base
        if makes or callee.last_word in self.table.keeper_methods or "()" in self.release:
            return Handling.KEEPS  # who is given a function calls it some time
        return Handling.BORROWS


def _still_held(state: State) -> bool:
    return any(role in _HELD for _, role in state.roles)
