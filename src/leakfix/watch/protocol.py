"""What the rest of the package knows of any kind of server."""

from __future__ import annotations

from typing import Protocol

from leakfix.watch.snapshot import Snapshot

APPLICATION = "leakfix watch"
CONNECT_SECONDS = 5
STATEMENT_SECONDS = 5
SILENT_SECONDS = 10
"""A server that says nothing for so long after a question is taken for gone."""


class Server(Protocol):
    """An open connection to a server; whoever opened it closes it."""

    def snapshot(self) -> Snapshot:
        """Ask the server. Raises Unreachable; the connection is of no use afterwards, but is still to be closed."""
        ...

    def close(self) -> None:
        """Give the connection back; nothing is raised."""
        ...


class Login(Protocol):
    """Where a server is and as whom to enter."""

    @property
    def label(self) -> str:
        """Both, to be shown: without the password."""
        ...

    def opened(self) -> Server:
        """A new connection. Raises Unreachable."""
        ...
