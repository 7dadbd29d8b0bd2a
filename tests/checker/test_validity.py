"""One case for each "Invalid if" of events.proto."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from shop.v1.events_pb2 import (
    CheckoutStarted,
    Event,
    LineItem,
    Money,
    OrderCancelled,
    OrderPlaced,
    PaymentFailed,
    PaymentProcessed,
    ProductAddedToCart,
    ProductRemovedFromCart,
    ProductSearched,
    ProductViewed,
    UserSignedIn,
)

from scripts.checker.validity import _CHECKS, Limits, check_record

NOW_MS = 1_790_000_000_000
EUR = Money(amount_minor=1, currency="EUR")
MOST = Money(amount_minor=10**12, currency="EUR")
ITEM = LineItem(product_id="p", category="c", quantity=1, unit_price=EUR)
ORDER = OrderPlaced(order_id="o", lines=[ITEM], total=EUR)
PAYMENT = PaymentProcessed(order_id="o", payment_id="p", amount=EUR)


def event(**fields: Any) -> Event:
    if not any(name not in ("event_id", "session_id", "user_id", "event_time_ms") for name in fields):
        fields["product_viewed"] = ProductViewed(product_id="p")
    return Event(**{"event_id": "e", "session_id": "s", "event_time_ms": NOW_MS, **fields})


def changed(message: Any, change: Callable[[Any], object]) -> Any:
    copy = type(message)()
    copy.CopyFrom(message)
    change(copy)
    return copy


def order(change: Callable[[Any], object]) -> Event:
    return event(order_placed=changed(ORDER, change))


VALID = {
    "view": event(),
    "view with price": event(product_viewed=ProductViewed(product_id="p", price=EUR)),
    "free": event(product_viewed=ProductViewed(product_id="p", price=Money(currency="EUR"))),
    "empty search": event(product_searched=ProductSearched()),
    "add": event(product_added_to_cart=ProductAddedToCart(item=ITEM)),
    "remove": event(product_removed_from_cart=ProductRemovedFromCart(product_id="p", quantity=1)),
    "checkout": event(checkout_started=CheckoutStarted(cart_value=EUR, items=1)),
    "order": event(order_placed=ORDER),
    "payment": event(payment_processed=PAYMENT),
    "failed payment": event(payment_failed=PaymentFailed(order_id="o", amount=EUR)),
    "cancelled": event(order_cancelled=OrderCancelled(order_id="o")),
    "sign in": event(user_signed_in=UserSignedIn()),
    "longest ids": event(event_id="e" * 128, session_id="ß" * 128, user_id="u" * 128),
    "most money": order(lambda o: (o.total.CopyFrom(MOST), o.lines[0].unit_price.CopyFrom(MOST))),
    "space in id": event(event_id="e 1"),
    "clock at the limit": event(event_time_ms=NOW_MS - 3_600_000),
}
INVALID: dict[str, tuple[Event, str]] = {
    "no event id": (event(event_id=""), "missing-field"),
    "long event id": (event(event_id="e" * 129), "invalid-field"),
    "unprintable event id": (event(event_id="e\n"), "invalid-field"),
    "no session id": (event(session_id=""), "missing-field"),
    "long session id": (event(session_id="e" * 129), "invalid-field"),
    "unprintable session id": (event(session_id="\u200b"), "invalid-field"),
    "long user id": (event(user_id="e" * 129), "invalid-field"),
    "unprintable user id": (event(user_id="\0"), "invalid-field"),
    "no time": (event(event_time_ms=0), "invalid-field"),
    "negative time": (event(event_time_ms=-1), "invalid-field"),
    "clock behind": (event(event_time_ms=NOW_MS - 3_600_001), "clock-gap"),
    "clock ahead": (event(event_time_ms=NOW_MS + 3_600_001), "clock-gap"),
    "too much money": (order(lambda o: setattr(o.total, "amount_minor", 10**12 + 1)), "invalid-field"),
    "too much in the lines": (order(lambda o: o.lines.add(product_id="p", category="c", quantity=2, unit_price=MOST)), "invalid-field"),
    "no payload": (Event(event_id="e", session_id="s", event_time_ms=NOW_MS), "missing-field"),
    "negative price": (event(product_viewed=ProductViewed(product_id="p", price=Money(amount_minor=-1, currency="EUR"))), "negative-money"),
    "price without currency": (event(product_viewed=ProductViewed(product_id="p", price=Money(amount_minor=1))), "invalid-field"),
    "lower-case currency": (order(lambda o: setattr(o.total, "currency", "eur")), "invalid-field"),
    "long currency": (order(lambda o: setattr(o.total, "currency", "EURO")), "invalid-field"),
    "currency with line end": (order(lambda o: setattr(o.total, "currency", "EUR\n")), "invalid-field"),
    "viewed nothing": (event(product_viewed=ProductViewed(category="c")), "missing-field"),
    "negative results": (event(product_searched=ProductSearched(results=-1)), "invalid-field"),
    "added nothing": (event(product_added_to_cart=ProductAddedToCart()), "missing-field"),
    "removed nothing": (event(product_removed_from_cart=ProductRemovedFromCart(quantity=1)), "missing-field"),
    "removed none": (event(product_removed_from_cart=ProductRemovedFromCart(product_id="p")), "invalid-field"),
    "checkout without value": (event(checkout_started=CheckoutStarted(items=1)), "missing-field"),
    "checkout without items": (event(checkout_started=CheckoutStarted(cart_value=EUR)), "invalid-field"),
    "no order id": (order(lambda o: o.ClearField("order_id")), "missing-field"),
    "no lines": (order(lambda o: o.ClearField("lines")), "missing-field"),
    "no total": (order(lambda o: o.ClearField("total")), "missing-field"),
    "line without product": (order(lambda o: o.lines[0].ClearField("product_id")), "missing-field"),
    "line without category": (order(lambda o: o.lines[0].ClearField("category")), "missing-field"),
    "line with long category": (order(lambda o: setattr(o.lines[0], "category", "c" * 129)), "invalid-field"),
    "line with unprintable category": (order(lambda o: setattr(o.lines[0], "category", "\t")), "invalid-field"),
    "line without quantity": (order(lambda o: setattr(o.lines[0], "quantity", 0)), "invalid-field"),
    "line without price": (order(lambda o: o.lines[0].ClearField("unit_price")), "missing-field"),
    "second line negative": (order(lambda o: o.lines.add(unit_price=Money(amount_minor=-1))), "negative-money"),
    "mixed currencies": (order(lambda o: setattr(o.lines[0].unit_price, "currency", "USD")), "invalid-field"),
    "payment without order": (event(payment_processed=changed(PAYMENT, lambda p: p.ClearField("order_id"))), "missing-field"),
    "payment without id": (event(payment_processed=changed(PAYMENT, lambda p: p.ClearField("payment_id"))), "missing-field"),
    "payment without amount": (event(payment_processed=changed(PAYMENT, lambda p: p.ClearField("amount"))), "missing-field"),
    "failed payment without order": (event(payment_failed=PaymentFailed(amount=EUR)), "missing-field"),
    "failed payment without amount": (event(payment_failed=PaymentFailed(order_id="o")), "missing-field"),
    "cancelled nothing": (event(order_cancelled=OrderCancelled()), "missing-field"),
}


@pytest.mark.parametrize("name", VALID)
def test_valid(name: str) -> None:
    checked = check_record(VALID[name].SerializeToString(), NOW_MS)
    assert checked.faults == ()
    assert checked.event == VALID[name]
    assert checked.event_type == VALID[name].WhichOneof("payload")


@pytest.mark.parametrize("name", INVALID)
def test_invalid(name: str) -> None:
    message, reason = INVALID[name]
    checked = check_record(message.SerializeToString(), NOW_MS)
    assert reason in {reason for fault in checked.faults for reason in fault.reasons}


def test_every_field_with_a_check_is_in_the_proto() -> None:
    descriptors = {message.name: message for message in Event.DESCRIPTOR.file.message_types_by_name.values()}
    for full_name in _CHECKS:
        message, field = full_name.split(".")
        assert field in descriptors[message].fields_by_name, full_name


@pytest.mark.parametrize(
    ("value", "reason"),
    [(None, "empty"), (b"", "empty"), (b"\xff\xff", "malformed"), (b"\n\x10abc", "malformed"), (b"\n\x02\xc3\x28", "malformed")],
)
def test_undecodable(value: bytes | None, reason: str) -> None:
    assert [fault.reasons for fault in check_record(value, NOW_MS).faults] == [{reason}]


class TestUnknownPayload:
    HEAD = Event(event_id="e", session_id="s", event_time_ms=NOW_MS).SerializeToString()

    def test_of_a_newer_proto(self) -> None:
        checked = check_record(self.HEAD + b"\xc2\x02\x02\x08\x01", NOW_MS)
        assert (checked.event_type, checked.faults) == ("unknown", ())

    @pytest.mark.parametrize("field", [b"\x3a\x01x", b"\xc0\x02\x01"], ids=["a new plain field below 16", "a new number"])
    def test_another_new_field_is_no_payload(self, field: bytes) -> None:
        assert not check_record(self.HEAD + field, NOW_MS).valid

    def test_beside_a_known_payload(self) -> None:
        checked = check_record(event().SerializeToString() + b"\xc2\x02\x02\x08\x01", NOW_MS)
        assert (checked.event_type, checked.faults) == ("product_viewed", ())


def test_too_large() -> None:
    value = event().SerializeToString()
    assert check_record(value, NOW_MS, Limits(max_bytes=len(value))).valid
    assert [fault.reasons for fault in check_record(value, NOW_MS, Limits(max_bytes=len(value) - 1)).faults] == [{"too-large"}]


def test_all_faults_are_collected() -> None:
    both = event(event_id="", product_viewed=ProductViewed(price=Money(amount_minor=-1, currency="x")), event_time_ms=1)
    reasons = {reason for fault in check_record(both.SerializeToString(), NOW_MS).faults for reason in fault.reasons}
    assert reasons == {"missing-field", "negative-money", "invalid-field", "clock-gap"}
