"""Which variables may still be read from a node on: what is known of others need not be carried along."""

from __future__ import annotations

from leakfix.ir.nodes import (
    Call,
    Capture,
    Constant,
    Copy,
    Derive,
    Enter,
    Flow,
    Forget,
    Gather,
    Graph,
    Leave,
    Member,
    Op,
    Return,
    Same,
    Store,
    Test,
    Yield,
)


def live_variables(graph: Graph) -> list[frozenset[str]]:
    """For every node, the variables that may be read at it or after it."""
    before: list[list[int]] = [[] for _ in graph.nodes]
    for number, node in enumerate(graph.nodes):
        for edge in node.edges:
            before[edge.target].append(number)
    numbers: dict[str, int] = {}

    def mask(names: tuple[str | None, ...]) -> int:
        bits = 0
        for name in names:
            if name is not None:
                bits |= 1 << numbers.setdefault(name, len(numbers))
        return bits

    reads, writes = [], []
    for node in graph.nodes:
        read, written = _reads_and_write(node.op)
        tested = tuple(edge.condition.variable for edge in node.edges if edge.condition)
        reads.append(mask((*read, *tested)))
        writes.append(mask((written,)))
    live = list(reads)
    waiting = list(range(len(graph.nodes)))
    queued = set(waiting)
    while waiting:
        number = waiting.pop()
        queued.discard(number)
        bits = reads[number]
        for edge in graph.nodes[number].edges:
            bits |= live[edge.target] & ~(writes[number] if edge.flow is Flow.NORMAL else 0)
        if bits != live[number]:
            live[number] = bits
            for earlier in before[number]:
                if earlier not in queued:
                    queued.add(earlier)
                    waiting.append(earlier)
    names = list(numbers)
    sets: dict[int, frozenset[str]] = {}
    for bits in live:
        if bits not in sets:
            sets[bits] = frozenset(_names(bits, names))
    return [sets[bits] for bits in live]


def _names(bits: int, names: list[str]) -> list[str]:
    found = []
    while bits:
        lowest = bits & -bits
        found.append(names[lowest.bit_length() - 1])
        bits ^= lowest
    return found


def _reads_and_write(op: Op) -> tuple[tuple[str | None, ...], str | None]:
    match op:
        case Call(dest=dest, callee=callee, arguments=arguments):
            return (callee.receiver, *(argument.variable for argument in arguments)), dest
        case Copy(dest=dest, source=source) | Member(dest=dest, source=source):
            return (source,), dest
        case Constant(dest=dest):
            return (), dest
        case Derive(dest=dest, parts=parts) | Gather(dest=dest, parts=parts):
            return parts, dest
        case Capture(dest=dest, variables=variables):
            return variables, dest
        case Test(dest=dest, variable=variable):
            return (variable,), dest
        case Same(dest=dest, first=first, second=second):
            return (first, second), dest
        case Store(target=target, source=source, place=place):
            return (target, source, place), None
        case Enter(dest=dest, context=context):
            return (context,), dest
        case Leave(context=context):
            return (context,), None
        case Yield(dest=dest, source=source):
            return (source,), dest
        case Return(source=source):
            return (source,), None
        case Forget(variable=variable):
            return (), variable
    return (), None
