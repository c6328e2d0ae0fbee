"""Which of many literals stand in a file's bytes, found in one pass."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ahocorasick_rs import BytesAhoCorasick


class Words:
    """Literals that are sought in every file. One automaton for all takes a fifth of the time of one search each."""

    def __init__(self, words: Iterable[bytes]) -> None:
        self._words = sorted(set(words))

    def of(self, data: bytes) -> frozenset[bytes]:
        """Those that stand in a file's bytes."""
        found = {number for number, _, _ in self._automaton.find_matches_as_indexes(data, overlapping=True)}
        return frozenset([self._words[number] for number in found])

    @cached_property
    def _automaton(self) -> BytesAhoCorasick:
        from ahocorasick_rs import BytesAhoCorasick

        return BytesAhoCorasick(self._words)
