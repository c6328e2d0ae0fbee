"""Every repair is checked before anyone sees it: it compiles, the finding is gone, none is new, nothing else moved."""

from __future__ import annotations

import ast
import warnings
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from leakfix.analysis import Analysis, Located, Matched
from leakfix.analysis_go import GoAnalysis, GoLocated, GoMatched
from leakfix.codemod import GoPatternCodemod, PatternCodemod
from leakfix.finding import Fix, Refusal
from leakfix.languages.go.packages import GoFile
from leakfix.languages.go.syntax import errors_in, parsed
from leakfix.languages.python.modules import Module
from leakfix.languages.python.project import Unparsable
from leakfix.project.gotoolchain import is_formatted
from leakfix.resources import Resource
from leakfix.source import ConflictingEdits, SourceFile, UndecodableSource

_MOST_ACQUISITIONS = 60
_TOO_MANY = Refusal("the file is too large for so many repairs at once: accept those that are offered and check again")
_SIMPLE = (ast.Expr, ast.Assign, ast.AugAssign, ast.Return, ast.Raise, ast.Delete, ast.Assert)


def verified(analysis: Analysis, located: Located, fix: Fix) -> Fix | Refusal:
    """The fix, if the edited file passes every check; else the reason as a refusal."""
    if located.acquisitions > _MOST_ACQUISITIONS:
        return Refusal(
            f"the function acquires {located.acquisitions} times; a repair is verified against all others only up to "
            f"{_MOST_ACQUISITIONS}: divide the function first"
        )
    if not analysis.may_verify(located.module):
        return _TOO_MANY
    module = _edited(analysis, located.module, fix)
    if isinstance(module, Refusal):
        return module
    lost = _lost_statement(located, fix, module)
    if lost:
        return Refusal(f"the repair would change more than it should: {lost}")
    again = analysis.with_module(module)
    after = {item.finding.fingerprint for item in again.leaks(module, located.function.qualname)}
    if located.finding.fingerprint in after:
        return Refusal("the leak would remain on some path after the repair")
    if after - located.beside:
        return Refusal("the repair would open another leak")
    return fix


def verified_go(analysis: GoAnalysis, located: GoLocated, fix: Fix) -> Fix | Refusal:
    """The fix of a leak in Go, if the edited file passes every check; else the reason as a refusal."""
    edited = _edited_go(analysis, located.file, fix)
    if isinstance(edited, Refusal):
        return edited
    again, file = edited
    before = {item.finding.fingerprint for item in analysis.leaks(located.file)}
    functions = analysis.program.declared(located.file)
    after = {item.finding.fingerprint for item in again.leaks_beside(file, functions, located.function)}
    if located.finding.fingerprint in after:
        return Refusal("the leak would remain on some path after the repair")
    if after - before:
        return Refusal("the repair would open another leak")
    return fix


def verified_go_pattern(
    analysis: GoAnalysis, matched: GoMatched, fix: Fix, patterns: Mapping[str, GoPatternCodemod]
) -> Fix | Refusal:
    """The fix of a pattern in Go, if the edited file passes every check; else the reason as a refusal."""
    edited = _edited_go(analysis, matched.file, fix)
    if isinstance(edited, Refusal):
        return edited
    again, file = edited
    before = Counter(item.finding.rule for item in analysis.matches(matched.file, patterns))
    after = Counter(item.finding.rule for item in again.matches(file, patterns))
    if after[matched.finding.rule] >= before[matched.finding.rule]:
        return Refusal("the repaired code would be reported again")
    leaks = Counter(item.finding.rule for item in again.leaks(file))
    if after - before or leaks - Counter(item.finding.rule for item in analysis.leaks(matched.file)):
        return Refusal("the repaired code would be reported for something else")
    return fix


def _edited_go(analysis: GoAnalysis, before: GoFile, fix: Fix) -> tuple[GoAnalysis, GoFile] | Refusal:
    """The project after a fix, if the file still is Go, and laid out as before."""
    try:
        edited = before.source.edited(fix.edits)
    except ConflictingEdits as error:
        return Refusal(f"the repair contradicts itself: {error}")
    again = analysis.with_source(edited)
    file = again.packages.file(before.path)
    if file is None or errors_in(file.root) > errors_in(before.root):
        return Refusal("the repaired code would not compile")
    if is_formatted(before.source.data) is True and is_formatted(edited.data) is False:
        return Refusal("gofmt would lay the repaired code out otherwise")
    return again, file


