"""The one thread on which everything is analysed: the engine's state, and the working directory, are the process's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

_STACK = 256 << 20  # bytes; syntax trees may be nested deeply, and some systems give threads very little

Result = TypeVar("Result")
Parameters = ParamSpec("Parameters")


class Worker:
    """Runs one function after the other, beside the event loop."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="leakfix-analysis")
        former = threading.stack_size(_STACK)
        try:
            self._pool.submit(int).result()  # the thread is made now, with that stack
        finally:
            threading.stack_size(former)

    async def run(
        self, function: Callable[Parameters, Result], *arguments: Parameters.args, **named: Parameters.kwargs
    ) -> Result:
        """What a function returns, or raises. One that is cancelled before its turn is never begun."""
        return await asyncio.wrap_future(self._pool.submit(function, *arguments, **named))
