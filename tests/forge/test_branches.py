"""``leakfix branch`` in repositories of every kind: commits appear on the branch, and nothing else changes."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from leakfix.cli import main as run_program

SQLITE = """\
import sqlite3


def count(path):
    connection = sqlite3.connect(path)
    return connection.execute("SELECT 1").fetchone()
"""
PYMYSQL = """\
import pymysql


def touch(settings):
    connection = pymysql.connect(**settings)
    connection.ping()
    connection.close()
"""
ENGINE = """\
from sqlalchemy import create_engine, text

URL = "sqlite://"


def load():
    engine = create_engine(URL)
    with engine.connect() as connection:
        return connection.execute(text("SELECT 1")).all()
"""
WHO = "Some One <some@example.org>"
Change = Callable[[], None]


@dataclass(frozen=True)
class Done:
    """What the program said."""

    code: int
    out: str
    err: str


class Tree:
    """A repository under test, or a copy of one."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._capsys = capsys
        self._monkeypatch = monkeypatch

    def at(self, folder: Path) -> Tree:
        """Another one."""
        return Tree(folder, self._capsys, self._monkeypatch)

    def git(self, *arguments: str | bytes, check: bool = True) -> str:
        """What git says in it."""
        command = ["git", *arguments]
        done = subprocess.run(command, cwd=self.folder, check=False, capture_output=True, stdin=subprocess.DEVNULL)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout.decode("utf-8", "surrogateescape").strip()

    def leakfix(self, *arguments: str, inside: str = ".") -> Done:
        """Run the program in it."""
        self._monkeypatch.chdir(self.folder / inside)
        code = run_program([arguments[0], "--jobs", "1", *arguments[1:]])
        return Done(code, *self._capsys.readouterr())

    def branch(self, *arguments: str, inside: str = ".") -> str:
        """Make a branch, which must work, and return its tip."""
        done = self.leakfix("branch", *arguments, inside=inside)
        assert (done.code, done.err) == (0, "")
        return self.tip(arguments[0])

    def refused(self, *arguments: str, inside: str = ".") -> str:
        """Try to make a branch, which must fail and change nothing; what is said about it."""
        before = self.everything()
        done = self.leakfix("branch", *arguments, inside=inside)
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith("error: ")
        assert "Traceback" not in done.err
        assert self.everything() == before
        return done.err

    def tip(self, branch: str) -> str:
        return self.git("rev-parse", "--verify", f"refs/heads/{branch}")

    def write(self, name: str, content: str | bytes = SQLITE) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def commit(self, message: str = "work") -> str:
        """Commit all, some time ago: what is committed otherwise is of another time for sure."""
        self.git("add", "-A")
        environment = {**os.environ, "GIT_AUTHOR_DATE": "@1700000000 +0100", "GIT_COMMITTER_DATE": "@1700000000 +0100"}
        command = ["git", "commit", "-q", "--no-gpg-sign", "-m", message]
        subprocess.run(command, cwd=self.folder, env=environment, check=True, capture_output=True)
        return self.git("rev-parse", "HEAD")

    def content(self, revision: str, name: str) -> bytes:
        command = ["git", "cat-file", "blob", f"{revision}:{name}"]
        return subprocess.run(command, cwd=self.folder, check=True, capture_output=True).stdout

    def everything(self) -> dict[str, object]:
        """All files and refs; of git's own files those that are no objects and tell nothing about a branch ``fix``."""
        found: dict[str, object] = {"refs": self.git("for-each-ref", "--format=%(refname) %(objectname)", check=False)}
        for path in sorted(self.folder.rglob("*")):
            name = path.relative_to(self.folder).as_posix()
            if re.search(r"(^|/)objects(/|$)|(^|/)(logs/)?refs(/|$)|(^|/)logs(/refs(/heads)?)?$", name):
                continue
            status = path.lstat()
            content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
            found[name] = (stat.S_IMODE(status.st_mode), content)
        return found


