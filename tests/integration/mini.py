"""Runs the graph of production (jobs/pipeline.py) on Flink's mini cluster: files stand for Kafka, all else is real."""

from __future__ import annotations

import base64
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from jobs.settings import Settings
from jobs.sql import interval
from scripts.stack.paths import JAVA_HOME, ROOT

DESTINATIONS = ("orders", "payments", "session-activity", "fraud-detection")
Rows = dict[str, list[dict[str, Any]]]


def settings(**options: Any) -> Settings:
    """Settings for a small stream: nothing of it is late."""
    small: dict[str, Any] = {"lateness_ms": 60_000, "heartbeat": False, "parallelism": 1, "python_mode": "process"}
    return Settings(**small | options)


def run(folder: Path, records: list[tuple[bytes, int]], given: Settings, rules: Path = ROOT / "rules") -> Rows:
    """Runs the job over `records` (value, time in ms) to their end; returns the rows of each sink table by its name.

    Args:
        rules: folder of the baseline rules.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAVA_HOME", str(JAVA_HOME))
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "proto")]))
        return _run(folder, records, given, rules)


def _run(folder: Path, records: list[tuple[bytes, int]], given: Settings, rules: Path) -> Rows:
    from pyflink.datastream import StreamExecutionEnvironment  # noqa: PLC0415  (JAVA_HOME must be set before)
    from pyflink.table import StreamTableEnvironment  # noqa: PLC0415

    from jobs import baseline, main, operators, pipeline, session_order, tables  # noqa: PLC0415
    from udfs.router import RouterSettings  # noqa: PLC0415

    configuration = main.configuration(given)
    configuration.set_string("restart-strategy.type", "none")  # what fails is to fail the test, and not to be tried for ever
    configuration.set_string("taskmanager.memory.managed.size", "640m")  # as in flink-conf/config.yaml
    env = StreamExecutionEnvironment.get_execution_environment(configuration)
    table_env = StreamTableEnvironment.create(env)
    _write(
        folder / "events",
        [
            {"value": base64.b64encode(value).decode(), "topic": "events", "partition": 3, "offset": offset, "time_ms": time_ms}
            for offset, (value, time_ms) in enumerate(records)
        ],
    )
    _write(folder / "rules", [])
    for ddl in _sources(given):
        table_env.execute_sql(f"{ddl} {_files(folder, _name(ddl))}")
    sinks = {_name(ddl): ddl for ddl in (*tables.sinks(given), *main.insight_sinks(given))}
    for name, ddl in sinks.items():
        columns = re.sub(r" METADATA( FROM '\w+')?", "", ddl[: ddl.rindex(" WITH (")])
        table_env.execute_sql(f"{columns} {_files(folder, name)}")
    texts = tuple(baseline.load(rules, DESTINATIONS, can_order=given.order).values())
    router = RouterSettings(texts, DESTINATIONS, 3_600_000, 1_000_000, 0.05, with_order=given.order)
    pipeline.build(env, table_env, router, given).attach_as_datastream()
    session_order.install(operators.all_of(env), given)
    env.execute()
    return {name: _read(folder / name) for name in sinks}


def _sources(given: Settings) -> tuple[str, ...]:
    return (
        f"""CREATE TEMPORARY TABLE events (`value` BYTES, `topic` STRING, `partition` INT, `offset` BIGINT, `time_ms` BIGINT,
              `record_time` AS TO_TIMESTAMP_LTZ(`time_ms`, 3),
              WATERMARK FOR `record_time` AS `record_time` - {interval(given.lateness_ms)})""",
        "CREATE TEMPORARY TABLE rules (`rule_id` STRING, `rule` STRING)",
    )


def _name(ddl: str) -> str:
    return ddl.split()[3]


def _files(folder: Path, name: str) -> str:
    return f"WITH ('connector' = 'filesystem', 'path' = '{(folder / name).as_uri()}', 'format' = 'json')"


def _write(folder: Path, rows: list[dict[str, Any]]) -> None:
    folder.mkdir()
    (folder / "part").write_text("".join(json.dumps(row) + "\n" for row in rows))


def _read(folder: Path) -> list[dict[str, Any]]:
    files = sorted(folder.rglob("part-*")) if folder.exists() else []
    return [json.loads(line) for path in files for line in path.read_text().splitlines()]
