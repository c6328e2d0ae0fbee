"""A git repository as a store of commits: read and added to without its work tree, its index or its own programs.

A repository may be hostile: its configuration can name programs that git starts for hooks, filters, textconv, fsmonitor
and the like. Only commands that start none of them are used (rev-parse, ls-tree, cat-file, fast-import, commit-tree,
update-ref), with hooks and fsmonitor off; programs for signing are taken from the user's own configuration alone.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

# While it is imported gitpython starts what PATH has as git, be it of the working directory, and fails without.
os.environ["GIT_PYTHON_GIT_EXECUTABLE"] = os.devnull
os.environ["GIT_PYTHON_REFRESH"] = "quiet"
import git

_SIGNING = {
    "gpg.program": "gpg",
    "gpg.x509.program": "gpgsm",
    "gpg.ssh.program": "ssh-keygen",
    "gpg.ssh.defaultkeycommand": "",
}
_NEVER = frozenset({"", ".", "..", ".git"})
_CRUD = "".join(map(chr, range(33))) + ".,:;<>\"\\'"  # what git takes off the ends of names and addresses
_MOST_AT_ONCE = 64 << 20
_UNWRITTEN = "refs/leakfix/unwritten"
_ESCAPES = {10: b"\\n", 34: b'\\"', 92: b"\\\\"}


class GitFailed(Exception):
    """Something git could not do; the message says what, in git's own words where it has some."""


@dataclass(frozen=True, slots=True)
class Blob:
    """A regular file of a commit."""

    mode: str
    id: str


@dataclass(frozen=True, slots=True)
class Person:
    """Who commits."""

    name: str
    email: str


@dataclass(frozen=True, slots=True)
class NewCommit:
    """A commit to be made: whole files, by their path in the repository."""

    message: str
    files: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class CommitInfo:
    """What tells one commit from another, apart from its signature."""

    tree: str
    parents: tuple[str, ...]
    author: str
    committer: str
    message: str


