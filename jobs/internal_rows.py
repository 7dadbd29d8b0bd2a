"""Tables as streams of the rows that Flink has inside (RowData).

A conversion between table and stream by the usual way makes a `Row` of each row and back: every text is decoded and encoded again, for
operators that look at none of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyflink.datastream import DataStream
from pyflink.java_gateway import get_gateway
from pyflink.table import StreamTableEnvironment
from pyflink.util.java_utils import load_java_class


def stream_of(tables: StreamTableEnvironment, query: str, columns: Mapping[str, str]) -> DataStream:
    """The rows of `query`, whose columns are these, by name and SQL type. A time attribute among them is the timestamp of each record."""
    inside = _row_type(columns).bridgedTo(load_java_class("org.apache.flink.table.data.RowData"))
    return DataStream(tables._j_tenv.toDataStream(tables.sql_query(query)._j_table, inside))


def type_information(columns: Mapping[str, str]) -> Any:
    """TypeInformation (Java) of rows of these columns."""
    return get_gateway().jvm.org.apache.flink.table.runtime.typeutils.InternalTypeInfo.of(_row_type(columns).getLogicalType())


def _row_type(columns: Mapping[str, str]) -> Any:
    """DataTypes.ROW (Java) of these columns."""
    gateway = get_gateway()
    jvm = gateway.jvm
    parser, loader = jvm.org.apache.flink.table.types.logical.utils.LogicalTypeParser, jvm.Thread.currentThread().getContextClassLoader()
    data_types, types = jvm.org.apache.flink.table.api.DataTypes, jvm.org.apache.flink.table.types.utils.TypeConversions
    fields = gateway.new_array(data_types.Field, len(columns))
    for index, (name, sql_type) in enumerate(columns.items()):
        fields[index] = data_types.FIELD(name, types.fromLogicalToDataType(parser.parse(sql_type, loader)))
    return data_types.ROW(fields)
