"""A finding with its verified repair, or with the reason why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from leakfix.analysis import Analysis, Located, Matched
from leakfix.analysis_go import GoAnalysis, GoLocated, GoMatched
from leakfix.codemod import GoPatternCodemod, PatternCodemod
from leakfix.finding import Finding, Fix, Refusal
from leakfix.languages.go.packages import GoFile
from leakfix.repairs.go.plan import repair as repaired_go
from leakfix.repairs.python.separate import is_same, line_edits, separated
from leakfix.repairs.python.subject import Refused
from leakfix.verify import verified, verified_go, verified_go_pattern, verified_pattern


def leak(analysis: Analysis, located: Located) -> Finding:
    """A leak of a Python file."""
    answer = _proposed(analysis, located)
    if isinstance(answer, Refusal) and answer.shared_lines:
        answer = _laid_out(analysis, located) or answer
    return _with(located.finding, answer)


def refined(
    analysis: Analysis, located: Located, matched: Matched | None, patterns: Mapping[str, PatternCodemod]
) -> Finding | None:
    """The leak in the words of a codemod that knows its setting, where that one's repair holds."""
    if matched is None:
        return None
    found = located.finding
    finding = replace(matched.finding, severity=found.severity, message=found.message, witness=found.witness)
    answered = match(analysis, replace(matched, finding=replace(finding, held=found.held)), patterns)
    return answered if answered.fix is not None else None


def match(analysis: Analysis, matched: Matched, patterns: Mapping[str, PatternCodemod]) -> Finding:
    """What a pattern reports of a Python file. patterns: those that are asked of the repaired file."""
    answer: Fix | Refusal
    try:
        answer = matched.match.repair()
    except Refused as why:
        answer = Refusal(str(why))
    except RecursionError:
        answer = Refusal("nested too deeply to be edited safely")
    if isinstance(answer, Fix):
        answer = verified_pattern(analysis, matched, answer, patterns)
    if isinstance(answer, Fix):
        answer = analysis.reviewed(matched.module, matched.finding, answer)
    return _with(matched.finding, answer)


def go_leak(analysis: GoAnalysis, file: GoFile, located: GoLocated) -> Finding:
    """A leak of a Go file."""
    finding = located.finding
    answer = repaired_go(file.source, file.root, finding.span, located.leak, analysis.declared(file))
    if isinstance(answer, Fix):
        answer = verified_go(analysis, located, answer)
    return _with(finding, answer)


def go_match(analysis: GoAnalysis, matched: GoMatched, patterns: Mapping[str, GoPatternCodemod]) -> Finding:
    """What a pattern reports of a Go file."""
    answer = matched.match.repair()
    if isinstance(answer, Fix):
        answer = verified_go_pattern(analysis, matched, answer, patterns)
    return _with(matched.finding, answer)


def _with(finding: Finding, answer: Fix | Refusal) -> Finding:
    if isinstance(answer, Refusal):
        return replace(finding, refusal=answer.reason)
    return replace(finding, fix=answer)


def _proposed(analysis: Analysis, located: Located) -> Fix | Refusal:
    answer = analysis.proposal(located)
    return verified(analysis, located, answer) if isinstance(answer, Fix) else answer


def _laid_out(analysis: Analysis, located: Located) -> Fix | None:
    """The repair after the statements that are in its way were put on lines of their own."""
    source = located.module.source
    apart = separated(source, located.function.node, located.finding.span)
    module = analysis.parsed(apart)
    if not is_same(located.module.tree, module.tree, source, located.finding.span):
        return None
    changed = analysis.with_module(module)
    for again in changed.leaks(module, located.function.qualname):
        if again.finding.fingerprint == located.finding.fingerprint:
            answer = _proposed(changed, again)
            if isinstance(answer, Fix):
                return replace(answer, edits=line_edits(source, apart.edited(answer.edits)))
    return None
