"""Findings a project has accepted for now: known by their fingerprints in a file beside the configuration.

A fingerprint survives moved lines. Beside it stands what the leak consists of, by which a finding is known whose
function or file has another name now.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from leakfix.config import Config, ConfigError
from leakfix.finding import Acceptance, Finding
from leakfix.project.files import create_atomically, read_file, write_atomically
from leakfix.project.trace import has_one_of
from leakfix.source import SourceFile

_SCHEMA = 1

Entry = Mapping[str, str]


@dataclass(frozen=True)
class Baseline:
    """entries: for each fingerprint what is shown of it to people who read the file.

    path: from the folder of the file; content: what ``content_of`` says, where it was known.
    """

    file: str
    entries: Mapping[str, Entry]

    @classmethod
    def of(cls, config: Config) -> Baseline:
        """The baseline of settings, empty where there is none. Raises ConfigError where the file is not one."""
        file = file_of(config)
        return cls(file, _read(file) if file and _is_there(file) else {})

    def __contains__(self, fingerprint: str) -> bool:
        return fingerprint in self.entries

    def marked(self, findings: Iterable[Finding], source: SourceFile) -> Iterator[Finding]:
        """A file's findings, those marked that are in it. They are made as they are asked for, where that can be."""
        if not self.entries or not self._spare(self.path_of(source.path)):
            for finding in findings:
                yield _marked(finding, finding.fingerprint in self.entries)
            return
        for finding, name in self.matched(list(findings), source):
            yield _marked(finding, name is not None)

    def matched(self, findings: list[Finding], source: SourceFile) -> Iterator[tuple[Finding, str | None]]:
        """All findings of a file, each with the fingerprint of the entry that stands for it.

        Where that is not its own, the function has another name now, or the file that the entry names is gone and the
        leak stands here, line for line. No entry stands for two findings of a file; those a comment accepts need none.
        """
        here = {finding.fingerprint for finding in findings}
        spare = [(name, content) for name, content in self._spare(self.path_of(source.path)) if name not in here]
        for finding in findings:
            accepted = finding.fingerprint if finding.fingerprint in self.entries else None
            if accepted is None and spare and not finding.accepted:
                content = content_of(finding, source)
                accepted = next((name for name, its in spare if its == content), None)
                spare = [item for item in spare if item[0] != accepted]
            yield finding, accepted

    def _spare(self, path: str) -> list[tuple[str, str]]:
        """The entries, with their contents, that may stand for something else in a file than what they name."""
        return [*self._contents.get(path, ()), *self._gone]

    @cached_property
    def _contents(self) -> dict[str, list[tuple[str, str]]]:
        found: dict[str, list[tuple[str, str]]] = {}
        for name, entry in self.entries.items():
            if "content" in entry:
                found.setdefault(entry.get("path", ""), []).append((name, entry["content"]))
        return found

    @cached_property
    def _gone(self) -> list[tuple[str, str]]:
        return [item for path, items in self._contents.items() if not self.has(path) for item in items]

    def has(self, path: str) -> bool:
        """Whether a file that an entry names is there."""
        return _is_there(os.path.join(os.path.dirname(self.file), path))

    def path_of(self, path: str) -> str:
        """The path of a file, from the folder of the baseline."""
        return os.path.relpath(path, os.path.dirname(self.file) or os.curdir).replace(os.sep, "/")

    def with_findings(self, findings: Iterable[Finding], sources: Mapping[str, SourceFile]) -> Baseline:
        """The same with more findings in it."""
        more = {finding.fingerprint: self.entry_of(finding, sources[finding.path]) for finding in findings}
        return Baseline(self.file, {**self.entries, **more})

    def entry_of(self, finding: Finding, source: SourceFile) -> Entry:
        """What is written of a finding."""
        names = {"rule": finding.rule, "path": self.path_of(finding.path), "function": finding.function}
        return {**names, "content": content_of(finding, source)}

    def write(self) -> None:
        """Write the file, or leave the former one as it is and raise OSError."""
        listed = sorted(self.entries.items(), key=lambda item: (item[1].get("path", ""), item[0]))
        entries = [{"fingerprint": fingerprint, **entry} for fingerprint, entry in listed]
        content = (json.dumps({"leakfix-baseline": _SCHEMA, "findings": entries}, indent=2) + "\n").encode()
        if os.path.lexists(self.file):
            write_atomically(self.file, read_file(self.file), content)
        else:
            create_atomically(self.file, content)


def file_of(config: Config) -> str:
    """Where the baseline of settings is; empty where there is to be none."""
    return "" if config.baseline is None else os.path.join(config.root, config.baseline)


def by_baseline(config: Config, findings: Iterable[Finding], read: bool = True) -> list[tuple[Baseline, list[Finding]]]:
    """Findings with the baseline that the settings of their files name, empty unless it is to be read.

    Raises ConfigError where it is none.
    """
    found: dict[str, tuple[Baseline, list[Finding]]] = {}
    for finding in findings:
        governing = config.governing(finding.path)
        baseline = Baseline.of(governing) if read else Baseline(file_of(governing), {})
        found.setdefault(os.path.abspath(baseline.file), (baseline, []))[1].append(finding)
    return [found[file] for file in sorted(found)]


def _marked(finding: Finding, is_in_it: bool) -> Finding:
    """A finding that a comment accepts is accepted by that."""
    return replace(finding, accepted=Acceptance.BASELINE) if is_in_it and not finding.accepted else finding


def _is_there(file: str) -> bool:
    return has_one_of(os.path.dirname(file), (os.path.basename(file),))


def content_of(finding: Finding, source: SourceFile) -> str:
    """What a finding consists of, without the names of its function and file: the acquisition and the leaking lines."""
    lines = [source.line_text(line) for line in (finding.line, *(step.line for step in finding.witness))]
    texts = [finding.rule, source.text(finding.span), *lines]
    parts = "\0".join(" ".join(text.split()) for text in texts)
    return hashlib.sha256(parts.encode("utf-8", "surrogateescape")).hexdigest()[:16]


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
