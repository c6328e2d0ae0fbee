"""What a file is for, as far as its path tells."""

from __future__ import annotations

import re

_TESTING = re.compile(
    r"(?:^|/)(?:tests?|testing|testsuite|conftest\.py|benchmarks?|examples?|docs?)(?:/|$)|(?:^|/)test_[^/]*$|_tests?\.py$"
)


def is_test(path: str) -> bool:
    """Whether a file belongs to tests, benchmarks, examples or documentation: it lives no longer than one run."""
    return _TESTING.search(path) is not None