@pytest.fixture
def tree(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Tree:
    """A repository with two leaks of two rules, known to nobody's configuration but its own."""
    for name in [name for name in os.environ if name.startswith(("GIT_", "XDG_"))]:
        monkeypatch.delenv(name)
    home, temporary = tmp_path / "home", tmp_path / "temporary"
    for folder in (home, temporary, tmp_path / "tree"):
        folder.mkdir()
    (home / ".gitconfig").write_text(
        '[user]\nname = Some One\nemail = some@example.org\n[protocol "file"]\nallow = always\n'
        "[init]\ndefaultBranch = main\n[safe]\ndirectory = *\n"
    )
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    made = Tree(tmp_path / "tree", capsys, monkeypatch)
    made.git("init", "-q")
    made.write("shop/orders.py")
    made.write("shop/prices.py", PYMYSQL)
    made.write("README.md", "a shop\n")
    made.commit()
    return made


@pytest.fixture(autouse=True)
def _nothing_is_left(tmp_path: Path) -> Iterator[None]:
    yield
    assert not list((tmp_path / "temporary").glob("*")), "a temporary folder was left"


def _messages(tree: Tree, revisions: str) -> list[str]:
    return tree.git("log", "--reverse", "--format=%s", revisions).splitlines()


def _programs(folder: Path, names: tuple[str, ...]) -> str:
    """A folder for PATH that holds these programs alone."""
    folder.mkdir()
    for name in names:
        found = shutil.which(name)
        assert found
        (folder / name).symlink_to(found)
    return str(folder)


# The work tree


def _dirty(tree: Tree) -> None:
    tree.write("shop/orders.py", SQLITE.replace("SELECT 1", "SELECT 2"))
    tree.write("shop/prices.py", "import broken (\n")
    tree.git("add", "shop/prices.py")
    (tree.folder / "README.md").unlink()
    tree.write("shop/new.py")
    tree.write("shop/staged.py")
    tree.git("add", "shop/staged.py")


@pytest.mark.parametrize("split", [(), ("--split",)])
def test_a_dirty_tree_the_index_and_head_stay_as_they_are(tree: Tree, split: tuple[str, ...]) -> None:
    _dirty(tree)
    before, status = tree.everything(), tree.git("--no-optional-locks", "status", "--porcelain")
    tree.branch("fix", *split)
    after = tree.everything()
    assert after.pop("refs") == f"refs/heads/fix {tree.tip('fix')}\n{before.pop('refs')}"
    assert after == before
    assert tree.git("--no-optional-locks", "status", "--porcelain") == status
    assert tree.git("diff", "--name-only", "main", "fix").splitlines() == ["shop/orders.py", "shop/prices.py"]
    assert b"SELECT 1" in tree.content("fix", "shop/orders.py")


@pytest.mark.parametrize("split", [(), ("--split",)])
def test_the_same_call_again_changes_nothing(tree: Tree, split: tuple[str, ...]) -> None:
    first = tree.branch("fix", *split)
    again = tree.leakfix("branch", "fix", *split)
    assert (again.code, again.out) == (0, "Branch fix has these 2 fixes already.\n")
    _dirty(tree)
    assert tree.branch("fix", *split) == first
    assert tree.branch("other", *split) == first
    tree.git("branch", "-D", "fix")
    assert tree.branch("fix", *split) == first
    assert tree.git("for-each-ref", "refs/leakfix") == ""


def test_apply_makes_the_same_branch(tree: Tree) -> None:
    first = tree.branch("fix")
    assert tree.leakfix("apply", "--branch", "other").code == 0
    assert tree.tip("other") == first
    for more in ("--yes", "--diff", "--again"):
        assert tree.leakfix("apply", "--branch", "third", more).code == 2
    assert tree.git("branch", "--list", "third") == ""


def test_a_rule_makes_one_commit_and_each_compiles(tree: Tree) -> None:
    tree.write("shop/more.py", SQLITE + SQLITE.replace("import sqlite3", "").replace("count", "other"))
    tree.commit()
    tree.branch("fix")
    assert _messages(tree, "main..fix") == [
        "Repair pymysql/unclosed-connection in touch",
        "Repair sqlite3/unclosed-connection in 3 places",
    ]
    tree.branch("each", "--split")
    assert _messages(tree, "main..each") == [
        "Repair pymysql/unclosed-connection in touch",
        "Repair sqlite3/unclosed-connection in count",
        "Repair sqlite3/unclosed-connection in other",
        "Repair sqlite3/unclosed-connection in count",
    ]
    assert tree.git("rev-parse", "each^{tree}") == tree.git("rev-parse", "fix^{tree}")
    for commit in tree.git("rev-list", "main..each", "main..fix").splitlines():
        for name in tree.git("ls-tree", "-r", "--name-only", commit).splitlines():
            if name.endswith(".py"):
                compile(tree.content(commit, name), name, "exec")
    assert tree.leakfix("check").code == 1
    tree.git("checkout", "-q", "fix")
    assert tree.leakfix("check").code == 0


def test_the_message_tells_the_leaking_path_and_the_rule(tree: Tree) -> None:
    tree.branch("fix", "shop/prices.py")
    subject, leak, trailers = tree.git("show", "-s", "--format=%B", "fix").split("\n\n")
    assert subject == "Repair pymysql/unclosed-connection in touch"
    assert leak.splitlines() == [
        "shop/prices.py:5: connection is not released if line 6 raises",
        "    line 5: connection acquired here",
        "    line 6: may raise",
        "    line 6: the exception leaves with the connection still open",
        "  Repair (safe): hold the connection in a scope that releases it",
    ]
    assert re.fullmatch(r"Leakfix-Rule: pymysql/unclosed-connection\nLeakfix-Version: \S+", trailers.strip())
    assert tree.git("show", "-s", "--format=%an <%ae>%n%cn <%ce>", "fix") == f"{WHO}\n{WHO}"
    keys = tree.git("show", "-s", "--format=%(trailers:key=Leakfix-Rule,valueonly)", "fix")
    assert keys == "pymysql/unclosed-connection"


def test_nothing_to_repair_makes_no_branch(tree: Tree) -> None:
    done = tree.leakfix("branch", "fix", "README.md")
    assert (done.code, done.out) == (0, "Nothing to commit: no leaks with a fix that may be committed unseen.\n")
    assert tree.git("branch", "--list", "fix") == ""


# Branches that are there


def test_an_own_branch_follows_its_base(tree: Tree) -> None:
    first = tree.branch("fix")
    tree.write("shop/new.py")
    base = tree.commit()
    second = tree.branch("fix")
    assert second != first
    assert tree.git("merge-base", "main", "fix") == base
    assert len(_messages(tree, "main..fix")) == 2
    tree.git("commit", "-q", "--amend", "-m", "another base, which the former is no part of")
    assert tree.branch("fix") != second
    assert tree.branch("fix", "--base", base) == second


def _commit_on_top(tree: Tree) -> None:
    tree.git("commit", "-q", "--allow-empty", "-m", "by hand")


def _amend(tree: Tree) -> None:
    tree.write("shop/orders.py", tree.content("fix", "shop/orders.py") + b"# by hand\n")
    tree.git("commit", "-q", "-a", "--amend", "--no-edit")


def _change_below(tree: Tree) -> None:
    tip = tree.tip("fix")
    tree.git("reset", "-q", "--hard", "fix~1")
    tree.git("commit", "-q", "--allow-empty", "-m", "by hand")
    tree.git("cherry-pick", tip)


@pytest.mark.parametrize("by_hand", [_commit_on_top, _amend, _change_below])
def test_what_a_person_did_to_a_branch_is_not_overwritten(tree: Tree, by_hand: Callable[[Tree], None]) -> None:
    first = tree.branch("fix")
    tree.git("checkout", "-q", "fix")
    by_hand(tree)
    tree.git("checkout", "-q", "main")
    changed = tree.tip("fix")
    assert "with commits leakfix did not make; --force replaces it" in tree.refused("fix")
    assert tree.tip("fix") == changed != first
    assert tree.branch("fix", "--force") == first


def test_a_branch_of_somebody_else_is_refused_and_one_without_commits_taken(tree: Tree) -> None:
    tree.git("branch", "empty")
    assert len(_messages(tree, f"main..{tree.branch('empty')}")) == 2
    tree.git("checkout", "-q", "-b", "theirs")
    _commit_on_top(tree)
    tree.git("checkout", "-q", "main")
    assert "--force" in tree.refused("theirs")


def test_a_branch_that_is_checked_out_is_refused_in_every_work_tree(tree: Tree, tmp_path: Path) -> None:
    assert "a work tree is on this branch" in tree.refused("main")
    tree.git("branch", "elsewhere")
    tree.git("worktree", "add", "-q", str(tmp_path / "linked"), "elsewhere")
    assert "a work tree is on this branch" in tree.refused("elsewhere")
    assert "a work tree is on this branch" in tree.refused("main", "--force")
    assert "a work tree is on this branch" in tree.at(tmp_path / "linked").refused("main")


def test_a_branch_that_is_another_name_of_one_is_refused(tree: Tree) -> None:
    tree.git("symbolic-ref", "refs/heads/alias", "refs/heads/main")
    assert "another name of some other branch" in tree.refused("alias", "--force")


@pytest.mark.parametrize("name", ["a..b", "a b", "HEAD", "@{-1}", "x.lock", "/x", "x/", "x~1", "", "a\nb", "ü\x7f"])
def test_names_that_no_branch_can_have(tree: Tree, name: str) -> None:
    assert "no name for a branch" in tree.refused(name)


def test_a_name_that_looks_like_an_option(tree: Tree) -> None:
    assert tree.leakfix("branch", "-x").code == 2
    assert "no name for a branch" in tree.leakfix("branch", "--", "-x").err
    assert "not a revision" in tree.refused("fix", "--base=--all")
    assert "there is no such commit" in tree.refused("fix", "--base=nowhere")


def test_names_that_are_in_each_others_way(tree: Tree) -> None:
    tree.branch("fix")
    assert "refs/heads/fix" in tree.refused("fix/more")
    tree.branch("deep/er")
    assert "refs/heads/deep" in tree.refused("deep")
    tree.branch("leaks/größe")


# Where it is run


def test_from_a_folder_below(tree: Tree) -> None:
    tree.write("other/case.py")
    tree.commit()
    tip = tree.branch("fix", inside="shop")
    assert tree.git("diff", "--name-only", "main", "fix").splitlines() == ["shop/orders.py", "shop/prices.py"]
    assert tree.branch("again", "shop") == tip
    tree.branch("up", "../other", inside="shop")
    assert tree.git("diff", "--name-only", "main", "up") == "other/case.py"
    assert tree.branch("whole", str(tree.folder / "other" / "case.py"), inside="shop") == tree.tip("up")
    assert "outside the repository" in tree.refused("out", "../..", inside="shop")
    assert "outside the repository" in tree.refused("out", "/", inside="shop")
    (tree.folder / "untracked").mkdir()
    assert tree.leakfix("branch", "none", inside="untracked").code == 0
    assert tree.git("branch", "--list", "none") == ""
    assert "work tree" in tree.refused("none", inside=".git/refs")


def test_paths_of_the_commit(tree: Tree) -> None:
    tree.write("scripts/tool", SQLITE)
    tree.commit()
    tree.branch("fix", "scripts/tool")
    assert tree.git("diff", "--name-only", "main", "fix") == "scripts/tool"
    tree.write("untracked.py")
    done = tree.leakfix("branch", "none", "untracked.py")
    assert done.code == 2
    assert "untracked.py: No such file" in done.err


def test_configuration_of_the_commit_or_as_named(tree: Tree) -> None:
    both, one = tree.branch("fix"), tree.branch("one", "--ignore", "pymysql/*")
    tree.write("leakfix.toml", 'ignore = ["sqlite3/*"]\n')
    assert tree.branch("fix") == both
    tree.write("shop/my.toml", 'ignore = ["pymysql/*"]\n')
    assert tree.branch("second", "--config", "shop/my.toml") == one
    assert tree.branch("third", "..", "--config", "my.toml", inside="shop") == one
    tree.write("shop/other.toml", 'extend-exclude = ["shop/prices.py"]\n')
    assert len(_messages(tree, f"main..{tree.branch('all', '--config', 'shop/other.toml')}")) == 2
    tree.write("other.toml", 'extend-exclude = ["shop/prices.py"]\n')
    assert tree.branch("fourth", "--config", "other.toml") == one
    tree.commit()
    tree.branch("fix")
    assert _messages(tree, "main..fix") == ["Repair pymysql/unclosed-connection in touch"]


def test_configuration_above_the_exported_commit_is_nobodys(tree: Tree, tmp_path: Path) -> None:
    (tmp_path / "temporary" / "leakfix.toml").write_text('ignore = ["all"]\n')
    tree.branch("fix")
    (tmp_path / "temporary" / "leakfix.toml").unlink()
    assert len(_messages(tree, "main..fix")) == 2


def test_accepted_findings_stay(tree: Tree) -> None:
    tree.write(
        "shop/allowed.py", SQLITE.replace("path)\n    return", "path)  # leakfix: allow[sqlite3/*] why\n    return")
    )
    tree.commit()
    tree.branch("fix")
    assert "shop/allowed.py" not in tree.git("diff", "--name-only", "main", "fix")


def test_fixes_that_want_a_review_are_left_out(tree: Tree) -> None:
    tree.write("shop/engines.py", ENGINE)
    tree.commit()
    done = tree.leakfix("branch", "fix")
    assert done.code == 1
    assert "1 left without a fix that may be committed unseen; `leakfix review` shows them." in done.out
    assert "shop/engines.py" not in tree.git("diff", "--name-only", "main", "fix")
    tree.branch("all", "--unsafe-fixes")
    assert "Repair (to be reviewed): " in tree.git("log", "--format=%B", "main..all")


def test_a_detached_head(tree: Tree) -> None:
    tree.git("checkout", "-q", "--detach")
    tree.branch("fix")
    assert tree.git("rev-parse", "--abbrev-ref", "HEAD") == "HEAD"


def test_a_linked_work_tree(tree: Tree, tmp_path: Path) -> None:
    tree.write("shop/third.py")
    tree.git("worktree", "add", "-q", "-b", "side", str(tmp_path / "linked"))
    linked = tree.at(tmp_path / "linked")
    linked.write("side.py")
    linked.commit()
    before = tree.everything(), linked.everything()
    linked.branch("fix", inside="shop")
    assert linked.git("diff", "--name-only", "side", "fix").splitlines() == ["shop/orders.py", "shop/prices.py"]
    after = tree.everything(), linked.everything()
    for one, other in zip(before, after, strict=True):
        assert {**one, "refs": 0} == {**other, "refs": 0}


def test_a_bare_clone(tree: Tree, tmp_path: Path) -> None:
    tip = tree.branch("fix")
    tree.git("clone", "-q", "--bare", "--single-branch", ".", str(tmp_path / "bare.git"))
    bare = tree.at(tmp_path / "bare.git")
    assert bare.branch("same") == tip
    assert bare.branch("below", "shop") == tip


def _with_submodule(tree: Tree, tmp_path: Path) -> Tree:
    tree.git("clone", "-q", ".", str(tmp_path / "library"))
    tree.git("submodule", "--quiet", "add", str(tmp_path / "library"), "library")
    tree.commit()
    return tree.at(tree.folder / "library")


def test_a_submodule_and_what_holds_it(tree: Tree, tmp_path: Path) -> None:
    inner = _with_submodule(tree, tmp_path)
    link = tree.git("ls-tree", "main", "library")
    before = tree.everything()
    tree.branch("fix")
    assert tree.git("ls-tree", "fix", "library") == link
    assert tree.git("diff", "--name-only", "main", "fix").splitlines() == ["shop/orders.py", "shop/prices.py"]
    assert tree.leakfix("branch", "into", "library").code == 2
    inner.branch("fix", inside="shop")
    assert inner.git("diff", "--name-only", "main", "fix").splitlines() == ["shop/orders.py", "shop/prices.py"]
    assert {**tree.everything(), "refs": 0} == {**before, "refs": 0}
    assert tree.git("branch", "--list", "into") == ""


def test_a_shallow_clone(tree: Tree, tmp_path: Path) -> None:
    tree.write("shop/new.py")
    tree.commit()
    tip = tree.branch("fix")
    tree.git("clone", "-q", "--depth=1", "--single-branch", tree.folder.as_uri(), str(tmp_path / "shallow"))
    shallow = tree.at(tmp_path / "shallow")
    assert shallow.git("rev-list", "--count", "main") == "1"
    assert shallow.branch("fix") == shallow.branch("fix") == tip
    shallow.git("fsck", "--strict")


def test_a_partial_clone_fetches_nothing(tree: Tree, tmp_path: Path) -> None:
    tip = tree.branch("fix")
    tree.git("config", "uploadpack.allowFilter", "true")
    options = ("--filter=blob:none", "--no-checkout", "--single-branch")
    tree.git("clone", "-q", *options, tree.folder.as_uri(), str(tmp_path / "partial"))
    partial = tree.at(tmp_path / "partial")
    objects = partial.git("count-objects", "-v")
    said = partial.refused("fix")
    assert "shop/orders.py and 1 more: not in this clone" in said
    assert partial.git("count-objects", "-v") == objects
    partial.git("cat-file", "blob", "main:shop/orders.py")
    assert "shop/prices.py: not in this clone" in partial.refused("fix")
    partial.branch("one", "shop/orders.py")
    partial.git("checkout", "-q", "main")
    assert partial.branch("fix") == tip


def test_a_repository_of_the_other_hash(tree: Tree, tmp_path: Path) -> None:
    other = tree.at(tmp_path / "sha256")
    other.folder.mkdir()
    other.git("init", "-q", "--object-format=sha256")
    other.write("orders.py")
    other.commit()
    assert len(other.branch("fix")) == 64
    assert other.branch("fix") == other.tip("fix")
    other.git("fsck", "--strict")


def test_a_repository_without_commits(tree: Tree, tmp_path: Path) -> None:
    empty = tree.at(tmp_path / "empty")
    empty.folder.mkdir()
    empty.git("init", "-q")
    empty.write("orders.py")
    assert "has the repository no commits yet?" in empty.refused("fix")


def test_no_repository(tree: Tree, tmp_path: Path) -> None:
    nowhere = tree.at(tmp_path / "nowhere")
    nowhere.write("orders.py")
    assert "not in a git repository" in nowhere.refused("fix")
    (nowhere.folder / ".git").write_text("gitdir: /nowhere/at/all\n")
    assert "not in a git repository" in nowhere.refused("fix")


def test_a_repository_git_does_not_trust(tree: Tree, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs a repository of somebody else")
    config = tmp_path / "home" / ".gitconfig"
    config.write_text(config.read_text().replace("directory = *", ""))
    os.chown(tree.folder, 12345, 12345)
    os.chown(tree.folder / ".git", 12345, 12345)
    assert "dubious ownership" in tree.refused("fix")


def test_broken_configuration(tree: Tree) -> None:
    (tree.folder / ".git" / "config").write_text("[core\nbare = perhaps\n")
    assert "config" in tree.refused("fix")


# The environment


def _started(tree: Tree, arguments: tuple[str, ...], **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "leakfix", *arguments]
    variables = {**os.environ, **environment}
    return subprocess.run(
        command, cwd=tree.folder, env=variables, capture_output=True, text=True, check=False, timeout=60
    )


def test_no_git(tree: Tree, tmp_path: Path) -> None:
    before = tree.everything()
    done = _started(tree, ("branch", "fix"), PATH=_programs(tmp_path / "bin", ()))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: git is needed for this, and is not on PATH\n"
    assert tree.everything() == before


def test_a_program_called_git_in_the_tree_is_not_run(tree: Tree) -> None:
    tree.write("git", "#!/bin/sh\ntouch ran\nexec /usr/bin/false\n").chmod(0o755)
    done = _started(tree, ("branch", "fix"), PATH=f".::{os.environ['PATH']}")
    assert (done.returncode, done.stderr) == (0, "")
    assert not (tree.folder / "ran").exists()


def test_variables_of_a_hook_do_no_harm(tree: Tree, tmp_path: Path) -> None:
    other = tree.at(tmp_path / "other")
    other.folder.mkdir()
    other.git("init", "-q")
    other.write("other.py")
    other.commit()
    tip, before = tree.branch("fix"), other.everything()
    tree.git("branch", "-D", "fix")
    variables = {
        "GIT_DIR": str(other.folder / ".git"),
        "GIT_WORK_TREE": str(other.folder),
        "GIT_INDEX_FILE": str(other.folder / ".git" / "index"),
        "GIT_OBJECT_DIRECTORY": str(other.folder / ".git" / "objects"),
        "GIT_COMMON_DIR": str(other.folder / ".git"),
        "GIT_NAMESPACE": "elsewhere",
        "GIT_PREFIX": "shop/",
        "GIT_AUTHOR_NAME": "Nobody",
        "GIT_AUTHOR_DATE": "@1 +0000",
        "GIT_CONFIG_PARAMETERS": "'user.name=Nobody'",
    }
    done = _started(tree, ("branch", "fix"), **variables)
    assert (done.returncode, done.stderr) == (0, "")
    assert tree.tip("fix") == tip
    assert other.everything() == before


def test_inside_a_hook(tree: Tree) -> None:
    tip = tree.branch("fix")
    tree.git("branch", "-D", "fix")
    hook = tree.write(".git/hooks/pre-commit", f"#!/bin/sh\nexec {sys.executable} -m leakfix branch fix >&2\n")
    hook.chmod(0o755)
    tree.write("README.md", "staged\n")
    tree.git("commit", "-q", "-a", "-m", "with a hook")
    assert tree.tip("fix") == tip
    assert tree.git("status", "--porcelain") == ""


def test_who_commits(tree: Tree, tmp_path: Path) -> None:
    (tmp_path / "home" / "work").write_text('[user]\nname = "Sammy Davis Jr."\nemail = 7@example.org\n')
    with open(tmp_path / "home" / ".gitconfig", "a") as stream:
        stream.write(f'[includeIf "gitdir:{tree.folder}/"]\npath = work\n')
    tree.branch("fix")
    tree.write("README.md", "as git does it\n")
    tree.commit()
    mine, gits = (tree.git("show", "-s", "--format=%an <%ae>", name) for name in ("fix", "main"))
    assert mine == gits == "Sammy Davis Jr <7@example.org>"


# Files


def test_line_ends_stay_whatever_git_is_told_about_them(tree: Tree) -> None:
    windows = SQLITE.replace("\n", "\r\n").encode()
    tree.git("config", "core.autocrlf", "false")
    names = ("crlf.py", "lf.py", "eol_crlf.py", "eol_lf.py", "auto.py")
    for name in names:
        tree.write(name, SQLITE if name == "lf.py" else windows)
    tree.commit()
    tree.write(".gitattributes", "eol_crlf.py text eol=crlf\neol_lf.py text eol=lf\nauto.py text=auto ident\n")
    tree.git("add", ".gitattributes")
    tree.git("commit", "-q", "-m", "attributes alone")
    tree.git("config", "core.autocrlf", "true")
    tree.git("config", "core.eol", "crlf")
    tree.branch("fix")
    for name in names:
        assert tree.content("main", name).count(b"\r\n") == (0 if name == "lf.py" else windows.count(b"\r\n"))
        fixed = tree.content("fix", name)
        assert b"with closing(" in fixed
        assert fixed.count(b"\r\n") == (0 if name == "lf.py" else fixed.count(b"\n"))


NAMES = ["größe.py", 'quo"ted.py', "a b.py", " .py", "tab\there.py", "new\nline.py", "back\\slash.py", "'s.py", "-x.py"]


def test_file_names_of_every_kind(tree: Tree) -> None:
    raw = os.fsdecode(b"latin\xe9.py")
    for name in [*NAMES, raw]:
        tree.write(f"odd/{name}")
    tree.commit()
    tree.branch("fix", "--split", "odd")
    changed = tree.git("diff", "-z", "--name-only", "main", "fix").split("\0")[:-1]
    assert sorted(changed) == sorted(f"odd/{name}" for name in [*NAMES, raw])
    tree.git("fsck", "--strict")


def test_modes_and_links_stay(tree: Tree) -> None:
    tree.write("tool.py").chmod(0o755)
    (tree.folder / "link.py").symlink_to("tool.py")
    (tree.folder / "away.py").symlink_to("/etc/passwd")
    (tree.folder / "folder").symlink_to("shop")
    tree.commit()
    tree.branch("fix")
    listing = {line.split("\t")[1]: line[:6] for line in tree.git("ls-tree", "-r", "fix").splitlines()}
    links = dict.fromkeys(("link.py", "away.py", "folder"), "120000")
    assert listing.items() >= {"tool.py": "100755", "shop/orders.py": "100644", **links}.items()
    assert tree.git("diff", "--name-only", "main", "fix").splitlines() == [
        "shop/orders.py",
        "shop/prices.py",
        "tool.py",
    ]


def _tree_of(tree: Tree, entries: list[tuple[str, bytes, str]]) -> str:
    """The id of a tree object with just these entries, valid or not: mode, name, id."""
    raw = b"".join(mode.encode() + b" " + name + b"\0" + bytes.fromhex(entry) for mode, name, entry in entries)
    command = ["git", "hash-object", "-w", "-t", "tree", "--literally", "--stdin"]
    return subprocess.run(command, cwd=tree.folder, input=raw, check=True, capture_output=True).stdout.decode().strip()


def _head_of(tree: Tree, entries: list[tuple[str, bytes, str]]) -> None:
    tree.git("update-ref", "HEAD", tree.git("commit-tree", "-m", "made", "-p", "HEAD", _tree_of(tree, entries)))


def test_names_that_differ_in_case_alone(tree: Tree) -> None:
    blob = tree.git("rev-parse", "main:shop/orders.py")
    folder = tree.git("rev-parse", "main:shop")
    entries = [("100644", b"Case.py", blob), ("40000", b"SHOP", folder), ("100644", b"case.py", blob)]
    _head_of(tree, [*entries, ("40000", b"shop", folder)])
    tree.leakfix("branch", "fix")
    changed = tree.git("diff", "--name-only", "main", "fix").splitlines()
    assert {"Case.py", "SHOP/orders.py"} <= set(changed)
    tree.git("fsck", "--strict")


def test_names_there_is_no_room_for(tree: Tree) -> None:
    blob = tree.git("rev-parse", "main:shop/orders.py")
    deep = _tree_of(tree, [("100644", b"deep.py", blob)])
    for _ in range(1200):
        deep = _tree_of(tree, [("40000", b"d", deep)])
    both = [("100644", b"both.py", blob), ("40000", b"both.py", tree.git("rev-parse", "main:shop"))]
    _head_of(tree, [("100664", b"a.py", blob), *both, ("40000", b"d", deep), ("100644", b"x" * 300 + b".py", blob)])
    done = tree.leakfix("branch", "fix", "a.py")
    assert (done.code, done.err) == (0, "")
    assert b"with closing(" in tree.content("fix", "a.py")


def test_a_tree_that_is_kept_where_git_keeps_it(tree: Tree) -> None:
    tree.git("gc", "-q")
    tree.git("pack-refs", "--all")
    packed = (tree.folder / ".git" / "packed-refs").read_bytes()
    tree.branch("fix")
    assert (tree.folder / ".git" / "packed-refs").read_bytes() == packed


def test_many_files(tree: Tree) -> None:
    for number in range(120):
        tree.write(f"many/module_{number}.py", SQLITE.replace("count", f"count_{number}"))
    tree.commit()
    tree.branch("fix", "--split")
    assert len(_messages(tree, "main..fix")) == 122
    tree.git("fsck", "--strict")


def test_a_folder_that_a_killed_run_left_is_removed(tree: Tree, tmp_path: Path) -> None:
    left = tmp_path / "temporary" / "leakfix-export-killed"
    (left / "shop").mkdir(parents=True)
    os.utime(left, (0, 0))
    tree.branch("fix")
    assert not left.exists()


# Signatures


@pytest.fixture
def signing(tree: Tree, tmp_path: Path) -> Path:
    """Commits are to be signed, with a key made for the occasion; the file that tells whose it is."""
    if not shutil.which("ssh-keygen"):
        pytest.skip("needs ssh-keygen")
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    signers = tmp_path / "signers"
    signers.write_text(f"some@example.org {key.with_suffix('.pub').read_text()}")
    with open(tmp_path / "home" / ".gitconfig", "a") as stream:
        stream.write(f"[commit]\ngpgSign = true\n[gpg]\nformat = ssh\n[user]\nsigningKey = {key}\n")
    return signers


def _verified(tree: Tree, signers: Path, revisions: str) -> int:
    commits = tree.git("rev-list", revisions).splitlines()
    for commit in commits:
        tree.git("-c", f"gpg.ssh.allowedSignersFile={signers}", "verify-commit", commit)
    return len(commits)


def test_commits_are_signed_where_git_is_set_up_to(tree: Tree, signing: Path, tmp_path: Path) -> None:
    tip = tree.branch("fix", "--split")
    assert _verified(tree, signing, "main..fix") == 2
    assert tree.branch("fix", "--split") == tip
    assert tree.git("show", "-s", "--format=%an <%ae>%n%cn <%ce>", "fix") == f"{WHO}\n{WHO}"
    assert "encoding" not in tree.git("cat-file", "commit", "fix")
    tree.write("shop/new.py")
    tree.commit()
    tree.branch("fix", "--split")
    assert _verified(tree, signing, "main..fix") == 3
    tree.git("worktree", "add", "-q", "--detach", str(tmp_path / "linked"), "main")
    tree.at(tmp_path / "linked").branch("linked", inside="shop")
    assert _verified(tree, signing, "main..linked") == 2


@pytest.mark.usefixtures("signing")
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_signed_commits_stay_whoever_made_them(tree: Tree, encoding: str, tmp_path: Path) -> None:
    tree.git("config", "user.name", ' "Größe, Jr." ')
    tree.git("config", "i18n.commitEncoding", encoding)
    tip = tree.branch("fix")
    assert tree.branch("fix") == tip
    tree.write("README.md", "another base\n")
    tree.commit()
    assert tree.branch("fix") != tip
    assert "Größe" in tree.git("show", "-s", "--format=%an", "--encoding=utf-8", "fix")


@pytest.mark.usefixtures("signing")
def test_signing_in_a_submodule(tree: Tree, tmp_path: Path) -> None:
    inner = _with_submodule(tree, tmp_path)
    inner.branch("fix", inside="shop")
    assert _verified(inner, tmp_path / "signers", "main..fix") == 2


@pytest.mark.usefixtures("signing")
def test_no_branch_without_a_signature(tree: Tree, tmp_path: Path) -> None:
    (tmp_path / "key").unlink()
    (tmp_path / "key.pub").unlink()
    assert "key" in tree.refused("fix")
    tree.git("config", "--global", "--unset", "user.signingKey")
    assert "error: " in tree.refused("fix")
    failing = tmp_path / "failing"
    failing.write_text("#!/bin/sh\necho the card is not in the reader >&2\nexit 3\n")
    failing.chmod(0o755)
    tree.git("config", "--global", "gpg.format", "openpgp")
    for key in ("gpg.program", "gpg.openpgp.program"):
        tree.git("config", "--global", key, str(failing))
        said = tree.refused("fix")
        assert "gpg failed to sign the data" in said
        tree.git("config", "--global", "--unset", key)


def test_the_users_programs_for_signing_are_found_in_included_files(tree: Tree, tmp_path: Path) -> None:
    program = tmp_path / "signer"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/asked\nexit 1\n")
    program.chmod(0o755)
    (tmp_path / "home" / "signing").write_text(f"[commit]\ngpgSign = true\n[gpg]\nprogram = {program}\n")
    with open(tmp_path / "home" / ".gitconfig", "a") as stream:
        stream.write("[include]\npath = signing\n")
    tree.refused("fix")
    assert (tmp_path / "asked").exists()
