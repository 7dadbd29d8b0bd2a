"""Valid events and rules that the tests start from, and how to change one thing in them."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from google.protobuf.message import Message
from shop.v1.events_pb2 import Event, LineItem, Money

from udfs.rules.language import EVENT_TYPES, Rule, parse_rule
from udfs.validation import decode

NOW_MS: Final = 1_790_000_000_000
CLOCK_GAP_MS: Final = 3_600_000
MAX_BYTES: Final = 1_000_000
TOPICS: Final = ("orders", "payments", "fraud-detection")

_PAYLOADS: Final[dict[str, dict[str, Any]]] = {
    "product_viewed": {"product_id": "p-1", "category": "books", "price": {"amount_minor": 1999, "currency": "USD"}},
    "product_searched": {"query": "lamp", "results": 3},
    "product_added_to_cart": {"item": {"product_id": "p-1", "category": "books", "quantity": 2, "unit_price": {"currency": "USD"}}},
    "product_removed_from_cart": {"product_id": "p-1", "quantity": 1},
    "checkout_started": {"cart_value": {"amount_minor": 3998, "currency": "USD"}, "items": 2},
    "order_placed": {"order_id": "o-1", "total": {"amount_minor": 5498, "currency": "USD"}},
    "payment_processed": {"order_id": "o-1", "payment_id": "y-1", "amount": {"amount_minor": 5498, "currency": "USD"}},
    "payment_failed": {"order_id": "o-1", "amount": {"amount_minor": 5498, "currency": "USD"}, "reason": "declined"},
    "order_cancelled": {"order_id": "o-1", "reason": "changed my mind"},
    "user_signed_in": {"method": "passkey"},
}


def event(event_type: str = "product_viewed", **envelope: Any) -> Event:
    """A valid event; an order has two lines, of different categories."""
    sample = Event(**{"event_id": "e-1", "session_id": "s-1", "event_time_ms": NOW_MS, event_type: _PAYLOADS[event_type], **envelope})
    if event_type == "order_placed":
        sample.order_placed.lines.extend([line("books", 2, 1999), line("toys", 1, 1500)])
    return sample


def every_event() -> dict[str, Event]:
    """One valid event for each payload."""
    return {event_type: event(event_type) for event_type in EVENT_TYPES}


def line(category: str, quantity: int, amount_minor: int, currency: str = "USD") -> LineItem:
    price = Money(amount_minor=amount_minor, currency=currency)
    return LineItem(product_id="p-1", category=category, quantity=quantity, unit_price=price)


def order(total_minor: int, currency: str = "USD") -> Event:
    """An order of one line."""
    sample = event("order_placed")
    sample.order_placed.ClearField("lines")
    sample.order_placed.lines.append(line("books", 1, total_minor, currency))
    sample.order_placed.total.CopyFrom(Money(amount_minor=total_minor, currency=currency))
    return sample


def put(message: Message, path: str, value: Any) -> None:
    """Sets the field at a path such as order_placed.lines[0].quantity; None clears it."""
    *parents, leaf = path.split(".")
    for parent in parents:
        name, index = re.fullmatch(r"(\w+)(?:\[(\d+)])?", parent).groups()  # type: ignore[union-attr]
        message = getattr(message, name) if index is None else getattr(message, name)[int(index)]
    if value is None:
        message.ClearField(leaf)
    else:
        setattr(message, leaf, value)


def decoded(value: bytes) -> tuple[Event, str]:
    """Decodes with the limits above, for a record written at NOW_MS."""
    return decode(value, NOW_MS, CLOCK_GAP_MS, MAX_BYTES)


def rule(**changes: Any) -> dict[str, Any]:
    """A valid rule, as parsed YAML or JSON: every order to the topic `orders`. A change to None takes the key away."""
    raw = {"id": "a-rule", "version": 1, "when": {"events": ["order_placed"]}, "to": [{"topic": "orders"}], **changes}
    return {key: value for key, value in raw.items() if value is not None}


def rule_text(**changes: Any) -> str:
    return json.dumps(rule(**changes))


def parsed(raw: Any) -> Rule:
    """The checked rule, as if its JSON text had come over the rules topic."""
    return parse_rule(json.dumps(raw), TOPICS)


def conditional_rule(path: str, op: str, value: Any = None, events: tuple[str, ...] = ("*",), **changes: Any) -> dict[str, Any]:
    """A rule of one condition; a value of None leaves it out."""
    condition = {"path": path, "op": op} | ({} if value is None else {"value": value})
    return rule(when={"events": list(events), "all": [condition]}, **changes)
