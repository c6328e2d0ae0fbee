"""What a database server says of its sessions at this moment; nothing here knows of code or of leaks in it."""

from __future__ import annotations


class WatchError(ValueError):
    """It cannot be watched as asked; the message says what and why, and holds no password."""


class Unreachable(WatchError):
    """The server does not answer, or does not let us in, at this moment."""
