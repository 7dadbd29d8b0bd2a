"""What an order adds to the sales windows."""

from __future__ import annotations

import pytest
from shop.v1.events_pb2 import Money, OrderPlaced

from tests.udfs import samples
from udfs.sales import FIELD_SEPARATOR, LINE_SEPARATOR, sales_by_category
from udfs.validation import MAX_AMOUNT_MINOR

Line = tuple[str, int, int]
Sale = tuple[str, str, int, int]

ORDERS: dict[str, tuple[list[Line], list[Sale]]] = {
    # lines (category, quantity, amount_minor)          sales (category, currency, amount_minor, quantity)
    "one line": ([("books", 1, 1999)], [("books", "USD", 1999, 1)]),
    "quantity times price": ([("books", 3, 1999)], [("books", "USD", 5997, 3)]),
    "two categories": ([("toys", 1, 5), ("books", 2, 7)], [("toys", "USD", 5, 1), ("books", "USD", 14, 2)]),
    "one category twice": ([("books", 2, 10), ("toys", 1, 5), ("books", 3, 1)], [("books", "USD", 23, 5), ("toys", "USD", 5, 1)]),
    "free": ([("books", 4, 0)], [("books", "USD", 0, 4)]),
    "the most there can be": ([("books", 1, MAX_AMOUNT_MINOR)], [("books", "USD", MAX_AMOUNT_MINOR, 1)]),
    "beyond 32 bits": ([("books", 2**31 - 1, 400)], [("books", "USD", 858_993_458_800, 2_147_483_647)]),
    "text as it stands": ([("Bücher; 'alt', 日本", 1, 1)], [("Bücher; 'alt', 日本", "USD", 1, 1)]),
    "no lines": ([], []),
}


def order(lines: list[Line], currency: str = "USD") -> OrderPlaced:
    """An order whose total differs from its lines: shipping."""
    return OrderPlaced(
        order_id="o-1",
        lines=[samples.line(*line, currency) for line in lines],
        total=Money(amount_minor=1, currency=currency),
    )


def taken_apart(sales: str) -> list[Sale]:
    """As jobs/pipeline.py does in SQL."""
    lines = [line.split(FIELD_SEPARATOR) for line in sales.split(LINE_SEPARATOR)] if sales else []
    return [(category, currency, int(amount), int(quantity)) for category, currency, amount, quantity in lines]


@pytest.mark.parametrize(("lines", "expected"), ORDERS.values(), ids=ORDERS)
def test_sales_by_category(lines: list[Line], expected: list[Sale]) -> None:
    assert taken_apart(sales_by_category(order(lines))) == expected


def test_the_currency_is_the_orders() -> None:
    assert taken_apart(sales_by_category(order([("books", 1, 5)], "EUR"))) == [("books", "EUR", 5, 1)]


def test_a_valid_category_holds_no_separator() -> None:
    assert not LINE_SEPARATOR.isprintable()
    assert not FIELD_SEPARATOR.isprintable()
