"""Runs when an interpreter starts below ``leakfix run``: starts the tracker, then the sitecustomize that was hidden.

leakfix need not be installed there. Its package is loaded from where it lies, without a change to the import path.
"""

import os
import sys


def _start():
    folder = os.environ.get("LEAKFIX_RUN")
    if not folder:
        return
    try:
        here = os.path.dirname(os.path.abspath(__file__))
        _load(os.path.dirname(os.path.dirname(here)))
        from leakfix.runtime.launch import begin

        begin(folder)
    except BaseException as error:
        version = ".".join(map(str, sys.version_info[:2]))
        text = "leakfix: this Python {} is not watched: {}: {}\n"
        sys.stderr.write(text.format(version, type(error).__name__, error))


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
