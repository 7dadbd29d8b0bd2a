"""What an event adds to the insights."""

from __future__ import annotations

import pytest
from shop.v1.events_pb2 import Event, Money, OrderPlaced

from tests.udfs import samples
from udfs.facts import CATEGORY_SEPARATOR, FIELD_SEPARATOR, FIELDS, LINE_SEPARATOR, facts
from udfs.rules.language import EVENT_TYPES
from udfs.validation import MAX_AMOUNT_MINOR

Line = tuple[str, int, int]
Sale = tuple[str, int, int, int]

ORDERS: dict[str, tuple[list[Line], list[Sale]]] = {
    # lines (category, quantity, amount_minor)          facts (category, amount_minor, quantity, first)
    "one line": ([("books", 1, 1999)], [("books", 1999, 1, 1)]),
    "quantity times price": ([("books", 3, 1999)], [("books", 5997, 3, 1)]),
    "two categories": ([("toys", 1, 5), ("books", 2, 7)], [("toys", 5, 1, 1), ("books", 14, 2, 1)]),
    "one category twice": (
        [("books", 2, 10), ("toys", 1, 5), ("books", 3, 1)], [("books", 20, 2, 1), ("toys", 5, 1, 1), ("books", 3, 3, 0)],
    ),
    "free": ([("books", 4, 0)], [("books", 0, 4, 1)]),
    "the most there can be": ([("books", 1, MAX_AMOUNT_MINOR)], [("books", MAX_AMOUNT_MINOR, 1, 1)]),
    "beyond 32 bits": ([("books", 2**31 - 1, 400)], [("books", 858_993_458_800, 2_147_483_647, 1)]),
    "text as it stands": ([("Bücher; 'alt', 日本", 1, 1)], [("Bücher; 'alt', 日本", 1, 1, 1)]),
}  # fmt: skip


def taken_apart(text: str) -> list[dict[str, str]]:
    """As jobs/facts.py does in SQL."""
    return [dict(zip(FIELDS, line.split(FIELD_SEPARATOR), strict=True)) for line in text.split(LINE_SEPARATOR)] if text else []


@pytest.mark.parametrize(("lines", "expected"), ORDERS.values(), ids=ORDERS)
def test_an_order_is_its_lines_and_its_total(lines: list[Line], expected: list[Sale]) -> None:
    order = OrderPlaced(order_id="o-1", lines=[samples.line(*line) for line in lines], total=Money(amount_minor=17, currency="USD"))
    *sold, total = taken_apart(facts(Event(user_id="u", order_placed=order), "order_placed"))
    found = [(line["category"], int(line["amount_minor"]), int(line["quantity"]), int(line["first"])) for line in sold]
    assert found == expected
    assert {(line["kind"], line["product_id"], line["currency"], line["order_id"], line["user_id"]) for line in sold} == {
        ("O", "p-1", "USD", "o-1", "u")
    }
    pieces = str(sum(quantity for _, _, quantity, _ in expected))
    categories = CATEGORY_SEPARATOR.join(dict.fromkeys(category for category, *_ in expected))
    assert list(total.values()) == ["T", categories, "", pieces, "17", "USD", "0", "o-1", "u"]


@pytest.mark.parametrize(
    ("event_type", "expected"),
    [
        ("product_viewed", ["V", "books", "p-1", "1", "1999", "USD", "0", "", "u"]),
        ("product_added_to_cart", ["C", "books", "p-1", "2", "0", "USD", "0", "", "u"]),
        ("product_removed_from_cart", ["R", "", "p-1", "1", "0", "", "0", "", "u"]),
        ("payment_processed", ["P", "", "", "0", "5498", "USD", "0", "o-1", "u"]),
        ("payment_failed", ["F", "", "", "0", "5498", "USD", "0", "o-1", "u"]),
    ],
)
def test_events_of_one_line(event_type: str, expected: list[str]) -> None:
    (line,) = taken_apart(facts(samples.event(event_type, user_id="u"), event_type))
    assert list(line.values()) == expected


def test_a_view_without_a_price() -> None:
    (line,) = taken_apart(facts(Event(product_viewed={"product_id": "p"}), "product_viewed"))
    assert list(line.values()) == ["V", "", "p", "1", "0", "", "0", "", ""]


def test_the_other_events_have_none() -> None:
    without = {event_type for event_type in EVENT_TYPES if not facts(samples.event(event_type), event_type)}
    assert without == {"product_searched", "checkout_started", "order_cancelled", "user_signed_in"}
    assert facts(Event(), "unknown") == ""


def test_a_valid_text_holds_no_separator() -> None:
    assert not LINE_SEPARATOR.isprintable()
    assert not FIELD_SEPARATOR.isprintable()
    assert not CATEGORY_SEPARATOR.isprintable()
