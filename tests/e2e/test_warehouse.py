"""scripts/warehouse on a real Kafka and a real PostgreSQL, beside the job: rows are what the topics hold, whatever is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from psycopg.rows import dict_row

from jobs.settings import Topics
from scripts.stack import Stack
from scripts.stack.paths import ROOT
from scripts.warehouse_app.database import SCHEMA
from tests.e2e.harness import Job, running_job, wait_until
from tests.postgres import PASSWORD, Postgres

pytestmark = pytest.mark.e2e

_WINDOW = "(extract(epoch FROM window_start) * 1000)::bigint AS window_start, (extract(epoch FROM window_end) * 1000)::bigint AS window_end"
# Each table, written as the records of its topic.
TABLES = {
    "sales.by-category": f"SELECT category, currency, {_WINDOW}, orders, quantity, amount_minor, avg_minor_per_minute, avg_minor_per_order "
    "FROM sales_by_category",
    "sales.per-minute": f"SELECT currency, {_WINDOW}, orders, amount_minor, avg_minor_per_order, payments, paid_minor, failed_payments, "
    "at_risk_orders, at_risk_minor FROM sales_per_minute",
    "funnel.by-category": f"SELECT category, {_WINDOW}, views, carts, orders, paid FROM funnel_by_category",
    "fraud.alerts": "SELECT alert_id, subject, event_id, session_id, user_id, order_id, (extract(epoch FROM happened_at) * 1000)::bigint "
    "AS time_ms, (extract(epoch FROM detected_at) * 1000)::bigint AS detected_ms, score, reasons FROM fraud_alerts",
}
KEYS = {
    "sales.by-category": ("category", "currency", "window_start"),
    "sales.per-minute": ("currency", "window_start"),
    "funnel.by-category": ("category", "window_start"),
    "fraud.alerts": ("alert_id",),
}
# Writes down every row that a committed transaction has written.
AUDIT = """
    CREATE TABLE writes (name text, written jsonb);
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN INSERT INTO writes VALUES (TG_TABLE_NAME, to_jsonb(NEW)); RETURN NEW; END $$;
    CREATE TRIGGER note AFTER INSERT OR UPDATE ON sales_by_category FOR EACH ROW EXECUTE FUNCTION note();
    CREATE TRIGGER note AFTER INSERT OR UPDATE ON sales_per_minute FOR EACH ROW EXECUTE FUNCTION note();
    CREATE TRIGGER note AFTER INSERT OR UPDATE ON funnel_by_category FOR EACH ROW EXECUTE FUNCTION note();
    CREATE TRIGGER note AFTER INSERT OR UPDATE ON fraud_alerts FOR EACH ROW EXECUTE FUNCTION note();"""


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with Postgres() as running:
        yield running


class Warehouse:
    """The process as a user starts it, and the database that it fills."""

    def __init__(self, postgres: Postgres, stack: Stack, prefix: str, log: Path) -> None:
        self._postgres = postgres
        self._stack = stack
        self._prefix = prefix
        self._process: subprocess.Popen[bytes] | None = None
        self.log = log
        self.name = postgres.make_database()

    def start(self) -> None:
        command = [sys.executable, "-m", "scripts.warehouse_app.main", "--bootstrap", self._stack.bootstrap, "--topic-prefix", self._prefix,
                   "--database", self._postgres.url(self.name), "--batch-rows", "100", "--max-backoff-ms", "1000"]  # fmt: skip
        with self.log.open("ab") as log:
            environment = os.environ | {"PGPASSFILE": str(self._postgres.pgpass)}
            self._process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)

    def end(self, sign: signal.Signals = signal.SIGTERM) -> int:
        """Sends a signal; returns the exit code."""
        assert self._process is not None
        self._process.send_signal(sign)
        code = self._process.wait(60)
        self._process = None
        return code

    @property
    def command_line(self) -> str:
        assert self._process is not None
        return Path(f"/proc/{self._process.pid}/cmdline").read_text()

    def query(self, query: str) -> list[dict[str, Any]]:
        with self._postgres.connect(self.name) as connection, connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query.encode()).fetchall()

    def count(self, table: str) -> int:
        return int(self.query(f"SELECT count(*) AS n FROM {table}")[0]["n"])

    def run_script(self, script: str) -> None:
        with self._postgres.connect(self.name) as connection:
            connection.execute(script.encode())

    @contextmanager
    def running(self) -> Iterator[None]:
        self.start()
        try:
            yield
        finally:
            if self._process is not None:
                self.end(signal.SIGKILL)


class Insights:
    """Records as the insights write them, under keys that the job does not use."""

    def __init__(self, bootstrap: str, topics: Topics) -> None:
        self._producer = Producer({"bootstrap.servers": bootstrap})
        self._topics = topics
        self._sent = 0

    def send(self, count: int) -> None:
        for _ in range(count):
            number, start = self._sent, 1_700_000_000_000 + 60_000 * self._sent
            window = {"window_start": start, "window_end": start + 60_000}
            minute = {"orders": number % 3, "amount_minor": 10**12 + number, "avg_minor_per_order": number / 7 if number % 3 else None,
                      "payments": 1, "paid_minor": 2, "failed_payments": 3, "at_risk_orders": 4, "at_risk_minor": 5}  # fmt: skip
            self._produce(self._topics.sales_per_minute, "XTS", {"currency": "XTS"} | window | minute)
            funnel = {"category": f"synthetic-{number % 5}", "views": number, "carts": 3, "orders": 2, "paid": 1}
            self._produce(self._topics.funnel, funnel["category"], funnel | window)
            alert = {"alert_id": f"synthetic-{number}", "subject": f"u-{number % 7}", "event_id": f"e-{number}", "session_id": None,
                     "user_id": f"u-{number % 7}", "order_id": "", "time_ms": start + 1, "detected_ms": start + 2, "score": number % 101,
                     "reasons": [{"rule_id": "velocity", "version": 1, "text": "ü 😀 '\\", "evidence": [f"e-{number}"]}]}  # fmt: skip
            self._produce(self._topics.fraud_alerts, alert["subject"], alert)
            self._sent += 1
        assert self._producer.flush(60) == 0

    def _produce(self, topic: str, key: object, record: dict[str, Any]) -> None:
        self._producer.produce(topic, json.dumps(record).encode(), str(key).encode())
        self._producer.poll(0)


def in_topics(job: Job) -> dict[str, list[dict[str, Any]]]:
    """The committed records of every topic that has a table."""
    return {topic: [json.loads(message.value() or b"") for message in job.read(job.topics.prefix + topic)] for topic in TABLES}


def by_key(topic: str, records: list[dict[str, Any]]) -> dict[tuple[Any, ...], dict[str, Any]]:
    """The last record of each key (in a table, the only one: it is the primary key)."""
    return {tuple(record[name] for name in KEYS[topic]): record for record in records}


def same(warehouse: Warehouse, records: dict[str, list[dict[str, Any]]]) -> bool:
    """Whether the tables hold exactly what the topics do."""
    return all(by_key(topic, warehouse.query(query)) == by_key(topic, records[topic]) for topic, query in TABLES.items())


def test_every_record_takes_effect_once_whatever_is_killed(stack: Stack, postgres: Postgres, tmp_path: Path) -> None:
    """kill -9 of the process, crash of PostgreSQL for some time, both more than once, while the job writes."""
    (tmp_path / "job").mkdir()
    with running_job(stack, "warehouse", tmp_path / "job") as job:
        warehouse = Warehouse(postgres, stack, job.topics.prefix, tmp_path / "log")
        warehouse.run_script(SCHEMA.read_text() + AUDIT)
        insights = Insights(stack.bootstrap, job.topics)
        with job.generating("--rate", "500", "--seed", "3"), warehouse.running():

            def has_more(table: str, rows: int) -> bool:
                return warehouse.count(table) > rows

            def failed_again(failures: int) -> bool:
                return tries(warehouse) > failures + 1

            def progress(what: str) -> None:
                """Waits until rows of the job and of the other insights have come since now."""
                before = warehouse.count("sales_by_category"), warehouse.count("fraud_alerts")
                insights.send(500)
                for table, rows in zip(("sales_by_category", "fraud_alerts"), before, strict=True):
                    wait_until(partial(has_more, table, rows), f"rows of {table} {what}")

            progress("at the start")
            for _ in range(3):
                insights.send(500)
                assert warehouse.end(signal.SIGKILL) == -signal.SIGKILL
                warehouse.start()
                progress("after the process was killed")
            for _ in range(2):
                postgres.crash()
                insights.send(500)
                failures = tries(warehouse)
                wait_until(partial(failed_again, failures), "tries while the database is away")
                postgres.start()
                progress("after the database crashed")
            assert PASSWORD not in warehouse.command_line
        assert job.restarts() == 0

    # The job has ended, so that the topics no longer grow.
    records = in_topics(job)
    assert all(records.values())
    with warehouse.running():
        wait_until(lambda: same(warehouse, records), "the rows of all records")
        assert warehouse.end() == 0
    written = Counter(row["name"] for row in warehouse.query("SELECT name FROM writes"))
    assert written == {topic.replace(".", "_").replace("-", "_"): len(of_topic) for topic, of_topic in records.items()}
    assert PASSWORD not in warehouse.log.read_text()


def tries(warehouse: Warehouse) -> int:
    """How often the process has found the database away."""
    return warehouse.log.read_text().count("next try in")


def test_records_that_are_no_rows_stop_nothing(stack: Stack, postgres: Postgres, tmp_path: Path) -> None:
    topics = Topics(prefix="hostile.")
    stack.create_topics(topics)
    job = Job(stack, topics, "", tmp_path)
    warehouse = Warehouse(postgres, stack, topics.prefix, tmp_path / "log")
    insights = Insights(stack.bootstrap, topics)
    insights.send(10)
    for value in (None, b"", b"junk", b"[]", b'{"alert_id": "a"}', b'{"alert_id": "\\u0000"}'):
        job.produce(topics.fraud_alerts, b"key", value)
    insights.send(10)
    with warehouse.running():
        wait_until(holds(warehouse, fraud_alerts=20, funnel_by_category=20, rejected_records=6), "all records")
        first = {topic: warehouse.query(query) for topic, query in TABLES.items()}

        # Read again from the beginning, as after a new database or a topic made anew: nothing changes.
        assert warehouse.end() == 0
        warehouse.run_script(AUDIT)
        warehouse.run_script("DELETE FROM warehouse_offsets")
        warehouse.start()
        wait_until(holds(warehouse, writes=60), "all records again")
        assert warehouse.end() == 0
    assert same(warehouse, first)
    assert warehouse.count("rejected_records") == 6


def holds(warehouse: Warehouse, **rows: int) -> Callable[[], bool]:
    """Whether tables have so many rows."""

    def held() -> bool:
        if not warehouse.query("SELECT 1 FROM pg_class WHERE relname = 'warehouse_offsets'"):
            return False  # not made yet
        return {name: warehouse.count(name) for name in rows} == rows

    return held
