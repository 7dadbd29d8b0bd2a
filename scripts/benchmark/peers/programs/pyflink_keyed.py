"""Route and order in pure PyFlink, by keyed_order.py, at the job's other settings: `flink run -py pyflink_keyed.py`."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

_PROGRAMS = Path(__file__).resolve().parent
_ROOT = _PROGRAMS.parents[3]
sys.path[:0] = [str(_PROGRAMS), str(_ROOT), str(_ROOT / "proto")]

from common import arguments  # noqa: E402
from keyed_order import OrderAndRoute, routed_type  # noqa: E402
from pyflink.common import Types  # noqa: E402
from pyflink.datastream import StreamExecutionEnvironment  # noqa: E402
from pyflink.table import ChangelogMode, Schema, StreamTableEnvironment  # noqa: E402

from jobs import tables  # noqa: E402
from jobs.main import configuration  # noqa: E402
from jobs.settings import Settings, StateBackend  # noqa: E402


def main() -> None:
    own = arguments()
    settings = Settings(
        bootstrap=own.bootstrap, topic_prefix=own.prefix, group_id=own.group, heartbeat=False, lateness_ms=own.bound_ms,
        state_backend=StateBackend.HASHMAP, checkpoint_interval_ms=own.commit_ms,
    )  # fmt: skip
    env = StreamExecutionEnvironment.get_execution_environment(configuration(settings))
    env.add_python_file(_code(Path(own.state)))
    table_env = StreamTableEnvironment.create(env)
    keyed = "'value.format' = 'raw', 'key.format' = 'raw', 'key.fields' = 'key', 'value.fields-include' = 'EXCEPT_KEY'"
    source = tables.sources(settings)[0].replace("`value` BYTES,", "`value` BYTES, `key` STRING,").replace("'format' = 'raw'", keyed)
    table_env.execute_sql(source)
    table_env.execute_sql(next(ddl for ddl in tables.sinks(settings) if " TABLE ordered_routes " in ddl))
    schema = (
        Schema.new_builder()
        .column("key", "STRING")
        .column("value", "BYTES")
        .column_by_metadata("record_time", "TIMESTAMP_LTZ(3)", "rowtime")
        .build()
    )
    read = table_env.sql_query("SELECT `key`, `value`, record_time FROM events")
    events = table_env.to_changelog_stream(read, schema, ChangelogMode.insert_only())
    routed = events.key_by(lambda row: row[0], Types.STRING()).process(OrderAndRoute(), routed_type())
    table_env.create_temporary_view("routed", table_env.from_data_stream(routed))
    statements = table_env.create_statement_set()
    statements.add_insert_sql(
        f"INSERT INTO ordered_routes SELECT '{own.prefix}' || f0, f1, f2, "
        "CAST(NULL AS MAP<STRING NOT NULL, BYTES NOT NULL>), TO_TIMESTAMP_LTZ(f3, 3) FROM routed"
    )
    statements.attach_as_datastream()
    env.execute("pyflink-keyed")


def _code(folder: Path) -> str:
    """What the function needs where it runs."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "code.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("common.py", "keyed_order.py"):
            archive.write(_PROGRAMS / name, name)
        for file in (_ROOT / "proto").rglob("*.py"):
            archive.write(file, file.relative_to(_ROOT / "proto"))
    return str(path)


if __name__ == "__main__":
    main()
