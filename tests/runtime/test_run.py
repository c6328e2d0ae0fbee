"""``leakfix run``: whatever a program does, it runs and ends as it does by itself, and what it left open is told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import zipapp
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from leakfix.proof.launcher import Ended, watched
from leakfix.registry import Registry
from leakfix.runtime.evidence import loaded, together

from .conftest import held

Watch = Callable[..., Ended]
Program = Callable[..., subprocess.CompletedProcess[bytes]]
LEAKY = "import sqlite3\nkept = []\ndef leak():\n    kept.append(sqlite3.connect(':memory:'))\nleak()\n"
HERE = [sys.executable, "-m", "leakfix", "run"]


def started(folder: Path, text: str, *options: str) -> subprocess.Popen[str]:
    """A program below ``leakfix run`` that has printed its first line."""
    (folder / "program.py").write_text(text, encoding="utf-8")
    command = [*HERE, *options, "--report", "seen.json", "--", sys.executable, "program.py"]
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def seen(folder: Path) -> dict[str, str]:
    sites = loaded((folder / "seen.json").read_text("utf-8")).sites
    return {each.function: each.held or "released" for each in together(sites)}


def waiting(text: str = "") -> str:
    return f"{text}{LEAKY}import time\nprint('ready', flush=True)\nfor _ in range(600):\n    time.sleep(0.1)\n"


def test_what_is_left_and_the_exit_code(watch: Watch) -> None:
    ended = watch(LEAKY + "raise SystemExit(7)\n")
    assert (ended.code, held(ended), ended.silent) == (7, {"leak": "forever"}, 0)
    (site,) = ended.evidence.sites
    assert (site.path, site.line) == ("program.py", 4)


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("raise ValueError('x')", 1),
        ("import threading, sys; t = threading.Thread(target=sys.exit, args=(3,)); t.start(); t.join()", 0),
        ("import sys; sys.stdout.close(); sys.stderr.close()", 0),
        ("import os; os.close(0); os.close(1); os.close(2)", 0),
        ("import sys; sys.stdout = sys.stderr = None", 0),
        ("import threading, time; threading.Thread(target=time.sleep, args=(60,), daemon=True).start()", 0),
        ("import atexit; atexit._clear() if False else None", 0),
        ("import gc; gc.disable(); gc.freeze()", 0),
        ("import os, shutil, tempfile; d = tempfile.mkdtemp(); os.chdir(d); os.rmdir(d)", 0),
        ("import sys; sys.setrecursionlimit(60)", 0),
    ],
)
def test_ends_of_all_kinds(watch: Watch, end: str, code: int) -> None:
    ended = watch(LEAKY + end + "\n", output=subprocess.DEVNULL)
    assert (ended.code, held(ended), ended.silent) == (code, {"leak": "forever"}, 0)


def test_what_the_program_closes_at_its_very_end_is_closed(watch: Watch) -> None:
    ended = watch("import atexit, sqlite3\ndef f():\n    atexit.register(sqlite3.connect(':memory:').close)\nf()\n")
    assert held(ended) == {"f": "released"}


def test_a_connection_in_a_daemon_thread(watch: Watch) -> None:
    ended = watch("""
        import sqlite3, threading
        ready, never = threading.Event(), threading.Event()
        def work():
            connection = sqlite3.connect(":memory:")
            ready.set()
            never.wait()
        threading.Thread(target=work, daemon=True).start()
        ready.wait()
    """)
    assert (ended.code, held(ended)) == (0, {"work": "forever"})


def test_what_cannot_tell_is_counted(watch: Watch) -> None:
    ended = watch(LEAKY + "import os; os._exit(5)\n")
    assert (ended.code, ended.silent, ended.evidence.sites) == (5, 1, ())
    ended = watch(LEAKY + "import os, signal; os.kill(os.getpid(), signal.SIGKILL)\n")
    assert (ended.code, ended.silent) == (137, 1)


def test_output_is_the_programs_own(tree: Path, leakfix: Program) -> None:
    (tree / "program.py").write_text("import sys\nprint(sys.argv, file=sys.stdout)\nprint('e', file=sys.stderr)\n")
    done = leakfix("run", "--", sys.executable, "program.py", "--report", "x", "-v")
    assert done.stdout == b"['program.py', '--report', 'x', '-v']\n"
    assert done.stderr.startswith(b"e\nleakfix: ")


@pytest.mark.parametrize("name", ["nowhere-to-be-found", "."])
def test_what_cannot_be_run(tree: Path, leakfix: Program, name: str) -> None:
    done = leakfix("run", "--", name)
    assert done.returncode == 127
    assert done.stderr.startswith(b"error: ")


def test_fail_and_report(tree: Path, leakfix: Program) -> None:
    (tree / "program.py").write_text("import sqlite3\ndef f():\n    sqlite3.connect(':memory:')\nf()\n")
    assert leakfix("run", "--", sys.executable, "program.py").returncode == 0
    assert leakfix("run", "--fail", "--report", "a.json", "--", sys.executable, "program.py").returncode == 1
    assert json.loads((tree / "a.json").read_text())["sites"][0]["path"] == "program.py"
    done = leakfix("run", "--report", "no/such/folder.json", "--", sys.executable, "program.py")
    assert (done.returncode, b"error: " in done.stderr) == (2, True)


def test_children_tell_for_themselves(watch: Watch) -> None:
    ended = watch("""
        import os, sqlite3, sys
        def parent():
            return sqlite3.connect(":memory:", check_same_thread=False)
        def child():
            return sqlite3.connect(":memory:")
        kept = [parent()]
        if os.fork() == 0:
            kept.append(child())
            sys.exit(0)
        os.wait()
        kept[0].execute("select 1")
        kept[0].close()
    """)
    assert (ended.code, ended.evidence.processes) == (0, 2)
    assert held(ended) == {"parent": "released", "child": "forever"}


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_multiprocessing(watch: Watch, method: str) -> None:
    ended = watch(f"""
        import multiprocessing, sqlite3
        kept = []
        def work(number):
            kept.append(sqlite3.connect(":memory:"))
        def own():
            kept.append(sqlite3.connect(":memory:"))
        if __name__ == "__main__":
            own()
            context = multiprocessing.get_context({method!r})
            children = [context.Process(target=work, args=(n,)) for n in range(2)]
            for each in children:
                each.start()
            for each in children:
                each.join()
            assert [each.exitcode for each in children] == [0, 0]
            kept.pop().close()
    """)
    assert ended.code == 0
    assert held(ended) == {"work": "forever", "own": "released"}
    assert {site.function: site.open for site in ended.evidence.sites} == {"work": 2, "own": 0}


def test_a_program_that_is_replaced(watch: Watch) -> None:
    text = "import os, sys, time\nos.execv(sys.executable, [sys.executable, '-c', 'import sqlite3\\nk = {}'])\n"
    ended = watch(text.format("[sqlite3.connect(chr(58) + chr(109))]"))
    assert (ended.code, ended.evidence.processes, ended.silent) == (0, 1, 0)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_nobody_gets_a_signal_that_he_does_not_expect(tree: Path) -> None:
    text = (
        "import os, subprocess, sys\n"
        "child = subprocess.Popen(['sleep', '3'], preexec_fn=os.setpgrp)\n"
        "print('ready', flush=True)\n"
        "print(child.wait(), flush=True)\n"
    )
    process = started(tree, text)
    process.send_signal(signal.SIGUSR1)
    output, _ = process.communicate(timeout=60)
    assert output == "0\n"


def test_asked_by_a_signal(tree: Path) -> None:
    process = started(tree, waiting())
    process.send_signal(signal.SIGUSR1)
    assert process.stderr is not None
    line = process.stderr.readline()
    assert line.startswith("leakfix: process ")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 143
    assert seen(tree) == {"leak": "forever"}


def test_a_storm_of_signals(tree: Path) -> None:
    text = LEAKY + (
        "import os, signal, threading\n"
        "print('ready', flush=True)\n"
        "me = os.getpid()\n"
        "for _ in range(200):\n"
        "    os.kill(me, signal.SIGUSR1)\n"
        "print('done', flush=True)\n"
    )
    process = started(tree, text)
    output, _ = process.communicate(timeout=60)
    assert (process.returncode, output) == (0, "done\n")
    assert seen(tree) == {"leak": "forever"}


@pytest.mark.parametrize("number", ["SIGTERM", "SIGHUP", "SIGUSR2"])
def test_signals_the_program_handles_itself(tree: Path, number: str) -> None:
    text = (
        "import signal, sys\n"
        f"signal.signal(signal.{number}, lambda *_: sys.exit(9))\n"
        "def unexpected(*_):\n"
        "    print('unexpected', flush=True)\n"
        "signal.signal(signal.SIGUSR1, unexpected)\n"
    )
    process = started(tree, waiting(text))
    process.send_signal(getattr(signal, number))
    output, _ = process.communicate(timeout=60)
    assert (process.returncode, output) == (9, "")
    assert seen(tree) == {"leak": "forever"}


def test_killed_from_outside(tree: Path) -> None:
    process = started(tree, waiting("import os\nopen('pid', 'w').write(str(os.getpid()))\n"))
    os.kill(int((tree / "pid").read_text()), signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 137
    assert "could not tell" in errors


def test_what_outlives_the_program_is_asked(tree: Path) -> None:
    text = (
        "import os, subprocess, sys\n"
        "read, write = os.pipe()\n"
        f"code = {LEAKY!r} + 'import os, time; os.write(%d, b\"x\"); time.sleep(20)' % write\n"
        "child = subprocess.Popen([sys.executable, '-c', code], pass_fds=[write], start_new_session=True,\n"
        "    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n"
        "os.read(read, 1)\n"
        "open('pid', 'w').write(str(child.pid))\n"
        "print('ready', flush=True)\n"
    )
    process = started(tree, text)
    process.communicate(timeout=60)
    child = int((tree / "pid").read_text())
    try:
        assert seen(tree) == {"leak": "forever"}
        os.kill(child, 0)  # it lives
    finally:
        os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize("before", ["shutil.rmtree(folder)", "os.chmod(folder, 0o500)"])
def test_a_folder_that_is_gone_or_closed(watch: Watch, before: str) -> None:
    ended = watch(f"""
        import os, shutil, subprocess, sys
        folder = os.environ["LEAKFIX_RUN"]
        {before}
        child = [sys.executable, "-c", "import sqlite3; print(sqlite3.connect(':memory:').execute('select 1'))"]
        done = subprocess.run(child, capture_output=True, check=True)
        assert not done.stderr, done.stderr
    """)
    assert ended.code == 0


def test_the_environment_of_the_program(tree: Path, watch: Watch) -> None:
    own = tree / "own"
    own.mkdir()
    (own / "sitecustomize.py").write_text("import builtins\nbuiltins.customized = True\n")
    (own / "mine.py").write_text("VALUE = 1\n")
    ended = watch(
        LEAKY + "import mine, sitecustomize, sys\n"
        "assert customized and 'own' in sitecustomize.__file__\n"
        "assert not any('leakfix' in entry and 'site' in entry.split('/')[-1:] for entry in sys.path)\n",
        extra={"PYTHONPATH": str(own)},
    )
    assert (ended.code, held(ended)) == (0, {"leak": "forever"})


def test_a_sitecustomize_that_fails_fails_as_ever(tree: Path, watch: Watch) -> None:
    (tree / "own").mkdir()
    (tree / "own" / "sitecustomize.py").write_text("raise ValueError('its own')\n")
    ended = watch(LEAKY, extra={"PYTHONPATH": str(tree / "own")})
    assert (ended.code, held(ended)) == (0, {"leak": "forever"})


@pytest.mark.parametrize("option", ["-S", "-I", "-E"])
def test_interpreters_that_cannot_be_watched_run(watch: Watch, option: str) -> None:
    ended = watch(LEAKY, option)
    assert (ended.code, ended.evidence.processes, ended.silent) == (0, 0, 0)


@pytest.mark.parametrize("options", [("-W", "error"), ("-OO",), ("-X", "dev"), ("-b",), ("-u",), ("-P",)])
def test_interpreters_with_options_are_watched(watch: Watch, options: Sequence[str]) -> None:
    assert held(watch(LEAKY, *options)) == {"leak": "forever"}


def test_a_zipapp(tree: Path, registry: Registry) -> None:
    (tree / "app").mkdir()
    (tree / "app" / "__main__.py").write_text(LEAKY)
    zipapp.create_archive(tree / "app", tree / "app.pyz")
    ended = watched([sys.executable, "app.pyz"], registry.table, folder=str(tree), timeout=60)
    assert held(ended) == {"leak": "forever"}


def test_older_interpreters_are_left_alone(tree: Path, watch: Watch) -> None:
    ended = watch("""
        import glob, os, subprocess, sys
        for name in ("python3.10", "python3.9", "python3.8"):
            for path in os.environ["PATH"].split(os.pathsep):
                if os.path.exists(os.path.join(path, name)):
                    done = subprocess.run([name, "-c", "print(1)"], capture_output=True)
                    assert done.returncode or not done.stderr, done.stderr
    """)
    assert ended.code == 0


def test_a_folder_that_cannot_be_written(tree: Path, watch: Watch) -> None:
    (tree / "closed").mkdir()
    text = "import os\nos.chdir('closed')\nos.chmod('.', 0o500)\n" + LEAKY
    assert held(watch(text)) == {"leak": "forever"}


def test_a_cancelled_task_and_a_timeout(watch: Watch) -> None:
    ended = watch(
        """
        import asyncio, aiosqlite
        async def middle(started):
            async with aiosqlite.connect(":memory:") as connection:
                started.set()
                await asyncio.Event().wait()
        async def careless(started):
            connection = await aiosqlite.connect(":memory:")
            started.set()
            await asyncio.Event().wait()
        async def cancelled(work):
            started = asyncio.Event()
            task = asyncio.create_task(work(started))
            await started.wait()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        asyncio.run(cancelled(middle))
        asyncio.run(cancelled(careless))
        import os
        """,
        needs=("aiosqlite",),
        timeout=20,
    )
    assert held(ended)["middle"] == "released"
    assert held(ended)["careless"] != "released"


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_anyio(watch: Watch, backend: str) -> None:
    ended = watch(
        f"""
        import anyio, sqlite3
        def work():
            connection = sqlite3.connect(":memory:")
            connection.close()
        def careless():
            sqlite3.connect(":memory:")
        async def main():
            async with anyio.create_task_group() as group:
                group.start_soon(anyio.to_thread.run_sync, work)
                group.start_soon(anyio.to_thread.run_sync, careless)
        anyio.run(main, backend={backend!r})
        """,
        needs=("anyio", "trio"),
    )
    assert held(ended) == {"work": "released", "careless": "until-gc"}


def test_greenlets(watch: Watch) -> None:
    ended = watch(
        """
        import asyncio, sqlalchemy
        from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
        def inside(session):
            raw = session.get_bind().raw_connection()
        async def good(engine):
            async with AsyncSession(engine) as session:
                await session.execute(sqlalchemy.text("select 1"))
            async with engine.connect() as connection:
                await connection.execute(sqlalchemy.text("select 1"))
        async def left(engine):
            connection = await engine.connect()
            await connection.execute(sqlalchemy.text("select 1"))
            return connection
        async def main():
            engine = create_async_engine("sqlite+aiosqlite:///file.db")
            await good(engine)
            connection = await left(engine)
            await engine.dispose()
            await connection.close()
        asyncio.run(main())
        """,
        needs=("greenlet", "aiosqlite", "sqlalchemy"),
    )
    assert (ended.code, held(ended)) == (0, {"main": "released", "good": "released", "left": "released"})


def test_nested_runs(tree: Path, leakfix: Program) -> None:
    (tree / "program.py").write_text(LEAKY)
    inner = [*HERE, "--report", "inner.json", "--", sys.executable, "program.py"]
    assert leakfix("run", "--", *inner).returncode == 0
    assert json.loads((tree / "inner.json").read_text())["sites"][0]["open"] == 1


def test_a_removed_working_directory(tree: Path) -> None:
    gone = tree / "gone"
    gone.mkdir()
    command = sys.executable, [*HERE, "--", sys.executable, "-c", LEAKY]
    code = f"import os; os.chdir({str(gone)!r}); os.rmdir({str(gone)!r}); os.execv(*{command!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "1 still open" in done.stderr
