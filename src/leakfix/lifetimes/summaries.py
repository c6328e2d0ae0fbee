"""What functions do with what they are given and what they hand out, computed on demand and once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

from leakfix.ir.nodes import Call, Callee, Capture, Copy, Derive, Enter, Function, Gather, Member, Program, Return
from leakfix.lifetimes.effects import Effects, Handling
from leakfix.lifetimes.solver import Solver
from leakfix.lifetimes.state import Role, Status
from leakfix.resources import Resource, ResourceTable

_MAX_CHAIN = 12


@dataclass(frozen=True, slots=True)
class Site:
    """A call that acquires: its node, what it acquires, and the project's factory it goes through, if any.

    packed: the factory returns it together with other things.
    by_owner: it is an object of the project that holds one, and closes it.
    """

    node: int
    resource: Resource
    factory: str | None = None
    packed: bool = False
    by_owner: bool = False


class Summaries:
    """Answers, for the functions of one program, the questions a caller has."""

    def __init__(self, program: Program, table: ResourceTable) -> None:
        self.program = program
        self.table = table
        self._handling: dict[tuple[str, str, str], Handling] = {}
        self._fresh: dict[str, Resource | None] = {}
        self._packed: set[str | None] = set()
        self._owners: dict[str, Resource | None] = {}
        self._given: dict[tuple[str, str], Resource | None] = {}
        self._busy: list[object] = []

    def forget(self) -> None:
        """Ask again what functions hand out that seemed to hand out nothing."""
        self._fresh = {name: found for name, found in self._fresh.items() if found is not None}
        self._owners = {name: found for name, found in self._owners.items() if found is not None}

    # -- what a function hands out ----------------------------------------------------------------------------------

    def sites(self, function: Function) -> list[Site]:
        """The acquisitions in a function."""
        found = []
        for number, node in enumerate(function.graph.nodes):
            if isinstance(node.op, Call):
                site = self.site(number, node.op)
                if site is not None:
                    found.append(site)
        if found:
            found += self._given_to_owners(function, {site.node: site for site in found})
        return found

    def _given_to_owners(self, function: Function, known: dict[int, Site]) -> list[Site]:
        """The calls that make an object of what was acquired, which closes that when it is closed.

        Where the function closes what it acquired by itself, too, or hands it to somebody else, that decides.
        """
        calls = [(at, node.op) for at, node in enumerate(function.graph.nodes) if isinstance(node.op, Call)]
        if not any(call.callee.makes and call.arguments and at not in known for at, call in calls):
            return []
        made = _made_by(function, known)
        released = {node.op.context for node in function.graph.nodes if isinstance(node.op, Enter)}
        released |= {op.callee.receiver or "" for _, op in calls if _ends(op, made)}
        found = [
            Site(at, owner, by_owner=True)
            for at, call in calls
            for given in call.arguments
            if given.variable in made and given.variable not in released and at not in known
            if sum(given.variable == each.variable for _, op in calls for each in op.arguments) == 1
            for name in call.callee.names
            if (owner := self._owner_of(name, call, given.variable, made[given.variable])) is not None
        ]
        return list({site.node: site for site in found}.values())

    def _owner_of(self, name: str, call: Call, variable: str, row: Resource) -> Resource | None:
        """What an object is as a resource that is made of one, and closes it."""
        key = (name, row.id)
        if key in self._given:
            return self._given[key]
        found = None
        constructor = self.program.constructor(name) if self.program.makes_new(name) else None
        closing = self._closing(name, constructor) if constructor is not None else None
        if constructor is not None and closing is not None and not _is_of_somebody_else(row):
            if self._argument(constructor, call, variable, row, method=True) is Handling.KEEPS:
                found = _as_owner(closing, row) if _releases_own(closing, row) else None
        self._given[key] = found
        return found

    def site(self, number: int, call: Call) -> Site | None:
        """The acquisition a call is, if it is one."""
        found = self._acquired(call.callee, call.awaited)
        if found is None or any(argument.written in found[0].unless for argument in call.arguments):
            return None
        owned = any(found[0] is row for row in (*self._owners.values(), *self._given.values()))
        return Site(number, *found, packed=found[1] in self._packed, by_owner=owned)

    def _acquired(self, callee: Callee, awaited: bool) -> tuple[Resource, str | None] | None:
        row = self.table.acquired_by(callee.names, callee.method, callee.written, awaited)
        if row is not None:
            return (row, None) if callee.lasting_receiver or not row.on_lasting_owner else None
        for name in callee.names:
            if name.startswith("@"):
                fresh = self.fresh(name) or self.owner(name)
                if fresh is not None and not fresh.on_lasting_owner:
                    return fresh, name
        return None

    def owner(self, name: str) -> Resource | None:
        """What an object of a class of the project is as a resource: it opens one when it is made, and closes it."""
        if name in self._owners:
            return self._owners[name]
        if name in self._busy or len(self._busy) > _MAX_CHAIN or not self.program.makes_new(name):
            return None
        self._busy.append(name)
        try:
            constructor = self.program.constructor(name)
            found = self._owning(name, constructor) if constructor is not None else None
        finally:
            self._busy.pop()
        self._owners[name] = found
        return found

    def _owning(self, name: str, constructor: Function) -> Resource | None:
        closing = self._closing(name, constructor)
        for site in self.sites(constructor) if closing is not None else ():
            row = site.resource
            if site.by_owner or _is_of_somebody_else(row):
                continue
            endings = Solver(constructor.graph, self.effects(row)).acquired_at(site.node).endings
            stored = any(end.how == "return" and end.state.status is Status.STORED for end in endings)
            if closing is not None and stored and _releases_own(closing, row):
                return _as_owner(closing, row)
        return None

    def _closing(self, name: str, constructor: Function) -> Function | None:
        """The method that closes objects of a class, where nothing else does and nobody has them but who made them."""
        methods: dict[str, Function] = {}
        for method in self.program.methods(name):
            methods.setdefault(method.qualname.rpartition(".")[2], method)
        closing = methods.get("close")
        if closing is None or closing.is_async or closing.is_generator or closing.wrapped:
            return None
        return closing if _LEFT_BY_OTHERS.isdisjoint(methods) and not _gives_itself(constructor) else None

    def may_acquire(self, name: str) -> bool:
        """Whether a function of the project calls anything that acquires; cheap, and asked before it is lowered."""
        callees = self.program.callees(name)
        return any(self._acquired(callee, awaited) for callee in callees for awaited in (False, True))

    def fresh(self, name: str) -> Resource | None:
        """The resource a function of the project makes and returns to its caller."""
        if name in self._fresh:
            return self._fresh[name]
        if name in self._busy or len(self._busy) > _MAX_CHAIN:
            return None
        self._busy.append(name)
        try:
            found = self._handed_out(name) if self.may_acquire(name) else None
        finally:
            self._busy.pop()
        # Kept also where a cycle cut the question short: asking again and again would never end.
        self._fresh[name] = found
        return found

    def _handed_out(self, name: str) -> Resource | None:
        function = self.program.function(name)
        if function is None or function.is_generator or function.scope or function.wrapped:
            return None
        for site in self.sites(function):
            endings = Solver(function.graph, self.effects(site.resource)).acquired_at(site.node).endings
            statuses = {ending.state.status for ending in endings if ending.how == "return"}
            if Status.RETURNED in statuses and not site.packed:
                return site.resource
            if Status.STORED in statuses and _is_packed(function, site):
                self._packed.add(name)
                return site.resource
        return None

    # -- what a function does with an argument ----------------------------------------------------------------------

    def effects(self, resource: Resource) -> Effects:
        """The meaning of instructions for a resource, with these summaries behind its calls."""
        return Effects(resource, self.table, lambda call, variable: self.handling(call, variable, resource))

    def handling(self, call: Call, variable: str, resource: Resource) -> Handling | None:
        """What a call of the project's functions does with an argument; None if it is not the project's."""
        for name in call.callee.names:
            if not name.startswith("@"):
                continue
            function = self.program.function(name)
            if function is not None:
                return self._argument(function, call, variable, resource, method=call.callee.method is not None)
            constructor = self.program.constructor(name)
            if constructor is None and not self.program.is_record(name):
                continue
            handling = Handling.KEEPS
            if constructor is not None:
                handling = self._argument(constructor, call, variable, resource, method=True)
            if handling is Handling.KEEPS and not self._class_releases(name, resource):
                return Handling.CARRIES
            return handling
        return None

    def _class_releases(self, name: str, resource: Resource) -> bool:
        """Whether objects of a class may release what they were given; one that hands it to a library's class may."""
        for method in self.program.methods(name):
            own = _parts_of(method)
            calls = [node.op for node in method.graph.nodes if isinstance(node.op, Call)]
            if any(_gives_to_base(call) or _may_release(call, own, resource) for call in calls):
                return True
        return False

    def _argument(self, function: Function, call: Call, variable: str, resource: Resource, method: bool) -> Handling:
        worst = Handling.BORROWS
        for parameter in _parameters_of(function, call, variable, method):
            handling = self._parameter(function, parameter, resource)
            if handling is not Handling.BORROWS:
                worst = handling
        return worst

    def _parameter(self, function: Function, parameter: str, resource: Resource) -> Handling:
        key = (function.name, parameter, resource.id)
        if key in self._handling:
            return self._handling[key]
        if key in self._busy or len(self._busy) > _MAX_CHAIN:
            return Handling.BORROWS
        self._busy.append(key)
        try:
            solver = Solver(function.graph, self.effects(resource), steady_yield=True)
            role = Role.HOLDER if parameter in function.rest else Role.SELF
            endings = solver.given_as(parameter, role).endings
            handling = _handling({(ending.how, ending.state.status) for ending in endings}, resource)
        finally:
            self._busy.pop()
        self._handling[key] = handling
        return handling


