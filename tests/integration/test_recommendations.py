"""Recommendations and trends on the mini cluster: every record held against the checker's oracle, and some against the eye.

    time (s)   0        1        2        3        4        10       11          windows of 10 s
    s-1        view a   search   view b   cart b   order a+b
    s-2        view a                     view c            view b
    u-1 in s-3          view b                                       (late enough to close the first window)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from shop.v1.events_pb2 import Event

from scripts.checker.model import BY_PRODUCT, BY_USER, TRENDING, Findings, Output, Outputs, Terms
from scripts.checker.oracle import expect
from scripts.checker.recommendations import compare_recommendations
from scripts.shop.ledger import Entry
from scripts.shop.simulator import UNDISTURBED, Settings, Shop
from tests.integration import mini
from tests.integration.mini import Rows

pytestmark = pytest.mark.integration

TOPICS = {"recommendations_by_product": BY_PRODUCT, "recommendations_by_user": BY_USER, "trending_by_category": TRENDING}
LENGTHS: dict[str, Any] = {"recommendation_window_ms": 10_000, "recommendation_half_life_ms": 60_000, "trending_half_life_ms": 20_000}
BASE_MS = 1_790_000_000_000
SHOP_MS = BASE_MS + 60_000


def event(session_id: str, at_s: float, user_id: str = "") -> Event:
    at_ms = BASE_MS + round(at_s * 1000)
    return Event(event_id=f"{session_id}-{at_ms}", session_id=session_id, event_time_ms=at_ms, user_id=user_id)


def viewed(session_id: str, at_s: float, product: str, user_id: str = "") -> Event:
    made = event(session_id, at_s, user_id)
    made.product_viewed.product_id, made.product_viewed.category = product, "toys"
    return made


def added(session_id: str, at_s: float, product: str) -> Event:
    made = event(session_id, at_s)
    item = made.product_added_to_cart.item
    item.product_id, item.category, item.quantity = product, "toys", 1
    item.unit_price.amount_minor, item.unit_price.currency = 500, "USD"
    return made


def searched(session_id: str, at_s: float) -> Event:
    made = event(session_id, at_s)
    made.product_searched.query = "x"
    return made


def ordered(session_id: str, at_s: float, *products: str) -> Event:
    made = event(session_id, at_s)
    made.order_placed.order_id = "o-1"
    for product in products:
        line = made.order_placed.lines.add(product_id=product, category="toys", quantity=1)
        line.unit_price.amount_minor, line.unit_price.currency = 500, "USD"
    made.order_placed.total.amount_minor, made.order_placed.total.currency = 500 * len(products), "USD"
    return made


BY_HAND = [
    viewed("s-1", 0, "a"), searched("s-1", 1), viewed("s-1", 2, "b"), added("s-1", 3, "b"), ordered("s-1", 4, "a", "b"),
    viewed("s-2", 0, "a"), viewed("s-2", 3, "c"), viewed("s-2", 10, "b"), viewed("s-3", 1, "b"), viewed("s-3", 11, "d", "u-1"),
]  # fmt: skip


def simulated() -> list[tuple[bytes, int]]:
    """Two minutes of a small shop, as fast as they come: disorder would be sorted, and late events would not."""
    shop = Shop(Settings(seed=7, start_ms=SHOP_MS, sessions=40, disturbances=UNDISTURBED))
    return [(record.value or b"", record.timestamp_ms) for record in shop.records(range(SHOP_MS, SHOP_MS + 120_000, 40))]


@pytest.fixture(scope="module")
def records() -> list[tuple[bytes, int]]:
    by_hand = sorted(BY_HAND, key=lambda each: each.event_time_ms)
    return [*((each.SerializeToString(), each.event_time_ms) for each in by_hand), *simulated()]


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory, records: list[tuple[bytes, int]]) -> Iterator[Rows]:
    options: dict[str, Any] = {"sales": False, "fraud": False, "lateness_ms": 1_000, **LENGTHS}
    yield mini.run(tmp_path_factory.mktemp("recommendations"), records, mini.settings(**options))


def outputs(rows: Rows) -> Outputs:
    return Outputs.of(
        Output(topic, 0, offset, 0, row["key"].encode(), row["value"].encode())
        for table, topic in TOPICS.items()
        for offset, row in enumerate(rows[table])
    )


def test_every_record_equals_the_oracle(rows: Rows, records: list[tuple[bytes, int]]) -> None:
    entries = [Entry(0, offset, time_ms, b"", value) for offset, (value, time_ms) in enumerate(records)]
    on_time = expect(entries, []).events.values()
    assert rows["late_events"] == []
    findings = Findings()
    terms = Terms(recommendations=True, ties_in_log_order=True, until_ms=1 << 62, **LENGTHS)
    counts = compare_recommendations(on_time, outputs(rows), terms, findings)
    assert not findings.examples
    assert min(count.equal for count in counts.values()) > 60


def lists(rows: Rows, table: str, key: str) -> list[dict[str, Any]]:
    """The records of a key that are about the events by hand."""
    found = [json.loads(row["value"]) for row in rows[table] if row["key"] == key]
    return [row for row in found if row["time_ms"] < SHOP_MS]


def products(items: list[dict[str, Any]]) -> list[str]:
    return [item["product_id"] for item in items]


def test_what_is_viewed_and_bought_with_a_product(rows: Rows) -> None:
    """As of the second window, where a, c and b meet in s-2. In the first, b was with a once by a look, thrice by a cart, eight times by
    the order."""
    found = lists(rows, "recommendations_by_product", "a")[-1]
    assert (found["category"], found["time_ms"]) == ("toys", BASE_MS + 20_000)
    assert (products(found["also_viewed"]), products(found["also_bought"])) == (["b", "c"], ["b"])
    assert products(lists(rows, "recommendations_by_product", "b")[-1]["also_viewed"]) == ["a", "c", "d"]


def test_what_a_session_may_want_next(rows: Rows) -> None:
    answers = [json.loads(row["value"]) for row in rows["recommendations_by_user"]]
    assert max(len(answer["items"]) for answer in answers) == 10
    assert any(answer["items"][0]["score"] > 0 for answer in answers), "neighbours"
    assert any(answer["items"][-1]["score"] == 0 for answer in answers), "topped up"
    # u-1 of the drawing gets an answer if the same window's products were summed up before, and none if there is nothing to tell yet.
    keys = {row["key"][:2] for row in rows["recommendations_by_user"] if row["key"] != "u-1"}
    assert keys == {"s-", "us"}, "sessions, and users where they are signed in"


def test_what_trends(rows: Rows) -> None:
    """Looks 1, cart 3, lines of the order 8: a 10, b 1 + 3 + 8 + 1 = 13, c 1."""
    first = lists(rows, "trending_by_category", "toys")[0]
    assert first == {"category": "toys", "time_ms": BASE_MS + 10_000, "items": [
        {"product_id": "b", "score": 13.0}, {"product_id": "a", "score": 10.0}, {"product_id": "c", "score": 1.0},
    ]}  # fmt: skip
