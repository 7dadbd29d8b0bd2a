"""The way of the events into Python and back: in batches, whose layout is in udfs/batches.py."""

from __future__ import annotations

from typing import Any, Final

from pyflink.common import Types
from pyflink.datastream import DataStream
from pyflink.java_gateway import get_gateway
from pyflink.table import StreamTableEnvironment
from pyflink.util.java_utils import load_java_class

from jobs import java_operators

ROUTED: Final = ("session_id", "event_id", "record_time_ms", "ordered", "unordered", "facts", "payload")


def packed(tables: StreamTableEnvironment, query: str) -> DataStream:
    """Batches of the rows of `query`: value (BYTES), partition (INT), offset (BIGINT) and record time in ms (BIGINT)."""
    data_types = get_gateway().jvm.org.apache.flink.table.api.DataTypes
    # As Flink has them inside: nothing is converted for the operator behind.
    inside = _row(value=data_types.BYTES(), partition=data_types.INT(), offset=data_types.BIGINT(), time_ms=data_types.BIGINT())
    inside = inside.bridgedTo(load_java_class("org.apache.flink.table.data.RowData"))
    rows = DataStream(tables._j_tenv.toDataStream(tables.sql_query(query)._j_table, inside))
    return java_operators.apply(rows, "PackEvents", "pack-events", Types.PRIMITIVE_ARRAY(Types.BYTE()).get_java_type_info())


def unpacked(routed: DataStream) -> DataStream:
    """Rows of the columns ROUTED, by the names f0, f1, …"""
    jvm = get_gateway().jvm
    data_types = jvm.org.apache.flink.table.api.DataTypes
    text, number, binary = data_types.STRING(), data_types.BIGINT(), data_types.BYTES()
    row = _row(f0=text, f1=text, f2=number, f3=text, f4=text, f5=text, f6=binary)
    j_type = jvm.org.apache.flink.table.runtime.typeutils.InternalTypeInfo.of(row.getLogicalType())
    return java_operators.apply(routed, "UnpackRouted", "unpack-routed", j_type)


def _row(**columns: Any) -> Any:
    """DataTypes.ROW (Java) of these columns."""
    gateway = get_gateway()
    data_types = gateway.jvm.org.apache.flink.table.api.DataTypes
    fields = gateway.new_array(data_types.Field, len(columns))
    for index, (name, data_type) in enumerate(columns.items()):
        fields[index] = data_types.FIELD(name, data_type)
    return data_types.ROW(fields)
