"""The window oracle against a plainer one, and by hand.

slide 10, window 30:      0    10    20    30    40    50
an order at 25 is in      [-----------------)
                               [-----------------)
                                     [-----------------)
"""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.checker.model import ExpectedEvent, Sale, Terms
from scripts.checker.windows import Sums, WindowKey, expected_windows, window_starts
from tests.checker.ideal import brute_force_windows


def order(time_ms: int, *sales: Sale) -> ExpectedEvent:
    none: frozenset[str] = frozenset()
    return ExpectedEvent(f"e{time_ms}", "s", "order_placed", time_ms, b"s", b"", 0, 0, none, none, {}, sales, 0)


@pytest.mark.parametrize(
    ("time_ms", "starts"),
    [(25, [0, 10, 20]), (20, [0, 10, 20]), (29, [0, 10, 20]), (30, [10, 20, 30]), (0, [-20, -10, 0]), (9, [-20, -10, 0])],
)
def test_the_windows_of_a_time(time_ms: int, starts: list[int]) -> None:
    assert list(window_starts(time_ms, 30, 10)) == starts


@given(st.integers(0, 10**6), st.integers(1, 1000), st.integers(1, 1000))
def test_a_time_is_in_exactly_its_windows(time_ms: int, window_ms: int, slide_ms: int) -> None:
    """Also where the window is no multiple of the slide, or shorter than it."""
    around = range((time_ms - window_ms) // slide_ms * slide_ms - slide_ms, time_ms + slide_ms, slide_ms)
    assert list(window_starts(time_ms, window_ms, slide_ms)) == [start for start in around if start <= time_ms < start + window_ms]


def test_an_order_counts_once_in_each_of_its_categories() -> None:
    toys, books = Sale("toys", "USD", 2, 1_000), Sale("books", "USD", 1, 700)
    windows = expected_windows([order(25, toys, toys, books), order(31, Sale("toys", "EUR", 1, 5))], 30, 30)
    assert windows == {
        WindowKey(0, "toys", "USD"): Sums(orders=1, quantity=4, amount_minor=2_000),
        WindowKey(0, "books", "USD"): Sums(orders=1, quantity=1, amount_minor=700),
        WindowKey(30, "toys", "EUR"): Sums(orders=1, quantity=1, amount_minor=5),
    }


_SALES = st.builds(Sale, st.sampled_from(["toys", "books"]), st.sampled_from(["USD", "EUR"]), st.integers(1, 5), st.integers(0, 2**40))
_ORDER = st.builds(lambda time_ms, sales: order(time_ms, *sales), st.integers(100_000, 300_000), st.lists(_SALES, min_size=1, max_size=3))
_ORDERS = st.lists(_ORDER, max_size=8)


@pytest.mark.thorough
@given(_ORDERS)
def test_the_oracle_equals_a_plainer_one(orders: list[ExpectedEvent]) -> None:
    orders.sort(key=lambda one: one.time_ms)
    terms = Terms(window_ms=60_000, slide_ms=10_000)
    rows = [json.loads(output.value or b"") for output in brute_force_windows(orders, terms)]
    plain = {
        WindowKey(row["window_start"], row["category"], row["currency"]): Sums(row["orders"], row["quantity"], row["amount_minor"])
        for row in rows
    }
    assert expected_windows(orders, terms.window_ms, terms.slide_ms) == plain
