"""Whether a record is a valid event: the "Invalid if" lines of events.proto as a table, applied by walking the message.

Every fault is collected, not only the first: which of several the job names is its own choice.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet
from shop.v1.events_pb2 import Event, OrderPlaced

MAX_TEXT = 128
MAX_AMOUNT_MINOR = 10**12
UNKNOWN = "unknown"
_FIRST_PAYLOAD_FIELD = 16
_LENGTH_DELIMITED = 2
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Limits:
    """The job's own limits; the defaults are its defaults."""

    max_clock_gap_ms: int = 3_600_000
    max_bytes: int = 1_000_000


class Fault(NamedTuple):
    """`reasons`: the dead letter reasons that fit, more than one where the words leave it open."""

    reasons: frozenset[str]
    detail: str


@dataclass(frozen=True, slots=True)
class Checked:
    """A record's verdict: an event and its type, or faults."""

    event: Event | None
    event_type: str
    faults: tuple[Fault, ...]

    @property
    def valid(self) -> bool:
        return not self.faults


def _required(value: Any) -> str | None:
    return "missing-field" if not value else None


def _text(value: str) -> str | None:
    return "invalid-field" if len(value) > MAX_TEXT or not value.isprintable() else None


def _positive(value: int) -> str | None:
    return None if value > 0 else "invalid-field" if value < 0 else "invalid-field|missing-field"


def _not_negative(value: int) -> str | None:
    return "invalid-field" if value < 0 else None


def _money(value: int) -> str | None:
    return "negative-money" if value < 0 else "invalid-field" if value > MAX_AMOUNT_MINOR else None


def _time(value: int) -> str | None:
    return None if value > 0 else "invalid-field|missing-field"


def _currency(value: str) -> str | None:
    if _CURRENCY.fullmatch(value):
        return None
    return "invalid-field" if value else "invalid-field|missing-field"


_Check = Callable[[Any], str | None]
# The full name of a field: what must hold of it. A message or list that is required stands here as well.
_CHECKS: dict[str, tuple[_Check, ...]] = {
    "Event.event_id": (_required, _text),
    "Event.session_id": (_required, _text),
    "Event.user_id": (_text,),
    "Event.event_time_ms": (_time,),
    "Money.amount_minor": (_money,),
    "Money.currency": (_currency,),
    "LineItem.product_id": (_required, _text),
    "LineItem.category": (_required, _text),
    "LineItem.quantity": (_positive,),
    "LineItem.unit_price": (_required,),
    "ProductViewed.product_id": (_required, _text),
    "ProductViewed.category": (_text,),
    "ProductSearched.results": (_not_negative,),
    "ProductAddedToCart.item": (_required,),
    "ProductRemovedFromCart.product_id": (_required, _text),
    "ProductRemovedFromCart.quantity": (_positive,),
    "CheckoutStarted.cart_value": (_required,),
    "CheckoutStarted.items": (_positive,),
    "OrderPlaced.order_id": (_required, _text),
    "OrderPlaced.lines": (_required,),
    "OrderPlaced.total": (_required,),
    "PaymentProcessed.order_id": (_required, _text),
    "PaymentProcessed.payment_id": (_required, _text),
    "PaymentProcessed.amount": (_required,),
    "PaymentFailed.order_id": (_required, _text),
    "PaymentFailed.amount": (_required,),
    "OrderCancelled.order_id": (_required, _text),
}


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    full_name: str
    is_message: bool
    repeated: bool
    checks: tuple[_Check, ...]


_fields_of: dict[str, tuple[_Field, ...]] = {}


def _fields(message: Message) -> tuple[_Field, ...]:
    """The fields of a message type that have checks of their own or of their parts; remembered per type."""
    name = message.DESCRIPTOR.full_name
    if name not in _fields_of:
        found = []
        for field in message.DESCRIPTOR.fields:
            full_name = f"{message.DESCRIPTOR.name}.{field.name}"
            is_message = field.type == FieldDescriptor.TYPE_MESSAGE
            checks = _CHECKS.get(full_name, ())
            if checks or is_message:
                found.append(_Field(field.name, full_name, is_message, field.label == FieldDescriptor.LABEL_REPEATED, checks))
        _fields_of[name] = tuple(found)
    return _fields_of[name]


def _walk(message: Message, faults: list[Fault]) -> None:
    for field in _fields(message):
        if field.is_message and not field.repeated:
            present = message.HasField(field.name)
            value: Any = getattr(message, field.name) if present else None
            if present:
                _walk(value, faults)
        else:
            value = getattr(message, field.name)
            if field.is_message:
                for part in value:
                    _walk(part, faults)
        for check in field.checks:
            # An empty message that is set is there: only absence is a missing field.
            reason = check(value is not None if field.is_message and not field.repeated else value)
            if reason:
                faults.append(Fault(frozenset(reason.split("|")), f"{field.full_name} is {str(value)[:60]!r}"))


def _event_type(event: Event) -> str:
    """The payload's name, UNKNOWN for one that this proto does not know, or "" for none."""
    payload = event.WhichOneof("payload")
    if payload:
        return str(payload)
    unknown = UnknownFieldSet(event)
    if any(field.field_number >= _FIRST_PAYLOAD_FIELD and field.wire_type == _LENGTH_DELIMITED for field in unknown):
        return UNKNOWN
    return ""


def _order_faults(order: OrderPlaced) -> list[Fault]:
    """What the fields of an order must be together."""
    faults = []
    total = order.total.currency
    for line in order.lines:
        if line.unit_price.currency != total:
            faults.append(Fault(frozenset({"invalid-field"}), f"a line in {line.unit_price.currency!r}, the total in {total!r}"))
    amount_minor = sum(line.quantity * line.unit_price.amount_minor for line in order.lines)
    if amount_minor > MAX_AMOUNT_MINOR:
        faults.append(Fault(frozenset({"invalid-field"}), f"the lines add up to {amount_minor}"))
    return faults


def check_record(value: bytes | None, timestamp_ms: int, limits: Limits = Limits()) -> Checked:
    """Judges a Kafka record's value; `timestamp_ms` is the record's own timestamp."""
    if not value:
        return Checked(None, "", (Fault(frozenset({"empty"}), "null value" if value is None else "empty value"),))
    if len(value) > limits.max_bytes:
        return Checked(None, "", (Fault(frozenset({"too-large"}), f"{len(value)} bytes"),))
    try:
        event = Event.FromString(value)
    except DecodeError as error:
        return Checked(None, "", (Fault(frozenset({"malformed"}), f"not an Event: {error}"),))
    faults: list[Fault] = []
    _walk(event, faults)
    event_type = _event_type(event)
    if not event_type:
        faults.append(Fault(frozenset({"missing-field"}), "no payload"))
    if event_type == "order_placed":
        faults += _order_faults(event.order_placed)
    gap_ms = event.event_time_ms - timestamp_ms
    if abs(gap_ms) > limits.max_clock_gap_ms:
        faults.append(Fault(frozenset({"clock-gap"}), f"event time is {gap_ms} ms from the record's timestamp"))
    return Checked(event, event_type, tuple(faults))
