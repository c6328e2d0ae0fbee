"""The record of a run: where and when it was made, what was measured, and the file that holds it.

Machines are told by what matters to the figures: no names, no folders.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from prove import load
from prove.figures import Comparison, as_record, figures
from prove.phase import Phase
from prove.postgresql import LIMIT
from prove.samples import INTERVAL
from prove.services import Service

PACKAGES = (
    *("leakfix", "asyncpg", "django", "fastapi", "flask", "psycopg2-binary", "sqlalchemy", "sqlmodel"),
    *("uvicorn", "waitress"),
)

Record = dict[str, Any]


def of_run(seconds: float, postgresql: str) -> Record:
    """A record without services."""
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": {
            "cpu": _cpu(),
            "cpus": os.cpu_count(),
            "memory_gb": round(psutil.virtual_memory().total / 1e9),
            "system": _system(),
        },
        "versions": {"python": platform.python_version(), "postgresql": postgresql, **_packages(), **_go()},
        "load": {
            "seconds": seconds,
            "clients": load.CLIENTS,
            "timeout": load.TIMEOUT,
            "sample_every": INTERVAL,
            "max_connections": LIMIT,
        },
        "services": {},
        "skipped": {},
    }


def of_service(
    service: Service,
    repaired: str,
    phases: tuple[Phase, Phase],
    comparison: Comparison,
    agreed: Mapping[str, Sequence[str]],
) -> Record:
    """What both phases of a service showed, and who saw which of its leaks."""
    before, after = phases
    return {
        "title": service.title,
        "source": f"fixtures/apps/{service.folder}",
        "pools": service.pools,
        "rate": service.rate,
        "leaky_share": round(service.leaky_share(), 3),
        "repair": repaired,
        "before": as_record(figures(before)),
        "after": as_record(figures(after)),
        "answers": as_record(comparison),
        "agreement": agreed,
        "samples": {"before": _columns(before), "after": _columns(after)},
    }


def write(record: Record, path: Path) -> None:
    """Write the record; a list of numbers takes one line."""
    text = json.dumps(record, indent=1, ensure_ascii=False)
    text = re.sub(r"\[([^][{}\"]*)]", lambda found: f"[{' '.join(found[1].split())}]", text)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n", encoding="utf-8")


def read(path: Path) -> Record:
    """Read a record."""
    record: Record = json.loads(path.read_text(encoding="utf-8"))
    return record


def _columns(phase: Phase) -> Mapping[str, Sequence[float]]:
    names = "second", "open", "active", "in_transaction", "memory"
    return {name: [getattr(sample, name) for sample in phase.samples] for name in names}


def _cpu() -> str:
    if platform.system() == "Darwin":
        return _printed("sysctl", "-n", "machdep.cpu.brand_string")
    information = Path("/proc/cpuinfo")
    text = information.read_text(encoding="utf-8") if information.exists() else ""
    model = re.search(r"^model name\s*: (.*)$", text, re.MULTILINE)
    return model[1].strip() if model else platform.machine()


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return f"{platform.system()} {platform.release()}"


def _packages() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _go() -> dict[str, str]:
    version = _printed("go", "env", "GOVERSION")
    return {"go": version.removeprefix("go")} if version else {}


def _printed(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
