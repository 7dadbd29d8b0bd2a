"""Watches the share of dead letters: a high one means that a producer is broken. Pure: no Flink, no clock of its own."""

from __future__ import annotations


class DeadLetterShare:
    """The share of dead letters among the last records, over two alternating buckets of `bucket_size` records each.

    `share` covers the last 1 to 2 buckets, each of which is longer by what a call of `count` adds to its end.
    """

    def __init__(self, limit: float, bucket_size: int = 1000, warn_every_ms: int = 60_000) -> None:
        """
        Args:
            limit: the share, 0 to 1, above which `warning_due` asks for a warning.
            bucket_size: records per bucket; below one full bucket nothing is said.
            warn_every_ms: the shortest time between two warnings.
        """
        self._limit = limit
        self._bucket_size = bucket_size
        self._warn_every_ms = warn_every_ms
        self._records = 0
        self._dead = 0
        self._previous_dead = 0
        self._previous_records = 0
        self._warned_ms: int | None = None

    def count(self, dead: bool, records: int = 1) -> None:
        """Counts records that are all dead letters, or that none of them is."""
        if self._records >= self._bucket_size:
            self._previous_records, self._previous_dead = self._records, self._dead
            self._records = self._dead = 0
        self._records += records
        if dead:
            self._dead += records

    @property
    def share(self) -> float:
        """Dead letters per record, 0 to 1."""
        records = self._records + self._previous_records
        return (self._dead + self._previous_dead) / records if records else 0.0

    def warning_due(self, now_ms: int) -> bool:
        """Whether to warn now. Call it when a dead letter has come."""
        if self._records + self._previous_records < self._bucket_size or self.share <= self._limit:
            return False
        if self._warned_ms is not None and now_ms - self._warned_ms < self._warn_every_ms:
            return False
        self._warned_ms = now_ms
        return True
