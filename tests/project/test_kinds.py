"""What a file is for, by its path."""

from __future__ import annotations

import pytest

from leakfix.project.kinds import is_command, is_run_once


@pytest.mark.parametrize(
    ("path", "command", "once"),
    [
        ("shop/management/commands/total.py", True, True),
        ("shop/management/commands/_total.py", False, True),
        ("shop/migrations/0002_slugs.py", False, True),
        ("alembic/versions/ab12_users.py", False, True),
        ("scripts/load.py", False, True),
        (".github/workflows/pages.py", False, True),
        ("shop/tools/agent.py", False, False),
        ("shop/views.py", False, False),
    ],
)
def test_commands_are_not_all_that_ends(path: str, command: bool, once: bool) -> None:
    assert is_command(path) is command
    assert is_run_once(path) is once
