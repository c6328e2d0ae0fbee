"""The corpus: published packages by pinned version, unpacked side by side in a git repository."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

PACKAGES = (
    "apache-airflow-core==3.3.2",
    "apache-superset==6.1.0",
    "dagster==1.13.29",
    "django==6.1.3",
    "homeassistant==2025.4.4",
    "mlflow==3.18.0",
    "nautobot==3.2.7",
    "pandas==3.1.1",
    "prefect==3.9.1",
    "pretix==2026.8.0",
    "sqlalchemy==2.1.9",
    "sympy==1.14.0",
    "wagtail==8.0.1",
    "weblate==2026.10.1",
)
_PLATFORMS = ("any", "manylinux_2_28_x86_64", "manylinux2014_x86_64")
_GIT = ("git", "-c", "user.name=benchmark", "-c", "user.email=benchmark@example.org", "-c", "commit.gpgsign=false")


def laid_out(folder: Path, packages: Iterable[str] = PACKAGES) -> None:
    """Unpack the packages' sources into a folder and commit them; what is there already stays as it is.

    Wheels are taken: they hold the same modules as sdists, and nothing of them has to be run to get at these.
    """
    if (folder / ".git").is_dir():
        return
    with tempfile.TemporaryDirectory() as wheels:
        platforms = [word for name in _PLATFORMS for word in ("--platform", name)]
        options = ["--no-deps", "--only-binary", ":all:", "--python-version", "3.13", *platforms, "--dest", wheels]
        subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", *options, *packages], check=True)
        for wheel in sorted(Path(wheels).glob("*.whl")):
            with zipfile.ZipFile(wheel) as archive:
                names = [name for name in archive.namelist() if name.endswith(".py") and ".." not in name]
                archive.extractall(folder / wheel.name.partition("-")[0], names)
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    subprocess.run([*_GIT, "-C", str(folder), "add", "--all"], check=True)
    subprocess.run([*_GIT, "-C", str(folder), "commit", "--quiet", "--message", "corpus"], check=True)


def part_of(corpus: Path, folder: Path, size: int) -> int:
    """Copy every so-many-eth file that mentions a database into a folder, for tools that take long; their number."""
    files = sorted(file for file in corpus.rglob("*.py") if b"sqlalchemy" in file.read_bytes())
    chosen = files[:: max(1, len(files) // size)][:size]
    for number, file in enumerate(chosen):
        shutil.copy(file, folder / f"part{number}_{file.name}")
    return len(chosen)
