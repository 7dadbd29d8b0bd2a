"""Rows of a query as a stream that is partitioned by one of its columns."""

from __future__ import annotations

from pyflink.common import Types
from pyflink.datastream import KeyedStream
from pyflink.java_gateway import get_gateway
from pyflink.table import StreamTableEnvironment


def keyed_rows(tables: StreamTableEnvironment, query: str, key: str, *columns: str) -> KeyedStream:
    """The given columns of `query` as Rows, partitioned by the text `key`, which is one of them or not.

    `DataStream.key_by` puts a Python operator before the partitioning that does nothing but put the key before each row: each
    row crosses between the JVM and Python once more. SQL does it for next to nothing.
    """
    rows = tables.to_data_stream(tables.sql_query(f"SELECT {key} AS row_key, ROW({', '.join(columns)}) AS row_value FROM ({query})"))
    jvm = get_gateway().jvm
    keyed = rows._j_data_stream.keyBy(jvm.KeyByKeySelector(), Types.ROW([Types.STRING()]).get_java_type_info())
    return KeyedStream(keyed, None, rows)