_LEFT_BY_OTHERS = frozenset({"__exit__", "__aexit__", "__del__"})
"""Methods by which an object is released without its ``close()``."""


def _gives_itself(constructor: Function) -> bool:
    """Whether an object is known to others as soon as it is made, who may close it."""
    own = set(constructor.parameters[:1])
    for node in constructor.graph.nodes:
        match node.op:
            case Member(dest=dest, source=source, name="close") if source in constructor.parameters[:1]:
                own.add(dest)
    calls = [node.op for node in constructor.graph.nodes if isinstance(node.op, Call)]
    return any(argument.variable in own for call in calls for argument in call.arguments)


def _made_by(function: Function, known: dict[int, Site]) -> dict[str, Resource]:
    """The variables that get what some calls acquire."""
    ops = [node.op for node in function.graph.nodes]
    made = {op.dest: known[at].resource for at, op in enumerate(ops) if at in known and isinstance(op, Call)}
    copies = [op for op in ops if isinstance(op, Copy)]
    for _ in range(_MAX_CHAIN if copies else 0):
        made |= {op.dest: made[op.source] for op in copies if op.source in made}
    return made


def _ends(op: Call, made: dict[str, Resource]) -> bool:
    row = made.get(op.callee.receiver or "")
    return row is not None and op.callee.method in row.release


