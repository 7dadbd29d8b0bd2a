"""A job that does nothing but parse each event in Python, for crossing.py: `flink run -py crossing_job.py BOOTSTRAP GROUP WAY MODE`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "proto")]

from jobs import shipping  # noqa: E402

CODE = shipping.adopt(ROOT)

from google.protobuf.message import DecodeError  # noqa: E402
from pyflink.datastream import MapFunction, StreamExecutionEnvironment  # noqa: E402
from pyflink.table import StreamTableEnvironment  # noqa: E402
from pyflink.table.udf import udf  # noqa: E402
from shop.v1 import events_pb2  # noqa: E402

from jobs import crossing, tables  # noqa: E402
from jobs.main import configuration  # noqa: E402
from jobs.settings import Guarantee, Settings  # noqa: E402
from udfs.batches import records, routed  # noqa: E402
from udfs.router import BATCH_TYPE  # noqa: E402


def session_of(value: bytes) -> str:
    """What all ways do for each event; "" if it is broken."""
    try:
        # Not the class: it says of itself that it is of `shop`, and where Flink runs it, it is of the version's package (jobs/shipping.py).
        return str(events_pb2.Event.FromString(value).session_id)
    except (DecodeError, TypeError):
        return ""


class InBatches(MapFunction):
    """As the job does it (udfs/batches.py)."""

    def map(self, value: bytes) -> bytes:
        return b"".join(routed(time_ms, session_of(event), "", "", "", "", b"") for event, _, _, time_ms in records(value))


QUERIES = {
    "none": "SELECT CAST(NULL AS STRING), CAST(`partition` AS STRING) FROM events",
    "rows": "SELECT CAST(NULL AS STRING), one_by_one(`value`) FROM events",
    "pandas": "SELECT CAST(NULL AS STRING), vectorised(`value`) FROM events",
    "batches": "SELECT CAST(NULL AS STRING), f0 FROM in_batches",
}


def main(bootstrap: str, group: str, way: str, mode: str) -> None:
    settings = Settings(
        bootstrap=bootstrap, group_id=group, heartbeat=False, parallelism=1, python_mode=mode, guarantee=Guarantee.AT_LEAST_ONCE
    )  # fmt: skip
    env = StreamExecutionEnvironment.get_execution_environment(configuration(settings))
    env.add_python_file(CODE.archive())
    table_env = StreamTableEnvironment.create(env)
    table_env.execute_sql(tables.sources(settings)[0])
    table_env.execute_sql(tables.raw_sink(settings, "results", settings.topics.routed()["orders"], key="id", value="session"))
    if way == "batches":
        packed = crossing.packed(table_env, "SELECT `value`, `partition`, `offset`, CAST(0 AS BIGINT) FROM events")
        unpacked = crossing.unpacked(packed.map(InBatches(), BATCH_TYPE))
        table_env.create_temporary_view("in_batches", table_env.from_data_stream(unpacked))
    functions: dict[str, Any] = {
        "one_by_one": udf(session_of, result_type="STRING"),
        "vectorised": udf(lambda values: values.map(session_of), result_type="STRING", func_type="pandas"),
    }
    for name, function in functions.items():
        table_env.create_temporary_function(name, function)
    statements = table_env.create_statement_set()
    statements.add_insert_sql(f"INSERT INTO results {QUERIES[way]}")
    statements.attach_as_datastream()
    env.execute("crossing")


if __name__ == "__main__":
    main(*sys.argv[1:])
