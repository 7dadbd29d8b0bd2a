"""The way of the events into Python and back: in batches, whose layout is in udfs/batches.py."""

from __future__ import annotations

from typing import Final

from pyflink.common import Types
from pyflink.datastream import DataStream, OutputTag
from pyflink.table import StreamTableEnvironment

from jobs import internal_rows, java_operators

ROUTED: Final = {
    "session_id": "STRING", "event_id": "STRING", "record_time_ms": "BIGINT", "ordered": "STRING", "unordered": "STRING",
    "facts": "STRING", "payload": "BYTES",
}  # fmt: skip
"""Name -> SQL type of what comes back of an event."""
_EVENT: Final = {"value": "BYTES", "partition": "INT", "offset": "BIGINT", "time_ms": "BIGINT"}


def packed(tables: StreamTableEnvironment, query: str) -> DataStream:
    """Batches of the rows of `query`: value (BYTES), partition (INT), offset (BIGINT) and record time in ms (BIGINT)."""
    rows = internal_rows.stream_of(tables, query, _EVENT)
    return java_operators.apply(rows, "PackEvents", "pack-events", Types.PRIMITIVE_ARRAY(Types.BYTE()).get_java_type_info())


def unpacked(routed: DataStream) -> DataStream:
    """Rows of the columns ROUTED, by the names f0, f1, …"""
    columns = {f"f{index}": sql_type for index, sql_type in enumerate(ROUTED.values())}
    return java_operators.apply(routed, "UnpackRouted", "unpack-routed", internal_rows.type_information(columns))


def side_output(of: DataStream, tag: OutputTag) -> DataStream:
    """What `of` gives out by `tag`. PyFlink's own `get_side_output` adds a Python operator that returns each element as it came."""
    return DataStream(of._j_data_stream.getSideOutput(tag.get_java_output_tag()))
