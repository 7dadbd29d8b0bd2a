"""The same graph as in production (jobs/pipeline.py) on Flink's mini cluster: files stand for Kafka, all else is real.

Two runs over one small stream, drawn here, in one of which most of what waits for its turn is too much for the heap; each test looks
at one output.

    time (s)   0     1     2     3     4      5
    s-1        view              order(dup.)  payment      arrives: payment, view, order, order again
    s-ü              order                                 an order of two categories
    -                            malformed bytes
"""

from __future__ import annotations

import base64
from typing import Any

import pytest
from shop.v1.events_pb2 import Event

from scripts.stack.paths import ROOT
from tests.integration import mini
from tests.integration.mini import Rows

pytestmark = pytest.mark.integration

BASE_MS = 1_700_000_000_000


def view(event_id: str, session_id: str, at_s: int) -> Event:
    event = Event(event_id=event_id, session_id=session_id, event_time_ms=BASE_MS + at_s * 1000)
    event.product_viewed.product_id = "p-1"
    return event


def order(event_id: str, session_id: str, at_s: int, **amounts: int) -> Event:
    event = Event(event_id=event_id, session_id=session_id, event_time_ms=BASE_MS + at_s * 1000)
    event.order_placed.order_id = "o-" + event_id
    for category, amount_minor in amounts.items():
        line = event.order_placed.lines.add(product_id="p", category=category, quantity=2)
        line.unit_price.amount_minor, line.unit_price.currency = amount_minor, "USD"
    event.order_placed.total.amount_minor, event.order_placed.total.currency = 2 * sum(amounts.values()), "USD"
    return event


def payment(event_id: str, session_id: str, at_s: int) -> Event:
    event = Event(event_id=event_id, session_id=session_id, event_time_ms=BASE_MS + at_s * 1000)
    event.payment_processed.order_id, event.payment_processed.payment_id = "o", "y"
    event.payment_processed.amount.amount_minor, event.payment_processed.amount.currency = 400, "USD"
    return event


PAYMENT, VIEW = payment("e-5", "s-1", 5), view("e-0", "s-1", 0)
ORDER, TWO_CATEGORIES = order("e-4", "s-1", 4, toys=60_000), order("e-1", "s-ü", 1, toys=100, books=250)
MALFORMED = b"\xff\xff\xff"


@pytest.fixture(scope="module", params=[None, 700], ids=["order on the heap", "order partly in state"])
def outputs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Rows:
    heap = {} if request.param is None else {"order_heap_bytes": request.param}
    records = [(event.SerializeToString(), event.event_time_ms) for event in (PAYMENT, VIEW, ORDER, TWO_CATEGORIES, ORDER)]
    records.append((MALFORMED, BASE_MS + 2000))
    return mini.run(tmp_path_factory.mktemp("pipeline"), records, mini.settings(window_ms=4_000, slide_ms=2_000, **heap))


def header(row: dict[str, Any], name: str) -> str:
    return base64.b64decode(row["headers"][name]).decode()


def test_each_session_is_ordered_and_numbered(outputs: Rows) -> None:
    session = [row for row in outputs["ordered_routes"] if row["key"] == "s-1"]
    assert [(header(row, "session-seq"), header(row, "event-id"), row["topic"]) for row in session] == [
        ("1", "e-0", "session-activity"), ("2", "e-4", "orders"), ("3", "e-5", "payments"),
    ]  # fmt: skip


def test_routed_events_keep_their_bytes(outputs: Rows) -> None:
    values = {header(row, "event-id"): base64.b64decode(row["value"]) for row in outputs["ordered_routes"]}
    assert values == {event.event_id: event.SerializeToString() for event in (PAYMENT, VIEW, ORDER, TWO_CATEGORIES)}


def test_an_order_over_1000_dollars_goes_to_fraud_detection_at_once(outputs: Rows) -> None:
    assert [(row["topic"], header(row, "event-id")) for row in outputs["instant_routes"]] == [("fraud-detection", "e-4")]


def test_a_malformed_record_is_a_dead_letter_with_its_origin(outputs: Rows) -> None:
    (row,) = outputs["dead_letters"]
    assert base64.b64decode(row["value"]) == MALFORMED
    found = {name: header(row, name) for name in ("reason", "topic", "partition", "offset", "timestamp")}
    assert found == {"reason": "malformed", "topic": "events", "partition": "3", "offset": "5", "timestamp": str(BASE_MS + 2000)}


def test_sliding_windows_sum_each_category_once(outputs: Rows) -> None:
    toys = {
        (row["window_start"] - BASE_MS) // 1000: (row["orders"], row["quantity"], row["amount_minor"], row["avg_minor_per_order"])
        for row in outputs["sales_by_category"]
        if row["category"] == "toys"
    }
    assert toys == {-2: (1, 2, 200, 200.0), 0: (1, 2, 200, 200.0), 2: (1, 2, 120_000, 120_000.0), 4: (1, 2, 120_000, 120_000.0)}
    books = [row for row in outputs["sales_by_category"] if row["category"] == "books"]
    assert [(row["orders"], row["amount_minor"], row["avg_minor_per_minute"]) for row in books] == [(1, 500, 7500.0)] * 2


def test_the_rules_in_force_at_the_start_are_told(outputs: Rows) -> None:
    told = {(row["rule_id"], row["status"], row["reason"]) for row in outputs["rule_status"]}
    assert ("high-value-orders", "accepted", "in force at start") in told
    in_force = {path.stem for path in (ROOT / "rules").glob("*.yaml")}
    assert {rule_id for rule_id, _, _ in told} == in_force


def test_nothing_is_late_within_the_bound(outputs: Rows) -> None:
    assert outputs["late_events"] == []
