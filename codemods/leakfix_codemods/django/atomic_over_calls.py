"""A transaction that stays open while other services are called one by one.

What leaks
----------
``with transaction.atomic():`` round a loop that sends requests or mail, or sleeps. It is advice: the transaction ends,
but how long it lasts is up to others.

Why it hurts
------------
Rows stay locked and the connection stays taken for as long as all the calls take together; a service that hangs
makes everybody wait who wants the same rows. A call that has gone out is not undone by a rollback either.

How it is repaired
------------------
Not by a tool. Make the calls before the transaction, or after it: hand them to ``transaction.on_commit`` (Django's
documentation, "Performing actions after commit"), or give each round a transaction of its own.

When it is left alone
---------------------
Single calls, calls in functions given to ``on_commit``, and calls inside other functions.
"""

import ast
import re
from collections.abc import Iterator

from leakfix.codemod import Category, Match, PatternCodemod, Refusal, Severity, Step, View
from leakfix.project.kinds import is_test
from leakfix_codemods.django._orm import nodes_of

ADVICE = (
    "make the calls after the transaction, with transaction.on_commit(), or give each round a transaction of its own"
)
_OUTSIDE = re.compile(
    r"requests\.(?:(?:Session|session)\(\)\.)?(?:get|post|put|patch|delete|head|request)|"
    r"httpx\.(?:Client\(\)\.)?(?:get|post|put|patch|delete|head|request|stream)|urllib\.request\.urlopen|"
    r"smtplib\.SMTP(?:_SSL)?\(\)\.\w+|django\.core\.mail\.(?:send_mail|send_mass_mail|mail_admins|mail_managers)|"
    r"django\.core\.mail\.EmailM(?:essage|ultiAlternatives)\(\)\.send|time\.sleep"
)


def find(view: View) -> Iterator[Match]:
    """Transactions round loops that call others."""
    if is_test(view.module.path):
        return
    for function in view.functions:
        for node in view.own(function):
            if not isinstance(node, ast.With):
                continue
            for item in node.items:
                entered = item.context_expr
                if isinstance(entered, ast.Call) and view.is_a(entered.func, function, "django.db.transaction.atomic"):
                    call = _call_in_loop(view, node)
                    if call is not None:
                        yield Match(
                            entered,
                            "the transaction stays open until every one of these calls has been answered",
                            lambda: Refusal(ADVICE),
                            severity=Severity.NOTE,
                            steps=(Step(call.lineno, f"{ast.unparse(call.func)}() is called in a loop"),),
                        )


def _call_in_loop(view: View, block: ast.With) -> ast.Call | None:
    for node in nodes_of(block.body):
        if isinstance(node, ast.For | ast.While):
            for inner in nodes_of(node.body):
                if isinstance(inner, ast.Call):
                    if any(_OUTSIDE.fullmatch(name) for name in view.of(inner.func, view.function_of(inner))):
                        return inner
    return None


CODEMOD = PatternCodemod(
    find=find,
    words=("atomic",),
    shape=r"with .*atomic\(",
    noun="transaction",
    repairs="none: says what to move out",
    category=Category.ADVICE,
)
