"""Whose time counts: event time survives a restore, and no rule has a say in it.

Flink's checkpoints hold no watermarks. Each restore begins without one, so the first records behind it would all be punctual, however
late: ordered behind younger events of their session that are out already, and lost for windows that are closed (SQL's windows do remember
their watermark, and drop such rows silently). Found by `scripts/millrace chaos` (broker-leader-kill, seed 1).
"""

from __future__ import annotations

from pyflink.datastream import DataStream

from jobs import java_operators


def kept(stream: DataStream) -> DataStream:
    """The same stream; after a restore its watermark goes on from where it was in the checkpoint."""
    return java_operators.apply(stream, "KeepEventTime", "keep-event-time")


def without(stream: DataStream) -> DataStream:
    """The same stream; for event time it is as if it were always idle.

    The rules have no time. Their source is idle between two rules, but not for a moment behind each: if the events were idle just then
    (Kafka was away, or nobody shopped and there is no heartbeat), the watermark of the rules was the only one, and event time went
    where it was: to the year 2100, for good. Found by `scripts/millrace chaos` (broker-rolling-restart, seed 1): nine of ten events late.
    """
    return java_operators.apply(stream, "WithoutEventTime", "without-event-time")
