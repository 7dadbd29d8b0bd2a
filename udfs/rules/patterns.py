"""Many patterns over one text, in one pass: RE2's sets. 200 patterns cost less than a single one searched on its own."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import re2

from udfs.rules.values import compile_pattern

compiled: Final = lru_cache(maxsize=10_000)(compile_pattern)

# A set that runs out of memory while it matches finds nothing, and Python is not told. So a set gets far more memory than the
# patterns in it can need, and a pattern of unusual size is searched on its own.
_LARGEST_IN_SET: Final = 2_000
_SET_INSTRUCTIONS: Final = 50_000
_SET_MEMORY: Final = 64 << 20


class PatternSet:
    """Patterns that are added while rules are compiled, and then matched together."""

    def __init__(self) -> None:
        self._patterns: list[str] = []
        self._alone: list[tuple[int, Any]] = []
        self._sets: list[tuple[list[int], Any]] | None = None

    def add(self, pattern: str) -> int:
        """Adds a pattern that compile_pattern takes; returns its number."""
        self._sets = None
        self._patterns.append(pattern)
        return len(self._patterns) - 1

    def search(self, text: str) -> frozenset[int]:
        """The numbers of the patterns that match somewhere in the text."""
        if self._sets is None:
            self._sets = self._compile()
        found = [number for number, pattern in self._alone if pattern.search(text) is not None]
        for numbers, patterns in self._sets:
            found += [numbers[index] for index in patterns.Match(text) or ()]  # it gives None for none
        return frozenset(found)

    def _compile(self) -> list[tuple[list[int], Any]]:
        self._alone = []
        groups: list[list[int]] = []
        room = 0
        for number, text in enumerate(self._patterns):
            size = compiled(text).programsize
            if size > _LARGEST_IN_SET:
                self._alone.append((number, compiled(text)))
                continue
            if size > room:
                groups.append([])
                room = _SET_INSTRUCTIONS
            groups[-1].append(number)
            room -= size
        return [(numbers, self._set_of(numbers)) for numbers in groups]

    def _set_of(self, numbers: list[int]) -> Any:
        options = re2.Options()
        options.max_mem, options.log_errors = _SET_MEMORY, False
        patterns = re2.Set.SearchSet(options)
        for number in numbers:
            patterns.Add(self._patterns[number])
        patterns.Compile()
        return patterns
