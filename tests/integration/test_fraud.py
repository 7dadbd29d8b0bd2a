"""Fraud detection on Flink's mini cluster: from events to alerts, over both paths.

    time (s)   0        1      2      3      4      5      6      7
    s-1        view     order  order  order  order  order  order         of one user: the sixth one is one too many
    s-2                                                           order  nobody has looked at anything before
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from shop.v1.events_pb2 import Event

from tests.integration import mini

pytestmark = pytest.mark.integration

BASE_MS = 1_700_000_000_000


def event(event_id: str, session_id: str, at_s: int, **fields: Any) -> Event:
    return Event(event_id=event_id, session_id=session_id, event_time_ms=BASE_MS + at_s * 1000, **fields)


def order(event_id: str, session_id: str, at_s: int, user_id: str = "") -> Event:
    made = event(event_id, session_id, at_s, user_id=user_id)
    made.order_placed.order_id = "o-" + event_id
    line = made.order_placed.lines.add(product_id="p", category="toys", quantity=1)
    for money in (line.unit_price, made.order_placed.total):
        money.amount_minor, money.currency = 1_000, "USD"
    return made


VIEW = event("view", "s-1", 0, user_id="u-1", product_viewed={"product_id": "p"})
ORDERS = [order(f"order-{number}", "s-1", number, "u-1") for number in range(1, 7)]
DIRECT = order("direct", "s-2", 7)


@pytest.fixture(scope="module")
def alerts(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    records = [(each.SerializeToString(), each.event_time_ms) for each in (VIEW, *ORDERS, ORDERS[-1], DIRECT)]
    given = mini.settings(sales=False, recommendations=False, fraud_min_score=40)
    rows = mini.run(tmp_path_factory.mktemp("fraud"), records, given)
    for row in rows["fraud_alerts"]:
        assert row["subject"] == json.loads(row["alert"])["subject"]
    return [json.loads(row["alert"]) for row in rows["fraud_alerts"]]


def test_an_alert_on_each_path_once(alerts: list[dict[str, Any]]) -> None:
    found = {(each["subject"], each["event_id"], each["order_id"], each["reasons"][0]["rule_id"]) for each in alerts}
    assert found == {("u-1", "order-6", "o-order-6", "fraud-order-velocity"), ("s-2", "direct", "o-direct", "fraud-no-view")}
    assert len(alerts) == 2


def test_the_alert_says_why(alerts: list[dict[str, Any]]) -> None:
    (alert,) = [each for each in alerts if each["subject"] == "u-1"]
    (reason,) = alert["reasons"]
    assert reason["evidence"] == [f"order-{number}" for number in range(1, 7)]
    assert (reason["value"], reason["limit"], reason["key"], alert["score"]) == (6, 5, "u-1", reason["score"])
    assert alert["time_ms"] == BASE_MS + 6_000 < alert["detected_ms"]
