"""Many patterns over one text, in one pass: RE2's sets. 200 patterns cost less than a single one searched on its own."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from udfs.rules.regex import re2
from udfs.rules.values import compile_pattern

compiled: Final = lru_cache(maxsize=10_000)(compile_pattern)

# A set that runs out of memory while it matches finds nothing, and Python is not told. So a set gets far more memory than the
# patterns in it can need, and a pattern of unusual size is searched on its own.
_LARGEST_IN_SET: Final = 2_000
_SET_INSTRUCTIONS: Final = 50_000
_SET_MEMORY: Final = 64 << 20


class PatternSet:
    """Patterns that are added while rules are compiled, and then matched together.

    Those that come later get a set of their own, which is merged with one before it that is not larger: so each pattern is compiled
    a few times, and not with every pattern that comes.
    """

    def __init__(self) -> None:
        self._patterns: list[str] = []
        self._new: list[int] = []
        self._alone: list[tuple[int, Any]] = []
        self._sets: list[tuple[list[int], Any]] = []

    def add(self, pattern: str) -> int:
        """Adds a pattern that compile_pattern takes; returns its number."""
        number = len(self._patterns)
        self._patterns.append(pattern)
        if compiled(pattern).programsize > _LARGEST_IN_SET:
            self._alone.append((number, compiled(pattern)))
        else:
            self._new.append(number)
        return number

    def search(self, text: str) -> frozenset[int]:
        """The numbers of the patterns that match somewhere in the text."""
        if self._new:
            self._compile()
        found = [number for number, pattern in self._alone if pattern.search(text) is not None]
        for numbers, patterns in self._sets:
            found += [numbers[index] for index in patterns.Match(text) or ()]  # it gives None for none
        return frozenset(found)

    def _compile(self) -> None:
        groups: list[list[int]] = []
        room = 0
        for number in self._new:
            size = self._size([number])
            if size > room:
                groups.append([])
                room = _SET_INSTRUCTIONS
            groups[-1].append(number)
            room -= size
        self._new = []
        while self._sets and len(self._sets[-1][0]) <= len(groups[-1]) and self._size(self._sets[-1][0] + groups[-1]) <= _SET_INSTRUCTIONS:
            groups[-1] = self._sets.pop()[0] + groups[-1]
        self._sets += [(numbers, self._set_of(numbers)) for numbers in groups]

    def _size(self, numbers: list[int]) -> int:
        return sum(compiled(self._patterns[number]).programsize for number in numbers)

    def _set_of(self, numbers: list[int]) -> Any:
        options = re2.Options()
        options.max_mem, options.log_errors = _SET_MEMORY, False
        patterns = re2.Set.SearchSet(options)
        for number in numbers:
            patterns.Add(self._patterns[number])
        patterns.Compile()
        return patterns
