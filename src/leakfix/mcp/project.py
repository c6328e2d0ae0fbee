"""What the tools do, in one folder: nothing outside of it is read on somebody's word, or written at all."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from leakfix import engine
from leakfix.config import ConfigError, load, nearest_rule
from leakfix.finding import Finding, Safety
from leakfix.mcp import results
from leakfix.project.discover import displayed, unusable
from leakfix.project.display import visible
from leakfix.project.files import NotWritten, is_under, write_atomically
from leakfix.registry import Registry
from leakfix.report.diff import patch
from leakfix.report.json import document
from leakfix.result import FileRepair, Report
from leakfix.source import SourceFile

Names = Sequence[str] | None


class NotPossible(Exception):
    """A tool cannot do what is asked; the message says why and what to do."""


class Project:
    """A folder, which is the working directory as long as it is asked."""

    def __init__(self, root: str) -> None:
        self.root = os.path.realpath(root)

    def check(self, paths: Sequence[str], select: Names = None, ignore: Names = None) -> results.Checked:
        """Find leaks. Raises NotPossible."""
        return results.Checked.model_validate(document(self._report(paths, select, ignore)))

    def rules(self) -> results.Rules:
        """Every rule. Raises NotPossible where the configuration cannot be used."""
        codemods = self._registry().codemods.values()
        listed = [{"name": each.name, "category": str(each.category), "repairs": each.repairs} for each in codemods]
        return results.Rules.model_validate({"rules": listed})

    def explain(self, rule: str) -> results.Explanation:
        """What a rule is about. Raises NotPossible where there is none such."""
        codemods = self._registry().codemods
        if rule not in codemods:
            raise NotPossible(f"there is no rule {rule!r}{nearest_rule(rule, codemods)}")
        codemod = codemods[rule]
        return results.Explanation.model_validate(
            {
                "name": rule,
                "category": str(codemod.category),
                "what_leaks": codemod.section("What leaks") or codemod.docstring,
                "why_it_hurts": codemod.section("Why it hurts"),
                "how_it_is_repaired": codemod.section("How it is repaired") or codemod.repairs,
                "when_it_is_left_alone": codemod.section("When it is left alone"),
                "allow": f"# leakfix: allow[{rule}] reason (in Go //)",
            }
        )

    def diff(
        self, paths: Sequence[str], select: Names, ignore: Names, unsafe_fixes: bool, fingerprints: Names
    ) -> results.Difference:
        """What ``apply`` would write. Raises NotPossible."""
        report = self._report(paths, select, ignore)
        repairs = _repairs(report, unsafe_fixes, fingerprints)
        pieces, errors = [], _errors(report)
        for repair in repairs:
            try:
                pieces.append(patch(repair.path, repair.before, repair.after).decode("utf-8", "backslashreplace"))
            except NotWritten as error:
                errors.append(_error(repair.path, error.strerror or str(error)))
        return results.Difference(
            diff="".join(pieces),
            repaired=_repaired(repairs),
            left=_left(report, repairs, unsafe_fixes, fingerprints),
            errors=errors,
        )

    def apply(
        self, paths: Sequence[str], select: Names, ignore: Names, unsafe_fixes: bool, fingerprints: Names
    ) -> results.Applied:
        """Repair; every file is replaced in one step or left as it is. Raises NotPossible."""
        report = self._report(paths, select, ignore)
        written: list[FileRepair] = []
        refused: list[results.FileError] = []
        for repair in _repairs(report, unsafe_fixes, fingerprints):
            try:
                self._inside(repair.path)
                write_atomically(repair.path, repair.before.raw, repair.after.raw)
            except NotPossible as error:
                refused.append(_error(repair.path, str(error)))
            except OSError as error:
                refused.append(_error(repair.path, f"not written: {error.strerror or error}"))
            else:
                written.append(repair)
        return results.Applied(
            written=[visible(repair.path) for repair in written],
            repaired=_repaired(written),
            refused=refused,
            left=_left(report, written, unsafe_fixes, fingerprints),
            errors=_errors(report),
        )

    def _report(self, paths: Sequence[str], select: Names, ignore: Names) -> Report:
        os.chdir(self.root)
        inside = [self._inside(path) for path in paths or ["."]]
        failures = unusable(inside)
        if failures:
            raise NotPossible("; ".join(f"{visible(path)}: {reason}" for path, reason in failures))
        try:
            config = load().overridden(select or None, ignore or None)
            return engine.check(inside, config, Registry.load(config), jobs=1)  # nothing is forked beside threads
        except ConfigError as error:
            raise NotPossible(str(error)) from error

    def _registry(self) -> Registry:
        os.chdir(self.root)
        try:
            return Registry.load(load())
        except ConfigError as error:
            raise NotPossible(str(error)) from error

    def _inside(self, path: str) -> str:
        """A path of the folder as outputs show it. Raises NotPossible where it, or what it links to, lies outside."""
        try:
            real = os.path.realpath(os.path.join(self.root, path))
            given = os.path.abspath(os.path.join(self.root, path))
        except ValueError as error:
            raise NotPossible(f"{visible(path)}: {error}") from error
        for each in (given, real):
            if each != self.root and not is_under(each, self.root):
                why = "links to something" if each == real != given and is_under(given, self.root) else "is"
                raise NotPossible(f"{visible(path)} {why} outside {visible(self.root)}, the folder this server is for")
        return displayed(given)


def _repairs(report: Report, unsafe_fixes: bool, fingerprints: Names) -> list[FileRepair]:
    """What changes; manifests come first, because repaired code imports what they ask for."""

    def accepts(finding: Finding, before: SourceFile, after: SourceFile) -> bool:
        return _why_not(finding, unsafe_fixes, fingerprints) is None

    changed = [repair for repair in engine.repair(report, accepts) if repair.before.raw != repair.after.raw]
    return sorted(changed, key=lambda repair: bool(repair.applied))


def _why_not(finding: Finding, unsafe_fixes: bool, fingerprints: Names) -> str | None:
    """Why a finding is not to be repaired; None where it is."""
    if finding.fix is None:
        return f"no fix: {finding.refusal or 'there is none for this shape yet'}"
    if fingerprints and finding.fingerprint not in fingerprints:
        return "not among the fingerprints that were named"
    if finding.fix.safety is Safety.REVIEW and not unsafe_fixes:
        return f"its fix wants a review and was not written without unsafe_fixes; check: {finding.fix.check}"
    return None


def _left(report: Report, done: Iterable[FileRepair], unsafe_fixes: bool, fingerprints: Names) -> list[results.Left]:
    repaired = {repair.path: repair.remaining for repair in done if repair.applied}
    left = [finding for finding in report.findings if finding.path not in repaired]
    left += [finding for remaining in repaired.values() for finding in remaining]
    return [
        results.Left(
            rule=finding.rule,
            path=visible(finding.path),
            line=finding.line,
            fingerprint=finding.fingerprint,
            message=visible(finding.message),
            reason=visible(_why_not(finding, unsafe_fixes, fingerprints) or "its file was not written"),
        )
        for finding in sorted(left, key=lambda finding: (finding.path, finding.line, finding.column))
    ]


def _repaired(done: Iterable[FileRepair]) -> list[results.Repaired]:
    return [
        results.Repaired(
            rule=finding.rule,
            path=visible(finding.path),
            line=finding.line,
            fingerprint=finding.fingerprint,
            fix=results.Fix.model_validate({"title": visible(finding.fix.title), "safety": str(finding.fix.safety)}),
        )
        for repair in done
        for finding in repair.applied
        if finding.fix is not None
    ]


def _errors(report: Report) -> list[results.FileError]:
    return [_error(error.path, error.message) for error in report.errors]


def _error(path: str, message: str) -> results.FileError:
    return results.FileError(path=visible(path), message=visible(message))
