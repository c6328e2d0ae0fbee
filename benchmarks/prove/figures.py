"""The figures of a phase, computed from its answers and samples, and whether the repaired service answers the same."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from prove.load import Answer
from prove.phase import Phase
from prove.samples import Sample

# How the pools of the services say that they have no connection left.
POOL_TIMEOUTS = "TimeoutError: QueuePool limit", "PoolError: connection pool exhausted"


@dataclass(frozen=True)
class Figures:
    """What a table tells of one phase; every number was measured in it."""

    seconds: float
    sent: int
    answered: int
    failed: int  # 500 and above
    unanswered: int  # no answer in time, or the connection broke
    pool_timeouts: int
    refused: int  # connections, by PostgreSQL
    causes: Mapping[str, int]
    answered_per_second: float
    latency_p50: float  # milliseconds
    latency_p95: float
    latency_p99: float
    open_highest: int
    open_median: float
    active_highest: int
    in_transaction_highest: int
    in_transaction_median: float
    memory_first: float  # MB
    memory_last: float
    memory_growth: float
    memory_per_thousand: float


@dataclass(frozen=True)
class Comparison:
    """How many paths both phases answered when asked with GET, and for which of them the answers were not the same."""

    compared: int
    different: Sequence[str]  # both succeeded, with another status or body
    refused_before: int  # with a status from 400 to 499 that the other phase did not give
    refused_after: int


def figures(phase: Phase) -> Figures:
    """The figures of a phase."""
    answered = sum(answer.answered for answer in phase.answers)
    unanswered = [answer.failure for answer in phase.answers if answer.failure]
    seconds = max((answer.start + answer.seconds for answer in phase.answers), default=0.0)
    waits = sorted(answer.seconds * 1000 for answer in phase.answers)
    first, last = phase.samples[0].memory, phase.samples[-1].memory
    return Figures(
        seconds=round(seconds, 1),
        sent=len(phase.answers),
        answered=answered,
        failed=len(phase.answers) - answered - len(unanswered),
        unanswered=len(unanswered),
        pool_timeouts=sum(n for cause, n in phase.failures.items() if cause.startswith(POOL_TIMEOUTS)),
        refused=phase.refusals,
        causes=dict((phase.failures + Counter(f"no answer: {name}" for name in unanswered)).most_common()),
        answered_per_second=round(answered / seconds, 1) if seconds else 0.0,
        latency_p50=percentile(waits, 50),
        latency_p95=percentile(waits, 95),
        latency_p99=percentile(waits, 99),
        open_highest=_highest(phase.samples, lambda sample: sample.open),
        open_median=_median(phase.samples, lambda sample: sample.open),
        active_highest=_highest(phase.samples, lambda sample: sample.active),
        in_transaction_highest=_highest(phase.samples, lambda sample: sample.in_transaction),
        in_transaction_median=_median(phase.samples, lambda sample: sample.in_transaction),
        memory_first=round(first, 1),
        memory_last=round(last, 1),
        memory_growth=round(last - first, 1),
        memory_per_thousand=round((last - first) * 1000 / answered, 1) if answered else 0.0,
    )


def percentile(ordered: Sequence[float], share: int) -> float:
    """The smallest value that so many of a hundred do not exceed."""
    if not ordered:
        return 0.0
    return round(ordered[max(0, -(-len(ordered) * share // 100) - 1)], 1)


def compare(before: Sequence[Answer], after: Sequence[Answer]) -> Comparison:
    """Compare status and body of what both answered.

    A service can hide that it had no connection behind a refusal such as 404; such answers are told apart.
    """
    told, tells = _told(before), _told(after)
    both = sorted(told.keys() & tells.keys())
    return Comparison(
        compared=len(both),
        different=[path for path in both if len(_successes(told[path]) | _successes(tells[path])) > 1],
        refused_before=sum(bool(_refusals(told[path]) - _refusals(tells[path])) for path in both),
        refused_after=sum(bool(_refusals(tells[path]) - _refusals(told[path])) for path in both),
    )


def as_record(of_phase: Figures | Comparison) -> dict[str, object]:
    """For a JSON file."""
    return asdict(of_phase)


def _told(answers: Sequence[Answer]) -> Mapping[str, set[tuple[int, str]]]:
    told: defaultdict[str, set[tuple[int, str]]] = defaultdict(set)
    for answer in answers:
        if answer.method == "GET" and answer.answered:
            told[answer.path].add((answer.status, answer.digest))
    return told


def _successes(answers: set[tuple[int, str]]) -> set[tuple[int, str]]:
    return {answer for answer in answers if answer[0] < 400}


def _refusals(answers: set[tuple[int, str]]) -> set[tuple[int, str]]:
    return {answer for answer in answers if answer[0] >= 400}


def _highest(samples: Sequence[Sample], of: Callable[[Sample], int]) -> int:
    return max(map(of, samples))


def _median(samples: Sequence[Sample], of: Callable[[Sample], int]) -> float:
    return float(statistics.median(map(of, samples)))
