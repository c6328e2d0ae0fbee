"""A graph as text, for tests and for people who debug a front end."""

from __future__ import annotations

from dataclasses import fields

from leakfix.ir.nodes import Flow, Graph


def dump(graph: Graph) -> str:
    """One line per reachable node: number, instruction, where each edge leads and under which condition."""
    lines = []
    for number in _reachable(graph):
        node = graph.nodes[number]
        values = ", ".join(f"{item.name}={getattr(node.op, item.name)!r}" for item in fields(node.op))
        edges = []
        for edge in node.edges:
            mark = "" if edge.flow is Flow.NORMAL else f"{edge.flow} "
            if edge.condition:
                word = "none" if edge.condition.none else "true"
                mark += f"[{edge.condition.variable} {'is' if edge.condition.holds else 'not'} {word}] "
            edges.append(f"{mark}{edge.target}")
        lines.append(f"{number:4} L{node.line:<4} {type(node.op).__name__}({values}) -> {'; '.join(edges)}")
    return "\n".join(lines)


def _reachable(graph: Graph) -> list[int]:
    seen, stack = {graph.entry}, [graph.entry]
    while stack:
        for edge in graph.nodes[stack.pop()].edges:
            if edge.target not in seen:
                seen.add(edge.target)
                stack.append(edge.target)
    return sorted(seen)
