"""Event time survives a restore: an operator that keeps the watermark in checkpoints.

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
