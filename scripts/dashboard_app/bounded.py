"""Containers that stay small whatever is put into them. Pure, no clock of their own."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Hashable, Iterator
from typing import Final, Generic, NamedTuple, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

MINUTE_MS: Final = 60_000
OTHER: Final = "other"
_MOST_KEYS: Final = 50
# The records of one window come with one commit, but over several partitions, hence in several batches.
_QUIET_S: Final = 0.75
_PATIENCE_S: Final = 3.0


class Now(NamedTuple):
    """`s`: a clock that never goes back; `ms`: since the epoch."""

    s: float
    ms: int


class Newest(Generic[Key, Value]):
    """A map of at most `limit` entries; the one that has not been written for longest goes first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._entries: OrderedDict[Key, Value] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def put(self, key: Key, value: Value) -> None:
        self._entries[key] = value
        self._entries.move_to_end(key)
        if len(self._entries) > self._limit:
            self._entries.popitem(last=False)

    def get(self, key: Key) -> Value | None:
        return self._entries.get(key)

    def drop(self, key: Key) -> None:
        self._entries.pop(key, None)

    def __iter__(self) -> Iterator[Key]:
        """Last written first."""
        return reversed(self._entries)

    def values(self) -> Iterator[Value]:
        """Last written first."""
        return reversed(self._entries.values())


class Span(NamedTuple):
    """A window `[start, end)` in ms since the epoch. Spans sort by their end."""

    end_ms: int
    start_ms: int


class _Window(Generic[Key, Value]):
    def __init__(self, now_s: float) -> None:
        self.begun_s = self.changed_s = now_s
        self.rows: dict[Key, Value] = {}
        self._whole = False

    def whole(self, now_s: float) -> bool:
        self._whole = self._whole or now_s - self.changed_s >= _QUIET_S or now_s - self.begun_s >= _PATIENCE_S
        return self._whole


class Windows(Generic[Key, Value]):
    """The newest windows, each with its rows by key.

    A window counts as whole once no row of it has come for a moment: a sum over the half of its rows would be wrong for the blink of
    an eye, and a page that shows it would flicker. Once whole it stays so, and a row that comes later is shown at once.
    """

    def __init__(self, most_windows: int, most_rows: int) -> None:
        self._most_windows, self._most_rows = most_windows, most_rows
        self._windows: dict[Span, _Window[Key, Value]] = {}
        self._rows = 0
        self.refused = 0

    def observe(self, span: Span, key: Key, row: Value, now_s: float) -> None:
        """A row that comes again replaces the first. `now_s` comes from a clock that never goes back."""
        if span not in self._windows and len(self._windows) >= self._most_windows and span < min(self._windows):
            return  # older than all
        window = self._windows.setdefault(span, _Window(now_s))
        window.changed_s = now_s
        self._rows += key not in window.rows
        window.rows[key] = row
        while len(self._windows) > self._most_windows or (self._rows > self._most_rows and len(self._windows) > 1):
            self._rows -= len(self._windows.pop(min(self._windows)).rows)
        if self._rows > self._most_rows:  # one window with more rows than all may have
            del window.rows[key]
            self._rows -= 1
            self.refused += 1

    def whole(self, now_s: float) -> list[tuple[Span, dict[Key, Value]]]:
        """The windows that are whole, oldest first."""
        return [(span, window.rows) for span, window in sorted(self._windows.items()) if window.whole(now_s)]

    def newest(self, now_s: float) -> tuple[Span, dict[Key, Value]] | None:
        """The newest window that is whole."""
        whole = self.whole(now_s)
        return whole[-1] if whole else None


class PerMinute:
    """Counts by minute and name over the last minutes."""

    def __init__(self, minutes: int) -> None:
        self._minutes = minutes
        self._counts: dict[int, Counter[str]] = {}

    def add(self, time_ms: int, name: str, now_ms: int, number: int = 1) -> None:
        """What lies outside of the minutes that are kept is left out."""
        minute = time_ms // MINUTE_MS
        newest = now_ms // MINUTE_MS
        if not newest - self._minutes < minute <= newest + 1:
            return
        counts = self._counts.setdefault(minute, Counter())
        counts[name if name in counts or len(counts) < _MOST_KEYS else OTHER] += number
        for old in [each for each in self._counts if each <= newest - self._minutes]:
            del self._counts[old]

    def total(self, now_ms: int, minutes: int | None = None) -> Counter[str]:
        """Of the last minutes, the running one included."""
        oldest = now_ms // MINUTE_MS - (minutes or self._minutes)
        total: Counter[str] = Counter()
        for minute, counts in self._counts.items():
            if minute > oldest:
                total.update(counts)
        return total


def shortened(text: str, limit: int = 200) -> str:
    """A text that a stranger may have made as long as he likes."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
