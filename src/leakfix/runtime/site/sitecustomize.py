"""Runs when an interpreter starts below ``leakfix run``: starts the tracker, then the sitecustomize that was hidden.

leakfix need not be installed there. Its package is loaded from where it lies, without a change to the import path.
"""

import os
import sys


def _start():
    folder = os.environ.get("LEAKFIX_RUN")
    if not folder or not os.path.isdir(folder):  # what outlives the one who watches goes on by itself
        return
    known = set(sys.modules)
    try:
        if sys.version_info < (3, 11):  # noqa: UP036, any interpreter comes here
            raise ImportError("it needs 3.11")
        here = os.path.dirname(os.path.abspath(__file__))
        _load(os.path.dirname(os.path.dirname(here)))
        from leakfix.runtime.launch import begin

        begin(folder)
    except Exception as error:
        for name in set(sys.modules) - known:
            if name.partition(".")[0] == "leakfix":
                del sys.modules[name]
        _tell(folder, error)


def _tell(folder, error):
    """Leave word for the one who watches; the program's own output stays as it is."""
    version = ".".join(map(str, sys.version_info[:2]))
    text = "Python " + version + " is not watched: " + type(error).__name__ + ": " + str(error)
    try:
        with open(os.path.join(folder, str(os.getpid()) + ".unwatched"), "w") as stream:
            stream.write(text)
    except Exception:  # a folder that is gone, or that is not ours to write to
        pass


def _load(package):
    if "leakfix" in sys.modules:
        return
    import importlib.util

    file = os.path.join(package, "__init__.py")
    spec = importlib.util.spec_from_file_location("leakfix", file, submodule_search_locations=[package])
    module = importlib.util.module_from_spec(spec)
    sys.modules["leakfix"] = module
    spec.loader.exec_module(module)


def _run_the_next():
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or ".") != here]
    ours = sys.modules.pop("sitecustomize", None)
    try:
        import sitecustomize  # noqa: F401, the program's own
    except ImportError as error:
        if error.name != "sitecustomize":
            raise
        sys.modules["sitecustomize"] = ours


_start()
_run_the_next()
