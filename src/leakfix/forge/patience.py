"""How long a forge is waited for, and what is asked again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from leakfix.forge.protocol import Throttled, Unavailable

Result = TypeVar("Result")

_UNSAID = 60.0  # seconds; what GitHub asks to be waited for after a limit that names no time


@dataclass
class Patience:
    """One run's patience.

    most: seconds it may wait in all; tries: how often something that failed for no fault of ours is asked again.
    """

    most: float = 300.0
    tries: int = 4
    _waited: float = 0.0

    def call(self, ask: Callable[[], Result], again: bool = True) -> Result:
        """Ask, and ask again where it makes sense.

        again: whether asking twice does no harm although the first answer was lost. What was throttled was not done,
        so it is always asked again. Raises what ``ask`` raises once patience ends.
        """
        for attempt in range(self.tries):
            try:
                return ask()
            except Throttled as error:
                self._wait(error.seconds if error.seconds is not None else _UNSAID, error)
            except Unavailable as error:
                if not again:
                    raise
                self._wait(2.0**attempt, error)
        return ask()

    def _wait(self, seconds: float, error: Exception) -> None:
        if self._waited + seconds > self.most:
            raise error
        self._waited += seconds
        self.sleep(seconds)

    def sleep(self, seconds: float) -> None:
        """Let some time pass that is not counted."""
        time.sleep(seconds)
