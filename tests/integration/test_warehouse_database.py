"""The warehouse's database side on a real PostgreSQL (scripts/warehouse_app/database.py)."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from jobs.settings import Topics
from scripts.stack.paths import ROOT
from scripts.warehouse_app.database import Database, Record
from scripts.warehouse_app.tables import tables
from tests.e2e.harness import wait_until
from tests.postgres import Postgres

pytestmark = pytest.mark.integration

TABLES = tables(Topics())
SALES, ALERTS = "sales.by-category", "fraud.alerts"
SALE = {"category": "toys", "currency": "USD", "window_start": 1_700_000_000_123, "window_end": 1_700_000_300_123, "orders": 1,
        "quantity": 2, "amount_minor": 10**12, "avg_minor_per_minute": 2e11, "avg_minor_per_order": 1e12}  # fmt: skip
ALERT = {"alert_id": "a-1", "subject": "u-1", "event_id": "e-1", "session_id": "s-1", "user_id": None, "time_ms": 1_700_000_000_000,
         "detected_ms": 1_700_000_000_456, "score": 80, "reasons": [{"rule_id": "r", "value": 1.5, "evidence": ["e-1"]}]}  # fmt: skip


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with Postgres() as running:
        yield running


@pytest.fixture
def name(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new, empty database."""
    monkeypatch.setenv("PGPASSFILE", str(postgres.pgpass))
    return postgres.make_database()


def rows(postgres: Postgres, name: str, query: str) -> list[tuple[Any, ...]]:
    with postgres.connect(name) as connection:
        return connection.execute(query.encode()).fetchall()


def sale(offset: int, **changes: Any) -> Record:
    return Record(SALES, 0, offset, json.dumps(SALE | changes).encode())


def alert(offset: int, **changes: Any) -> Record:
    return Record(ALERTS, 0, offset, json.dumps(ALERT | changes).encode())


def test_the_schema_has_every_column_and_key(postgres: Postgres, name: str) -> None:
    with Database(postgres.url(name), TABLES):
        pass
    columns = "SELECT column_name, is_nullable FROM information_schema.columns WHERE table_name = '{}' ORDER BY ordinal_position"
    key = """SELECT attname FROM pg_index, pg_attribute WHERE indrelid = '{}'::regclass AND indisprimary AND attrelid = indrelid
        AND attnum = ANY (indkey) ORDER BY array_position(indkey::int2[], attnum)"""
    for table in TABLES:
        wanted = [(column.name, "YES" if column.optional else "NO") for column in table.columns]
        assert rows(postgres, name, columns.format(table.name)) == wanted
        assert tuple(column for (column,) in rows(postgres, name, key.format(table.name))) == table.key


def test_rows_and_offsets_arrive_and_are_read_back(postgres: Postgres, name: str) -> None:
    with Database(postgres.url(name), TABLES) as database:
        written = database.write([sale(7), alert(3)])
        assert (written.rows, written.rejected) == (2, 0)
        assert database.offsets() == {(SALES, 0): 8, (ALERTS, 0): 4}
    ((category, start, amount),) = rows(postgres, name, "SELECT category, window_start, amount_minor FROM sales_by_category")
    assert (category, start, amount) == ("toys", datetime(2023, 11, 14, 22, 13, 20, 123_000, tzinfo=UTC), 10**12)
    ((reasons, user_id, order_id),) = rows(postgres, name, "SELECT reasons, user_id, order_id FROM fraud_alerts")
    assert (reasons, user_id, order_id) == (ALERT["reasons"], None, None)


def test_a_record_that_comes_again_replaces_its_row(postgres: Postgres, name: str) -> None:
    with Database(postgres.url(name), TABLES) as database:
        database.write([sale(0, orders=1), sale(1, orders=2), sale(2, category="books")])
        database.write([sale(1, orders=2), sale(3, orders=3)])
    assert rows(postgres, name, "SELECT category, orders FROM sales_by_category ORDER BY category") == [("books", 1), ("toys", 3)]


# What PostgreSQL itself refuses, though it is well-formed JSON of the right types.
REFUSED = {
    "zero-character": alert(0, subject="a\x00b"),
    "zero-character-in-json": alert(0, reasons=["a\x00b"]),
    "key-too-long-for-an-index": alert(0, alert_id="".join(chr(0x4E00 + (index * 7919) % 20_000) for index in range(8_000))),
}


