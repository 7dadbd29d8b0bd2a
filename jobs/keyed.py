"""A keyed stream for a Python function whose key is made in Java."""

from __future__ import annotations

from pyflink.common import Types
from pyflink.datastream import DataStream, KeyedStream
from pyflink.java_gateway import get_gateway


def keyed(stream: DataStream) -> KeyedStream:
    """Keys a stream of rows (key STRING, value) by its key; functions get the value.

    PyFlink's own `key_by` asks a Python function for the key, in an operator of its own: each record crosses into Python and back
    before it comes to the one that does the work. This is what it makes of it, without that crossing.
    """
    gateway = get_gateway()
    types = stream.get_type()
    by_first = stream._j_data_stream.keyBy(gateway.jvm.KeyByKeySelector(), Types.ROW([Types.STRING()]).get_java_type_info())
    return KeyedStream(by_first, types.get_field_types()[1], stream)
