"""What becomes of a record: a row, or the reason why it is none."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from jobs.settings import Topics
from scripts.warehouse_app.tables import Table, Unfit, tables

TABLES = {table.name: table for table in tables(Topics())}

SALE = {"category": "toys", "currency": "USD", "window_start": 1_700_000_000_001, "window_end": 1_700_000_300_001, "orders": 1,
        "quantity": 2, "amount_minor": 300, "avg_minor_per_minute": 60.0, "avg_minor_per_order": 300}  # fmt: skip
MINUTE = {"currency": "USD", "window_start": 0, "window_end": 60_000, "orders": 0, "amount_minor": 0, "avg_minor_per_order": None,
          "payments": 1, "paid_minor": 5, "failed_payments": 2, "at_risk_orders": 1, "at_risk_minor": 7}  # fmt: skip
FUNNEL = {"category": "", "window_start": 0, "window_end": 60_000, "views": 9, "carts": 3, "orders": 2, "paid": 1}
ALERT = {"alert_id": "a-1", "subject": "u-1", "event_id": "e-1", "session_id": "s-1", "order_id": "", "time_ms": 1_700_000_000_000,
         "detected_ms": 1_700_000_000_456, "score": 80, "reasons": [{"rule_id": "r"}]}  # fmt: skip
EPOCH, MINUTE_1 = datetime(1970, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, 0, 1, tzinfo=UTC)


def row(table: str, record: object) -> dict[str, Any]:
    """The row as column -> value."""
    of = TABLES[table]
    return dict(zip([column.name for column in of.columns], of.row(json.dumps(record).encode()), strict=True))


def test_a_sale_becomes_a_row() -> None:
    start, end = datetime(2023, 11, 14, 22, 13, 20, 1_000, tzinfo=UTC), datetime(2023, 11, 14, 22, 18, 20, 1_000, tzinfo=UTC)
    assert row("sales_by_category", SALE) == SALE | {"window_start": start, "window_end": end}


def test_a_minute_without_orders_has_no_average() -> None:
    assert row("sales_per_minute", MINUTE) == MINUTE | {"window_start": EPOCH, "window_end": MINUTE_1}


def test_a_funnel_becomes_a_row() -> None:
    assert row("funnel_by_category", FUNNEL) == FUNNEL | {"window_start": EPOCH, "window_end": MINUTE_1}


def test_an_alert_becomes_a_row_with_its_reasons_as_json() -> None:
    found = row("fraud_alerts", ALERT)
    reasons = found.pop("reasons")
    assert isinstance(reasons, Jsonb)
    assert reasons.obj == [{"rule_id": "r"}]
    assert found == {
        "alert_id": "a-1", "subject": "u-1", "event_id": "e-1", "session_id": "s-1", "user_id": None, "order_id": "", "score": 80,
        "happened_at": datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC),
        "detected_at": datetime(2023, 11, 14, 22, 13, 20, 456_000, tzinfo=UTC),
    }  # fmt: skip


def test_fields_that_are_new_are_left_out() -> None:
    assert row("funnel_by_category", FUNNEL | {"refunds": 1}) == row("funnel_by_category", FUNNEL)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "not JSON"),
        (b"", "not JSON"),
        (b"\xff{}", "not JSON"),
        (b'{"category": "\xff"}', "not JSON"),
        (b'{"category": "\\ud800"}', "not JSON"),  # half a surrogate pair
        (b'{"category": NaN}', "not JSON"),
        (b"[" * 5_000, "not JSON"),
        (b"[]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b"{}", "category is missing"),
    ],
)
def test_bytes_that_are_no_object_are_unfit(value: bytes | None, reason: str) -> None:
    with pytest.raises(Unfit) as unfit:
        TABLES["sales_by_category"].row(value)
    assert str(unfit.value) == reason


@pytest.mark.parametrize(
    ("table", "field", "value", "reason"),
    [
        ("sales_by_category", "category", 5, "category is not a text"),
        ("sales_by_category", "orders", "5", "orders is not a whole number of 64 bits"),
        ("sales_by_category", "orders", 1.5, "orders is not a whole number of 64 bits"),
        ("sales_by_category", "orders", True, "orders is not a whole number of 64 bits"),
        ("sales_by_category", "orders", 2**63, "orders is not a whole number of 64 bits"),
        ("sales_by_category", "avg_minor_per_order", "1", "avg_minor_per_order is not a number"),
        ("sales_by_category", "avg_minor_per_order", False, "avg_minor_per_order is not a number"),
        ("sales_by_category", "window_start", 10**15, "window_start is no time in ms since the epoch"),
        ("sales_by_category", "window_start", -(10**15), "window_start is no time in ms since the epoch"),
        ("sales_by_category", "window_end", None, "window_end is missing"),
        ("fraud_alerts", "detected_ms", "now", "detected_ms is not a whole number of 64 bits"),
        ("fraud_alerts", "reasons", {"rule_id": "r"}, "reasons is not a list"),
        ("fraud_alerts", "user_id", 7, "user_id is not a text"),
    ],
)
def test_a_field_of_another_type_is_unfit_and_named(table: str, field: str, value: object, reason: str) -> None:
    record = (SALE if table == "sales_by_category" else ALERT) | {field: value}
    with pytest.raises(Unfit) as unfit:
        row(table, record)
    assert str(unfit.value) == reason


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_keys_are_columns_that_are_never_null(table: Table) -> None:
    optional = {column.name: column.optional for column in table.columns}
    assert [optional[name] for name in table.key] == [False] * len(table.key)


def test_topics_have_the_prefix() -> None:
    assert {table.topic for table in tables(Topics(prefix="a."))} == {f"a.{table.topic}" for table in TABLES.values()}
