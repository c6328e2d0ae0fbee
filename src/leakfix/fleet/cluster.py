"""A Dask cluster as an executor: its scheduler hands a task of a worker that died to another one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from leakfix import __version__
from leakfix.fleet import FleetError, optional

_SECONDS = 30
_SCHEMES = {"dask": "tcp", "tcp": "tcp", "tls": "tls"}


@dataclass(frozen=True)
class Cluster:
    """A connected cluster.

    threads: how many tasks its workers run at a time now; more may join.
    alive: whether the scheduler is there.
    """

    executor: Executor
    threads: int
    alive: Callable[[], bool]


@contextlib.contextmanager
def connected(address: str) -> Iterator[Cluster]:
    """Connect to the scheduler at ``dask://HOST:PORT``. Raises FleetError."""
    scheduler = _scheduler(address)
    distributed = optional("distributed", "fleet")
    try:
        client = distributed.Client(scheduler, timeout=_SECONDS, set_as_default=False, name="leakfix-fleet")
    except (OSError, ValueError, TimeoutError) as error:
        raise FleetError(f"{address}: no scheduler answers: {error}") from error
    try:
        threads = _threads(address, client)
        # without it, two tasks that look the same would be one
        executor: Executor = client.get_executor(pure=False)
        try:
            yield Cluster(executor, threads, lambda: client.status == "running")
        except BaseException:
            executor.shutdown(wait=False)
            raise
    finally:
        client.close()


def _scheduler(address: str) -> str:
    scheme, separator, host = address.partition("://")
    if not separator or scheme not in _SCHEMES or not host.strip("/"):
        raise FleetError(f"{address}: a cluster is named as dask://HOST:PORT")
    return f"{_SCHEMES[scheme]}://{host.rstrip('/')}"


def _threads(address: str, client: Any) -> int:
    """Wait for the first worker, and see that leakfix is installed there. Raises FleetError."""
    try:
        client.wait_for_workers(1, timeout=_SECONDS)
    except (OSError, TimeoutError) as error:
        raise FleetError(f"{address}: has no workers; start one with `dask worker {_scheduler(address)}`") from error
    versions = client.run(version, on_error="return")
    for worker, found in sorted(versions.items()):
        if found != __version__:
            has = f"leakfix {found}" if isinstance(found, str) else "no leakfix"
            raise FleetError(f"{address}: worker {worker} has {has}; install leakfix {__version__} there")
    threads: int = sum(client.nthreads().values())
    return max(1, threads)


def version() -> str:
    """The leakfix of the process this runs in."""
    return __version__
