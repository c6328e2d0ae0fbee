"""Measure leaky services before and after their repair, and write down what came of it.

    PYTHONPATH=benchmarks python -m prove [--service NAME]... [--seconds N] [--output FOLDER] [--render]

Each service is copied into a temporary folder and run under load, repaired there by ``leakfix apply``, and run again on
a new database. A run of all of them is written into ``docs``; one of some only where ``--output`` says so. ``--render``
measures nothing: it writes tables and pictures anew from the record of the last run.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from prove import plot, record, table
from prove.agreement import agreement
from prove.figures import compare
from prove.phase import CommandFailed, repair, run_phase
from prove.postgresql import Server, running_server
from prove.process import ServerFailed
from prove.services import SERVICES, Service

WATCHED = 10.0  # seconds
ROOT = Path(__file__).parents[2]
APPS, DOCS = ROOT / "fixtures" / "apps", ROOT / "docs"
NEVER_COPIED = shutil.ignore_patterns("__pycache__", "*.sqlite3*")
EMPTY_PAGE = f"{table.BEGIN}{table.END}"


def main() -> int:
    """Do what the arguments ask for."""
    options = _options()
    # However somebody ends us, servers and databases go first.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if options.render:
        output = options.output or DOCS
        write_documents(record.read(output / "proof" / "results.json"), output)
        return 0
    names = options.service or list(SERVICES)
    output = options.output or (DOCS if set(names) == set(SERVICES) else None)
    measured, failed = measure([SERVICES[name] for name in names], options.seconds)
    print(f"\n{table.short(measured)}")
    if output is not None and measured["services"]:
        record.write(measured, output / "proof" / "results.json")
        write_documents(measured, output)
        print(f"Written to {output / 'proof.md'} and {output / 'proof'}.")
    return 1 if failed else 0


def measure(services: list[Service], seconds: float) -> tuple[record.Record, bool]:
    """Run the services one after the other; also tell whether one that could have been run failed."""
    failed = False
    with running_server() as postgresql:
        measured = record.of_run(seconds, postgresql.version)
        for service in services:
            if reason := service.missing():
                measured["skipped"][service.name] = reason
            else:
                try:
                    measured["services"][service.name] = _before_and_after(service, postgresql, seconds)
                except (CommandFailed, ServerFailed) as failure:
                    print(f"{service.name}: {failure}", file=sys.stderr)
                    measured["skipped"][service.name] = "it failed"
                    failed = True
            if service.name in measured["skipped"]:
                print(f"\n{service.title}: skipped, {measured['skipped'][service.name]}", flush=True)
            else:
                print(f"\n{service.title}\n\n{table.table(measured, service.name)}", flush=True)
    return measured, failed


def _before_and_after(service: Service, postgresql: Server, seconds: float) -> record.Record:
    with tempfile.TemporaryDirectory(prefix="leakfix-services-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary) / service.folder
        shutil.copytree(APPS / service.folder, folder, ignore=NEVER_COPIED)
        print(f"\n{service.title}: before the repair ...", flush=True)
        before = run_phase(service, folder, postgresql, seconds)
        agreed = _agreement(service, folder, postgresql, seconds)
        repaired = repair(folder)
        print(f"{service.title}: {repaired} After the repair ...", flush=True)
        after = run_phase(service, folder, postgresql, seconds)
    return record.of_service(service, repaired, (before, after), compare(before.answers, after.answers), agreed)


def _agreement(service: Service, folder: Path, postgresql: Server, seconds: float) -> Mapping[str, list[str]]:
    """What analysis and a watched run say of the service as it is; nothing of one that is not in Python."""
    if service.program:
        return {}
    print(f"{service.title}: watched from within ...", flush=True)
    evidence = folder.with_name("evidence.json")
    run_phase(service, folder, postgresql, min(seconds, WATCHED), evidence)
    return agreement(folder, evidence)


def write_documents(measured: record.Record, output: Path) -> None:
    """The page with its tables, the pictures, and, where the project's own page has a place for it, the short table."""
    for name in measured["services"]:
        (output / "proof" / f"connections-{name}.svg").write_text(plot.of_record(measured, name), encoding="utf-8")
    page = output / "proof.md"
    text = page.read_text(encoding="utf-8") if page.exists() else EMPTY_PAGE
    page.write_text(table.between_markers(text, table.document(measured)), encoding="utf-8")
    if output == DOCS:
        readme = ROOT / "README.md"
        text = readme.read_text(encoding="utf-8")
        readme.write_text(table.between_markers(text, table.short(measured)), encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="prove", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--service", action="append", choices=list(SERVICES), help="only this one; can be repeated")
    parser.add_argument("--seconds", type=float, default=25.0, help="of load in each phase")
    parser.add_argument("--output", type=Path, help="the folder to write proof.md and proof/ into")
    parser.add_argument("--render", action="store_true", help="tables and pictures from the last record")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
