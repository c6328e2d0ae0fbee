"""Findings a project has accepted for now: known by their fingerprints in a file beside the configuration."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from leakfix.config import Config, ConfigError
from leakfix.finding import Finding
from leakfix.project.files import read_file, write_atomically

NAME = ".leakfix-baseline.json"
_SCHEMA = 1


@dataclass(frozen=True)
class Baseline:
    """entries: for each fingerprint what is shown of it to people who read the file."""

    file: str
    entries: Mapping[str, Mapping[str, str]]

    @classmethod
    def of(cls, config: Config) -> Baseline:
        """The project's baseline, empty where it has none. Raises ConfigError where the file is not one."""
        file = os.path.join(config.root, NAME)
        return cls(file, _read(file) if os.path.lexists(file) else {})

    def __contains__(self, fingerprint: str) -> bool:
        return fingerprint in self.entries

    def with_findings(self, findings: Iterable[Finding]) -> Baseline:
        """The same with more findings in it."""
        more = {f.fingerprint: {"rule": f.rule, "path": f.path, "function": f.function} for f in findings}
        return Baseline(self.file, {**self.entries, **more})

    def write(self) -> None:
        """Write the file, or leave the former one as it is and raise OSError."""
        listed = sorted(self.entries.items(), key=lambda item: (item[1].get("path", ""), item[0]))
        entries = [{"fingerprint": fingerprint, **entry} for fingerprint, entry in listed]
        text = json.dumps({"leakfix-baseline": _SCHEMA, "findings": entries}, indent=2) + "\n"
        if not os.path.lexists(self.file):
            with open(self.file, "xb"):
                pass
        write_atomically(self.file, read_file(self.file), text.encode())


def _read(file: str) -> dict[str, dict[str, str]]:
    try:
        raw = read_file(file)
        if not raw:  # just made
            return {}
        document = json.loads(raw)
        if document["leakfix-baseline"] != _SCHEMA:
            raise ConfigError(f"{file}: written by another version of leakfix; make it anew")
        return {str(entry["fingerprint"]): {key: str(entry[key]) for key in entry} for entry in document["findings"]}
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConfigError(f"{file}: not a baseline of leakfix; remove it, or restore it") from error
