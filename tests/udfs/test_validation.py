"""One case for each "Invalid if" of events.proto (that none is missing is a test as well), and the edges that are valid."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from shop.v1.events_pb2 import Event, LineItem, Money

from tests.udfs import samples
from udfs.rules.language import EVENT_TYPES
from udfs.validation import (
    CLOCK_GAP,
    EMPTY,
    INVALID_FIELD,
    MALFORMED,
    MAX_AMOUNT_MINOR,
    MAX_DETAIL_LENGTH,
    MISSING_FIELD,
    NEGATIVE_MONEY,
    TOO_LARGE,
    InvalidEvent,
)

EVENTS_PROTO = Path(__file__).parents[2] / "proto" / "shop" / "v1" / "events.proto"


class Broken(NamedTuple):
    """A valid event with `value` at `path` (None: not set) is refused for `reason`; the detail names `named`, or else `path`."""

    path: str
    value: Any
    reason: str
    named: str | None = None


def text(path: str) -> list[Broken]:
    """What "longer than 128 characters, or holding unprintable characters" means. \\x1f separates packed fields."""
    return [Broken(path, value, INVALID_FIELD) for value in ("x" * 129, "a\x1fb", "a\nb", "a\u200bb", "\x00")]


def identifier(path: str) -> list[Broken]:
    return [Broken(path, "", MISSING_FIELD), *text(path)]


def positive(path: str) -> list[Broken]:
    return [Broken(path, value, INVALID_FIELD) for value in (0, -1, -(2**31))]


def money(path: str) -> list[Broken]:
    amount, currency = f"{path}.amount_minor", f"{path}.currency"
    return [
        *(Broken(amount, value, NEGATIVE_MONEY) for value in (-1, -(2**63))),
        *(Broken(amount, value, INVALID_FIELD) for value in (MAX_AMOUNT_MINOR + 1, 2**63 - 1)),
        *(Broken(currency, value, INVALID_FIELD) for value in ("", "US", "USDX", "usd", "UsD", "U1D", "U D", "ÄÖÜ", "USD\n")),
    ]


def required_money(path: str) -> list[Broken]:
    return [Broken(path, None, MISSING_FIELD), *money(path)]


def line_item(path: str) -> list[Broken]:
    return [
        *identifier(f"{path}.product_id"),
        *identifier(f"{path}.category"),
        *positive(f"{path}.quantity"),
        *required_money(f"{path}.unit_price"),
    ]


INVALID = [
    *identifier("event_id"),
    *identifier("session_id"),
    *text("user_id"),
    *(Broken("event_time_ms", value, MISSING_FIELD) for value in (0, -1, -(2**63))),
    *(Broken("event_time_ms", samples.NOW_MS + gap_ms, CLOCK_GAP) for gap_ms in (samples.CLOCK_GAP_MS + 1, -samples.CLOCK_GAP_MS - 1)),
    Broken("event_time_ms", 2**63 - 1, CLOCK_GAP),
    Broken("product_viewed", None, MISSING_FIELD, named="payload"),
    *identifier("product_viewed.product_id"),
    *text("product_viewed.category"),
    *money("product_viewed.price"),
    *(Broken("product_searched.results", value, INVALID_FIELD) for value in (-1, -(2**31))),
    Broken("product_added_to_cart.item", None, MISSING_FIELD),
    *line_item("product_added_to_cart.item"),
    *identifier("product_removed_from_cart.product_id"),
    *positive("product_removed_from_cart.quantity"),
    *required_money("checkout_started.cart_value"),
    *positive("checkout_started.items"),
    *identifier("order_placed.order_id"),
    Broken("order_placed.lines", None, MISSING_FIELD),
    *line_item("order_placed.lines[0]"),
    *line_item("order_placed.lines[1]"),
    Broken("order_placed.lines[1].unit_price.currency", "EUR", INVALID_FIELD, named="order_placed.lines[1]"),
    Broken("order_placed.total.currency", "EUR", INVALID_FIELD, named="order_placed.lines[0]"),
    Broken("order_placed.lines[0].quantity", 2**31 - 1, INVALID_FIELD, named="order_placed.lines"),
    Broken("order_placed.lines[0].unit_price.amount_minor", MAX_AMOUNT_MINOR // 2 - 749, INVALID_FIELD, named="order_placed.lines"),
    *required_money("order_placed.total"),
    *identifier("payment_processed.order_id"),
    *identifier("payment_processed.payment_id"),
    *required_money("payment_processed.amount"),
    *identifier("payment_failed.order_id"),
    *required_money("payment_failed.amount"),
    *identifier("order_cancelled.order_id"),
]


class Edge(NamedTuple):
    """A valid event with `value` at `path` is still valid."""

    path: str
    value: Any


VALID = [
    *(Edge(path, value) for path in ("event_id", "session_id", "user_id") for value in ("x" * 128, "ß" * 128, "a b", "日本", "x")),
    Edge("user_id", ""),
    *(Edge("event_time_ms", samples.NOW_MS + gap_ms) for gap_ms in (samples.CLOCK_GAP_MS, -samples.CLOCK_GAP_MS)),
    Edge("product_viewed.price", None),
    Edge("product_viewed.category", ""),
    *(Edge("product_viewed.price.amount_minor", value) for value in (0, MAX_AMOUNT_MINOR)),
    Edge("product_viewed.price.currency", "AAA"),
    Edge("product_viewed.price.currency", "ZZZ"),
    Edge("product_searched.query", ""),
    Edge("product_searched.results", 0),
    Edge("product_added_to_cart.item.quantity", 2**31 - 1),
    Edge("product_added_to_cart.item.category", "x" * 128),
    Edge("product_removed_from_cart.quantity", 1),
    Edge("checkout_started.items", 1),
    Edge("order_placed.total.amount_minor", MAX_AMOUNT_MINOR),
    Edge("order_placed.lines[0].unit_price.amount_minor", MAX_AMOUNT_MINOR // 2 - 750),  # + 1500: exactly the limit
    Edge("user_signed_in.method", ""),
]


def with_change(path: str, value: Any) -> tuple[Event, str]:
    """A valid event changed at `path`, and its type."""
    first = path.split(".", maxsplit=1)[0]
    event_type = first if first in EVENT_TYPES else "product_viewed"
    event = samples.event(event_type)
    samples.put(event, path, value)
    return event, event_type


def refusal(value: bytes) -> InvalidEvent:
    with pytest.raises(InvalidEvent) as refused:
        samples.decoded(value)
    return refused.value


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_a_valid_event_of_each_type(event_type: str) -> None:
    event = samples.event(event_type)
    assert samples.decoded(event.SerializeToString()) == (event, event_type)


@pytest.mark.parametrize("case", INVALID, ids=lambda case: f"{case.path}={case.value!r:.20}")
def test_invalid_if(case: Broken) -> None:
    event, _ = with_change(case.path, case.value)
    refused = refusal(event.SerializeToString())
    assert refused.reason == case.reason
    assert re.match(rf"{re.escape(case.named or case.path)} ", refused.detail), f"the detail names the field: {refused.detail}"
    assert str(refused) == f"{refused.reason}: {refused.detail}"


@pytest.mark.parametrize("edge", VALID, ids=lambda edge: f"{edge.path}={edge.value!r:.20}")
def test_valid_at_the_edge(edge: Edge) -> None:
    event, event_type = with_change(edge.path, edge.value)
    assert samples.decoded(event.SerializeToString()) == (event, event_type)


def field_of(path: str) -> str:
    """order_placed.lines[0].quantity -> LineItem.quantity"""
    descriptor, owner = Event.DESCRIPTOR, "Event"
    *parents, leaf = re.sub(r"\[\d+]", "", path).split(".")
    for parent in parents:
        descriptor = descriptor.fields_by_name[parent].message_type
        owner = descriptor.name
    return f"{owner}.{leaf}"


def fields_with_invalid_if() -> set[str]:
    """The fields of events.proto that have an "Invalid if" in the comments above, beside or (indented) below them."""
    found: set[str] = set()
    message, field, comment_above = "", "", ""
    for line in EVENTS_PROTO.read_text(encoding="utf-8").splitlines():
        code, _, comment = line.partition("//")
        if opened := re.match(r"message (\w+)", code):
            message, field, comment_above = opened[1], "", ""
        elif declared := re.match(r"\s+(?:repeated )?(?:[\w.]+) (\w+) = \d+;|\s+oneof (\w+)", code):
            field = f"{message}.{declared[1] or declared[2]}"
            if "Invalid if" in comment_above + comment:
                found.add(field)
            comment_above = ""
        elif message:
            comment_above += comment
    return found


def test_every_field_with_an_invalid_if_has_a_case() -> None:
    covered = {"Event.payload" if case.named == "payload" else field_of(case.path) for case in INVALID}
    expected = fields_with_invalid_if()
    assert len(expected) > 25, "the proto file is read"
    assert expected == covered


def test_a_value_that_is_not_an_event() -> None:
    assert (refusal(b"").reason, refusal(b"").detail) == (EMPTY, "the record has no value")
    assert refusal(b"\xff").reason == MALFORMED
    assert refusal(b"not an event at all").reason == MALFORMED
    assert refusal(samples.event().SerializeToString()[:-1]).reason == MALFORMED
    assert refusal(b"\x0a\x02\xff\xfe").reason == MALFORMED, "text must be UTF-8"


def test_size_limit() -> None:
    event = samples.event("product_searched")
    event.product_searched.query = "x" * samples.MAX_BYTES
    event.product_searched.query = "x" * (2 * samples.MAX_BYTES - event.ByteSize())
    assert samples.decoded(event.SerializeToString())[1] == "product_searched"
    event.product_searched.query += "x"
    refused = refusal(event.SerializeToString())
    assert (refused.reason, refused.detail) == (TOO_LARGE, "1000001 bytes, at most 1000000 are allowed")


def test_a_detail_stays_small_whatever_the_value() -> None:
    event = samples.event()
    event.product_viewed.price.currency = "\x7f" * 900_000
    refused = refusal(event.SerializeToString())
    assert refused.detail.startswith("product_viewed.price.currency is ")
    assert len(refused.detail) == MAX_DETAIL_LENGTH


def test_the_lines_of_an_order_may_differ_from_its_total() -> None:
    event = samples.order(0)
    event.order_placed.lines.append(
        LineItem(product_id="p", category="c", quantity=10**6, unit_price=Money(amount_minor=10**6, currency="USD"))
    )
    assert samples.decoded(event.SerializeToString())[1] == "order_placed"
    event.order_placed.lines[0].unit_price.amount_minor = 1
    assert refusal(event.SerializeToString()).detail == "order_placed.lines (their sum) is 1000000000001, at most 1000000000000 is allowed"