def verified_pattern(
    analysis: Analysis, matched: Matched, fix: Fix, patterns: Mapping[str, PatternCodemod]
) -> Fix | Refusal:
    """The fix of a pattern, if the edited file passes every check; else the reason as a refusal."""
    if not analysis.may_verify(matched.module):
        return _TOO_MANY
    module = _edited(analysis, matched.module, fix)
    if isinstance(module, Refusal):
        return module
    again = analysis.with_module(module)
    before = Counter(item.finding.rule for item in analysis.matches(matched.module, patterns))
    after = Counter(item.finding.rule for item in again.matches(module, patterns))
    if after[matched.finding.rule] >= before[matched.finding.rule]:
        return Refusal("the repaired code would be reported again")
    if after - before:
        return Refusal("the repaired code would be reported for something else")
    if _leaks(again, module, _changed(matched.module, module)) - _leaks(
        analysis, matched.module, _changed(module, matched.module)
    ):
        return Refusal("the repair would open a leak")
    return fix


def _changed(before: Module, after: Module) -> list[str]:
    """The functions of ``after`` that are new or not what they were."""
    return [
        name
        for name, info in after.functions.items()
        if name not in before.functions or ast.dump(info.node) != ast.dump(before.functions[name].node)
    ]


def _leaks(analysis: Analysis, module: Module, functions: Iterable[str]) -> Counter[str]:
    """How many leaks of each rule some functions have; which of them is which cannot be told where both changed."""
    return Counter(item.finding.rule for name in functions for item in analysis.leaks(module, name))


def _edited(analysis: Analysis, module: Module, fix: Fix) -> Module | Refusal:
    """The file after a fix, if it still compiles."""
    try:
        edited = module.source.edited(fix.edits)
        compiled(edited)
        return analysis.parsed(edited)
    except (
        ConflictingEdits,
        UndecodableSource,
        Unparsable,
        RecursionError,
        SyntaxError,
        ValueError,
    ) as error:
        return Refusal(f"the repaired code would not compile: {_first_line(error)}")


def compiled(edited: SourceFile) -> None:
    """Compile a file for its errors: SyntaxError, ValueError or RecursionError."""
    if edited.path.endswith(".go"):
        if errors_in(parsed(edited.data)):
            raise ValueError("it is no Go")
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compile(edited.code, edited.path, "exec", dont_inherit=True)


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _lost_statement(located: Located, fix: Fix, after: Module) -> str:
    """A simple statement that vanished although it is no release, or came although it is none; "" where all is well."""
    resource = located.leak.resource
    span, source = located.finding.span, located.module.source
    line = source.line_of(span.start)
    touched, made = _touched(fix, source, after.source)
    old, new = Counter(_simple(located.module.tree, line, touched)), Counter(_simple(after.tree, 0, made))
    for text in old - new:
        if not _is_release(text, resource, source.text(span)):
            return f"`{text}` would be lost"
    return ""


def _touched(fix: Fix, before: SourceFile, after: SourceFile) -> tuple[frozenset[int], frozenset[int]]:
    """The lines an edit changes, before and after: statements on others are what they were."""
    old, new, shift = set[int](), set[int](), 0
    for edit in sorted(fix.edits):
        start = edit.start + shift
        shift += len(edit.text) - (edit.end - edit.start)
        old.update(range(before.line_of(edit.start), before.line_of(edit.end) + 1))
        new.update(range(after.line_of(start), after.line_of(start + len(edit.text)) + 1))
    return frozenset(old), frozenset(new)


def _simple(tree: ast.Module, skipped_line: int, lines: frozenset[int]) -> Iterator[str]:
    """The simple statements that stand on some of these lines, but for those on one."""
    wanted = sorted(lines)
    stack: list[ast.AST] = [tree]
    while stack:
        for node in ast.iter_child_nodes(stack.pop()):
            if not isinstance(node, ast.stmt | ast.excepthandler):
                if isinstance(node, ast.match_case):
                    stack.append(node)
                continue
            last = node.end_lineno or node.lineno
            at = bisect_left(wanted, node.lineno)
            if at == len(wanted) or wanted[at] > last:
                continue
            stack.append(node)
            if isinstance(node, _SIMPLE) and not node.lineno <= skipped_line <= last:
                yield ast.unparse(node)


def _is_release(text: str, resource: Resource, acquired: str) -> bool:
    """Whether a statement does nothing but release, what it calls for that being what was called to acquire."""
    call, _, _ = text.removeprefix("await ").rpartition("(")
    receiver, _, word = call.rpartition(".")
    if "(" in receiver and not acquired.startswith(f"{receiver}."):
        return False
    return word in resource.release or any(word == name.rpartition(".")[2] for name in resource.release_with)
