"""The way of the events into Python and back: in batches, whose layout is in udfs/batches.py."""

from __future__ import annotations

from typing import Final

from pyflink.common import Types
from pyflink.datastream import DataStream
from pyflink.table import StreamTableEnvironment

from jobs import internal_rows, java_operators

ROUTED: Final = ("session_id", "event_id", "record_time_ms", "ordered", "unordered", "facts", "payload")
_EVENT: Final = {"value": "BYTES", "partition": "INT", "offset": "BIGINT", "time_ms": "BIGINT"}
_ROUTED: Final = {
    "f0": "STRING", "f1": "STRING", "f2": "BIGINT", "f3": "STRING", "f4": "STRING", "f5": "STRING", "f6": "BYTES",
}  # fmt: skip


def packed(tables: StreamTableEnvironment, query: str) -> DataStream:
    """Batches of the rows of `query`: value (BYTES), partition (INT), offset (BIGINT) and record time in ms (BIGINT)."""
    rows = internal_rows.stream_of(tables, query, _EVENT)
    return java_operators.apply(rows, "PackEvents", "pack-events", Types.PRIMITIVE_ARRAY(Types.BYTE()).get_java_type_info())


def unpacked(routed: DataStream) -> DataStream:
    """Rows of the columns ROUTED, by the names f0, f1, …"""
    return java_operators.apply(routed, "UnpackRouted", "unpack-routed", internal_rows.type_information(_ROUTED))
