"""Rows of a query as a keyed stream for a Python function, whose key is made in Java."""

from __future__ import annotations

from collections.abc import Mapping

from pyflink.common import Types
from pyflink.common.typeinfo import TypeInformation
from pyflink.datastream import KeyedStream
from pyflink.java_gateway import get_gateway
from pyflink.table import StreamTableEnvironment


def keyed_rows(tables: StreamTableEnvironment, query: str, key: str, columns: Mapping[str, TypeInformation]) -> KeyedStream:
    """The given columns of `query` as Rows, keyed by the text `key`, a column that is one of them or not.

    PyFlink's own `key_by` asks a Python function for the key, in an operator of its own: each row crosses into Python and back before
    it comes to the function that does the work. This is what it makes of it, without that crossing.
    """
    types = list(columns.values())
    rows = tables.to_append_stream(
        tables.sql_query(f"SELECT {key}, ROW({', '.join(columns)}) FROM ({query})"), Types.ROW([Types.STRING(), Types.ROW(types)])
    )
    by_first = rows._j_data_stream.keyBy(get_gateway().jvm.KeyByKeySelector(), Types.ROW([Types.STRING()]).get_java_type_info())
    return KeyedStream(by_first, Types.ROW(types), rows)
