"""Sales, funnel and sessions on the mini cluster, each row held against the checker's oracle, and some of them against the eye.

    time (s)   0      1       2         3          4        ...  gap: 3 s
    s-paid     view   order   failed    paid       paid again    an order of toys and books; the second payment pays nothing more
    s-cart     add            view                               2 pieces, left behind
    s-gap      view                     view                     at 0, 3.000 and 7.000 s: the first two are one session
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from shop.v1.events_pb2 import Event

from scripts.checker.model import FUNNEL, PER_MINUTE, SALES, SALES_INSIGHTS, SESSIONS, TOP_PRODUCTS, Findings, Output, Outputs, Terms
from scripts.checker.oracle import expect
from scripts.checker.sales import compare_sales
from scripts.checker.windows import compare_windows
from scripts.shop.ledger import Entry
from tests.checker.ideal import START_MS, shop_entries
from tests.integration import mini
from tests.integration.mini import Rows

pytestmark = pytest.mark.integration

TABLES = {"sales_by_category": SALES, "sales_per_minute": PER_MINUTE, "top_products": TOP_PRODUCTS, "funnel_by_category": FUNNEL,
          "closed_sessions": SESSIONS}  # fmt: skip
KEYS = {SALES: "category", PER_MINUTE: "currency", TOP_PRODUCTS: "currency", FUNNEL: "category", SESSIONS: "session_id"}
WINDOWS: dict[str, Any] = {"window_ms": 10_000, "slide_ms": 1_000, "totals_ms": 5_000, "session_gap_ms": 3_000, "payment_within_ms": 4_000}
# Of each run: its parallelism, and the steps in which it sees the end of sessions.
RUNS = {"parallelism 1, exact sessions": (1, 1), "parallelism 2, sessions in steps": (2, 1_000)}
BASE_MS = START_MS - 60_000  # a minute before the simulated shop opens


def event(session_id: str, at_s: float, user_id: str = "") -> Event:
    at_ms = BASE_MS + round(at_s * 1000)
    return Event(event_id=f"{session_id}-{at_ms}", session_id=session_id, event_time_ms=at_ms, user_id=user_id)


def viewed(session_id: str, at_s: float, user_id: str = "") -> Event:
    made = event(session_id, at_s, user_id)
    made.product_viewed.product_id, made.product_viewed.category = "p-1", "toys"
    return made


def added(session_id: str, at_s: float) -> Event:
    made = event(session_id, at_s)
    item = made.product_added_to_cart.item
    item.product_id, item.category, item.quantity = "p-1", "toys", 2
    item.unit_price.amount_minor, item.unit_price.currency = 500, "CHF"
    return made


def ordered(session_id: str, at_s: float, **amounts: int) -> Event:
    made = event(session_id, at_s, "u-1")
    made.order_placed.order_id = "o-1"
    for category, amount_minor in amounts.items():
        line = made.order_placed.lines.add(product_id="p-" + category, category=category, quantity=1)
        line.unit_price.amount_minor, line.unit_price.currency = amount_minor, "CHF"
    made.order_placed.total.amount_minor, made.order_placed.total.currency = sum(amounts.values()), "CHF"
    return made


def paid(session_id: str, at_s: float) -> Event:
    made = event(session_id, at_s, "u-2")
    made.payment_processed.order_id, made.payment_processed.payment_id = "o-1", f"y-{at_s}"
    made.payment_processed.amount.amount_minor, made.payment_processed.amount.currency = 300, "CHF"
    return made


def failed(session_id: str, at_s: float) -> Event:
    made = event(session_id, at_s)
    made.payment_failed.order_id = "o-1"
    made.payment_failed.amount.amount_minor, made.payment_failed.amount.currency = 600, "CHF"
    return made


DRAWN = (
    paid("s-paid", 4), viewed("s-paid", 0), paid("s-paid", 3), ordered("s-paid", 1, toys=400, books=200), failed("s-paid", 2),
    viewed("s-cart", 2), added("s-cart", 0), viewed("s-gap", 7, "u-3"), viewed("s-gap", 3), viewed("s-gap", 0),
)  # fmt: skip


@pytest.fixture(scope="module")
def entries() -> list[Entry]:
    """A simulated shop with disorder, duplicates and broken records, and before it the events that are drawn above."""
    drawn = [
        Entry(2, number, each.event_time_ms, each.session_id.encode(), each.SerializeToString()) for number, each in enumerate(DRAWN)
    ]
    return drawn + shop_entries(1_500)


@pytest.fixture(scope="module", params=list(RUNS.values()), ids=list(RUNS))
def step_ms_and_rows(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, entries: list[Entry]
) -> Iterator[tuple[int, Rows]]:
    parallelism, step_ms = request.param
    records = [(entry.value or b"", entry.timestamp_ms) for entry in entries]
    settings = mini.settings(**WINDOWS, session_step_ms=step_ms, parallelism=parallelism)
    yield step_ms, mini.run(tmp_path_factory.mktemp("sales"), records, settings)


@pytest.fixture
def rows(step_ms_and_rows: tuple[int, Rows]) -> Rows:
    return step_ms_and_rows[1]


def test_every_row_equals_the_oracles(step_ms_and_rows: tuple[int, Rows], entries: list[Entry]) -> None:
    step_ms, rows = step_ms_and_rows
    outputs = Outputs.of(
        Output(topic, 0, offset, 0, row[KEYS[topic]].encode(), json.dumps(row).encode())
        for table, topic in TABLES.items()
        for offset, row in enumerate(rows[table])
    )
    findings, terms = Findings(), Terms(**WINDOWS, session_step_ms=step_ms, until_ms=1 << 62)
    on_time = expect(entries, []).events.values()
    counts = compare_sales(on_time, outputs, terms, findings)
    counts[SALES] = compare_windows((each for each in on_time if each.sales), outputs.of_topic(SALES), terms, findings)
    assert not findings.counts, findings.examples
    assert {topic: count.equal > 10 for topic, count in counts.items()} == dict.fromkeys((SALES, *SALES_INSIGHTS), True)


def test_a_failed_payment_is_no_risk_once_another_went_through(rows: Rows) -> None:
    (row,) = [row for row in rows["sales_per_minute"] if row["currency"] == "CHF"]
    assert row == {
        "currency": "CHF", "window_start": BASE_MS, "window_end": BASE_MS + 5_000, "orders": 1, "amount_minor": 600,
        "avg_minor_per_order": 600.0, "payments": 2, "paid_minor": 600, "failed_payments": 1, "at_risk_orders": 0, "at_risk_minor": 0,
    }  # fmt: skip


def test_an_order_is_paid_once_in_each_category(rows: Rows) -> None:
    found = {
        row["category"]: (row["views"], row["carts"], row["orders"], row["paid"])
        for row in rows["funnel_by_category"]
        if row["window_start"] == BASE_MS
    }
    assert found == {"toys": (5, 1, 1, 1), "books": (0, 0, 1, 1)}


def test_the_best_product_comes_first(rows: Rows) -> None:
    found = [
        (row["rank"], row["product_id"], row["category"], row["quantity"], row["amount_minor"])
        for row in rows["top_products"]
        if (row["currency"], row["window_start"]) == ("CHF", BASE_MS)
    ]
    assert sorted(found) == [(1, "p-toys", "toys", 1, 400), (2, "p-books", "books", 1, 200)]


def test_sessions_end_after_the_gap(rows: Rows) -> None:
    drawn = sorted((row for row in rows["closed_sessions"] if row["session_end"] < START_MS - 30_000), key=lambda row: row["session_start"])
    found = {(row["session_id"], row["session_start"] - BASE_MS): tuple(row.values())[1:2] + tuple(row.values())[4:] for row in drawn}
    assert found == {  # user, length, events, views, carts, orders, abandoned
        ("s-paid", 0): ("u-2", 4_000, 5, 1, 0, 1, False),
        ("s-cart", 0): ("", 2_000, 2, 1, 1, 0, True),
        ("s-gap", 0): ("", 3_000, 2, 2, 0, 0, False),
        ("s-gap", 7_000): ("u-3", 0, 1, 1, 0, 0, False),
    }
