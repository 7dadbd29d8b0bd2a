"""What several parts of the job read is computed once."""

from __future__ import annotations

from collections.abc import Mapping

from pyflink.table import Schema, StreamTableEnvironment

from jobs import event_time, internal_rows


def share(tables: StreamTableEnvironment, view: str, name: str, columns: Mapping[str, str], *, keep_event_time: bool = False) -> None:
    """Makes the view `name` of what `view` computes, computed once for all who read it; `event_time` is the record's timestamp.

    Flink plans the statement set and each conversion of a table into a DataStream for themselves: without this cut, what several
    of them read is computed, and its state kept, once for each.

    Args:
        columns: name -> SQL type of those that are shared, without `event_time`.
        keep_event_time: also keep the watermark in checkpoints, for all that reads this view.
    """
    query = f"SELECT {', '.join(columns)}, event_time FROM {view}"
    stream = internal_rows.stream_of(tables, query, {**columns, "event_time": "TIMESTAMP_LTZ(3)"})
    if keep_event_time:
        stream = event_time.kept(stream)
    schema = Schema.new_builder().watermark("event_time", "SOURCE_WATERMARK()").build()
    tables.create_temporary_view(name, tables.from_data_stream(stream, schema))