def _is_of_somebody_else(row: Resource) -> bool:
    """Whether a resource is one that nobody in particular closes, or that must be awaited for that."""
    return row.shared or row.of_process or row.on_lasting_owner or row.asynchronous


def _as_owner(closing: Function, row: Resource) -> Resource:
    """A resource as its owner is one: it is closed by one method, and nothing else is known of it."""
    return replace(
        row, release=("close",), release_with=(), with_="none", async_with="none", values=(), objects=(),
        steady=(), fluent=(), data=(), owned_by=(), unless=(), gives_back=False,
        fix=row.fix if _only_releases(closing, row) else "none",
    )  # fmt: skip


def _only_releases(closing: Function, resource: Resource) -> bool:
    """Whether a method does nothing but release what its object holds: closing it earlier or more often is the same."""
    own = _parts_of(closing)
    calls = [node.op for node in closing.graph.nodes if isinstance(node.op, Call)]
    return (
        len(closing.parameters) == 1
        and not any(closing.rest)
        and all(_may_release(call, own, resource) for call in calls)
    )


def _releases_own(closing: Function, resource: Resource) -> bool:
    """Whether a method releases something of its object."""
    own = _parts_of(closing)
    return any(isinstance(node.op, Call) and _may_release(node.op, own, resource) for node in closing.graph.nodes)


