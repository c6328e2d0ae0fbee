"""One service, once: on a database of its own, from its start to its end, with the load in between."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from prove.load import Answer, Load, warm
from prove.postgresql import Server, new_database
from prove.process import environment, free_port, running
from prove.samples import Sample, sampled
from prove.services import Service

PREPARE_LIMIT = 300.0  # seconds; a first build fetches modules
REPAIR = ("{python}", "-m", "leakfix", "apply", "--yes", "--unsafe-fixes", ".")


class CommandFailed(Exception):
    """A command that had to end well did not."""


@dataclass(frozen=True)
class Phase:
    """What one phase showed."""

    answers: Sequence[Answer]
    samples: Sequence[Sample]
    failures: Counter[str]  # what the service wrote about its failures
    refusals: int  # connections that PostgreSQL refused


def run_phase(
    service: Service, folder: Path, postgresql: Server, seconds: float, evidence: Path | None = None
) -> Phase:
    """Run the service as its folder has it, under load for so many seconds.

    evidence: where what the service acquires and releases is written, if it is to be watched from within.
    """
    with new_database(postgresql) as database:
        port = free_port()
        url = f"{database.url}{service.database_options}"
        known = {**service.settings, "DATABASE_URL": url, "PORT": str(port)}
        for command in (*service.build, *service.prepare):
            run(_filled(command, port), folder, known)
        if service.rows:
            database.fill(service.rows)
        with running(server_command(service, port, evidence), folder, known, port, service.ready) as process:
            warm(port, service.routes, service.rate)
            refused, load = postgresql.refusals(), Load(port, service.routes, service.rate, seconds)
            with sampled(database, process) as samples:
                load.run()
            refused = postgresql.refusals() - refused
            return Phase(tuple(load.answers), samples, process.failures(), refused)


def server_command(service: Service, port: int, evidence: Path | None) -> list[str]:
    """The command line of the server, watched from within where evidence is asked for."""
    watcher = [sys.executable, "-m", "leakfix", "run", "--report", str(evidence), "--"] if evidence else []
    return [*watcher, *_filled(service.server, port)]


def repair(folder: Path) -> str:
    """Run leakfix on the folder; return the line that sums up what it did."""
    printed = run(_filled(REPAIR, 0), folder, {}, good=(0, 1))
    return printed.strip().rpartition("\n")[2]


def run(command: Sequence[str], folder: Path, known: Mapping[str, str], good: Sequence[int] = (0,)) -> str:
    """Run a command to its end and return what it printed."""
    done = subprocess.run(
        command, cwd=folder, env=environment(known), capture_output=True, text=True, check=False, timeout=PREPARE_LIMIT
    )
    if done.returncode not in good:
        raise CommandFailed(f"{Path(command[0]).name} {' '.join(command[1:])}: {done.stderr.strip()[-500:]}")
    return done.stdout


def _filled(command: Sequence[str], port: int) -> list[str]:
    return [part.replace("{python}", sys.executable).replace("{port}", str(port)) for part in command]
