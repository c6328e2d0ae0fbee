"""Take on limits, then become another program: ``limited.py MEGABYTES SECONDS PROGRAM [ARGUMENT]...``

Run as a script, before the program proper, because a fork that runs Python code is not safe beside other threads.
The alarm outlives the change of program: should whoever started this be killed, nothing stays behind for long.
"""

from __future__ import annotations

import os
import resource
import signal
import sys

_MEGABYTE = 1 << 20


def main(megabytes: str, seconds: str, *command: str) -> None:
    """Set the limits (0 megabytes: none) and run the program in this process."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if int(megabytes):
        limit = int(megabytes) * _MEGABYTE
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    signal.alarm(int(seconds))
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
