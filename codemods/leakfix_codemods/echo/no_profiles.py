"""A server that cannot be asked what it holds.

What leaks
----------
Nothing by itself. A program that starts an Echo server registers neither ``net/http/pprof`` nor Echo's wrapper of it,
so that nobody can look at its heap and its goroutines while it grows.

Why it hurts
------------
Memory that creeps up over days is found in minutes with two heap profiles and their difference. Without them people
restart the server and wait for the next time.

How it is repaired
------------------
By hand: ``import _ "net/http/pprof"`` registers on ``http.DefaultServeMux``, ``pprof.Register(e)`` of echo-contrib on
the server. Either belongs where the public cannot reach it, which is for people to decide, so it is said and not done.

When it is left alone
---------------------
Any file of the package imports a profiler: pprof, ``runtime/pprof``, pyroscope, or an agent that takes profiles.
"""

import re
from collections.abc import Iterator

from leakfix.codemod import Category, GoMatch, GoPatternCodemod, GoView, Refusal, Severity
from leakfix.languages.go.syntax import text
from leakfix.patterns.go import enclosing
from leakfix.source import Span

_STARTS = re.compile(r"\w+\.Start(?:TLS|AutoTLS|H2CServer|Server)?")
_PROFILES = re.compile(rb'"[^"\n]*(?:pprof|profil|pyroscope|newrelic|datadog|dd-trace|elastic/apm)[^"\n]*"')


def find(view: GoView) -> Iterator[GoMatch]:
    """The line that starts the server."""
    if any(_PROFILES.search(file.source.data) for file in view.package.files):
        return
    for call in view.named("call_expression"):
        function = call.child_by_field_name("function")
        if function is None or not _STARTS.fullmatch(text(function)):
            continue
        inside = enclosing(call, "function_declaration", "method_declaration")
        if inside is not None and text(inside.child_by_field_name("name")) == "main":
            yield GoMatch(
                Span(call.start_byte, call.end_byte),
                "main",
                "what the server holds cannot be looked at: no profiler is registered",
                lambda: Refusal("where profiles may be read is for you to decide: see the documentation of this rule"),
                Severity.NOTE,
            )
            return


CODEMOD = GoPatternCodemod(
    find=find,
    noun="server",
    repairs="told: net/http/pprof, or Register of echo-contrib's pprof",
    shape=r"labstack/echo/v[45]\"",
    category=Category.ADVICE,
)
