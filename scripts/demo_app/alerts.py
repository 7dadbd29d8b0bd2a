"""What the topics fraud-detection and fraud.alerts say, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from google.protobuf.message import DecodeError
from shop.v1.events_pb2 import Event, Money

from scripts.demo_app.text import money, safe
from scripts.outputs.record import Record, Unreadable

_HIGH_VALUE_MINOR: Final = 100_000  # rules/high-value-orders.yaml: over $1000


@dataclass(frozen=True, slots=True)
class Alert:
    """One suspicious event. `time_ms` is when it happened; the texts are as they came, so not yet safe to show."""

    time_ms: int
    what: str
    session: str


def decode_alert(record: Record) -> Alert:
    """The alert in a routed event; raises Unreadable.

    Rules may send anything to fraud-detection: an event that no rule of ours would is shown by its type.
    """
    try:
        event = Event.FromString(record.value)
    except DecodeError as error:
        raise Unreadable(record, f"no shop.v1.Event: {error}") from error
    if not event.session_id:
        raise Unreadable(record, "an event without session_id")
    return Alert(event.event_time_ms, _what(event), event.session_id)


def decode_signal(record: Record) -> Alert:
    """The alert that fraud signals made, with the text of its first reason; raises Unreadable."""
    fields = record.json()
    reasons = fields.document.get("reasons")
    texts = [each.get("text") for each in reasons if isinstance(each, dict)] if isinstance(reasons, list) else []
    if not texts or not all(isinstance(each, str) for each in texts):
        raise Unreadable(record, "an alert without reasons")
    more = f" (+{len(texts) - 1})" if len(texts) > 1 else ""
    return Alert(fields.integer("time_ms"), f"{fields.number('score'):.0f}{more}: {texts[0]}", fields.text("subject"))


def _what(event: Event) -> str:
    payload = event.WhichOneof("payload")
    if payload == "order_placed":
        total = event.order_placed.total
        high = total.currency == "USD" and total.amount_minor > _HIGH_VALUE_MINOR
        return f"{'order over $1000' if high else 'order'}: {_money(total)}"
    if payload == "payment_failed":
        failed = event.payment_failed
        return f"payment failed: {safe(failed.reason, 32) or 'no reason given'}, {_money(failed.amount)}"
    return (payload or "unknown event").replace("_", " ")


def _money(amount: Money) -> str:
    return money(amount.amount_minor, amount.currency)