class Repository:
    """One repository, opened where a path lies in it.

    settings: configuration given to every command, beside what keeps a repository's own programs from running.
    offline: whether git may talk to nobody: a repository may name a program as the way to its remote.
    """

    def __init__(self, path: str, settings: Mapping[str, str] | None = None, offline: bool = True) -> None:
        """Open it. Raises GitFailed where there is none, or git does not trust it."""
        self._program = _program()
        self._offline = offline
        _without_git_variables()
        try:
            self._repo = git.Repo(path, search_parent_directories=True, expand_vars=False)
        except (git.InvalidGitRepositoryError, git.NoSuchPathError, ValueError) as error:
            raise GitFailed(f"{path}: not in a git repository") from error
        self.git_folder = os.fspath(self._repo.common_dir)
        self.top = None if self._repo.bare else os.fspath(self._repo.working_tree_dir or "")
        self._settings = {"core.hooksPath": os.devnull, "core.fsmonitor": "false", **(settings or {})}

    @classmethod
    def scratch(cls, folder: str, borrowed: Repository | None, settings: Mapping[str, str]) -> Repository:
        """A new bare repository that reads the objects of another one, and nothing of its configuration."""
        _without_git_variables()
        try:
            options = ("--quiet", "--bare", f"--template={_empty(folder)}", *_format_of(borrowed))
            git.Git(folder).execute([_program(), "init", *options])
        except git.GitCommandError as error:
            raise GitFailed(_words(error)) from error
        if borrowed is not None:
            with open(os.path.join(folder, "objects", "info", "alternates"), "w", encoding="utf-8") as stream:
                stream.write(os.path.join(os.path.abspath(borrowed.git_folder), "objects") + "\n")
            with suppress(FileNotFoundError), open(os.path.join(borrowed.git_folder, "shallow"), "rb") as shallow:
                _write(os.path.join(folder, "shallow"), shallow.read())
        return cls(folder, settings, offline=False)

    def close(self) -> None:
        """Let go of git's processes."""
        self._repo.close()

    def run(self, *command: str, settings: Mapping[str, str] | None = None, **options: Any) -> bytes:
        """Run one git command. settings: configuration for it alone. Raises GitFailed."""
        options |= {"stdout_as_string": False, "strip_newline_in_stdout": False}
        try:
            with self._repo.git.custom_environment(**self._environment({**self._settings, **(settings or {})})):
                return bytes(self._repo.git.execute([self._program, *command], **options))
        except git.GitCommandError as error:
            raise GitFailed(_words(error)) from error
        except (OSError, git.GitCommandNotFound) as error:
            raise GitFailed(f"git could not be started: {getattr(error, 'strerror', None) or error}") from error

    def _environment(self, settings: Mapping[str, str]) -> dict[str, str]:
        environment = {
            "PATH": _trusted_path(),
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "",
            "SSH_ASKPASS": "",
            "LC_ALL": "C",
            "GIT_CONFIG_COUNT": str(len(settings)),
        }
        if self._offline:
            environment["GIT_ALLOW_PROTOCOL"] = ""
        for number, (key, value) in enumerate(settings.items()):
            environment |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
        return environment

    def commit_of(self, revision: str) -> str:
        """The full id of a commit. Raises GitFailed."""
        if revision.startswith("-"):
            raise GitFailed(f"{revision}: not a revision")
        try:
            found = self.run("rev-parse", "--verify", "--quiet", "--end-of-options", revision + "^{commit}")
        except GitFailed as error:
            self.run("rev-parse", "--git-dir")  # raises where git does not trust or understand the repository
            empty = revision == "HEAD" and "; has the repository no commits yet?"
            raise GitFailed(f"{revision}: there is no such commit here{empty or ''}") from error
        return found.decode().strip()

    def has(self, commit: str) -> bool:
        """Whether a commit is here."""
        try:
            self.run("cat-file", "-e", commit + "^{commit}")
        except GitFailed:
            return False
        return True

    def tip(self, ref: str) -> str | None:
        """The commit a ref (``refs/...``) points to; None where there is no such ref."""
        try:
            found = self.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
        except GitFailed:
            return None
        return found.decode().strip()

    def is_symbolic(self, ref: str) -> bool:
        """Whether a ref is another name of some other ref."""
        try:
            self.run("symbolic-ref", "--quiet", ref)
        except GitFailed:
            return False
        return True

    def files(self, commit: str) -> dict[str, Blob]:
        """The regular files of a commit, by path; links, submodules and names that lead elsewhere are left out."""
        listing = self.run("ls-tree", "-r", "-z", "--full-tree", commit)
        found = {}
        for entry in listing.split(b"\0")[:-1]:
            about, _, name = entry.partition(b"\t")
            mode, kind, blob = about.decode().split()
            path = os.fsdecode(name)
            if kind == "blob" and mode.startswith("100") and _NEVER.isdisjoint(path.lower().split("/")):
                found[path] = Blob("100755" if mode == "100755" else "100644", blob)  # old git wrote other modes, too
        return found

    def missing(self, commit: str) -> set[str]:
        """The ids of what belongs to a commit's tree and is not here: in a partial clone git fails over them."""
        listing = self.run("rev-list", "--objects", "--no-object-names", "--missing=print", f"{commit}^{{tree}}")
        return {line[1:] for line in listing.decode().splitlines() if line.startswith("?")}

    def sizes(self, blobs: Iterable[str]) -> dict[str, int]:
        """How large blobs are, by their ids. Raises GitFailed over one that is not here, or leaves it out."""
        answer = self._asked("--batch-check", dict.fromkeys(blobs)).decode()
        told = (line.split(" ") for line in answer.splitlines())
        return {words[0]: int(words[2]) for words in told if len(words) == 3}

    def contents(self, blobs: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """The bytes of blobs by their ids. Raises GitFailed over one that is not here, or leaves it out."""
        return self.read(self.sizes(blobs))

    def read(self, sizes: Mapping[str, int]) -> Iterator[tuple[str, bytes]]:
        """The bytes of blobs by their ids, a part of them at a time. sizes: as ``sizes`` gives them."""
        batch: list[str] = []
        total = 0
        for blob, size in sizes.items():
            if batch and total + size > _MOST_AT_ONCE:
                yield from self._contents(batch)
                batch, total = [], 0
            batch.append(blob)
            total += size
        yield from self._contents(batch)

    def _asked(self, how: str, blobs: Iterable[str]) -> bytes:
        lines = "".join(f"{blob}\n" for blob in blobs)
        if not lines:
            return b""
        with tempfile.TemporaryFile() as stream:
            stream.write(lines.encode())
            stream.seek(0)
            return self.run("cat-file", how, "--buffer", istream=stream)

    def _contents(self, blobs: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        answer = self._asked("--batch", blobs)
        at = 0
        while at < len(answer):
            end = answer.index(b"\n", at)
            header = answer[at:end].decode().split(" ")
            at = end + 1
            if len(header) == 3:
                size = int(header[2])
                yield header[0], answer[at : at + size]
                at += size + 1

    def info(self, commit: str) -> CommitInfo:
        """What a commit says."""
        raw = self.run("cat-file", "commit", commit).decode("utf-8", "surrogateescape")
        head, _, message = raw.partition("\n\n")
        fields: dict[str, list[str]] = {}
        for line in head.split("\n"):
            key, _, value = line.partition(" ")
            fields.setdefault(key, []).append(value)
        parents = tuple(fields.get("parent", ()))
        return CommitInfo(fields["tree"][0], parents, fields["author"][0], fields["committer"][0], message)

    def person(self) -> Person:
        """Who the user says to be."""
        name, email = (self._setting("--includes", f"user.{key}") for key in ("name", "email"))
        return Person(_one_line(name) or "leakfix", _one_line(email) or "leakfix@localhost")

    def remote_url(self, name: str) -> str:
        """The address of a remote. Raises GitFailed."""
        try:
            return str(self._repo.remote(name).url)
        except (ValueError, AttributeError, StopIteration, KeyError) as error:
            raise GitFailed(f"there is no remote {name!r} here") from error

    def is_branch_name(self, name: str) -> bool:
        """Whether a branch can be called so."""
        try:
            self.run("check-ref-format", "--branch", name)
        except GitFailed:
            return False
        return not name.startswith("-") and "@{" not in name

    def checked_out(self) -> set[str]:
        """The branches that work trees are on."""
        listing = self.run("worktree", "list", "--porcelain").decode("utf-8", "surrogateescape")
        return set(re.findall(r"^branch refs/heads/(.*)$", listing, re.MULTILINE))

    def write(self, commits: Sequence[NewCommit], base: str, ref: str | None, person: Person) -> list[str]:
        """Make commits, one upon the other, and put a ref on the last, if one is given; their ids.

        The same base, commits and person give the same ids: the time is that of the base. Nothing but the ref is
        touched. Raises GitFailed where the ref has other commits.
        """
        if not commits:
            return []
        modes = {path: blob.mode for path, blob in self.files(base).items()}
        when = self.info(base).committer.rpartition("> ")[2].split(" ")[0] + " +0000"
        with tempfile.TemporaryFile() as stream:
            for piece in _stream(commits, base, ref, person, when, modes):
                stream.write(piece)
            stream.seek(0)
            told = self.run("fast-import", "--quiet", "--done", "--date-format=raw-permissive", istream=stream)
        return told.decode().split()

    def signed(self, commits: Sequence[str], base: str) -> list[str]:
        """The same commits with signatures, as the user's own configuration has them made."""
        result, parent = [], base
        for commit in commits:
            parent = self._signed(self.info(commit), parent)
            result.append(parent)
        return result

    def _signed(self, info: CommitInfo, parent: str) -> str:
        identity: dict[str, str] = {}
        for role, value in (("AUTHOR", info.author), ("COMMITTER", info.committer)):
            name, _, rest = value.partition(" <")
            email, _, when = rest.partition("> ")
            identity |= {f"GIT_{role}_NAME": name, f"GIT_{role}_EMAIL": email, f"GIT_{role}_DATE": f"@{when}"}
        with tempfile.TemporaryFile() as stream:
            stream.write(info.message.encode("utf-8", "surrogateescape"))
            stream.seek(0)
            command = ("commit-tree", "-S", "-p", parent, info.tree)
            settings = {"i18n.commitEncoding": "utf-8", **self._own_programs()}
            return self.run(*command, settings=settings, istream=stream, env=identity).decode().strip()

    def wants_signatures(self) -> bool:
        """Whether commits are to be signed."""
        return self._setting("--type=bool", "commit.gpgsign") == "true"

    def _own_programs(self) -> dict[str, str]:
        programs = {key: self._own_setting(key) or otherwise for key, otherwise in _SIGNING.items()}
        openpgp = self._own_setting("gpg.openpgp.program")  # another name of gpg.program; git takes the last of both
        return {**programs, "gpg.openpgp.program": openpgp} if openpgp else programs

    def _own_setting(self, key: str) -> str:
        return self._setting("--global", "--includes", key) or self._setting("--system", "--includes", key)

    def _setting(self, *what: str) -> str:
        try:
            return self.run("config", *what[:-1], "--get", what[-1]).decode("utf-8", "surrogateescape").strip()
        except GitFailed:
            return ""

    def move(self, ref: str, new: str, old: str | None) -> None:
        """Put a ref on a commit if it is still where it was. Raises GitFailed."""
        self.run("update-ref", "--no-deref", ref, new, old or "0" * len(new))

    def delete(self, ref: str) -> None:
        """Remove a ref, if it is there."""
        old = self.tip(ref)
        if old is not None:
            self.run("update-ref", "--no-deref", "-d", ref, old)


def _stream(
    commits: Sequence[NewCommit], base: str, ref: str | None, person: Person, when: str, modes: Mapping[str, str]
) -> Iterator[bytes]:
    """What ``git fast-import`` reads (git-fast-import(1))."""
    inside = ref or _UNWRITTEN
    who = f"{person.name} <{person.email}> {when}".encode("utf-8", "surrogateescape")
    for number, commit in enumerate(commits, 1):
        message = commit.message.encode("utf-8", "surrogateescape")
        yield f"commit {inside}\nmark :{number}\n".encode()
        yield b"author " + who + b"\ncommitter " + who + b"\n"
        yield b"data %d\n%s\n" % (len(message), message)
        yield f"from {base if number == 1 else f':{number - 1}'}\n".encode()
        for path, data in sorted(commit.files.items()):
            yield f"M {modes.get(path, '100644')} inline ".encode() + _quoted(path) + b"\n"
            yield b"data %d\n%s\n" % (len(data), data)
    for number in range(1, len(commits) + 1):
        yield f"get-mark :{number}\n".encode()
    if ref is None:
        yield f"reset {inside}\n\n".encode()  # a ref that has no commit in the end is not written
    yield b"done\n"


def _quoted(path: str) -> bytes:
    raw = os.fsencode(path)
    return b'"' + b"".join(_ESCAPES.get(byte) or bytes([byte]) for byte in raw) + b'"'


def _one_line(text: str) -> str:
    return re.sub(r"[<>\r\n\0]", "", text).strip(_CRUD)


def _words(error: git.GitCommandError) -> str:
    """What git said, without the command: that may hold what nobody should read."""
    said = error.stderr or ""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    match = re.search(r"stderr: '(.*)'\s*\Z", text, re.DOTALL)
    lines = (match[1] if match else text).strip().splitlines()
    return "; ".join(line.strip() for line in lines if line.strip()) or f"git ended with {error.status}"


def _program() -> str:
    found = shutil.which("git", path=_trusted_path())
    if found is None:
        raise GitFailed("git is needed for this, and is not on PATH")
    return found


def _trusted_path() -> str:
    """PATH without what is empty or relative: that could be the repository itself."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(folder for folder in folders if os.path.isabs(folder))


def _without_git_variables() -> None:
    """Forget variables that a hook or another program set for git: they would name other repositories."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        if name not in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_SSL_CAINFO"):
            del os.environ[name]


def _empty(folder: str) -> str:
    path = os.path.join(folder, "no-template")
    os.makedirs(path, exist_ok=True)
    return path


def _format_of(repository: Repository | None) -> tuple[str, ...]:
    if repository is None:
        return ()
    return (f"--object-format={repository.run('rev-parse', '--show-object-format').decode().strip()}",)


def _write(path: str, data: bytes) -> None:
    with open(path, "wb") as stream:
        stream.write(data)
