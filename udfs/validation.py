"""Decodes one Kafka record value into a `shop.v1.Event`, or says why that can't be done.

Pure: no Flink, no I/O. The rules are those in the comments of proto/shop/v1/events.proto ("Invalid if ...").
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet
from shop.v1.events_pb2 import Event

MAX_ID_LENGTH: Final = 128
"""Longest identifier, in characters. Identifiers become keys of state and of Kafka records."""

MAX_AMOUNT_MINOR: Final = 10**12
"""Largest amount of money, in minor units: sums over a window stay far below 2^63 whatever a producer sends."""

_USUAL_CURRENCIES: Final = frozenset({"USD", "EUR", "GBP", "JPY", "CNY", "INR", "CAD", "AUD", "CHF"})
"""Only a short cut: any three letters are allowed."""

FIRST_PAYLOAD_NUMBER: Final = 16
"""Fields of Event from this number on are payloads."""
_LENGTH_DELIMITED: Final = 2

UNKNOWN: Final = "unknown"
"""The event type of a payload that is newer than this code."""

# Reason codes of dead letters. Each is a value of the `reason` header, so it is an interface: add, never rename.
EMPTY: Final = "empty"
MALFORMED: Final = "malformed"
MISSING_FIELD: Final = "missing-field"
INVALID_FIELD: Final = "invalid-field"
NEGATIVE_MONEY: Final = "negative-money"
CLOCK_GAP: Final = "clock-gap"
TOO_LARGE: Final = "too-large"
REASONS: Final = (EMPTY, MALFORMED, MISSING_FIELD, INVALID_FIELD, NEGATIVE_MONEY, CLOCK_GAP, TOO_LARGE)

MAX_DETAIL_LENGTH: Final = 1_000
"""Longest detail, in characters. It travels as a header beside the event, and both must fit into one Kafka record."""


class InvalidEvent(Exception):
    """Why a record can't be processed: `reason` is one of the codes above, `detail` names field and value."""

    def __init__(self, reason: str, detail: str) -> None:
        detail = detail[:MAX_DETAIL_LENGTH]
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def decode(value: bytes, record_time_ms: int, max_clock_gap_ms: int, max_bytes: int) -> tuple[Event, str]:
    """Decodes and validates one record value.

    Args:
        value: the Kafka record's value; empty when the record had none.
        record_time_ms: the Kafka record's timestamp, ms since the epoch.
        max_clock_gap_ms: how far the event's own time may be from the record's, either way.
        max_bytes: the largest value that is decoded.

    Returns:
        The event, and its type: the name of the payload field, or "unknown".

    Raises:
        InvalidEvent: the record is a dead letter.
    """
    if not value:
        raise InvalidEvent(EMPTY, "the record has no value")
    if len(value) > max_bytes:
        raise InvalidEvent(TOO_LARGE, f"{len(value)} bytes, at most {max_bytes} are allowed")
    try:
        event = Event.FromString(value)
    except DecodeError as error:
        raise InvalidEvent(MALFORMED, f"not a shop.v1.Event: {error}") from None

    # Written out for speed (this runs for every event): only what fails goes on to the functions that say why.
    event_id, session_id, user_id = event.event_id, event.session_id, event.user_id
    if not (0 < len(event_id) <= MAX_ID_LENGTH and event_id.isprintable()):
        _identifier("event_id", event_id)
    if not (0 < len(session_id) <= MAX_ID_LENGTH and session_id.isprintable()):
        _identifier("session_id", session_id)
    if user_id and not (len(user_id) <= MAX_ID_LENGTH and user_id.isprintable()):
        _identifier("user_id", user_id)

    event_time_ms = event.event_time_ms
    if event_time_ms <= 0:
        raise InvalidEvent(MISSING_FIELD, f"event_time_ms is {event_time_ms}, must be > 0")
    gap_ms = event_time_ms - record_time_ms
    if gap_ms > max_clock_gap_ms or -gap_ms > max_clock_gap_ms:
        raise InvalidEvent(CLOCK_GAP, f"event_time_ms is {gap_ms:+d} ms from the record's timestamp, limit {max_clock_gap_ms} ms")

    event_type = event.WhichOneof("payload")
    if event_type is None:
        if not _has_unknown_payload(event):
            raise InvalidEvent(MISSING_FIELD, "payload is not set")
        return event, UNKNOWN
    check = _CHECKS.get(event_type)
    if check is not None:
        check(getattr(event, event_type), event_type)
    return event, event_type


def _has_unknown_payload(event: Event) -> bool:
    return any(field.field_number >= FIRST_PAYLOAD_NUMBER and field.wire_type == _LENGTH_DELIMITED for field in UnknownFieldSet(event))


def _identifier(field: str, value: str) -> None:
    if not value:
        raise InvalidEvent(MISSING_FIELD, f"{field} is empty")
    _text(field, value)


def _text(field: str, value: str) -> None:
    # isprintable() also keeps out the control characters that separate packed fields behind the Python stage.
    if len(value) > MAX_ID_LENGTH:
        raise InvalidEvent(INVALID_FIELD, f"{field} has {len(value)} characters, at most {MAX_ID_LENGTH} are allowed")
    if not value.isprintable():
        raise InvalidEvent(INVALID_FIELD, f"{field} holds unprintable characters: {value!r}")


