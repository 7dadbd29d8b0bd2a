"""What several parts of the job read is computed once."""

from __future__ import annotations

from pyflink.table import ChangelogMode, Schema, StreamTableEnvironment

from jobs import event_time


def share(tables: StreamTableEnvironment, view: str, name: str, columns: dict[str, str], *, keep_event_time: bool = False) -> None:
    """Makes the view `name` of what `view` computes, computed once for all who read it; `event_time` is the record's timestamp.

    Flink plans the statement set and each conversion of a table into a DataStream for themselves: without this cut, what several
    of them read is computed, and its state kept, once for each.

    Args:
        keep_event_time: also keep the watermark in checkpoints, for all that reads this view.
    """
    out, back = Schema.new_builder(), Schema.new_builder()
    for column, data_type in columns.items():
        out.column(column, data_type)
        back.column(column, data_type)
    out.column_by_metadata("event_time", "TIMESTAMP_LTZ(3)", "rowtime")
    back.column_by_metadata("event_time", "TIMESTAMP_LTZ(3)", "rowtime").watermark("event_time", "SOURCE_WATERMARK()")
    names = ", ".join(columns)
    shared = tables.sql_query(f"SELECT {names}, event_time FROM {view}")
    stream = tables.to_changelog_stream(shared, out.build(), ChangelogMode.insert_only())
    if keep_event_time:
        stream = event_time.kept(stream)
    tables.create_temporary_view(name, tables.from_data_stream(stream, back.build()))
