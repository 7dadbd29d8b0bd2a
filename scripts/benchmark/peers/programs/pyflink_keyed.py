"""Order per session in pure PyFlink: a keyed function with a list of waiting events and a timer for each, at the job's other settings."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[4]), str(Path(__file__).resolve().parents[4] / "proto")]

from pyflink.common import Types  # noqa: E402
from pyflink.datastream import KeyedProcessFunction, RuntimeContext, StreamExecutionEnvironment  # noqa: E402
from pyflink.datastream.state import ListStateDescriptor  # noqa: E402
from pyflink.table import Schema, StreamTableEnvironment  # noqa: E402
from shop.v1.events_pb2 import Event  # noqa: E402

from jobs import tables  # noqa: E402
from jobs.main import configuration  # noqa: E402
from jobs.settings import Settings, StateBackend  # noqa: E402
from scripts.benchmark.peers.programs.common import arguments, destinations, ordered  # noqa: E402

_ROUTED = Types.ROW_NAMED(
    ["destination", "session", "payload", "time_ms"],
    [Types.STRING(), Types.STRING(), Types.PRIMITIVE_ARRAY(Types.BYTE()), Types.LONG()],
)


class Route(KeyedProcessFunction):
    """Input: session id and bytes. What needs no order goes out at once; the rest waits for the watermark."""

    def open(self, runtime_context: RuntimeContext) -> None:
        self._waiting = runtime_context.get_list_state(ListStateDescriptor("waiting", _ROUTED))

    def process_element(self, value: Any, ctx: KeyedProcessFunction.Context) -> Iterator[Any]:
        session, payload = value
        event = Event.FromString(payload)
        for destination in destinations(event):
            row = (destination, session, payload, event.event_time_ms)
            if ordered(destination):
                self._waiting.add(row)
                ctx.timer_service().register_event_time_timer(event.event_time_ms)
            else:
                yield row

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterator[Any]:
        waiting = list(self._waiting.get())
        due = sorted((row for row in waiting if row[3] <= timestamp), key=lambda row: row[3])
        if due:
            self._waiting.update([row for row in waiting if row[3] > timestamp])
            yield from due


def main() -> None:
    own = arguments()
    settings = Settings(
        bootstrap=own.bootstrap, topic_prefix=own.prefix, group_id=own.group, heartbeat=False, lateness_ms=own.bound_ms,
        state_backend=StateBackend.HASHMAP, checkpoint_interval_ms=own.commit_ms,
    )  # fmt: skip
    env = StreamExecutionEnvironment.get_execution_environment(configuration(settings))
    root = Path(__file__).resolve().parents[4]
    for folder in ("scripts", "jobs", "udfs", "proto"):
        env.add_python_file(str(root / folder))
    table_env = StreamTableEnvironment.create(env)
    keyed = "'value.format' = 'raw', 'key.format' = 'raw', 'key.fields' = 'key', 'value.fields-include' = 'EXCEPT_KEY'"
    events_ddl = tables.sources(settings)[0].replace("`value` BYTES,", "`value` BYTES, `key` STRING,")
    table_env.execute_sql(events_ddl.replace("'format' = 'raw'", keyed))
    table_env.execute_sql(next(ddl for ddl in tables.sinks(settings) if " TABLE ordered_routes " in ddl))
    events = table_env.to_data_stream(table_env.sql_query("SELECT `key`, `value`, record_time FROM events"))
    routed = events.map(lambda row: (row[0], row[1]), Types.TUPLE([Types.STRING(), Types.PRIMITIVE_ARRAY(Types.BYTE())])).key_by(
        lambda pair: pair[0], Types.STRING()
    )
    out = routed.process(Route(), _ROUTED)
    schema = Schema.new_builder().build()
    table_env.create_temporary_view("routed", table_env.from_data_stream(out, schema))
    statements = table_env.create_statement_set()
    statements.add_insert_sql(
        f"INSERT INTO ordered_routes SELECT '{own.prefix}' || destination, session, payload, "
        "CAST(NULL AS MAP<STRING NOT NULL, BYTES NOT NULL>), TO_TIMESTAMP_LTZ(time_ms, 3) FROM routed"
    )
    statements.attach_as_datastream()
    env.execute("pyflink-keyed")


if __name__ == "__main__":
    main()
