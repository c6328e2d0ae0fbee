"""The Go toolchain, where it is installed: what gofmt would change, and whether repaired packages build and vet."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from functools import lru_cache

_FORMAT_SECONDS = 10
_BUILD_SECONDS = 600
_POSITION = re.compile(r"^(?:\./)?[^\s:]+\.go:\d+(?::\d+)?: ")
_MOST_SHOWN = 300


def can_build() -> bool:
    """Whether there is a ``go`` command."""
    return _program("go") is not None


@lru_cache(maxsize=4)
def is_formatted(data: bytes) -> bool | None:
    """Whether gofmt would change nothing; None where it is not there, or cannot read the source.

    A file with several repairs is asked about once for each of them: the last answers are kept.
    """
    import subprocess

    program = _program("gofmt")
    if program is None:
        return None
    try:
        done = subprocess.run([program], input=data, capture_output=True, timeout=_FORMAT_SECONDS, check=False, cwd="/")
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout == data if done.returncode == 0 else None


@lru_cache(maxsize=2)
def _program(name: str) -> str | None:
    """From an absolute folder of PATH: a relative one would be the scanned tree."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return shutil.which(name, path=os.pathsep.join(folder for folder in folders if os.path.isabs(folder)))


def failures(files: Mapping[str, bytes]) -> dict[str, str]:
    """The packages, by their folder, that do not build with these files in place, or get a new complaint of vet.

    The files are laid over those on disk (``go help build``, ``-overlay``, since Go 1.16). A package that does not
    build as it is fails, too: nothing can be said of it.
    """
    found = {}
    with tempfile.TemporaryDirectory(prefix="leakfix-build-") as folder:
        copies = {path: os.path.join(folder, f"{number}.go") for number, path in enumerate(files)}
        overlay = _overlay(folder, files, copies)
        for package in sorted({os.path.dirname(path) for path in files}):
            reason = _failure(package or ".", overlay)
            for path, copy in copies.items():
                reason = reason.replace(copy, path)
            if reason:
                found[package] = reason
    return found


def _overlay(folder: str, files: Mapping[str, bytes], copies: Mapping[str, str]) -> str:
    for path, data in files.items():
        with open(copies[path], "wb") as stream:
            stream.write(data)
    where = os.path.join(folder, "overlay.json")
    with open(where, "w", encoding="utf-8") as stream:
        json.dump({"Replace": {os.path.abspath(path): copy for path, copy in copies.items()}}, stream)
    return where


def _failure(package: str, overlay: str) -> str:
    laid = ("-overlay", overlay)
    built = _go(package, "build", *laid, "-o", os.devnull, ".")
    if built is not None:
        before = _go(package, "build", "-o", os.devnull, ".")
        told = "it does not build as it is" if before is not None else "it would not build"
        return f"{told}: {_first(built)}"
    vetted = _go(package, "vet", *laid, ".")
    new = _complaints(vetted) - _complaints(_go(package, "vet", ".")) if vetted is not None else set()
    return f"go vet would say: {_first(sorted(new))}" if new else ""


def _go(package: str, *arguments: str) -> list[str] | None:
    """What the go command complains about; None where it is content."""
    import subprocess

    program = _program("go")
    if program is None:
        return ["there is no go command"]
    try:
        done = subprocess.run(
            [program, *arguments],
            cwd=package,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=_BUILD_SECONDS,
            env={**os.environ, "PWD": os.path.abspath(package)},
        )
    except subprocess.TimeoutExpired:
        return [f"go {arguments[0]} took longer than {_BUILD_SECONDS} s"]
    except OSError as error:
        return [f"go: {error.strerror or error}"]
    if done.returncode == 0:
        return None
    lines = (done.stderr + done.stdout).decode("utf-8", "replace").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")] or [f"go {arguments[0]} failed"]


def _complaints(lines: Sequence[str] | None) -> set[str]:
    """Complaints without where they are, which a repair moves."""
    return {_POSITION.sub("", line) for line in lines or ()}


def _first(lines: Sequence[str]) -> str:
    return lines[0][:_MOST_SHOWN]
