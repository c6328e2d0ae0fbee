"""Which versions a project allows, as its files declare them."""

from __future__ import annotations

from pathlib import Path

import pytest

from leakfix.project.requirements import only_before


@pytest.mark.parametrize(
    ("name", "text", "requirement", "expected"),
    [
        ("requirements.txt", "PyMySQL==0.9.2\n", "pymysql 1.0", True),
        ("requirements.txt", "PyMySQL==1.0.2\n", "pymysql 1.0", False),
        ("requirements.txt", "PyMySQL<1\n", "pymysql 1.0", True),
        ("requirements.txt", "PyMySQL>=0.9\n", "pymysql 1.0", False),
        ("requirements.txt", "PyMySQL\n", "pymysql 1.0", False),
        ("requirements.txt", "PyMySQL-extras==0.1\n", "pymysql 1.0", False),
        ("requirements.dev.txt", "mysql-connector==2.2.9\n", "mysql-connector", True),
        ("requirements.txt", "mysql_connector\n", "mysql-connector", True),
        ("requirements.txt", "mysql-connector-python==8.0.30\n", "mysql-connector", False),
        ("requirements.txt", "mysql_connector_python==8.0.11\n", "mysql-connector-python 8.0.21", True),
        ("environment.yml", "dependencies:\n  - pymysql=0.9.3\n", "pymysql 1.0", True),
        ("environment.yml", "dependencies:\n  - pymysql>=0.9.3\n", "pymysql 1.0", False),
        ("environment.yml", "dependencies:\n  - pymysql=1.1\n", "pymysql 1.0", False),
        ("pyproject.toml", '[project]\ndependencies = ["ibm_db~=3.0.1"]\n', "ibm-db 3.0.2", True),
        ("poetry.lock", '[[package]]\nname = "pymysql"\nversion = "0.10.1"\n', "pymysql 1.0", True),
    ],
)
def test_what_is_declared(tmp_path: Path, name: str, text: str, requirement: str, expected: bool) -> None:
    (tmp_path / "setup.cfg").touch()
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert only_before(str(tmp_path / "shop" / "orders.py"), requirement) is expected


def test_without_a_project_nothing_is_declared(tmp_path: Path) -> None:
    assert not only_before(str(tmp_path / "orders.py"), "pymysql 1.0")
    assert not only_before(str(tmp_path / "orders.py"), "mysql-connector")
