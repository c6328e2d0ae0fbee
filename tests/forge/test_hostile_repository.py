"""Repositories whose own settings would run programs: whatever leakfix is asked for, none of them runs."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

LEAK = """\
import sqlite3


def count(path):
    connection = sqlite3.connect(path)
    return connection.execute("SELECT 1").fetchone()
"""
COMMANDS = [
    pytest.param(("check", "."), 1, id="check"),
    pytest.param(("apply", "--diff", "."), 1, id="diff"),
    pytest.param(("branch", "fix"), 0, id="branch"),
    pytest.param(("branch", "fix", "--split"), 0, id="split"),
]
HOOKS = """
applypatch-msg pre-applypatch post-applypatch pre-commit pre-merge-commit prepare-commit-msg commit-msg post-commit
pre-rebase post-checkout post-merge pre-push pre-receive update proc-receive post-receive post-update
reference-transaction push-to-checkout pre-auto-gc post-rewrite sendemail-validate fsmonitor-watchman
p4-changelist p4-prepare-changelist p4-post-changelist p4-pre-submit post-index-change
""".split()
GIT_COMMANDS = """
rev-parse ls-tree cat-file fast-import commit-tree update-ref symbolic-ref worktree config check-ref-format ls-files
check-ignore rev-list status diff show log unpack-objects index-pack
""".split()
# What git takes for a command line, as it stands in the configuration; the rest of its line names the trap.
PROGRAMS = """
core.fsmonitor core.sshCommand core.editor core.pager core.askPass core.gitProxy core.alternateRefsCommand
core.fsmonitorHookVersion sequence.editor interactive.diffFilter diff.external diff.trap.command diff.trap.textconv
merge.trap.driver filter.trap.clean filter.trap.smudge filter.trap.process credential.helper
credential.https://example.org.helper gpg.program gpg.openpgp.program gpg.x509.program gpg.ssh.program
gpg.ssh.defaultKeyCommand trailer.trap.command trailer.trap.cmd remote.origin.uploadpack remote.origin.receivepack
remote.origin.vcs uploadpack.packObjectsHook gc.recentObjectsHook difftool.trap.cmd mergetool.trap.cmd man.trap.cmd
browser.trap.cmd tar.trap.command sendemail.smtpserver hook.trap.command pager.rev-parse pager.ls-tree pager.config
pager.worktree receive.procReceiveRefs
""".split()
SETTINGS = {
    "protocol.allow": "always",
    "protocol.ext.allow": "always",
    "protocol.file.allow": "always",
    "hook.trap.event": "reference-transaction",
    "trailer.trap.ifmissing": "add",
    "merge.tool": "trap",
    "diff.tool": "trap",
    "log.showSignature": "true",
    "core.untrackedCache": "true",
    "core.logAllRefUpdates": "always",
    "core.symlinks": "true",
    "gc.auto": "1",
    "maintenance.auto": "true",
    "fastimport.unpackLimit": "1",
    "i18n.commitEncoding": "latin-1",
    "feature.manyFiles": "true",
}
ATTRIBUTES = "* filter=trap diff=trap merge=trap text eol=crlf ident working-tree-encoding=UTF-16\n"
IMPORTED = (
    "sitecustomize",
    "usercustomize",
    "pymysql",
    "git",
    "gitdb",
    "rich",
    "click",
    "leakfix_codemods",
    "conftest",
)


@dataclass
class Trapped:
    """A repository full of traps, what lies around it, and the folder where a trap that went off leaves its name."""

    around: Path
    folder: Path
    marks: Path

    def trap(self, name: str) -> str:
        """A program that leaves its name behind; it answers nothing, and fails."""
        program = self.around / "traps" / re.sub(r"\W", "_", name)
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\nmkdir -p "{self.marks}"\ntouch "{self.marks}/{program.name}"\nexit 1\n')
        program.chmod(0o755)
        return str(program)

    def git(self, *arguments: str, check: bool = True, data: bytes | None = None) -> str:
        """What git says, with the repository's configuration as it is."""
        command = ["git", *arguments]
        done = subprocess.run(command, cwd=self.folder, input=data, check=False, capture_output=True)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout.decode("utf-8", "replace").strip()

    def setting(self, key: str, value: str) -> None:
        self.git("config", "--local", "--add", key, value)

    def set_off(self) -> list[str]:
        """The traps that went off."""
        return sorted(os.listdir(self.marks)) if self.marks.exists() else []

    def everything(self) -> dict[str, object]:
        """All files around, but the objects, what belongs to the branch ``fix``, and what git itself leaves."""
        found: dict[str, object] = {}
        for path in sorted(self.around.rglob("*")):
            name = path.relative_to(self.around).as_posix()
            if re.search(r"\.git/(objects|(logs/)?refs/heads/fix$)|/\.git_signing_", name) or path.is_dir():
                continue
            content = os.readlink(path) if path.is_symlink() else path.read_bytes()
            found[name] = (stat.S_IMODE(path.lstat().st_mode), content)
        return found

    def leakfix(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the program as a user would who trusts nothing in it."""
        command = [sys.executable, "-m", "leakfix", *arguments]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False, timeout=60)

    def survives(self, arguments: tuple[str, ...], code: int) -> None:
        """Run the program: it does its work, and nothing else happens."""
        before = self.everything()
        done = self.leakfix(*arguments)
        assert self.set_off() == []
        assert done.returncode == code, done.stderr
        assert self.everything() == before
        assert self.git("for-each-ref", "refs/leakfix") == ""
        if arguments[0] == "branch" and code == 0:
            shown = self.git("cat-file", "blob", "refs/heads/fix:shop/orders.py")
            assert "with closing(sqlite3.connect(path)) as connection:" in shown
            assert "\r" not in shown


@pytest.fixture
def trapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trapped:
    """A repository with a leak, and no trap yet."""
    for name in [name for name in os.environ if name.startswith(("GIT_", "XDG_"))]:
        monkeypatch.delenv(name)
    around = tmp_path / "around"
    (around / "home").mkdir(parents=True)
    (around / "temporary").mkdir()
    (around / "home" / ".gitconfig").write_text("[user]\nname = Some One\nemail = some@example.org\n")
    monkeypatch.setenv("HOME", str(around / "home"))
    monkeypatch.setenv("TMPDIR", str(around / "temporary"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    made = Trapped(around, around / "tree", tmp_path / "marks")
    (made.folder / "shop").mkdir(parents=True)
    (made.folder / "shop" / "orders.py").write_text(LEAK)
    made.git("init", "-q", "--initial-branch=main")
    made.git("add", ".")
    made.git("commit", "-q", "-m", "work")
    return made


def _set_up(trapped: Trapped, settings: Mapping[str, str]) -> None:
    for name in IMPORTED:
        trap = trapped.trap(f"import {name}")
        (trapped.folder / f"{name}.py").write_text(f"import os\nos.system({trap!r})\n")
    trapped.git("add", ".")
    trapped.git("commit", "-q", "-m", "modules")
    (trapped.folder / ".gitattributes").write_text(ATTRIBUTES)
    (trapped.folder / ".git" / "info" / "attributes").write_text(ATTRIBUTES)
    elsewhere = trapped.around / "hooks"
    elsewhere.mkdir()
    for hook in HOOKS:
        shutil.copy(trapped.trap(f"hook {hook}"), trapped.folder / ".git" / "hooks" / hook)
        shutil.copy(trapped.trap(f"hook elsewhere {hook}"), elsewhere / hook)
    for key in PROGRAMS:
        trapped.setting(key, "2" if key == "core.fsmonitorHookVersion" else trapped.trap(key))
    for command in GIT_COMMANDS:
        trapped.setting(f"alias.{command}", "!" + trapped.trap(f"alias {command}"))
    for key, value in settings.items():
        trapped.setting(key, value)
    included = trapped.around / "included"
    included.write_text(f"[core]\nfsmonitor = {trapped.trap('included')}\n")
    trapped.setting("include.path", str(included))
    trapped.setting(f"includeIf.gitdir:{trapped.folder}/.path", str(included))
    trapped.setting("remote.origin.url", f"ext::{trapped.trap('ext')}")
    trapped.setting("core.hooksPath", str(elsewhere))


@pytest.mark.parametrize(("arguments", "code"), COMMANDS)
def test_programs_of_the_configuration(trapped: Trapped, arguments: tuple[str, ...], code: int) -> None:
    _set_up(trapped, SETTINGS)
    trapped.survives(arguments, code)


def test_the_traps_are_set(trapped: Trapped) -> None:
    """Git alone falls into enough of them, so that leakfix falling into none says something."""
    _set_up(trapped, SETTINGS)
    (trapped.folder / "shop" / "orders.py").write_text(LEAK + "# changed\n")
    for arguments in (("status",), ("branch", "x"), ("fetch",)):
        trapped.git(*arguments, check=False)
    assert {"hook_elsewhere_reference_transaction", "included", "ext", "filter_trap_process"} <= {*trapped.set_off()}


@pytest.mark.parametrize("format_", ["openpgp", "x509", "ssh"])
def test_programs_for_signatures(trapped: Trapped, format_: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key of the user there is no signature, and no branch; certainly no program of the repository."""
    programs = trapped.around / "programs"
    programs.mkdir()
    for name in ("gpg", "gpgsm"):
        (programs / name).write_text("#!/bin/sh\nexit 1\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    _set_up(trapped, {**SETTINGS, "commit.gpgSign": "true", "gpg.format": format_})
    trapped.survives(("branch", "fix"), 2)
    trapped.setting("user.signingKey", "key::ssh-ed25519 AAAA")
    trapped.survives(("branch", "fix", "--split"), 2)
    assert trapped.git("for-each-ref", "refs/heads/fix") == ""


def test_the_users_own_program_signs(trapped: Trapped) -> None:
    if not shutil.which("ssh-keygen"):
        pytest.skip("needs ssh-keygen")
    key = trapped.around / "home" / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    with open(trapped.around / "home" / ".gitconfig", "a") as stream:
        stream.write(f"[gpg]\nformat = ssh\n[user]\nsigningKey = {key}\n")
    _set_up(trapped, {**SETTINGS, "commit.gpgSign": "true"})
    trapped.survives(("branch", "fix"), 0)
    assert "-----BEGIN SSH SIGNATURE-----" in trapped.git("cat-file", "commit", "refs/heads/fix")


@pytest.mark.parametrize(("arguments", "code"), COMMANDS)
def test_a_work_tree_elsewhere(trapped: Trapped, arguments: tuple[str, ...], code: int) -> None:
    shutil.copytree(trapped.folder, trapped.around / "elsewhere")
    (trapped.around / "elsewhere" / "shop" / "orders.py").write_text("print('another')\n")
    trapped.setting("core.worktree", str(trapped.around / "elsewhere"))
    trapped.survives(arguments, code)


@pytest.mark.parametrize(("arguments", "code"), COMMANDS)
def test_objects_that_stand_for_others(trapped: Trapped, arguments: tuple[str, ...], code: int) -> None:
    former = trapped.git("rev-parse", "HEAD:shop/orders.py")
    other = trapped.git("hash-object", "-w", "--stdin", data=b"print('another')\n")
    trapped.git("replace", former, other)
    empty = trapped.git("commit-tree", "-m", "another", trapped.git("mktree", data=b""))
    trapped.git("replace", "HEAD", empty)
    trapped.survives(arguments, code)
    if arguments[0] == "branch":
        assert trapped.git("--no-replace-objects", "rev-parse", "fix~1") == trapped.git("rev-parse", "main")


@pytest.mark.parametrize(("arguments", "code"), COMMANDS[2:])
def test_what_is_missing_is_asked_of_nobody(trapped: Trapped, arguments: tuple[str, ...], code: int) -> None:
    """A remote that promised objects may name a program to be asked for them."""
    blob = trapped.git("rev-parse", "HEAD:shop/orders.py")
    (trapped.folder / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    _set_up_promise(trapped)
    done = trapped.leakfix(*arguments)
    assert (trapped.set_off(), done.returncode, code) == ([], 2, 0)
    assert "shop/orders.py: not in this clone" in done.stderr


def _set_up_promise(trapped: Trapped) -> None:
    trapped.setting("core.repositoryFormatVersion", "1")
    trapped.setting("extensions.partialClone", "origin")
    for key, value in SETTINGS.items():
        trapped.setting(key, value)
    trapped.setting("remote.origin.promisor", "true")
    trapped.setting("remote.origin.uploadpack", trapped.trap("uploadpack"))
    trapped.setting("remote.origin.url", str(trapped.folder))
    trapped.setting("core.hooksPath", str(trapped.around))


def _tree_of(trapped: Trapped, *entries: tuple[str, bytes, str]) -> str:
    """The id of a tree object with just these entries, valid or not: mode, name, id."""
    raw = b"".join(mode.encode() + b" " + name + b"\0" + bytes.fromhex(entry) for mode, name, entry in entries)
    return trapped.git("hash-object", "-w", "-t", "tree", "--literally", "--stdin", data=raw)


@pytest.mark.parametrize(("arguments", "code"), COMMANDS[2:])
def test_names_that_lead_out_of_the_tree(trapped: Trapped, arguments: tuple[str, ...], code: int) -> None:
    leak, shop = (trapped.git("rev-parse", f"HEAD:{name}") for name in ("shop/orders.py", "shop"))
    config = trapped.git("hash-object", "-w", "--stdin", data=f"[core]\nfsmonitor = {trapped.trap('tree')}\n".encode())
    inside = _tree_of(trapped, ("100644", b"config", config), ("100644", b"evil.py", leak))
    out = _tree_of(trapped, ("100644", b"escaped.py", leak), ("100644", b"escaped.toml", config))
    outside = str(trapped.around / "absolute.py").encode()
    made = _tree_of(
        trapped,
        ("40000", b".", out),
        ("40000", b"..", out),
        ("100644", b"../../slashes.py", leak),
        ("100644", b"..\\backslash.py", leak),
        ("40000", b".GIT", inside),
        ("40000", b".git", inside),
        ("100644", outside, leak),
        ("120000", b"away", trapped.git("hash-object", "-w", "--stdin", data=str(trapped.around).encode())),
        ("40000", b"away", out),
        ("40000", b"shop", shop),
    )
    trapped.git("update-ref", "HEAD", trapped.git("commit-tree", "-m", "made", "-p", "HEAD", made))
    before = trapped.everything()
    done = trapped.leakfix(*arguments)
    assert (trapped.set_off(), trapped.everything()) == ([], before)
    assert not list(trapped.around.rglob("*escaped*"))
    assert (done.returncode, done.stderr) == (code, "")
    main, fix = (trapped.git("ls-tree", "-r", "-z", name).split("\0") for name in ("main", "fix"))
    assert len(fix) == len(main)
    changed = {entry.split("\t")[1] for entry in set(fix) - set(main)}
    assert changed == {"shop/orders.py", "..\\backslash.py", "away/escaped.py"}


def test_refs_that_are_other_names_of_the_users_branches(trapped: Trapped) -> None:
    (trapped.folder / ".git" / "refs" / "leakfix").mkdir()
    for name in ("refs/leakfix/unwritten", "refs/leakfix/pending/fix", "refs/heads/fix"):
        trapped.git("symbolic-ref", name, "refs/heads/main")
    main = trapped.git("rev-parse", "main")
    assert trapped.leakfix("branch", "fix").returncode == 2
    assert trapped.leakfix("branch", "other").returncode == 0
    assert trapped.git("rev-parse", "main") == main


def test_a_folder_that_pretends_to_be_a_bare_repository(trapped: Trapped) -> None:
    folder = trapped.folder / "shop"
    trapped.git("init", "-q", "--bare", str(folder))
    with open(folder / "config", "a") as stream:
        stream.write(f"[core]\nfsmonitor = {trapped.trap('bare')}\nworktree = {trapped.folder}\nhooksPath = .\n")
    for hook in HOOKS:
        shutil.copy(trapped.trap(f"bare {hook}"), folder / hook)
    before = trapped.everything()
    for command in (("check",), ("apply", "--diff"), ("branch", "fix")):
        arguments = [sys.executable, "-m", "leakfix", *command]
        subprocess.run(arguments, cwd=folder, check=False, capture_output=True, timeout=60)
    assert (trapped.set_off(), trapped.everything()) == ([], before)
