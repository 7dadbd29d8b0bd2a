"""What peers need of event time where their engine has no watermark of each partition. Pure: each adapts it to its own kind of state.

Partitions of a backlog are read unevenly: by two workers, or one fetch after another. So time is that of the partition furthest behind,
and not the greatest seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from typing import Any


class InOrder:
    """What came from one partition, in event time, `bound_ms` behind its newest."""

    def __init__(self, bound_ms: int, waiting: list[tuple[int, int, Any]] | None = None, newest_ms: int = 0, count: int = 0) -> None:
        self._bound_ms, self._newest_ms, self._count = bound_ms, newest_ms, count
        self._waiting = waiting or []

    def add(self, time_ms: int, item: Any) -> None:
        heappush(self._waiting, (time_ms, self._count, item))
        self._count += 1
        self._newest_ms = max(self._newest_ms, time_ms)

    def due(self) -> Iterator[Any]:
        """Takes out what nothing on time can precede any more: the oldest first, and of the same millisecond in the order of arrival."""
        until_ms = self._newest_ms - self._bound_ms
        while self._waiting and self._waiting[0][0] <= until_ms:
            yield heappop(self._waiting)[2]

    def snapshot(self) -> tuple[list[tuple[int, int, Any]], int, int]:
        """The arguments after the first, to go on from here."""
        return list(self._waiting), self._newest_ms, self._count


class LeastOfPartitions:
    """How far time is in all of a topic's partitions."""

    def __init__(self, partitions: int, newest: dict[int, Any] | None = None) -> None:
        self._partitions = partitions
        self.newest: dict[int, Any] = dict(newest or {})

    def advance(self, partition: int, time: Any) -> None:
        seen = self.newest.get(partition)
        if seen is None or time > seen:
            self.newest[partition] = time

    def least(self) -> Any:
        """The newest of the partition that is furthest behind; None until all have been seen."""
        return min(self.newest.values()) if len(self.newest) == self._partitions else None


def add_partial(pending: dict[str, Any], partition: int, start: int, sums: list[int], partitions: int) -> list[tuple[int, list[int]]]:
    """Adds up the windows of one key that each partition has closed for itself, in the order of their starts.

    Args:
        pending: changed here; empty at first. JSON.
        partition, start, sums: a window that `partition` has closed.
        partitions: how many there are.

    Returns:
        Windows that all partitions are past now, as (start, sums).
    """
    windows, closed = pending.setdefault("windows", {}), pending.setdefault("closed", {})
    so_far = windows.get(str(start))
    windows[str(start)] = sums if so_far is None else [one + other for one, other in zip(so_far, sums, strict=True)]
    closed[str(partition)] = start
    if len(closed) < partitions:
        return []
    until = min(closed.values())
    return [(each, windows.pop(str(each))) for each in sorted(map(int, windows)) if each <= until]