def _may_release(call: Call, own: set[str], resource: Resource) -> bool:
    """Whether a call releases something of an object, as far as its name tells."""
    callee = call.callee
    if callee.receiver in own and callee.last_word in resource.release:
        return True
    named = {callee.last_word, *callee.names}
    return not named.isdisjoint(resource.release_with) and any(given.variable in own for given in call.arguments)


def _parts_of(method: Function) -> set[str]:
    """The variables of a method that are its object, or come from it."""
    facts = method.graph.facts
    if "parts" not in facts:
        facts["parts"] = _parts(method)
    return cast(set[str], facts["parts"])


def _parts(method: Function) -> set[str]:
    found = set(method.parameters[:1])
    grown = True
    while grown:
        before = len(found)
        for node in method.graph.nodes:
            match node.op:
                case Copy(dest=dest, source=source) | Member(dest=dest, source=source) if source in found:
                    found.add(dest)
                case Derive(dest=dest, parts=parts) | Gather(dest=dest, parts=parts) if not found.isdisjoint(parts):
                    found.add(dest)
                case Call(dest=dest, callee=callee) if callee.receiver in found:
                    found.add(dest)
                case Enter(dest=dest, context=context) if context in found:
                    found.add(dest)
        grown = len(found) > before
    return found


def _gives_to_base(call: Call) -> bool:
    """Whether it is the constructor of a base class that is not the project's, with arguments."""
    callee = call.callee
    inside = any(name.startswith("@") for name in callee.names)
    return callee.constructs_base and not inside and bool(call.arguments)


def _is_packed(function: Function, site: Site) -> bool:
    """Whether a function returns what it acquired in a display, and not what releases it: ``return link, cursor``."""
    nodes = function.graph.nodes
    acquired = nodes[site.node].op
    if not isinstance(acquired, Call):
        return False
    releasing, returned = set[str](), set[str | None]()
    for node in nodes:
        match node.op:
            case Return(source=source):
                returned.add(source)
            case Capture(dest=dest, variables=variables) if acquired.dest in variables:
                releasing.add(dest)
            case Member(dest=dest, source=acquired.dest, name=name) if name in site.resource.release:
                releasing.add(dest)
    displays = [node.op for node in nodes if isinstance(node.op, Gather) and node.op.dest in returned]
    packing = [op.parts for op in displays if acquired.dest in op.parts]
    return bool(packing) and releasing.isdisjoint(part for parts in packing for part in parts)


def _parameters_of(function: Function, call: Call, variable: str, method: bool) -> list[str]:
    skip = 1 if method and function.is_method else 0
    names = function.parameters[skip:]
    found: list[str] = []
    for argument in call.arguments:
        if argument.variable != variable:
            continue
        if argument.keyword is not None:
            found += (argument.keyword,) if argument.keyword in names else function.rest[1:]
        elif argument.position is not None and argument.position < len(names):
            found.append(names[argument.position])
        else:
            found += function.rest[:1]
    return found


def _handling(ways: set[tuple[str, Status]], resource: Resource) -> Handling:
    statuses = {status for how, status in ways if how != "process"}
    normal = {status for how, status in ways if how == "return"}
    if Status.STORED in statuses:
        return Handling.KEEPS
    if Status.RETURNED in statuses:
        return Handling.RETURNS
    if Status.CARRIED in statuses:
        return Handling.CARRIES
    if statuses and statuses <= {Status.RELEASED}:
        return Handling.RELEASES
    if normal and normal <= {Status.RELEASED}:
        return Handling.RELEASES_ON_SUCCESS
    if resource.exhausted_by and Status.OWNED in normal:
        return Handling.BORROWS  # it was read to its end on some path, which closes it by the way
    # Released on some normal paths only: whoever wrote it knows more than we do.
    return Handling.RELEASES if Status.RELEASED in statuses else Handling.BORROWS
