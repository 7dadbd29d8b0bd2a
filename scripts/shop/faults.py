"""Broken records: every way of being invalid that the proto names, made on purpose.

`Fault` numbers go into the ledger (see `ledger`): append new ones at the end. `REASONS` says which dead letter a fault must
become where that is certain; what random or truncated bytes become only the decoder can say.
"""

from __future__ import annotations

import random
from enum import IntEnum

from shop.v1.events_pb2 import Event, LineItem, Money, OrderPlaced, ProductRemovedFromCart, ProductViewed


class Fault(IntEnum):
    NONE = 0
    RANDOM_BYTES = 1
    TRUNCATED = 2
    EMPTY = 3
    NULL = 4
    NO_EVENT_ID = 5
    NO_SESSION_ID = 6
    NO_PAYLOAD = 7
    NEGATIVE_MONEY = 8
    BAD_CURRENCY = 9
    CLOCK_GAP = 10
    NO_QUANTITY = 11
    NO_LINES = 12
    MIXED_CURRENCIES = 13
    UNPRINTABLE_ID = 14
    LONG_ID = 15
    BAD_UTF8 = 16
    NO_TOTAL = 17
    HUGE_MONEY = 18
    HUGE_ORDER = 19
    NO_TIME = 20
    TOO_LARGE = 21


REASONS: dict[Fault, str] = {
    Fault.EMPTY: "empty",
    Fault.NULL: "empty",
    Fault.NO_EVENT_ID: "missing-field",
    Fault.NO_SESSION_ID: "missing-field",
    Fault.NO_PAYLOAD: "missing-field",
    Fault.NEGATIVE_MONEY: "negative-money",
    Fault.BAD_CURRENCY: "invalid-field",
    Fault.CLOCK_GAP: "clock-gap",
    Fault.NO_QUANTITY: "invalid-field",
    Fault.NO_LINES: "missing-field",
    Fault.MIXED_CURRENCIES: "invalid-field",
    Fault.UNPRINTABLE_ID: "invalid-field",
    Fault.LONG_ID: "invalid-field",
    Fault.BAD_UTF8: "malformed",
    Fault.NO_TOTAL: "missing-field",
    Fault.HUGE_MONEY: "invalid-field",
    Fault.HUGE_ORDER: "invalid-field",
    Fault.NO_TIME: "missing-field",
    Fault.TOO_LARGE: "too-large",
}
# What strikes at random. Values that are too large have a share of their own: a megabyte each is not for every run.
FAULTS = tuple(fault for fault in Fault if fault not in (Fault.NONE, Fault.TOO_LARGE))
MAX_AMOUNT_MINOR = 10**12
MAX_EVENT_BYTES = 1_000_000  # the job's default
MAX_RECORD_BYTES = 1_048_588  # the broker's default (message.max.bytes)
CLOCK_GAP_MS = 6 * 3_600_000  # well over the job's default limit of 1 h


def _order(currency: str = "USD", line_currency: str = "USD", amount_minor: int = 1_999) -> OrderPlaced:
    price = Money(amount_minor=amount_minor, currency=line_currency)
    line = LineItem(product_id="BOO-00001", category="books", quantity=1, unit_price=price)
    return OrderPlaced(order_id="o-broken", lines=[line], total=Money(amount_minor=amount_minor, currency=currency))


def broken_value(fault: Fault, value: bytes, rng: random.Random) -> bytes | None:
    """`value`, the bytes of a valid event, broken by `fault`. None is a null value (a tombstone)."""
    match fault:
        case Fault.RANDOM_BYTES:
            return rng.randbytes(rng.randrange(1, 200))
        case Fault.TRUNCATED:
            return value[: rng.randrange(1, len(value))]
        case Fault.EMPTY:
            return b""
        case Fault.NULL:
            return None
        case Fault.BAD_UTF8:
            return value + b"\x1a\x02\xc3\x28"  # user_id once more, not UTF-8
    event = Event.FromString(value)
    _break_fields(fault, event, rng)
    return event.SerializeToString()


def _break_fields(fault: Fault, event: Event, rng: random.Random) -> None:
    match fault:
        case Fault.NO_EVENT_ID:
            event.event_id = ""
        case Fault.NO_SESSION_ID:
            event.session_id = ""
        case Fault.NO_PAYLOAD:
            event.DiscardUnknownFields()  # type: ignore[attr-defined]  # protobuf's stubs lack it
            if payload := event.WhichOneof("payload"):
                event.ClearField(payload)
        case Fault.NEGATIVE_MONEY:
            if rng.random() < 0.5:
                event.order_placed.CopyFrom(_order(amount_minor=-1))
            else:
                price = Money(amount_minor=-rng.randrange(1, 10_000), currency="EUR")
                event.product_viewed.CopyFrom(ProductViewed(product_id="BOO-00001", price=price))
        case Fault.BAD_CURRENCY:
            currency = rng.choice(("usd", "US", "DOLLAR", "U$D", ""))
            event.order_placed.CopyFrom(_order(currency, currency))
        case Fault.CLOCK_GAP:
            event.event_time_ms += rng.choice((-CLOCK_GAP_MS, CLOCK_GAP_MS))
        case Fault.NO_QUANTITY:
            removed = ProductRemovedFromCart(product_id="BOO-00001", quantity=rng.choice((0, -2)))
            event.product_removed_from_cart.CopyFrom(removed)
        case Fault.NO_LINES:
            event.order_placed.CopyFrom(_order())
            del event.order_placed.lines[:]
        case Fault.MIXED_CURRENCIES:
            event.order_placed.CopyFrom(_order("USD", "EUR"))
        case Fault.UNPRINTABLE_ID:
            event.event_id = event.event_id[:-1] + "\x07"
        case Fault.LONG_ID:
            event.event_id = event.event_id * 20
        case Fault.NO_TOTAL:
            event.order_placed.CopyFrom(_order())
            event.order_placed.ClearField("total")
        case Fault.HUGE_MONEY:
            event.order_placed.CopyFrom(_order(amount_minor=rng.choice((MAX_AMOUNT_MINOR + 1, 2**63 - 1))))
        case Fault.HUGE_ORDER:
            event.order_placed.CopyFrom(_order(amount_minor=MAX_AMOUNT_MINOR // 2))
            event.order_placed.lines[0].quantity = rng.choice((3, 2**31 - 1))
        case Fault.NO_TIME:
            event.event_time_ms = rng.choice((0, -1))
        case Fault.TOO_LARGE:
            # Half of them as large as the broker takes: no room is left for the headers of a dead letter.
            size = rng.choice((MAX_EVENT_BYTES, MAX_RECORD_BYTES - 1_000))
            event.product_searched.query = "x" * (size + rng.randrange(500))
        case _:
            raise ValueError(f"no such fault: {fault!r}")