@pytest.mark.parametrize("refused", REFUSED.values(), ids=REFUSED)
def test_what_postgresql_refuses_is_rejected_and_the_rest_arrives(postgres: Postgres, name: str, refused: Record) -> None:
    bad = [Record(ALERTS, 0, 1, refused.value), Record(ALERTS, 1, 0, b"{")]
    batch = [sale(0), alert(0, alert_id="before"), bad[0], alert(2, alert_id="after"), bad[1]]
    with Database(postgres.url(name), TABLES) as database:
        written = database.write(batch)
        assert (written.rows, written.rejected) == (3, 2)
        assert database.offsets() == {(SALES, 0): 1, (ALERTS, 0): 3, (ALERTS, 1): 1}
    assert rows(postgres, name, "SELECT alert_id FROM fraud_alerts ORDER BY 1") == [("after",), ("before",)]
    rejected = rows(postgres, name, "SELECT topic_partition, topic_offset, value FROM rejected_records ORDER BY 1, 2")
    assert rejected == [(0, 1, refused.value), (1, 0, b"{")]


def test_a_failed_batch_leaves_neither_rows_nor_offsets(postgres: Postgres, name: str) -> None:
    with Database(postgres.url(name), TABLES) as database:
        database.write([sale(0)])
        with postgres.connect(name) as other:
            other.execute("ALTER TABLE fraud_alerts RENAME TO elsewhere")
        with pytest.raises(psycopg.errors.UndefinedTable):
            database.write([sale(1, category="books"), alert(0)])
        assert database.offsets() == {(SALES, 0): 1}
    assert rows(postgres, name, "SELECT category FROM sales_by_category") == [("toys",)]


def test_one_writes_and_the_other_takes_over(postgres: Postgres, name: str) -> None:
    with Database(postgres.url(name), TABLES) as standby:
        with Database(postgres.url(name), TABLES) as writer:
            assert writer.try_lock()
            assert not standby.try_lock()
        wait_until(standby.try_lock, "the server's notice that the writer is gone")


def test_a_user_without_the_right_to_make_tables_can_write_into_those_that_are_there(postgres: Postgres, name: str) -> None:
    with Database(postgres.url(name), TABLES), postgres.connect(name) as owner:
        owner.execute(b"CREATE ROLE writer LOGIN PASSWORD 'w'")
        owner.execute(b"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO writer")
    with Database(f"host=127.0.0.1 port={postgres.port} dbname={name} user=writer password=w", TABLES) as database:
        assert database.write([sale(0), alert(0)]).rows == 2


def test_the_queries_of_the_manual_run_and_answer(postgres: Postgres, name: str) -> None:
    hour_ms, now_ms = 3_600_000, time.time_ns() // 1_000_000
    minute = {"currency": "USD", "window_start": 0, "window_end": 60_000, "orders": 2, "amount_minor": 500, "avg_minor_per_order": 250,
              "payments": 1, "paid_minor": 300, "failed_payments": 1, "at_risk_orders": 1, "at_risk_minor": 200}  # fmt: skip
    reasons = [{"rule_id": "velocity", "text": "5 orders in a minute"}, {"rule_id": "amount", "text": "far above the mean"}]
    with Database(postgres.url(name), TABLES) as database:
        database.write([
            Record("sales.per-minute", 0, 0, json.dumps(minute).encode()),
            Record("sales.per-minute", 0, 1, json.dumps(minute | {"window_start": 60_000, "window_end": 120_000}).encode()),
            sale(0, window_start=0, window_end=hour_ms, amount_minor=100),
            sale(1, window_start=hour_ms, window_end=2 * hour_ms, amount_minor=150),
            alert(0, time_ms=now_ms - 1000, score=50, reasons=reasons),
            alert(1, alert_id="a-2", time_ms=now_ms, score=80, reasons=reasons[:1]),
            alert(2, alert_id="a-3", time_ms=now_ms - 200 * hour_ms),
        ])  # fmt: skip
    section = (ROOT / "docs" / "operations.md").read_text().split("## Querying results in PostgreSQL")[1].split("\n## ")[0]
    per_day, growth, by_rule = re.findall(r"```sql\n(.*?)```", section, re.DOTALL)
    assert rows(postgres, name, per_day) == [(datetime(1970, 1, 1, tzinfo=UTC), "USD", 4, Decimal(10), Decimal(4))]
    assert rows(postgres, name, growth) == [("toys", "USD", 150, 100, Decimal("1.50"))]
    assert rows(postgres, name, by_rule) == [
        ("velocity", 2, Decimal("65.0"), "5 orders in a minute"), ("amount", 1, Decimal("50.0"), "far above the mean"),
    ]  # fmt: skip


def test_a_rejected_record_is_told(postgres: Postgres, name: str, caplog: pytest.LogCaptureFixture) -> None:
    with Database(postgres.url(name), TABLES) as database, caplog.at_level(logging.WARNING):
        database.write([sale(4, orders="many")])
    assert "records rejected (see rejected_records), the last, sales.by-category partition 0 offset 4: orders is not a" in caplog.text
