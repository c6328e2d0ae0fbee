"""What is known of one acquisition at one point: its status, who holds it, and facts about variables."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from leakfix.ir.nodes import Condition, Fact


class Status(IntEnum):
    """Where the resource of one site is."""

    ABSENT = 0
    OWNED = 1
    RELEASED = 2
    RETURNED = 3
    CARRIED = 4
    """Returned inside an object that was made with it and uses it."""
    STORED = 5
    """Somebody outside the function has it: an attribute, a global, a container, a task, an unknown class."""


class Role(IntEnum):
    """What a variable is to the resource."""

    SELF = 0
    SCOPE = 1
    """Leaving it releases the resource (``closing(...)``)."""
    HOLDER = 2
    """Holds it: a container, a closure."""
    CARRIER = 5
    """An object made with it, that uses it: what its methods return only needs it, as a view does."""
    CLOSER = 3
    """Calling it releases the resource: a bound method, a closure, a coroutine not awaited yet."""
    VIEW = 4
    """Needs it but does not hold it open: a cursor, a result, a query."""


class State(NamedTuple):
    """One disjunct. ``view_left`` tells that something lazy left the function before."""

    status: Status
    roles: frozenset[tuple[str, Role]] = frozenset()
    facts: frozenset[tuple[str, Fact]] = frozenset()
    view_left: bool = False

    def role(self, variable: str | None) -> Role | None:
        """What a variable is to the resource, the strongest first."""
        found: Role | None = None
        for name, role in self.roles:
            if name == variable and (found is None or role < found):
                found = role
        return found

    def without(self, variable: str) -> State:
        """A variable gets another value."""
        roles, facts = self.roles, self.facts
        for name, _ in roles:
            if name == variable:
                roles = frozenset([item for item in roles if item[0] != variable])
                break
        for name, _ in facts:
            if name == variable:
                facts = frozenset([item for item in facts if item[0] != variable])
                break
        if roles is self.roles and facts is self.facts:
            return self
        return State(self.status, roles, facts, self.view_left)

    def bound(self, variable: str, role: Role | None, fact: Fact | None = None) -> State:
        """A variable gets a value with this role and fact."""
        state = self.without(variable)
        if role is None and fact is None:
            return state
        roles = state.roles if role is None else state.roles | {(variable, role)}
        facts = state.facts if fact is None else state.facts | {(variable, fact)}
        return State(state.status, roles, facts, state.view_left)

    def ended(self, status: Status) -> State:
        """The resource is no longer ours; nothing else is worth knowing."""
        return State(status, view_left=self.view_left)

    def fact(self, variable: str) -> Fact | None:
        """What is known of a variable; a resource in hand is present and true."""
        for name, fact in self.facts:
            if name == variable:
                return fact
        return Fact.TRUE if self.role(variable) in (Role.SELF, Role.SCOPE, Role.HOLDER, Role.CARRIER) else None

    def given(self, condition: Condition) -> State | None:
        """The state where a condition holds; None where it cannot."""
        fact = self.fact(condition.variable)
        known = None if fact is None else fact.is_none if condition.none else fact.truthy
        if known is not None:
            return self if known == condition.holds else None
        if condition.none:
            learnt = Fact.NONE if condition.holds else Fact.PRESENT
        else:
            learnt = Fact.TRUE if condition.holds else Fact.FALSE
        if fact is not None and learnt is Fact.FALSE:
            return self
        facts = frozenset(item for item in self.facts if item[0] != condition.variable)
        return self._replace(facts=facts | {(condition.variable, learnt)})