def _positive(field: str, value: int) -> None:
    if value <= 0:
        raise InvalidEvent(INVALID_FIELD, f"{field} is {value}, must be > 0")


def _at_most(field: str, amount_minor: int) -> None:
    if amount_minor > MAX_AMOUNT_MINOR:
        raise InvalidEvent(INVALID_FIELD, f"{field} is {amount_minor}, at most {MAX_AMOUNT_MINOR} is allowed")


def _money(owner: Any, name: str, path: str) -> str:
    """Checks the Money in field `name` of `owner`; returns its currency."""
    if not owner.HasField(name):
        raise InvalidEvent(MISSING_FIELD, f"{path}.{name} is missing")
    money = getattr(owner, name)
    amount_minor = money.amount_minor
    if not 0 <= amount_minor <= MAX_AMOUNT_MINOR:
        if amount_minor < 0:
            raise InvalidEvent(NEGATIVE_MONEY, f"{path}.{name}.amount_minor is {amount_minor}")
        _at_most(f"{path}.{name}.amount_minor", amount_minor)
    currency: str = money.currency
    if currency in _USUAL_CURRENCIES:
        return currency
    if len(currency) != 3 or not (currency.isascii() and currency.isalpha() and currency.isupper()):
        raise InvalidEvent(INVALID_FIELD, f"{path}.{name}.currency is {currency!r}, must be three letters A-Z")
    return currency


def _line_item(item: Any, path: str) -> str:
    """Checks a LineItem; returns the currency of its unit price."""
    category = item.category
    product_id = item.product_id
    if not (
        0 < len(product_id) <= MAX_ID_LENGTH and product_id.isprintable()
        and 0 < len(category) <= MAX_ID_LENGTH and category.isprintable() and item.quantity > 0
    ):  # fmt: skip
        _identifier(f"{path}.product_id", product_id)
        _identifier(f"{path}.category", category)
        _positive(f"{path}.quantity", item.quantity)
    return _money(item, "unit_price", path)


def _product_viewed(payload: Any, path: str) -> None:
    product_id, category = payload.product_id, payload.category
    if not (
        0 < len(product_id) <= MAX_ID_LENGTH and product_id.isprintable() and len(category) <= MAX_ID_LENGTH and category.isprintable()
    ):  # fmt: skip
        _identifier(f"{path}.product_id", product_id)
        _text(f"{path}.category", category)
    if payload.HasField("price"):
        _money(payload, "price", path)


def _product_searched(payload: Any, path: str) -> None:
    if payload.results < 0:
        raise InvalidEvent(INVALID_FIELD, f"{path}.results is {payload.results}, must be >= 0")


def _product_added_to_cart(payload: Any, path: str) -> None:
    if not payload.HasField("item"):
        raise InvalidEvent(MISSING_FIELD, f"{path}.item is missing")
    _line_item(payload.item, f"{path}.item")


def _product_removed_from_cart(payload: Any, path: str) -> None:
    _identifier(f"{path}.product_id", payload.product_id)
    _positive(f"{path}.quantity", payload.quantity)


def _checkout_started(payload: Any, path: str) -> None:
    _money(payload, "cart_value", path)
    _positive(f"{path}.items", payload.items)


def _order_placed(payload: Any, path: str) -> None:
    _identifier(f"{path}.order_id", payload.order_id)
    currency = _money(payload, "total", path)
    if not payload.lines:
        raise InvalidEvent(MISSING_FIELD, f"{path}.lines is empty")
    lines_total = 0
    for index, line in enumerate(payload.lines):
        line_currency = _line_item(line, f"{path}.lines[{index}]")
        if line_currency != currency:
            raise InvalidEvent(INVALID_FIELD, f"{path}.lines[{index}] is in {line_currency}, the order's total in {currency}")
        lines_total += line.quantity * line.unit_price.amount_minor
    _at_most(f"{path}.lines (their sum)", lines_total)


def _payment_processed(payload: Any, path: str) -> None:
    _identifier(f"{path}.order_id", payload.order_id)
    _identifier(f"{path}.payment_id", payload.payment_id)
    _money(payload, "amount", path)


def _payment_failed(payload: Any, path: str) -> None:
    _identifier(f"{path}.order_id", payload.order_id)
    _money(payload, "amount", path)


def _order_cancelled(payload: Any, path: str) -> None:
    _identifier(f"{path}.order_id", payload.order_id)


_CHECKS: Final[dict[str, Callable[[Any, str], None]]] = {
    "product_viewed": _product_viewed,
    "product_searched": _product_searched,
    "product_added_to_cart": _product_added_to_cart,
    "product_removed_from_cart": _product_removed_from_cart,
    "checkout_started": _checkout_started,
    "order_placed": _order_placed,
    "payment_processed": _payment_processed,
    "payment_failed": _payment_failed,
    "order_cancelled": _order_cancelled,
}
